//! A cluster in a simulated world: masters, agents, and hosts for frameworks.

use std::collections::BTreeSet;
use std::sync::Arc;

use orrery_agent::Agent;
use orrery_master::Master;
use orrery_runtime::{Address, ProcessId, Signal, Target};
use orrery_runtime_sim::{Host, World};

use crate::daemons::{self, Daemon, is_executor, master_address};
use crate::invariants::runs::STARTS;
use crate::oracle::Oracle;
use crate::plan::{Place, Shape};

/// Bugs to switch on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bugs {
    /// In the master.
    pub master: BTreeSet<orrery_master::PlantedBug>,
    /// In every agent.
    pub agent: BTreeSet<orrery_agent::PlantedBug>,
}

/// A running cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    oracle: Oracle,
    shape: Shape,
    bugs: Bugs,
    masters: Vec<Daemon<Master>>,
    agents: Vec<Daemon<Agent>>,
    schedulers: Vec<Host>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Cluster({} agents)", self.inner.agents.len())
    }
}

impl Cluster {
    /// Makes the hosts and starts masters and agents.
    ///
    /// # Panics
    /// The shape has not exactly one master: more need a group to elect a leader among them.
    pub fn start(world: &World, oracle: &Oracle, shape: &Shape, bugs: &Bugs) -> Self {
        assert!(shape.masters == 1, "masters '{}': expected 1", shape.masters);
        daemons::install_executor(world);
        let host = |place: Place| world.host(&place.to_string());
        let masters: Vec<Daemon<Master>> =
            (0..shape.masters).map(|number| Daemon::new(host(Place::Master(number)))).collect();
        let agents: Vec<Daemon<Agent>> =
            (0..shape.agents).map(|number| Daemon::new(host(Place::Agent(number)))).collect();
        let schedulers = (0..shape.frameworks.len()).map(|number| host(Place::Scheduler(number)));
        let schedulers = schedulers.collect();
        for agent in &agents {
            let kept = agent.host.disk().install(format!("{STARTS}/.keep"), "");
            kept.unwrap_or_else(|error| panic!("a new disk takes a file: {error}"));
        }
        oracle.watch_hosts(agents.iter().map(|agent| agent.host.clone()).collect());
        let inner = Inner {
            world: world.clone(),
            oracle: oracle.clone(),
            shape: shape.clone(),
            bugs: bugs.clone(),
            masters,
            agents,
            schedulers,
        };
        let cluster = Self { inner: Arc::new(inner) };
        cluster.start_missing();
        cluster
    }

    /// The world that it is in.
    pub fn world(&self) -> &World {
        &self.inner.world
    }

    /// Who watches it.
    pub fn oracle(&self) -> &Oracle {
        &self.inner.oracle
    }

    /// How it was made.
    pub fn shape(&self) -> &Shape {
        &self.inner.shape
    }

    /// Where frameworks find the master.
    pub fn master_address(&self) -> Address {
        master_address()
    }

    /// The host of a place; `None` when the shape has no such place.
    pub fn host(&self, place: Place) -> Option<Host> {
        let inner = &self.inner;
        match place {
            Place::Master(number) => inner.masters.get(number).map(|master| master.host.clone()),
            Place::Agent(number) => inner.agents.get(number).map(|agent| agent.host.clone()),
            Place::Scheduler(number) => inner.schedulers.get(number).cloned(),
        }
    }

    /// The process of a master or an agent, while it lives.
    pub fn daemon(&self, place: Place) -> Option<ProcessId> {
        match place {
            Place::Master(number) => self.inner.masters.get(number)?.process(),
            Place::Agent(number) => self.inner.agents.get(number)?.process(),
            Place::Scheduler(_) => None,
        }
    }

    /// Starts the masters and the agents that do not run, where there is power.
    pub fn start_missing(&self) {
        let Shape { masters, agents, .. } = self.inner.shape;
        let places = (0..masters).map(Place::Master).chain((0..agents).map(Place::Agent));
        places.for_each(|place| self.start_daemon(place));
    }

    /// Starts the daemon of a place if there is power and it does not run.
    pub fn start_daemon(&self, place: Place) {
        let can_start = self.host(place).is_some_and(|host| host.is_up());
        if !can_start || self.daemon(place).is_some() {
            return;
        }
        let Inner { shape, bugs, oracle, masters, agents, .. } = &*self.inner;
        match place {
            Place::Master(number) => {
                masters.get(number).into_iter().for_each(|one| one.start(shape, bugs, oracle));
            }
            Place::Agent(number) => {
                agents.get(number).into_iter().for_each(|one| one.start(shape, bugs, oracle));
            }
            Place::Scheduler(_) => {}
        }
    }

    /// Kills a master or an agent.
    pub fn kill_daemon(&self, place: Place) {
        let (Some(host), Some(process)) = (self.host(place), self.daemon(place)) else { return };
        host.kill(process);
        self.end_orphans(&host);
    }

    /// Ends tasks whose executor died before their agent did: neither is left to do it, as agents
    /// do not recover yet.
    fn end_orphans(&self, host: &Host) {
        for process in host.processes() {
            if !host.is_alive(process.session) {
                host.signal(Target::Process(process.id), Signal::Kill);
            }
        }
    }

    /// Cuts a host's power.
    pub fn crash(&self, place: Place) {
        let Some(host) = self.host(place).filter(Host::is_up) else { return };
        self.inner.oracle.crash_host(&host);
        match place {
            Place::Master(number) => {
                self.inner.masters.get(number).into_iter().for_each(Daemon::host_crashed);
            }
            Place::Agent(number) => {
                self.inner.agents.get(number).into_iter().for_each(Daemon::host_crashed);
            }
            Place::Scheduler(_) => {}
        }
    }

    /// The executors of an agent that lives. Those of an earlier one are not among them: they are
    /// about to end, and nobody would end what they leave behind.
    pub fn executors(&self, agent: usize) -> Vec<ProcessId> {
        let place = Place::Agent(agent);
        let (Some(host), Some(daemon)) = (self.host(place), self.daemon(place)) else {
            return Vec::new();
        };
        let processes = host.processes().into_iter();
        let children = processes.filter(|process| process.parent == Some(daemon));
        let executors = children.filter(|process| is_executor(&process.command));
        executors.map(|process| process.id).collect()
    }

    /// Looks at a master between two steps; `None` when it is down or stops meanwhile.
    pub async fn inspect_master<T: Send + 'static>(
        &self,
        number: usize,
        look: impl FnOnce(&Master) -> T + Send + 'static,
    ) -> Option<T> {
        self.inner.masters.get(number)?.inspect(look).await
    }

    /// Looks at an agent between two steps; `None` when it is down or stops meanwhile.
    pub async fn inspect_agent<T: Send + 'static>(
        &self,
        number: usize,
        look: impl FnOnce(&Agent) -> T + Send + 'static,
    ) -> Option<T> {
        self.inner.agents.get(number)?.inspect(look).await
    }
}
