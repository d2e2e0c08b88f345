//! The master's edge: its HTTP endpoints, the links of its agents, its registry and its page,
//! around the state machine of `orrery-master`; and the elections in which it comes to lead.
//!
//! ```text
//!            ┌ Office: stands for election, leads, is deposed, stands again ┐
//!  requests  │                                                              │
//!  ────▶ Front ──leading──▶ Term: Routes, links ─▶ Master ─changes─▶ Registrar
//!            │                                                              ▼
//!            ├──not leading──▶ standby: 307 to the leader            replicated log
//!            └──other masters──▶ log replica, election ◀───────────────────▶
//! ```
//!
//! It reaches the world through the ports alone, so a simulation runs this very code.

#![forbid(unsafe_code)]

use std::sync::Arc;
use std::time::Duration;

use core::net::SocketAddr;

use orrery_log::Log;
use orrery_master::Master;
use orrery_runtime::Runtime;
use orrery_runtime::tasks::AbortOnDrop;
use tokio::sync::oneshot;

mod daemon;
mod election;
mod front;
mod info;
mod measures;
mod office;
mod operator_api;
mod options;
mod page;
mod planted;
mod pulse;
mod redirect;
mod registrar;
mod replicas;
mod role;
mod routes;
mod scheduler_api;
mod snapshot;
mod standby;
mod start;
mod state;
mod tasks;
mod term;

use front::Front;
use role::Role;

pub use options::{Elections, Options};
pub use planted::PlantedBug;
pub use registrar::{Fate, Limits, Registrar, RegistryError};
pub use replicas::{Hindrance, Replicas};
pub use start::{StartError, start};

/// How long a master that is stopped may take to hand over.
const HANDOVER_TIME: Duration = Duration::from_secs(1);

/// Why a running master ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("the master ended: {0}")]
pub struct Ended(String);

/// A running master. Dropping it ends it at once; agents and frameworks then wait for the next one.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    runtime: Runtime,
    front: Arc<Front>,
    ended: oneshot::Receiver<Ended>,
    /// Asks the office to hand over; it answers by ending.
    stop: oneshot::Sender<()>,
    log: Option<Log>,
    _tasks: Vec<AbortOnDrop>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Running({})", self.address)
    }
}

impl Running {
    /// Stops: lets another master lead at once, and closes all connections. Tasks go on; they
    /// belong to agents.
    pub async fn stop(self) {
        let Self { runtime, stop, ended, .. } = self;
        // An office that has ended by itself has handed over.
        let _ = stop.send(());
        let _ = runtime.timeout(HANDOVER_TIME, ended).await;
    }

    /// Completes only when the master cannot go on, with the reason.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.ended).await {
            Ok(ended) => ended,
            Err(_) => Ended("its tasks were stopped".to_owned()),
        }
    }

    /// Whether it leads and has recovered the registry.
    pub fn leads(&self) -> bool {
        matches!(self.front.role(), Role::Leading(_))
    }

    /// Completes once this master's copy of the registry votes: it was never lost, or knows again
    /// what a majority of the others knew. Never, if there is none or it cannot be used.
    pub fn votes(&self) -> impl Future<Output = ()> + Send + 'static {
        let log = self.log.clone();
        async move {
            let is_ready = match log {
                Some(log) => log.ready().await.is_ok(),
                None => false,
            };
            if !is_ready {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Looks at the state machine between two steps; for tests. `None` when it does not lead.
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Master) -> T + Send + 'static,
    ) -> Option<T> {
        match self.front.role() {
            Role::Leading(term) => term.inspect(look).await,
            Role::Recovering | Role::Standby(_) => None,
        }
    }
}
