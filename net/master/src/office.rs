//! Standing for election, leading, being deposed, and so on for as long as the daemon runs.

use std::sync::Arc;

use core::net::SocketAddr;

use orrery_api::v1;
use orrery_coverage::reachable;
use orrery_log::{Log, WriteError};
use orrery_runtime::{Address, Generator, Runtime};
use tokio::sync::oneshot;

use crate::Options;
use crate::election::{Election, Event};
use crate::front::Front;
use crate::info::{master_info, public_address};
use crate::measures::Measures;
use crate::registrar::{Limits, Registrar, RegistryError};
use crate::replicas::Hindrance;
use crate::role::Role;
use crate::term::Term;

/// Everything that a master needs to lead from time to time.
pub(crate) struct Office {
    pub(crate) runtime: Runtime,
    pub(crate) options: Arc<Options>,
    pub(crate) front: Arc<Front>,
    pub(crate) election: Election,
    /// `None` keeps the registry in memory.
    pub(crate) log: Option<Log>,
    /// What else than itself keeps the log from being used.
    pub(crate) hindrance: Hindrance,
    pub(crate) measures: Measures,
    /// Where the daemon listens.
    pub(crate) address: SocketAddr,
    /// The other master that leads, as far as is known. Remembered while this one leads: it may
    /// hear of the next one before it hears that it is deposed.
    pub(crate) leader: Option<Address>,
}

/// How a term, or the hope for one, ended.
enum End {
    /// Others go on; this master may be elected again.
    Deposed,
    /// The registry failed this master, which has resigned.
    Registry(RegistryError),
    /// This master must not go on.
    Broken(String),
}

impl Office {
    /// Runs until `stop` is told or dropped, or until the daemon cannot go on: then it says why.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) -> Result<(), String> {
        let mut generator = self.runtime.random.generator();
        loop {
            let end = tokio::select! {
                biased;
                _ = &mut stop => {
                    self.front.set_role(Role::Standby(None));
                    self.election.resign().await;
                    return Ok(());
                }
                end = self.stand_and_lead(&mut generator) => end,
            };
            self.front.set_role(Role::Standby(self.leader.clone()));
            match end {
                End::Deposed => {
                    reachable!("a leading master is deposed");
                    tracing::warn!("this master does not lead any more");
                }
                End::Registry(error) if self.election.is_alone() => return Err(error.to_string()),
                End::Registry(error) => {
                    reachable!("a master steps down because of its registry");
                    let error = match self.hindrance.get() {
                        Some(hindrance) => format!("{error}; {hindrance}"),
                        None => error.to_string(),
                    };
                    tracing::error!(error, "this master steps down");
                    self.election.resign().await;
                }
                End::Broken(why) => return Err(why),
            }
        }
    }

    async fn stand_and_lead(&mut self, generator: &mut Generator) -> End {
        let info = master_info(&self.options, self.address, generator);
        let own = public_address(&info);
        self.election.stand(&info).await;
        loop {
            match self.election.next().await {
                Event::Elected => break,
                Event::Leader(leader) => {
                    self.learn(leader, &own);
                    self.front.set_role(Role::Standby(self.leader.clone()));
                }
                Event::Deposed => {}
                Event::Broken(why) => return End::Broken(why),
            }
        }
        tracing::info!(master_id = %info.id, "elected as leader");
        self.front.set_role(Role::Recovering);
        let term = Leadership {
            runtime: self.runtime.clone(),
            options: Arc::clone(&self.options),
            front: Arc::clone(&self.front),
            log: self.log.clone(),
            measures: self.measures.clone(),
        };
        let leading = term.lead(info);
        tokio::pin!(leading);
        loop {
            tokio::select! {
                biased;
                event = self.election.next() => match event {
                    Event::Deposed => return End::Deposed,
                    Event::Broken(why) => return End::Broken(why),
                    Event::Leader(leader) => self.learn(leader, &own),
                    Event::Elected => {}
                },
                end = &mut leading => return end,
            }
        }
    }
}

impl Office {
    /// Takes in who leads. Before it is told that it is elected, this master does not know better
    /// than that nobody does.
    fn learn(&mut self, leader: Option<Address>, own: &Address) {
        self.leader = leader.filter(|leader| leader != own);
        if let Some(leader) = &self.leader {
            tracing::info!(%leader, "another master leads");
        }
    }
}

/// What one term needs.
struct Leadership {
    runtime: Runtime,
    options: Arc<Options>,
    front: Arc<Front>,
    log: Option<Log>,
    measures: Measures,
}

impl Leadership {
    async fn lead(self, info: v1::MasterInfo) -> End {
        let limits = Limits {
            fetch: self.options.registry_fetch_timeout,
            store: self.options.registry_store_timeout,
        };
        let log = self.log.as_ref();
        let registrar = match Registrar::recover(&self.runtime, log, &info, limits).await {
            Ok(registrar) => registrar,
            // No later try would find anything else.
            Err(error @ (RegistryError::Capabilities(_) | RegistryError::Entry { .. })) => {
                return End::Broken(error.to_string());
            }
            Err(error) => return End::Registry(error),
        };
        let agents = registrar.registry().admitted.len();
        tracing::info!(master_id = %info.id, agents, "the registry is recovered");
        let deposed = registrar.deposed();
        let (options, measures) = (&self.options, self.measures);
        let (term, changes, failure) =
            Term::begin(&self.runtime, options, info, &registrar, measures);
        let keeping = term.keep(registrar, changes);
        self.front.set_role(Role::Leading(Arc::new(term)));
        tokio::select! {
            biased;
            () = deposed => End::Registry(RegistryError::Write(WriteError::Lost)),
            Ok(reason) = failure => End::Broken(reason),
            Err(error) = keeping => End::Registry(error),
            // The machine has stopped, which only the end of the term makes it do.
            else => std::future::pending().await,
        }
    }
}
