//! Replicas of the replicated log on simulated hosts, with clients that write and read.
//!
//! Each host runs one replica, as a master would, with its peers over the real wire. Beside it runs
//! a client, which now and then becomes the writer, reads the whole log, and appends values that
//! nobody else appends. What clients ask and are told goes into a [`History`], which
//! [`crate::log_history`] checks.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use orrery_http::serve;
use orrery_log::{
    Log, LogError, Membership, Options, Position, ReplicaState, Timing, Value, Writer,
};
use orrery_runtime::{Address, Generator, ProcessId, Runtime};
use orrery_runtime_sim::{Host, World};

use crate::log_history::{Event, History, Outcome};

/// The port of every replica.
const PORT: u16 = 5050;

/// The folder of every replica.
pub const FOLDER: &str = "/log/replicated_log";

/// How long a write may take before its client gives up.
const WRITE_TIME: Duration = Duration::from_secs(3);

/// Replicas, some of which may be down.
#[derive(Clone)]
pub struct LogCluster {
    world: World,
    hosts: Vec<Host>,
    shared: Arc<Shared>,
}

struct Shared {
    addresses: Vec<SocketAddr>,
    state: Mutex<State>,
}

struct State {
    history: History,
    /// The state that each replica was last seen in by its own client.
    replicas: Vec<Option<ReplicaState>>,
    processes: Vec<Option<ProcessId>>,
    /// Whether clients write.
    writing: bool,
    /// The number of the next value.
    next_value: u64,
    /// What a replica said when it gave up.
    refusals: Vec<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogCluster {
    /// Starts `replicas` replicas on hosts of their own.
    pub fn start(world: &World, replicas: usize) -> Self {
        let hosts: Vec<Host> =
            (0..replicas).map(|index| world.host(&format!("replica-{index}"))).collect();
        let addresses = hosts.iter().map(|host| SocketAddr::new(host.ip(), PORT));
        let state = State {
            history: History::default(),
            replicas: vec![None; replicas],
            processes: vec![None; replicas],
            writing: true,
            next_value: 1,
            refusals: Vec::new(),
        };
        let shared = Shared { addresses: addresses.collect(), state: Mutex::new(state) };
        let cluster = Self { world: world.clone(), hosts, shared: Arc::new(shared) };
        for index in 0..replicas {
            cluster.start_replica(index);
        }
        cluster
    }

    /// The hosts, one for each replica.
    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// How many replicas must agree.
    pub fn quorum(&self) -> usize {
        self.hosts.len() / 2 + 1
    }

    /// Starts the replica `index`, if its host is up and it does not run.
    pub fn start_replica(&self, index: usize) {
        let Some(host) = self.hosts.get(index) else { return };
        let running = self.shared.state().processes[index];
        if !host.is_up() || running.is_some_and(|process| host.is_alive(process)) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let quorum = self.quorum();
        let process = host.start("replica", move |runtime| async move {
            let replica = Replica { runtime, shared, index, quorum };
            replica.run().await
        });
        let mut state = self.shared.state();
        state.processes[index] = Some(process);
        state.replicas[index] = None;
    }

    /// Kills the process of the replica `index`.
    pub fn kill(&self, index: usize) {
        let process = self.shared.state().processes[index].take();
        if let (Some(host), Some(process)) = (self.hosts.get(index), process) {
            host.kill(process);
        }
        self.shared.state().replicas[index] = None;
    }

    /// Cuts the power of the host of the replica `index`.
    pub fn crash(&self, index: usize) {
        if let Some(host) = self.hosts.get(index) {
            host.crash();
        }
        let mut state = self.shared.state();
        state.processes[index] = None;
        state.replicas[index] = None;
    }

    /// Whether all replicas were last seen voting.
    pub fn all_vote(&self) -> bool {
        let state = self.shared.state();
        state.replicas.iter().all(|replica| *replica == Some(ReplicaState::Voting))
    }

    /// What replicas said when they gave up.
    pub fn refusals(&self) -> Vec<String> {
        self.shared.state().refusals.clone()
    }

    /// How many writes were confirmed so far.
    pub fn confirmed(&self) -> usize {
        self.shared.state().history.confirmed()
    }

    /// From now on clients do not write by themselves, or do again.
    pub fn set_writing(&self, writing: bool) {
        self.shared.state().writing = writing;
    }

    /// What clients asked and were told.
    pub fn history(&self) -> History {
        self.shared.state().history.clone()
    }

    /// Starts what is down, waits until all replicas vote and one client has read everything.
    ///
    /// # Errors
    /// What did not happen in time.
    pub async fn converge(&self, within: Duration) -> Result<(), String> {
        for host in &self.hosts {
            host.boot();
            host.disk().mend();
        }
        self.world.network().heal_all();
        self.world.network().mend();
        let interval = Duration::from_millis(100);
        let vote = self.world.until(within, interval, || {
            (0..self.hosts.len()).for_each(|index| self.start_replica(index));
            self.all_vote()
        });
        if !vote.await {
            let states = self.shared.state().replicas.clone();
            return Err(format!("not all replicas vote again: {states:?}"));
        }
        let (reads, confirmed) = {
            let state = self.shared.state();
            (state.history.reads(), state.history.confirmed())
        };
        self.set_writing(true);
        let served = self.world.until(within, interval, || {
            (0..self.hosts.len()).for_each(|index| self.start_replica(index));
            let state = self.shared.state();
            state.history.reads() > reads + 1 && state.history.confirmed() > confirmed + 5
        });
        match served.await {
            true => Ok(()),
            false => Err("no client could read and write again".to_owned()),
        }
    }
}

/// One replica and its client.
struct Replica {
    runtime: Runtime,
    shared: Arc<Shared>,
    index: usize,
    quorum: usize,
}

impl Replica {
    async fn run(self) -> i32 {
        let address = self.shared.addresses[self.index];
        let listener = match self.runtime.network.listen(address).await {
            Ok(listener) => listener,
            Err(_) => return 1,
        };
        let members: BTreeSet<Address> =
            self.shared.addresses.iter().copied().map(Address::from).collect();
        let options = Options {
            folder: FOLDER.into(),
            address: address.into(),
            quorum: self.quorum,
            membership: Membership::Fixed(members),
            auto_initialize: true,
            timing: Timing::default(),
        };
        let (log, service) = match orrery_net_log::start(&self.runtime, options).await {
            Ok(started) => started,
            Err(_) => return 1,
        };
        let serving = serve(self.runtime.clone(), listener, Arc::new(service));
        let _serving = self.runtime.spawn("serve", serving).abort_on_drop();
        tokio::select! {
            biased;
            _ = log.ended() => 1,
            () = self.watch(&log) => 1,
            () = self.client(&log) => 1,
        }
    }

