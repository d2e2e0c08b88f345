//! The daemons as processes of simulated hosts: the very functions that production calls.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use orrery_agent::{Agent, SANDBOX_VARIABLE};
use orrery_detector::Masters;
use orrery_election::Url;
use orrery_master::Master;
use orrery_model::Resources;
use orrery_net_agent::{Policy, RecoverError, StartError};
use orrery_net_master::Elections;
use orrery_runtime::machine::Observer;
use orrery_runtime::{Address, ProcessId, Runtime};
use orrery_runtime_sim::Host;
use tokio::sync::{mpsc, oneshot};

use crate::custom_executor;
use crate::oracle::Oracle;
use crate::plan::{self, Flag, Place, Reconfiguration, Shape};

const MASTER_PORT: u16 = 5050;
const AGENT_PORT: u16 = 5051;
const EXECUTOR: &str = "/usr/libexec/orrery/executor";

const ZOOKEEPER_PORT: u16 = 2181;

/// How long ZooKeeper keeps the session of a master that has fallen silent.
pub(crate) const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// Ten times as slow as in production, so that an idle hour costs no more than a busy minute.
const LEASE_TIMING: orrery_lease::Timing = orrery_lease::Timing {
    heartbeat: Duration::from_millis(800),
    lease: Duration::from_secs(4),
    patience: Duration::from_millis(4_500),
    spread: Duration::from_secs(2),
};

/// The same for the log.
const LOG_TIMING: orrery_log::Timing = orrery_log::Timing {
    heartbeat: Duration::from_secs(1),
    retry: Duration::from_secs(2),
    backoff: Duration::from_millis(500),
};

/// Where a master is reached.
pub(crate) fn master_address(number: usize) -> Address {
    Address::new(Place::Master(number).to_string(), MASTER_PORT)
}

/// The names of the hosts on which ZooKeeper runs, if the masters meet there.
pub(crate) fn zookeeper_hosts(shape: &Shape) -> &'static [&'static str] {
    if shape.elections == plan::Elections::ZooKeeper {
        &["zookeeper-0", "zookeeper-1", "zookeeper-2"]
    } else {
        &[]
    }
}

/// Where agents and frameworks find the leading master.
pub(crate) fn masters(shape: &Shape) -> Masters {
    match zookeeper_url(shape) {
        Some(url) => Masters::ZooKeeper(url),
        None => (0..shape.masters).map(master_address).collect::<Vec<_>>().into(),
    }
}

fn zookeeper_url(shape: &Shape) -> Option<Url> {
    let hosts = zookeeper_hosts(shape);
    let servers: Vec<Address> =
        hosts.iter().map(|host| Address::new(*host, ZOOKEEPER_PORT)).collect();
    let path = "/orrery".to_owned();
    (!servers.is_empty()).then_some(Url { servers, credentials: None, path })
}

fn elections(shape: &Shape, me: usize) -> Elections {
    match zookeeper_url(shape) {
        Some(url) => Elections::ZooKeeper { url, session_timeout: SESSION_TIMEOUT },
        None if shape.masters > 1 => Elections::Peers {
            addresses: (0..shape.masters).map(master_address).collect(),
            me,
            timing: LEASE_TIMING,
        },
        None => Elections::Alone,
    }
}

type Inspection<M> = Box<dyn FnOnce(&M) + Send>;

/// What a daemon's process is asked for.
enum Order<M> {
    /// To let somebody look at its machine.
    Look(Inspection<M>),
    /// To stop in order, as SIGTERM asks it.
    Stop,
}

/// A daemon and the process that it is at present.
pub(crate) struct Daemon<M> {
    pub(crate) host: Host,
    current: Mutex<Option<Current<M>>>,
}

struct Current<M> {
    process: ProcessId,
    orders: mpsc::UnboundedSender<Order<M>>,
    /// It was asked to stop, or is one that ends by itself once it has cleaned up.
    is_stopping: bool,
}

impl<M: 'static> Daemon<M> {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, current: Mutex::new(None) }
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Option<Current<M>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process, while it lives.
    pub(crate) fn process(&self) -> Option<ProcessId> {
        let process = self.current().as_ref()?.process;
        self.host.is_alive(process).then_some(process)
    }

    /// Forgets the process: numbers start anew when the host boots.
    pub(crate) fn forget_process(&self) {
        *self.current() = None;
    }

    fn set(&self, process: ProcessId, orders: mpsc::UnboundedSender<Order<M>>) {
        *self.current() = Some(Current { process, orders, is_stopping: false });
    }

    /// Asks the process to stop in order. A stopped one, or one that has ended, does not hear it.
    pub(crate) fn stop(&self) {
        if let Some(current) = &mut *self.current() {
            current.is_stopping = current.orders.send(Order::Stop).is_ok();
        }
    }

    /// Kills the process if it is to end and has not come to it yet, as its supervisor does.
    pub(crate) fn end_stopping(&self) {
        let stopping = self.current().as_ref().filter(|it| it.is_stopping).map(|it| it.process);
        if let Some(process) = stopping {
            self.host.kill(process);
        }
    }

    /// Whether the process is stopped (SIGSTOP), and so shows nothing to anybody.
    fn is_stopped(&self) -> bool {
        let process = self.process();
        self.host.processes().iter().any(|one| one.stopped && Some(one.id) == process)
    }

    /// Looks at the machine between two steps; `None` when the daemon is down, or stops meanwhile.
    pub(crate) async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&M) -> T + Send + 'static,
    ) -> Option<T> {
        if self.is_stopped() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        let look: Inspection<M> = Box::new(move |machine| {
            // Nobody listens when the scenario gave up meanwhile.
            let _ = sender.send(look(machine));
        });
        let sent = match &*self.current() {
            Some(current) => current.orders.send(Order::Look(look)).is_ok(),
            None => false,
        };
        if sent { receiver.await.ok() } else { None }
    }
}

