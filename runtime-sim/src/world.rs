//! The world of one run: what every host, process and model shares.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use madsim::runtime::{Handle, NodeHandle};
use madsim::task::NodeId;
use madsim::time::TimeHandle;
use orrery_coverage::Coverage;
use orrery_runtime::{BoxFuture, Command, Generator, Instant, Runtime};

use crate::config::{Config, nanoseconds};
use crate::host::Host;
use crate::lock::Lock;
use crate::logs::Logs;
use crate::network::{Network, NetworkControl};
use crate::process::{Program, program};
use crate::simulate::{Failure, Report, Seed};
use crate::timers::{Sleep, Timers, drive};
use crate::trace::{Chain, Node, Trace};
use crate::zookeeper::Ensemble;

/// What a [`World`] and everything in it point to.
pub(crate) struct Inner {
    pub(crate) seed: u64,
    pub(crate) config: Config,
    pub(crate) handle: Handle,
    pub(crate) time: TimeHandle,
    pub(crate) timers: Lock<Timers>,
    pub(crate) trace: Lock<Trace>,
    pub(crate) network: Lock<Network>,
    hosts: Lock<Vec<Host>>,
    ensembles: Lock<Vec<Ensemble>>,
    programs: Lock<BTreeMap<PathBuf, Program>>,
    scenario: Lock<Option<NodeHandle>>,
    spawned: AtomicU64,
    /// How often a task has run, and a timer has rung.
    steps: AtomicU64,
    /// The process of each of madsim's nodes, for what daemons log; empty unless lines are kept.
    nodes: Lock<BTreeMap<NodeId, (Host, u32)>>,
}

impl Inner {
    /// Virtual time since the start, in nanoseconds.
    pub(crate) fn now(&self) -> u64 {
        nanoseconds(self.time.elapsed())
    }

    /// A generator that follows from the seed, `purpose` and `number` alone: drawing from one
    /// never changes what another gives.
    pub(crate) fn generator(&self, purpose: &str, number: u64) -> Generator {
        derive(self.seed, purpose, number)
    }

    /// Records an event. See [`Trace::record`].
    pub(crate) fn record(
        &self,
        node: Node<'_>,
        kind: &str,
        numbers: &[u64],
        text: impl FnOnce() -> String,
    ) {
        let now = self.now();
        self.trace.lock().record(now, node, kind, numbers, text);
    }

    /// Adds a line about something that the running task said. See [`Trace::remark`].
    pub(crate) fn remark(&self, kind: &str, text: String) {
        let now = self.now();
        let speaker = self.nodes.lock().get(&madsim::plugin::node()).cloned();
        let node = match &speaker {
            Some((host, process)) => host.node(*process),
            None => Node::Named("scenario"),
        };
        self.trace.lock().remark(now, node, kind, || text);
    }

    /// Remembers whose node it is.
    pub(crate) fn know_node(&self, node: NodeId, host: &Host, process: u32) {
        if self.config.trace {
            self.nodes.lock().insert(node, (host.clone(), process));
        }
    }

    /// The program registered for all hosts under `path`.
    pub(crate) fn programs(&self) -> &Lock<BTreeMap<PathBuf, Program>> {
        &self.programs
    }

    /// Counts a timer that rings or a task that runs.
    pub(crate) fn count_step(&self) {
        // All steps are taken by one thread, one after the other.
        self.steps.store(self.steps.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// `future`, with each time it runs counted.
    pub(crate) fn counted<T: 'static>(
        self: &Arc<Self>,
        mut future: BoxFuture<'static, T>,
    ) -> impl Future<Output = T> + Send + 'static {
        let world = Arc::clone(self);
        std::future::poll_fn(move |context| {
            world.count_step();
            future.as_mut().poll(context)
        })
    }

