//! Asking masters who leads: each answers `/redirect` with the leader's address, or with 503.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::header::IF_NONE_MATCH;
use http::{Request, StatusCode};
use orrery_coverage::reachable;
use orrery_http::{Client, client};
use orrery_runtime::{Address, Runtime};

/// A master that has not answered after this long is not waited for any more. It may be stopped, or
/// cut off; the others are asked at the same time.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(1);

/// Pause before a master is asked whether the one that one is connected to still leads, at most.
/// Thousands may have connected at one time.
const LOOK: Duration = Duration::from_secs(1);

/// The same after one that did not keep the question, on average.
const LOOK_AGAIN: Duration = Duration::from_secs(4);

/// How many seconds that master may keep the question until it knows of another leader, on average.
const KEEP: u64 = 15;

/// The leader that the first of `masters` to know one names.
///
/// # Errors
/// None of them does; what the last one said.
pub(crate) async fn leader(
    runtime: &Runtime,
    client: &Client,
    masters: &[Address],
) -> Result<Address, String> {
    let ask = |master| ask(runtime, client, master, None);
    let mut answers: FuturesUnordered<_> = masters.iter().map(ask).collect();
    let mut failure = String::new();
    while let Some(answer) = answers.next().await {
        match answer {
            Ok(Some(leader)) => return Ok(leader),
            Ok(None) => {}
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Completes once a master names another leader than the one at `leader`. One of the others is
/// asked each time, so that a leader that is alive has nothing to do with it; it keeps the question
/// until it has heard of a new leader itself, so that nobody learns of it late.
pub(crate) async fn replaced(
    runtime: &Runtime,
    client: &Client,
    masters: &[Address],
    leader: &Address,
) {
    let others: Vec<&Address> = masters.iter().filter(|master| *master != leader).collect();
    let mut random = runtime.random.generator();
    // Not all that look at one time look again at one time.
    let mut pause = LOOK.mul_f64(random.fraction());
    loop {
        runtime.sleep(pause).await;
        let number = random.below(others.len().max(1) as u64);
        let asked = usize::try_from(number).ok().and_then(|number| others.get(number));
        let Some(asked) = asked else { return std::future::pending().await };
        let unless = Some((leader, KEEP / 2 + random.below(KEEP + 1)));
        pause = match ask(runtime, client, asked, unless).await {
            Ok(Some(other)) if other != *leader => {
                reachable!("a leader turns out to be replaced by asking other masters");
                return;
            }
            Ok(None) => LOOK.mul_f64(random.fraction()),
            // Mesos' masters keep no question.
            Ok(Some(_)) | Err(_) => LOOK_AGAIN / 2 + LOOK_AGAIN.mul_f64(random.fraction()),
        };
    }
}

/// Who leads, as `master` says; `None` when nobody but the one that is known already. It may keep
/// the question as long as the leader named by `unless` leads, for so many seconds at most.
async fn ask(
    runtime: &Runtime,
    client: &Client,
    master: &Address,
    unless: Option<(&Address, u64)>,
) -> Result<Option<Address>, String> {
    let limit = ANSWER_TIME + Duration::from_secs(unless.map_or(0, |(_, wait)| wait));
    let asked = async {
        let mut request = Request::get("/redirect");
        if let Some((known, wait)) = unless {
            request = request.header(IF_NONE_MATCH, format!("\"{known}\""));
            request = request.header("Prefer", format!("wait={wait}"));
        }
        let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
        match client.stream(master, request).await {
            Ok(response) if response.status() == StatusCode::NOT_MODIFIED => Ok(None),
            Ok(response) => {
                let (parts, _) = response.into_parts();
                let target = client::redirect_target(&parts);
                target.map(Some).ok_or_else(|| format!("{master} answers {}", parts.status))
            }
            Err(error) => {
                reachable!("a master does not say who leads");
                Err(error.to_string())
            }
        }
    };
    let answer = runtime.timeout(limit, asked).await;
    let answer =
        answer.unwrap_or_else(|| Err(format!("{master} does not answer within {limit:?}")));
    answer.inspect_err(|error| tracing::debug!(%master, error, "a master names no leader"))
}
