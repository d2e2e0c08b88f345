//! Asking masters who leads: each answers `/redirect` with the leader's address, or with 503.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::Request;
use orrery_coverage::reachable;
use orrery_http::{Client, client};
use orrery_runtime::{Address, Runtime};

/// A master that has not answered after this long is not waited for any more. It may be stopped, or
/// cut off; the others are asked at the same time.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(1);

/// Pause between two looks at whether a master that one is connected to still leads, on average.
const LOOK_AGAIN: Duration = Duration::from_secs(4);

/// The leader that the first of `masters` to know one names.
///
/// # Errors
/// None of them does; what the last one said.
pub(crate) async fn leader(
    runtime: &Runtime,
    client: &Client,
    masters: &[Address],
) -> Result<Address, String> {
    let ask = |master| ask(runtime, client, master);
    let mut answers: FuturesUnordered<_> = masters.iter().map(ask).collect();
    let mut failure = String::new();
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(leader) => return Ok(leader),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Completes once a master names another leader than the one at `leader`. One of the others is
/// asked each time, so that a leader that is alive has nothing to do with it.
pub(crate) async fn replaced(
    runtime: &Runtime,
    client: &Client,
    masters: &[Address],
    leader: &Address,
) {
    let others: Vec<&Address> = masters.iter().filter(|master| *master != leader).collect();
    let mut random = runtime.random.generator();
    loop {
        // Not all that look at one time look again at one time.
        let pause = LOOK_AGAIN / 2 + LOOK_AGAIN.mul_f64(random.fraction());
        runtime.sleep(pause).await;
        let number = random.below(others.len().max(1) as u64);
        let asked = usize::try_from(number).ok().and_then(|number| others.get(number));
        let Some(asked) = asked else { continue };
        if ask(runtime, client, asked).await.is_ok_and(|other| other != *leader) {
            reachable!("a leader turns out to be replaced by asking other masters");
            return;
        }
    }
}

async fn ask(runtime: &Runtime, client: &Client, master: &Address) -> Result<Address, String> {
    let asked = async {
        let request = Request::get("/redirect").body(Bytes::new());
        let request = request.map_err(|error| error.to_string())?;
        match client.stream(master, request).await {
            Ok(response) => {
                let (parts, _) = response.into_parts();
                let target = client::redirect_target(&parts);
                target.ok_or_else(|| format!("{master} answers {}", parts.status))
            }
            Err(error) => {
                reachable!("a master does not say who leads");
                Err(error.to_string())
            }
        }
    };
    let answer = runtime.timeout(ANSWER_TIME, asked).await;
    let answer =
        answer.unwrap_or_else(|| Err(format!("{master} does not answer within {ANSWER_TIME:?}")));
    answer.inspect_err(|error| tracing::debug!(%master, error, "a master names no leader"))
}
