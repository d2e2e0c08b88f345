//! A cluster in a simulated world: masters, agents, and hosts for frameworks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orrery_agent::Agent;
use orrery_detector::Masters;
use orrery_master::Master;
use orrery_runtime::{Address, ProcessId};
use orrery_runtime_sim::{Ensemble, Host, Probability, World};

use crate::daemons::{self, Daemon, is_executor, master_address};
use crate::invariants::runs::STARTS;
use crate::oracle::Oracle;
use crate::plan::{Flag, Place, Shape};

/// A running cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    oracle: Oracle,
    shape: Shape,
    /// The settings that daemons are started with from now on.
    starts_with: Mutex<Shape>,
    ensemble: Option<Ensemble>,
    masters: Vec<Daemon<Master>>,
    agents: Vec<Daemon<Agent>>,
    schedulers: Vec<Host>,
    /// Those of daemons that differ from the shape, each kind once.
    flags: Mutex<BTreeMap<Place, Vec<Flag>>>,
    /// Executors that are stopped whatever is mended.
    stranded: Mutex<BTreeSet<(Place, ProcessId)>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Cluster({} agents)", self.inner.agents.len())
    }
}

impl Cluster {
    /// Makes the hosts and starts masters and agents, and ZooKeeper where masters meet there.
    pub fn start(world: &World, oracle: &Oracle, shape: &Shape) -> Self {
        let install = |host: &Host| daemons::install_executors(host, oracle);
        let zookeepers = daemons::zookeeper_hosts(shape);
        let ensemble = (!zookeepers.is_empty()).then(|| Ensemble::start(world, zookeepers));
        let host = |place: Place| world.host(&place.to_string());
        let masters: Vec<Daemon<Master>> =
            (0..shape.masters).map(|number| Daemon::new(host(Place::Master(number)))).collect();
        let agents: Vec<Daemon<Agent>> =
            (0..shape.agents).map(|number| Daemon::new(host(Place::Agent(number)))).collect();
        let schedulers = (0..shape.frameworks.len()).map(|number| host(Place::Scheduler(number)));
        let schedulers = schedulers.collect();
        agents.iter().for_each(|agent| make_starts_folder(&agent.host));
        agents.iter().for_each(|agent| install(&agent.host));
        oracle.watch_hosts(agents.iter().map(|agent| agent.host.clone()).collect());
        let inner = Inner {
            world: world.clone(),
            oracle: oracle.clone(),
            shape: shape.clone(),
            starts_with: Mutex::new(shape.clone()),
            ensemble,
            masters,
            agents,
            schedulers,
            flags: Mutex::default(),
            stranded: Mutex::default(),
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

    /// Where frameworks find the leading master.
    pub fn masters(&self) -> Masters {
        daemons::masters(&self.inner.shape)
    }

    /// Where the first master is, which leads when it is the only one.
    pub fn master_address(&self) -> Address {
        master_address(0)
    }

    /// The ZooKeeper servers, where masters meet there.
    pub fn ensemble(&self) -> Option<&Ensemble> {
        self.inner.ensemble.as_ref()
    }

    /// The host of a place; `None` when the shape has no such place.
    pub fn host(&self, place: Place) -> Option<Host> {
        let inner = &self.inner;
        match place {
            Place::Master(number) => inner.masters.get(number).map(|master| master.host.clone()),
            Place::Agent(number) => inner.agents.get(number).map(|agent| agent.host.clone()),
            Place::Scheduler(number) => inner.schedulers.get(number).cloned(),
            Place::ZooKeeper(number) => {
                let ensemble = inner.ensemble.as_ref().filter(|it| number < it.len());
                ensemble.map(|ensemble| ensemble.host(number))
            }
        }
    }

    /// The process of a master, an agent or a ZooKeeper server, while it lives.
    pub fn daemon(&self, place: Place) -> Option<ProcessId> {
        match place {
            Place::Master(number) => self.inner.masters.get(number)?.process(),
            Place::Agent(number) => self.inner.agents.get(number)?.process(),
            Place::Scheduler(_) => None,
            Place::ZooKeeper(number) => self.inner.ensemble.as_ref()?.process(number),
        }
    }

    /// All hosts that the shape has.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        let Shape { masters, agents, ref frameworks, .. } = self.inner.shape;
        let masters = (0..masters).map(Place::Master);
        let schedulers = (0..frameworks.len()).map(Place::Scheduler);
        let servers = self.inner.ensemble.as_ref().map_or(0, Ensemble::len);
        let zookeepers = (0..servers).map(Place::ZooKeeper);
        masters.chain((0..agents).map(Place::Agent)).chain(schedulers).chain(zookeepers)
    }

    /// Starts the masters and the agents that do not run, where there is power.
    pub fn start_missing(&self) {
        self.places().for_each(|place| self.start_daemon(place));
    }

    /// Starts the daemon of a place if there is power and it does not run.
    pub fn start_daemon(&self, place: Place) {
        let Inner { masters, agents, .. } = &*self.inner;
        match place {
            Place::Master(number) => masters.get(number).into_iter().for_each(Daemon::end_stopping),
            Place::Agent(number) => agents.get(number).into_iter().for_each(Daemon::end_stopping),
            _ => {}
        }
        let can_start = self.host(place).is_some_and(|host| host.is_up());
        if !can_start || self.daemon(place).is_some() {
            return;
        }
        let Inner { oracle, masters, agents, .. } = &*self.inner;
        let (shape, flags) = (&*lock(&self.inner.starts_with), self.flags_of(place));
        match place {
            Place::Master(number) => {
                let master = masters.get(number);
                master.into_iter().for_each(|one| one.start(number, shape, &flags, oracle));
            }
            Place::Agent(number) => {
                let agent = agents.get(number).into_iter();
                agent.for_each(|one| one.start(shape, &flags, false, oracle));
            }
            Place::ZooKeeper(number) => {
                self.inner.ensemble.iter().for_each(|ensemble| ensemble.start_server(number));
            }
            Place::Scheduler(_) => {}
        }
    }

    fn flags_of(&self, place: Place) -> Vec<Flag> {
        lock(&self.inner.flags).get(&place).cloned().unwrap_or_default()
    }

    /// Starts an agent that cleans up what an earlier run has left, and nothing else, where there
    /// is power and none runs. The next start of the agent ends it.
    pub(crate) fn start_cleanup(&self, place: Place) {
        let can_start = self.host(place).is_some_and(|host| host.is_up());
        let Place::Agent(number) = place else { return };
        let agent = self.inner.agents.get(number);
        if let Some(agent) = agent.filter(|one| can_start && one.process().is_none()) {
            let flags = self.flags_of(place);
            agent.start(&self.inner.shape, &flags, true, &self.inner.oracle);
        }
    }

    /// From their next start on, masters give up as many agents as do not return: an operator has
    /// seen to it that those are away indeed. Returns the masters that are to be started again.
    pub(crate) fn lift_removal_limit(&self) -> Vec<Place> {
        let limit = &mut lock(&self.inner.starts_with).recovery_removal_limit;
        let was_there = std::mem::replace(limit, Probability::ALWAYS) != Probability::ALWAYS;
        let masters = if was_there { self.inner.masters.len() } else { 0 };
        (0..masters).map(Place::Master).collect()
    }

    /// Kills a master, an agent or a ZooKeeper server.
    pub fn kill_daemon(&self, place: Place) {
        let (Some(host), Some(process)) = (self.host(place), self.daemon(place)) else { return };
        host.kill(process);
    }

    /// Asks a master or an agent to stop in order.
    pub(crate) fn stop_daemon(&self, place: Place) {
        let Inner { masters, agents, .. } = &*self.inner;
        match place {
            Place::Master(number) => masters.get(number).into_iter().for_each(Daemon::stop),
            Place::Agent(number) => agents.get(number).into_iter().for_each(Daemon::stop),
            Place::Scheduler(_) | Place::ZooKeeper(_) => {}
        }
    }

    /// From its next start on, a daemon has another flag. Returns whether it had one of its kind
    /// before.
    pub(crate) fn change(&self, place: Place, flag: &Flag) -> bool {
        let mut flags = lock(&self.inner.flags);
        let flags = flags.entry(place).or_default();
        let before = flags.len();
        flags.retain(|other| std::mem::discriminant(other) != std::mem::discriminant(flag));
        let had_one = flags.len() < before;
        flags.push(flag.clone());
        had_one
    }

    /// From their next start on, masters have the quorum that they should have. Returns those that
    /// had another.
    pub(crate) fn correct_quorums(&self) -> Vec<Place> {
        let mut wrong = Vec::new();
        for (place, flags) in lock(&self.inner.flags).iter_mut() {
            let before = flags.len();
            flags.retain(|flag| !matches!(flag, Flag::Quorum(_)));
            wrong.extend((flags.len() < before).then_some(*place));
        }
        wrong
    }

    /// Cuts a host's power.
    pub fn crash(&self, place: Place) {
        if let Some(host) = self.host(place).filter(Host::is_up) {
            self.inner.oracle.losing(std::slice::from_ref(&host), || host.crash());
        }
    }

    /// Gives a host power again, unless it has it.
    pub fn power_on(&self, place: Place) {
        let Some(host) = self.host(place).filter(|host| !host.is_up()) else { return };
        let Inner { masters, agents, .. } = &*self.inner;
        match place {
            Place::Master(number) => {
                masters.get(number).into_iter().for_each(Daemon::forget_process);
            }
            Place::Agent(number) => {
                agents.get(number).into_iter().for_each(Daemon::forget_process);
                make_starts_folder(&host);
            }
            Place::Scheduler(_) | Place::ZooKeeper(_) => {}
        }
        // Numbers of processes start anew.
        lock(&self.inner.stranded).retain(|(stranded, _)| *stranded != place);
        host.boot();
    }

    /// Stops the executors of an agent, whether or not the agent lives, and lets them go on after
    /// `time`.
    pub(crate) fn stop_executors(&self, agent: Place, time: Duration) {
        let stopped: Vec<_> = self.executors(agent).into_iter().map(|it| (agent, it)).collect();
        lock(&self.inner.stranded).extend(stopped.iter().copied());
        self.stop_stranded();
        let cluster = self.clone();
        self.world().spawn(async move {
            cluster.world().sleep(time).await;
            for stranded in stopped {
                if lock(&cluster.inner.stranded).remove(&stranded)
                    && let Some(host) = cluster.host(agent)
                {
                    host.resume(stranded.1);
                }
            }
        });
    }

    /// Stops executors that are to be stopped, should something else have let them go on.
    pub(crate) fn stop_stranded(&self) {
        for (agent, executor) in lock(&self.inner.stranded).iter() {
            // One that has ended meanwhile needs no stopping.
            let _ = self.host(*agent).map(|host| host.pause(*executor));
        }
    }

    /// The executors on an agent's host, whether or not the agent lives.
    pub fn executors(&self, agent: Place) -> Vec<ProcessId> {
        let processes = self.host(agent).map(|host| host.processes()).unwrap_or_default();
        let executors = processes.into_iter().filter(|process| is_executor(&process.command));
        executors.map(|process| process.id).collect()
    }

    /// Looks at the leading master between two steps; `None` when none leads, or the one that does
    /// stops meanwhile. Of two that believe that they lead, it is the one elected last.
    pub async fn inspect_master<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Master) -> T + Send + 'static,
    ) -> Option<T> {
        let mut leading = Vec::new();
        for daemon in &self.inner.masters {
            let id = daemon.inspect(|master| master.options().master_info.id.clone()).await;
            if let Some(term) = id.and_then(|id| self.oracle().term_of(&id)) {
                leading.push((term, daemon));
            }
        }
        leading.sort_by_key(|(term, _)| *term);
        let (_, leader) = leading.pop()?;
        leader.inspect(look).await
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

/// Makes the folder in which tasks note that they have started. A disk that takes nothing now does
/// without.
fn make_starts_folder(host: &Host) {
    let _ = host.disk().install(format!("{STARTS}/.keep"), "");
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
