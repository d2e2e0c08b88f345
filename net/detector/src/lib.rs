//! Finds the leading master, for everybody who has to reach it: agents, frameworks, `execute`.
//!
//! ```text
//!  --master=HOST:PORT          the only master there is
//!  --master=H1:P1,H2:P2,H3:P3  each is asked for `/redirect` until one of them names the leader
//!  --master=zk://H1:P1,…/PATH  the lowest node below PATH in ZooKeeper
//! ```
//!
//! What it promises: [`Detector::leader`] waits until a leader is known, for as long as it takes,
//! and a master that is found need not lead any more when it is reached, so whoever connects and is
//! sent away asks again.

#![forbid(unsafe_code)]

mod ask;
mod masters;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use orrery_http::Client;
use orrery_runtime::{Address, Runtime};

pub use masters::{Masters, MastersError};
pub use orrery_election::Url;

use watch::Watch;

/// How long masters that know of no leader are left alone before they are asked again, at first: an
/// election takes about a second.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// How often they are asked at that pace. After that each pause is twice the one before: masters
/// that cannot elect one need not be kept busy by all agents of a cluster.
const EAGER_ASKS: u32 = 6;

/// The longest of these pauses.
const ASK_AGAIN_MAX: Duration = Duration::from_millis(1_600);

/// How long ZooKeeper keeps a session that only looks, unless somebody has another wish.
const SESSION_TIMEOUT: Duration = Duration::from_secs(10);

/// How long masters that know of no leader are asked before the log says so, and how long until it
/// says so again.
const SILENCE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));

/// Finds the leading master. Cheap to clone; clones find the same.
#[derive(Clone, Debug)]
pub struct Detector(Finder);

#[derive(Clone, Debug)]
enum Finder {
    One(Address),
    Peers(Arc<Peers>),
    ZooKeeper(Arc<Watch>),
}

/// Masters that are asked who leads.
#[derive(Debug)]
struct Peers {
    runtime: Runtime,
    client: Client,
    masters: Vec<Address>,
}

impl Peers {
    async fn leader(&self) -> Address {
        let Self { runtime, client, masters } = self;
        let mut complain_at = runtime.clock.now() + SILENCE.0;
        let mut asks = 0;
        loop {
            let failure = match ask::leader(runtime, client, masters).await {
                Ok(leader) => return leader,
                Err(failure) => failure,
            };
            if runtime.clock.now() >= complain_at {
                complain_at = runtime.clock.now() + SILENCE.1;
                let masters = Masters::Peers(masters.clone());
                tracing::warn!(%masters, failure, "none of the masters names a leader");
            }
            asks += 1;
            runtime.sleep(pause_after(asks)).await;
        }
    }
}

impl Detector {
    /// Begins to look for the leader among `masters`.
    pub fn new(runtime: Runtime, masters: Masters) -> Self {
        Self::with_session_timeout(runtime, masters, SESSION_TIMEOUT)
    }

    /// The same; where ZooKeeper is asked, it keeps the session for `session_timeout` after it has
    /// heard of it last.
    pub fn with_session_timeout(
        runtime: Runtime,
        masters: Masters,
        session_timeout: Duration,
    ) -> Self {
        Self(match masters {
            Masters::One(address) => Finder::One(address),
            Masters::Peers(masters) => {
                let client = Client::new(runtime.clone()).with_connect_time(ask::ANSWER_TIME);
                Finder::Peers(Arc::new(Peers { runtime, client, masters }))
            }
            Masters::ZooKeeper(url) => {
                Finder::ZooKeeper(Arc::new(Watch::start(&runtime, url, session_timeout)))
            }
        })
    }

    /// Where the leader is, as far as is known. Waits until there is one.
    pub async fn leader(&self) -> Address {
        match &self.0 {
            Finder::One(address) => address.clone(),
            Finder::Peers(peers) => peers.leader().await,
            Finder::ZooKeeper(watch) => watch.until(|_| true).await,
        }
    }

    /// Completes, with the reason, when ZooKeeper refuses to be asked, as it does with wrong
    /// credentials, before a leader was ever found. Nothing but a person can mend that. Whoever has
    /// worked with a leader before can wait for that person.
    pub async fn refused(&self) -> String {
        match &self.0 {
            Finder::One(_) | Finder::Peers(_) => std::future::pending().await,
            Finder::ZooKeeper(watch) => watch.refused().await,
        }
    }

    /// Completes once another master than the one at `address` is known to lead, so that whoever is
    /// connected to that one need not wait until the connection breaks. A single master is never
    /// replaced.
    pub async fn replaced(&self, address: &Address) {
        match &self.0 {
            Finder::One(_) => std::future::pending().await,
            Finder::Peers(peers) => {
                let Peers { runtime, client, masters } = &**peers;
                ask::replaced(runtime, client, masters, address).await;
            }
            Finder::ZooKeeper(watch) => drop(watch.until(|leader| leader != address).await),
        }
    }
}

/// How long masters are left alone that were asked so many times in vain.
fn pause_after(asks: u32) -> Duration {
    let doublings = asks.saturating_sub(EAGER_ASKS).min(8);
    (ASK_AGAIN * (1 << doublings)).min(ASK_AGAIN_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_without_a_leader_are_asked_less_and_less_often() {
        let pauses = [1, EAGER_ASKS, EAGER_ASKS + 1, EAGER_ASKS + 2, EAGER_ASKS + 3, u32::MAX];
        let pauses = pauses.map(|asks| pause_after(asks).as_millis());
        assert_eq!(pauses, [200, 200, 400, 800, 1_600, 1_600]);
    }
}