    /// Counts a spawned task. madsim remembers ended tasks until somebody counts the live ones.
    pub(crate) fn count_spawn(&self) {
        if self.spawned.fetch_add(1, Ordering::Relaxed) % 65_536 == 65_535 {
            self.handle.metrics().num_tasks();
        }
    }
}

fn derive(seed: u64, purpose: &str, number: u64) -> Generator {
    let mut bytes = [0; 32];
    for (index, part) in bytes.chunks_exact_mut(8).enumerate() {
        let mut chain = Chain::new(seed);
        chain.bytes(purpose.as_bytes());
        chain.number(number);
        chain.number(index as u64);
        part.copy_from_slice(&chain.value().to_le_bytes());
    }
    Generator::from_seed(bytes)
}

/// A simulated world, as the scenario sees it. Cheap to clone.
#[derive(Clone)]
pub struct World {
    inner: Arc<Inner>,
    control: NetworkControl,
    random: Arc<Lock<Generator>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "World(seed {})", self.inner.seed)
    }
}

impl World {
    pub(crate) fn new(seed: u64, config: Config, handle: Handle, time: TimeHandle) -> Self {
        let scenario = handle.create_node().name("scenario").build();
        let network = Network::new(config.network.clone(), derive(seed, "network", 0));
        let inner = Inner {
            seed,
            handle,
            timers: Lock::new(Timers::new(time.clone())),
            time,
            trace: Lock::new(Trace::new(seed, config.trace)),
            network: Lock::new(network),
            hosts: Lock::new(Vec::new()),
            ensembles: Lock::new(Vec::new()),
            programs: Lock::new(BTreeMap::new()),
            scenario: Lock::new(Some(scenario)),
            spawned: AtomicU64::new(0),
            steps: AtomicU64::new(0),
            nodes: Lock::new(BTreeMap::new()),
            config,
        };
        let random = Arc::new(Lock::new(inner.generator("scenario", 0)));
        let inner = Arc::new(inner);
        Self { control: NetworkControl::new(Arc::clone(&inner)), inner, random }
    }

    /// The seed of this run.
    pub fn seed(&self) -> Seed {
        Seed(self.inner.seed)
    }

    /// The configuration of this run.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The host of this name, made on first use with the next address of 10.0.0.0/16.
    pub fn host(&self, name: &str) -> Host {
        let mut hosts = self.inner.hosts.lock();
        if let Some(host) = hosts.iter().find(|host| host.name() == name) {
            return host.clone();
        }
        let index = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        let host = Host::create(Arc::clone(&self.inner), index, name);
        hosts.push(host.clone());
        drop(hosts);
        host.power_on();
        host
    }

    /// All hosts, in the order they were made.
    pub fn hosts(&self) -> Vec<Host> {
        self.inner.hosts.lock().clone()
    }

    pub(crate) fn enter_ensemble(&self, ensemble: &Ensemble) {
        self.inner.ensembles.lock().push(ensemble.clone());
    }

    /// The ZooKeeper ensembles, in the order they were started.
    pub fn ensembles(&self) -> Vec<Ensemble> {
        self.inner.ensembles.lock().clone()
    }

    /// What can be done to the network.
    pub fn network(&self) -> &NetworkControl {
        &self.control
    }

    /// Registers a program that the process port of every host, present and future, can launch:
    /// under an absolute path, or under a bare name that then is found in any folder. What the
    /// future returns is the exit code.
    pub fn install_program<F, Fut>(&self, path: impl Into<PathBuf>, main: F)
    where
        F: Fn(Runtime, Command) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = i32> + Send + 'static,
    {
        self.inner.programs.lock().insert(path.into(), program(main));
    }

    /// Adds a line of the scenario's own to the trace and its text to the hash.
    pub fn trace(&self, node: &str, kind: &str, text: &str) {
        let mut chain = Chain::new(0);
        chain.bytes(text.as_bytes());
        self.inner.record(Node::Named(node), kind, &[chain.value()], || text.to_owned());
    }