impl Daemon<Master> {
    pub(crate) fn start(&self, number: usize, shape: &Shape, flags: &[Flag], oracle: &Oracle) {
        let mut options = orrery_net_master::Options::new(self.host.ip(), MASTER_PORT);
        options.elections = elections(shape, number);
        options.quorum = shape.masters / 2 + 1;
        for flag in flags {
            match flag {
                Flag::Version(version) => options.version.version.clone_from(version),
                Flag::Quorum(quorum) => options.quorum = *quorum,
                Flag::Attributes(_) | Flag::Resources(_) => {}
            }
        }
        options.log_timing = LOG_TIMING;
        options.hostname = Some(self.host.name().to_owned());
        options.work_dir = (!shape.forgets_all()).then(|| PathBuf::from("/var/lib/master"));
        options.agent_ping_timeout = shape.ping_timeout;
        options.max_agent_ping_timeouts = 3;
        options.agent_reregister_timeout = shape.reregister_timeout;
        options.offer_timeout = shape.offer_timeout;
        options.agent_removal_interval = shape.removal_interval;
        let limit = f64::from(shape.recovery_removal_limit.parts_per_million());
        options.recovery_agent_removal_limit = limit / 1e6;
        options.registry_gc_interval = shape.registry_gc_interval;
        options.registry_max_agent_age = shape.registry_max_agent_age;
        options.registry_max_agent_count = shape.registry_max_agent_count;
        let watcher = oracle.clone();
        options.observer = Some(Observer::new(move |master| watcher.master_stepped(master)));
        let (orders, queue) = mpsc::unbounded_channel();
        let oracle = oracle.clone();
        let name = self.host.name().to_owned();
        oracle.copies(|copies| copies.read(&name));
        let process = self
            .host
            .start("mesos-master", |runtime| run_master(runtime, options, queue, oracle, name));
        self.set(process, orders);
    }
}

async fn run_master(
    runtime: Runtime,
    options: orrery_net_master::Options,
    mut orders: mpsc::UnboundedReceiver<Order<Master>>,
    oracle: Oracle,
    name: String,
) -> i32 {
    // Of a single copy nobody can say that it has caught up with anything.
    let mut waits_for_vote = !matches!(options.elections, Elections::Alone);
    let error = match orrery_net_master::start(runtime, options).await {
        Ok(mut running) => loop {
            let votes = running.votes();
            let order = tokio::select! {
                biased;
                ended = running.ended() => break ended.to_string(),
                () = votes, if waits_for_vote => {
                    oracle.copies(|copies| copies.votes(&name));
                    waits_for_vote = false;
                    continue;
                }
                Some(order) = orders.recv() => order,
            };
            match order {
                Order::Look(look) => drop(running.inspect(look).await),
                Order::Stop => {
                    running.stop().await;
                    return 0;
                }
            }
        },
        Err(error) => error.to_string(),
    };
    oracle.daemon_ended(&name, &error);
    1
}

impl Daemon<Agent> {
    /// Starts it as usual; or has it clean up what an earlier run has left, and nothing else, until
    /// it is started again.
    pub(crate) fn start(&self, shape: &Shape, flags: &[Flag], cleans_up: bool, oracle: &Oracle) {
        let resources = parse_resources(&shape.agent_resources);
        let mut options = orrery_net_agent::Options::new(
            self.host.ip(),
            AGENT_PORT,
            masters(shape),
            PathBuf::from("/var/lib/agent"),
            resources,
            PathBuf::from(EXECUTOR),
        );
        options.hostname = Some(self.host.name().to_owned());
        options.cleans_up = cleans_up;
        options.reconfiguration_policy = match shape.reconfiguration {
            Reconfiguration::Equal => Policy::Equal,
            Reconfiguration::Additive => Policy::Additive,
        };
        for flag in flags {
            match flag {
                Flag::Attributes(text) => {
                    let attributes = orrery_model::attributes::parse(text);
                    options.attributes =
                        attributes.unwrap_or_else(|error| panic!("attributes: {error}"));
                }
                Flag::Resources(text) => options.resources = parse_resources(text),
                Flag::Version(version) => options.version.version.clone_from(version),
                Flag::Quorum(_) => {}
            }
        }
        options.registration_backoff_factor = Duration::from_millis(500);
        options.executor_registration_timeout = shape.executor_registration_timeout;
        oracle.agent_started(self.host.name());
        let (watcher, host) = (oracle.clone(), self.host.name().to_owned());
        options.observer = Some(Observer::new(move |agent| watcher.agent_stepped(&host, agent)));
        let (orders, queue) = mpsc::unbounded_channel();
        let oracle = oracle.clone();
        let name = self.host.name().to_owned();
        let process = self
            .host
            .start("mesos-agent", |runtime| run_agent(runtime, options, queue, oracle, name));
        self.set(process, orders);
        if cleans_up && let Some(current) = &mut *self.current() {
            current.is_stopping = true;
        }
    }
}