    async fn watch(&self, log: &Log) {
        while let Ok(status) = log.status().await {
            self.shared.state().replicas[self.index] = Some(status.state);
            self.runtime.sleep(Duration::from_millis(50)).await;
        }
    }

    async fn client(&self, log: &Log) {
        let mut random = self.runtime.random.generator();
        loop {
            let pause = Duration::from_millis(100 + random.below(2_000));
            self.runtime.sleep(pause).await;
            if !self.shared.state().writing {
                continue;
            }
            match log.ready().await {
                Ok(()) => {}
                Err(LogError::Damaged(reason)) => {
                    self.shared.state().refusals.push(reason);
                    self.runtime.sleep(Duration::from_secs(1)).await;
                    continue;
                }
                Err(_) => return,
            }
            let started = self.record(Event::ElectionBegins { client: self.index });
            let limit = Duration::from_millis(500 + random.below(5_000));
            if let Some(Ok(writer)) = self.runtime.timeout(limit, log.writer()).await {
                self.lead(log, &writer, started, &mut random).await;
            }
        }
    }

    async fn lead(&self, log: &Log, writer: &Writer, started: usize, random: &mut Generator) {
        let Some(entries) = self.read_all(log, writer.position()).await else { return };
        let (client, to) = (self.index, writer.position());
        let begin = entries.0;
        self.record(Event::Read { client, started, begin, to, entries: entries.1 });
        for _ in 0..random.below(30) {
            if !self.shared.state().writing {
                return;
            }
            let together = 1 + random.below(8);
            let writes = (0..together).map(|_| self.append(writer));
            let confirmed = futures_util::future::join_all(writes).await;
            if confirmed.contains(&false) {
                return;
            }
            if random.below(40) == 0 && !self.truncate(writer, random).await {
                return;
            }
            let pause = Duration::from_millis(random.below(60));
            self.runtime.sleep(pause).await;
        }
    }

    async fn read_all(
        &self,
        log: &Log,
        to: Position,
    ) -> Option<(Position, Vec<(Position, Bytes)>)> {
        let reader = log.reader();
        let begin = reader.beginning().await.ok()?;
        let (mut from, mut all) = (begin, Vec::new());
        while from <= to {
            let entries = reader.read(from, to).await.ok()?;
            let Some(last) = entries.last() else { break };
            from = last.position.next();
            for entry in entries {
                if let Value::Append(data) = entry.value {
                    all.push((entry.position, data));
                }
            }
        }
        Some((begin, all))
    }

    async fn append(&self, writer: &Writer) -> bool {
        let value = {
            let mut state = self.shared.state();
            state.next_value += 1;
            Bytes::from(format!("{}", state.next_value))
        };
        let client = self.index;
        let started = self.record(Event::WriteBegins { client, value: value.clone() });
        let result = writer.append(value, WRITE_TIME).await;
        let confirmed = result.is_ok();
        let outcome = Outcome::from(result);
        self.record(Event::WriteEnds { started, outcome });
        confirmed
    }

    async fn truncate(&self, writer: &Writer, random: &mut Generator) -> bool {
        let to = Position(writer.position().0.saturating_sub(random.below(20)));
        self.record(Event::Truncation { to });
        writer.truncate(to, WRITE_TIME).await.is_ok()
    }

    fn record(&self, event: Event) -> usize {
        self.shared.state().history.record(event)
    }
}
