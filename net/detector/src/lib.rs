//! Finds the leading master, for everybody who has to reach it: agents, frameworks, `execute`.
//!
//! ```text
//!  --master=HOST:PORT          the only master there is
//!  --master=H1:P1,H2:P2,H3:P3  each is asked for `/redirect` until one of them names the leader
//! ```
//!
//! What it promises: [`Detector::leader`] waits until a leader is known, for as long as it takes,
//! and a master that is found need not lead any more when it is reached, so whoever connects and is
//! sent away asks again.

#![forbid(unsafe_code)]

mod ask;
mod masters;

use std::time::Duration;

use orrery_http::Client;
use orrery_runtime::{Address, Runtime};

pub use masters::{Masters, MastersError};

/// How long masters that know of no leader are left alone before they are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Finds the leading master. Cheap to clone; clones find the same.
#[derive(Clone, Debug)]
pub struct Detector {
    runtime: Runtime,
    client: Client,
    masters: Masters,
}

impl Detector {
    /// Begins to look for the leader among `masters`.
    pub fn new(runtime: Runtime, masters: Masters) -> Self {
        let client = Client::new(runtime.clone()).with_connect_time(ask::ANSWER_TIME);
        Self { runtime, client, masters }
    }

    /// Where the leader is, as far as is known. Waits until there is one.
    pub async fn leader(&self) -> Address {
        match &self.masters {
            Masters::One(address) => address.clone(),
            Masters::Peers(peers) => loop {
                if let Some(leader) = ask::leader(&self.runtime, &self.client, peers).await {
                    return leader;
                }
                self.runtime.sleep(ASK_AGAIN).await;
            },
        }
    }
}