/// Plans are checked before they are played.
fn parse_resources(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap_or_else(|error| panic!("resources: {error}"))
}

async fn run_agent(
    runtime: Runtime,
    options: orrery_net_agent::Options,
    mut orders: mpsc::UnboundedReceiver<Order<Agent>>,
    oracle: Oracle,
    name: String,
) -> i32 {
    let cleans_up = options.cleans_up;
    let error = match start_agent(&runtime, options, &oracle, &name).await {
        Ok(mut running) => loop {
            let order = tokio::select! {
                biased;
                ended = running.ended() => match cleans_up && ended.is_in_order() {
                    true => return 0,
                    false => break ended.to_string(),
                },
                Some(order) = orders.recv() => order,
            };
            match order {
                Order::Look(look) => drop(running.inspect(look).await),
                Order::Stop => {
                    running.stop().await;
                    return 0;
                }
            }
        },
        Err(error) => error.to_string(),
    };
    oracle.daemon_ended(&name, &error);
    1
}

/// Starts an agent, and does what an operator does where it refuses because of an earlier run.
async fn start_agent(
    runtime: &Runtime,
    mut options: orrery_net_agent::Options,
    oracle: &Oracle,
    name: &str,
) -> Result<orrery_net_agent::Running, StartError> {
    let refused = match orrery_net_agent::start(runtime.clone(), options.clone()).await {
        Err(StartError::Recover(refused)) => refused,
        other => return other,
    };
    oracle.note(name, &format!("refuses to go on: {refused}"));
    oracle.may_change_identity(name);
    match &refused {
        RecoverError::Incompatible { latest, .. } => {
            // A disk that fails here, too, is told by the second start.
            let _ = runtime.disk.remove_file(latest).await;
        }
        RecoverError::Journal { .. } | RecoverError::Checkpoint { .. } => {
            oracle.checkpoints_refused(name, &refused.to_string());
            options.strict = false;
        }
        RecoverError::Disk(_) | RecoverError::Processes(_) => return Err(refused.into()),
    }
    orrery_net_agent::start(runtime.clone(), options).await
}

/// Makes the command executor and one of a framework's own known to an agent's host.
pub(crate) fn install_executors(host: &Host, oracle: &Oracle) {
    let (oracle, place) = (oracle.clone(), host.clone());
    let (watcher, of_custom) = (oracle.clone(), host.clone());
    host.install_program(EXECUTOR, move |runtime, command| {
        check_start(&oracle, &place, &command.environment);
        run_command_executor(runtime, command.environment, oracle.clone())
    });
    host.install_program(custom_executor::PROGRAM, move |runtime, command| {
        check_start(&watcher, &of_custom, &command.environment);
        let watcher = custom_executor::Watcher::new(&watcher, &of_custom, &command.environment);
        custom_executor::run(runtime, command.environment, watcher)
    });
}

/// A command executor, which is named after its task.
async fn run_command_executor(
    runtime: Runtime,
    environment: Vec<(String, String)>,
    oracle: Oracle,
) -> i32 {
    let id = environment.iter().find(|(name, _)| name == "MESOS_EXECUTOR_ID").cloned();
    let code = orrery_net_executor::run(runtime, environment).await;
    if let Some((_, task)) = id.filter(|_| code == 0) {
        oracle.executor_left_well(&task);
    }
    code
}

/// An executor of a framework that checkpoints is started only once a later run of the agent would
/// know of it.
fn check_start(oracle: &Oracle, host: &Host, environment: &[(String, String)]) {
    let variable = |name: &str| {
        let found = environment.iter().find(|(variable, _)| variable == name);
        found.map(|(_, value)| value.as_str())
    };
    let Some(sandbox) = variable(SANDBOX_VARIABLE) else { return };
    if variable("MESOS_CHECKPOINT") == Some("1")
        && let Some((_, container)) = sandbox.rsplit_once('/')
    {
        oracle.acted_upon(host, &format!("container {container} runs"), container.as_bytes());
    }
}

/// Whether a process is an executor.
pub(crate) fn is_executor(command: &[String]) -> bool {
    command.first().is_some_and(|name| name == custom_executor::NAME)
}