    /// Virtual time since the start, untouched by any host's drift.
    pub fn now(&self) -> Instant {
        Instant::from_nanoseconds(self.inner.now())
    }

    /// Waits for `duration` of virtual time.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(self.now() + duration).await;
    }

    /// Waits until virtual time has reached `deadline`.
    pub async fn sleep_until(&self, deadline: Instant) {
        Sleep::until(Arc::clone(&self.inner), deadline.as_nanoseconds()).await;
    }

    /// Runs `future` for at most `duration` of virtual time; `None` when it did not finish.
    pub async fn timeout<T>(
        &self,
        duration: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            value = future => Some(value),
            () = self.sleep(duration) => None,
        }
    }

    /// Waits until `condition` holds, looking every `interval`; false when it does not hold within
    /// `limit`.
    pub async fn until(
        &self,
        limit: Duration,
        interval: Duration,
        mut condition: impl FnMut() -> bool,
    ) -> bool {
        let deadline = self.now() + limit;
        loop {
            if condition() {
                return true;
            }
            if self.now() >= deadline {
                return false;
            }
            self.sleep(interval).await;
        }
    }

    /// Runs `future` beside the scenario, outside of all hosts, until the run ends.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(node) = &*self.inner.scenario.lock() {
            self.inner.count_spawn();
            drop(node.spawn(self.inner.counted(Box::pin(future))));
        }
    }

    /// Draws from the scenario's own stream of random values.
    pub fn random<T>(&self, draw: impl FnOnce(&mut Generator) -> T) -> T {
        draw(&mut self.random.lock())
    }

    /// A new stream of random values that follows from the seed and `purpose` alone.
    pub fn generator(&self, purpose: &str) -> Generator {
        self.inner.generator(purpose, 1)
    }

    /// The chain of hashes so far.
    pub fn hash(&self) -> u64 {
        self.inner.trace.lock().hash()
    }

    /// Makes lines of what daemons log on this thread, for as long as the guard lives.
    pub(crate) fn listen_to_logs(&self) -> Option<tracing::subscriber::DefaultGuard> {
        let logs = || tracing::subscriber::set_default(Logs::new(Arc::clone(&self.inner)));
        self.inner.config.trace.then(logs)
    }

    pub(crate) fn run_timers(&self) {
        drop(madsim::task::spawn(drive(Arc::clone(&self.inner))));
    }

    /// Adds the scheduler's own state to the hash: it has drawn a number for every step taken.
    pub(crate) fn record_end(&self) {
        use madsim::rand::RngCore;
        let state = madsim::rand::thread_rng().next_u64();
        self.inner.record(Node::Named("world"), "end", &[state], String::new);
    }

    pub(crate) fn report<T>(&self, outcome: Result<T, Failure>) -> Report<T> {
        let mut trace = self.inner.trace.lock();
        Report {
            seed: Seed(self.inner.seed),
            outcome,
            hash: trace.hash(),
            events: trace.events(),
            steps: trace.events() + self.inner.steps.load(Ordering::Relaxed),
            elapsed: Duration::from_nanos(self.inner.now()),
            lines: trace.take_lines(),
            coverage: Coverage::take(),
        }
    }

    /// Ends every task and lets go of everything that could keep the world alive.
    pub(crate) fn tear_down(&self) {
        let hosts = std::mem::take(&mut *self.inner.hosts.lock());
        for host in &hosts {
            host.discard();
        }
        let nodes = std::mem::take(&mut *self.inner.nodes.lock());
        drop(nodes);
        let ensembles = std::mem::take(&mut *self.inner.ensembles.lock());
        drop(ensembles);
        self.inner.timers.lock().stop();
        let programs = std::mem::take(&mut *self.inner.programs.lock());
        drop(programs);
        let scenario = self.inner.scenario.lock().take();
        if let Some(node) = scenario {
            self.inner.handle.kill(node.id());
        }
    }
}
