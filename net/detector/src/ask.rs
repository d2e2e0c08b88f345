//! Asking masters who leads: each answers `/redirect` with the leader's address, or with 503.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::Request;
use orrery_http::{Client, client};
use orrery_runtime::{Address, Runtime};

/// A master that has not answered after this long is not waited for any more. It may be stopped, or
/// cut off; the others are asked at the same time.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(1);

/// The leader that the first of `masters` to know one names; `None` when none of them does.
pub(crate) async fn leader(
    runtime: &Runtime,
    client: &Client,
    masters: &[Address],
) -> Option<Address> {
    let ask = |master| runtime.timeout(ANSWER_TIME, ask(client, master));
    let mut answers: FuturesUnordered<_> = masters.iter().map(ask).collect();
    while let Some(answer) = answers.next().await {
        if let Some(leader) = answer.flatten() {
            return Some(leader);
        }
    }
    None
}

async fn ask(client: &Client, master: &Address) -> Option<Address> {
    // This request cannot be malformed.
    let request = Request::get("/redirect").body(Bytes::new()).ok()?;
    match client.send(master, request).await {
        Ok(response) => client::redirect_target(&response.into_parts().0),
        Err(error) => {
            tracing::debug!(%master, %error, "a master does not say who leads");
            None
        }
    }
}
