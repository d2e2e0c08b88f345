//! Replicas, their disks and a network that does whatever it likes, small enough to be searched.
//!
//! What the driver and the disk do is modelled in a few lines: answers wait for the records before
//! them, a crash loses what was not synced. After every step it is checked that all replicas and
//! all clients agree on what stands where.

mod agreement_test;
mod batch_test;
mod disk_test;
mod exhaustive_test;
mod growth_test;
mod limits_test;
mod planted_test;
mod random_test;
mod script_test;

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use orrery_runtime::machine::Machine;
use orrery_runtime::{Address, Generator, Instant, Now, WallTime};

use crate::limits::Limits;
use crate::machine::Setup;
use crate::replica::Replica;
use crate::{
    Ballot, Caller, Client, Cluster, Input, LogMachine, Metadata, Origin, Output, Position, Record,
    ReplicaState, Request, Response, Timing, Value, WriteError,
};

/// Something under way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Message {
    Request { from: usize, to: usize, life: u64, request: Request },
    Response { from: usize, to: usize, life: u64, response: Response },
}

/// What waits for the disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Job {
    Persist(Record),
    Reply { to: usize, life: u64, response: Response },
    Local(Response),
}

#[derive(Clone)]
struct Node {
    machine: Option<LogMachine>,
    /// What it is told about the cluster when it starts.
    cluster: Cluster,
    durable: Vec<Record>,
    jobs: Vec<Job>,
    /// How often it was started.
    life: u64,
    /// The ballot with which its client may write.
    writer: Option<Ballot>,
}

/// Everything.
#[derive(Clone)]
struct World {
    nodes: Vec<Rc<Node>>,
    network: Vec<Message>,
    now: Instant,
    timing: Timing,
    limits: Limits,
    /// Whether records become durable by themselves at once.
    eager_sync: bool,
    /// Whether a message reaches a later life of who it was sent to.
    crosses_lives: bool,
    /// What stands where, from all that anybody was told.
    agreed: BTreeMap<Position, Value>,
    /// Writes that wait for their outcome.
    writes: BTreeMap<Client, Value>,
    /// Values whose writers were told that they stand nowhere.
    lost: BTreeSet<Value>,
    confirmed: Vec<(Position, Value)>,
    next: u64,
    violation: Option<String>,
}

fn address(node: usize) -> Address {
    Address::new("replica", node as u16 + 1)
}

fn index(address: &Address) -> usize {
    usize::from(address.port) - 1
}

impl World {
    /// Replicas that vote already and hold nothing, or are new.
    fn new(nodes: usize, voting: bool, timing: Timing) -> Self {
        Self::within(Limits::default(), nodes, voting, timing)
    }

    /// As [`World::new`], where less may be open.
    fn within(limits: Limits, nodes: usize, voting: bool, timing: Timing) -> Self {
        let node = |number: usize| {
            let state = if voting { ReplicaState::Voting } else { ReplicaState::Empty };
            let metadata = Metadata {
                id: number as u64 + 1,
                state,
                begin: Position(1),
                ..Metadata::default()
            };
            let durable = vec![Record::Metadata(metadata)];
            let cluster = Cluster::changing(nodes / 2 + 1);
            let jobs = Vec::new();
            Rc::new(Node { machine: None, cluster, durable, jobs, life: 0, writer: None })
        };
        let mut world = Self {
            nodes: (0..nodes).map(node).collect(),
            network: Vec::new(),
            now: Instant::default(),
            timing,
            limits,
            eager_sync: true,
            crosses_lives: true,
            agreed: BTreeMap::new(),
            writes: BTreeMap::new(),
            lost: BTreeSet::new(),
            confirmed: Vec::new(),
            next: 0,
            violation: None,
        };
        (0..nodes).for_each(|node| world.start(node, false));
        world
    }

    /// A node to be changed. Worlds share the nodes in which they do not differ.
    fn node(&mut self, number: usize) -> &mut Node {
        Rc::make_mut(&mut self.nodes[number])
    }

    fn origin(&self, number: usize) -> Origin {
        Origin { address: address(number), cluster: self.nodes[number].cluster.clone() }
    }

    fn start(&mut self, number: usize, damaged: bool) {
        let setup = Setup {
            members: (0..self.nodes.len()).map(address).collect(),
            cluster: self.nodes[number].cluster.clone(),
            total: self.nodes.len(),
            auto_initialize: true,
            timing: self.timing,
            limits: self.limits,
        };
        let limits = self.limits;
        let node = self.node(number);
        if node.machine.is_some() {
            return;
        }
        node.life += 1;
        let random = Generator::from_number(number as u64 * 1_000_003 + node.life);
        let mut outputs = Vec::new();
        let mut replica = Replica::new(address(number), limits);
        node.durable.iter().cloned().for_each(|record| replica.restore(record));
        node.machine = Some(LogMachine::new(setup, replica, damaged, random, &mut outputs));
        self.carry(number, outputs);
        self.settle(number);
    }

    /// Power is cut: of what was not synced, the first few records stay.
    fn crash(&mut self, number: usize, kept: usize) {
        let node = self.node(number);
        node.machine = None;
        node.writer = None;
        let records = node.jobs.drain(..).filter_map(|job| match job {
            Job::Persist(record) => Some(record),
            _ => None,
        });
        node.durable.extend(records.take(kept));
    }

    fn wipe(&mut self, number: usize) {
        self.crash(number, 0);
        self.node(number).durable.clear();
    }

    /// Everything that waits becomes durable, and what depends on it goes out.
    fn sync(&mut self, number: usize) {
        let mut locals = Vec::new();
        if self.nodes[number].jobs.is_empty() {
            return;
        }
        for job in std::mem::take(&mut self.node(number).jobs) {
            match job {
                Job::Persist(record) => self.node(number).durable.push(record),
                Job::Reply { to, life, response } => {
                    self.network.push(Message::Response { from: number, to, life, response });
                }
                Job::Local(response) => locals.push(response),
            }
        }
        for response in locals {
            self.step(number, Input::Response { from: address(number), response });
        }
    }

    fn settle(&mut self, number: usize) {
        while self.eager_sync && !self.nodes[number].jobs.is_empty() {
            self.sync(number);
        }
    }

    fn step(&mut self, number: usize, input: Input) {
        let now = Now { instant: self.now, wall: WallTime::default() };
        let Some(machine) = &mut self.node(number).machine else { return };
        let mut outputs = Vec::new();
        machine.step(now, input, &mut outputs);
        machine.settle(now, &mut outputs);
        self.carry(number, outputs);
        self.settle(number);
        self.compare(number);
    }

    fn carry(&mut self, number: usize, outputs: Vec<Output>) {
        let life = self.nodes[number].life;
        for output in outputs {
            let node = self.node(number);
            match output {
                Output::Persist(records) => node.jobs.extend(records.into_iter().map(Job::Persist)),
                Output::Local(response) => node.jobs.push(Job::Local(response)),
                Output::Reply { caller: Caller(caller), response, .. } => {
                    // The asking replica and its life, as `deliver` has packed them.
                    let (to, life) = ((caller % 16) as usize, caller / 16);
                    node.jobs.push(Job::Reply { to, life, response });
                }
                Output::Send(to, request) => {
                    let to = index(&to);
                    self.network.push(Message::Request { from: number, to, life, request });
                }
                Output::Elected(_, ballot, _) => node.writer = Some(ballot),
                Output::Deposed(ballot) if node.writer == Some(ballot) => node.writer = None,
                Output::Written(client, result) => self.written(client, result),
                Output::Deposed(_) | Output::Members(_) | Output::Voting(..) => {}
            }
        }
    }

    fn written(&mut self, client: Client, result: Result<Position, WriteError>) {
        let Some(value) = self.writes.remove(&client) else { return };
        match result {
            Ok(position) => {
                self.agree(position, &value);
                self.confirmed.push((position, value));
            }
            // Truncations are not told from each other.
            Err(WriteError::Lost) if matches!(value, Value::Append(_)) => {
                self.lost.insert(value);
            }
            Err(_) => {}
        }
    }

    fn agree(&mut self, position: Position, value: &Value) {
        let there = self.agreed.entry(position).or_insert_with(|| value.clone());
        if there != value {
            let text = format!("position {position} holds {there:?} and {value:?}");
            self.violation.get_or_insert(text);
        }
        if self.lost.contains(value) {
            self.violation.get_or_insert(format!("{value:?} was said to be lost"));
        }
    }

    /// What the replica has learned must be what everybody else has.
    fn compare(&mut self, number: usize) {
        let Some(machine) = &self.nodes[number].machine else { return };
        let replica = machine.parts().0;
        let page = replica.page(replica.begin(), replica.end(), true);
        for entry in page.entries {
            self.agree(entry.position, &entry.value);
        }
    }

    /// Takes the message at `at`; it stays under way as well if `doubled`.
    fn deliver(&mut self, at: usize, doubled: bool) {
        let message = match doubled {
            true => self.network[at].clone(),
            false => self.network.remove(at),
        };
        match message {
            Message::Request { from, to, life, request } => {
                let caller = Caller(from as u64 + 16 * life);
                let from = self.origin(from);
                self.step(to, Input::Request { from, caller, request });
            }
            Message::Response { from, to, life, response } => {
                if self.crosses_lives || self.nodes[to].life == life {
                    self.step(to, Input::Response { from: address(from), response });
                }
            }
        }
    }

    fn elect(&mut self, number: usize) {
        self.next += 1;
        self.step(number, Input::Elect(Client(self.next)));
    }

    fn write(&mut self, number: usize, value: Value) {
        let Some(ballot) = self.nodes[number].writer else { return };
        self.next += 1;
        let client = Client(self.next);
        self.writes.insert(client, value.clone());
        self.step(number, Input::Write { ballot, client, value });
    }

    fn append(&mut self, number: usize) {
        let value = Value::Append(Bytes::from(format!("{number}:{}", self.next)));
        self.write(number, value);
    }

    /// Time passes until the next deadline of a replica, which is then woken.
    fn tick(&mut self, number: usize) {
        let Some(machine) = &self.nodes[number].machine else { return };
        let Some(deadline) = machine.deadline() else { return };
        self.now = self.now.max(deadline);
        self.step(number, Input::Tick);
    }

    fn state(&self, number: usize) -> Option<ReplicaState> {
        self.nodes[number].machine.as_ref().map(|machine| machine.status().state)
    }

    fn all_vote(&self) -> bool {
        (0..self.nodes.len()).all(|node| self.state(node) == Some(ReplicaState::Voting))
    }

    /// All that is under way arrives, in order, and becomes durable.
    fn flow(&mut self) {
        for _ in 0..10_000 {
            if !self.network.is_empty() {
                self.deliver(0, false);
            }
            (0..self.nodes.len()).for_each(|number| self.sync(number));
            let idle = self.nodes.iter().all(|node| node.jobs.is_empty());
            if self.network.is_empty() && idle {
                return;
            }
        }
        self.violation.get_or_insert("messages go back and forth for ever".to_owned());
    }

    /// Who wants to be woken first, and when.
    fn first_deadline(&self) -> Option<(Instant, usize)> {
        let deadline = |node: &Rc<Node>| node.machine.as_ref().and_then(Machine::deadline);
        let deadlines = self.nodes.iter().enumerate();
        deadlines.filter_map(|(number, node)| Some((deadline(node)?, number))).min()
    }

    /// Whoever wants to be woken first is.
    fn tick_first(&mut self) {
        if let Some((_, number)) = self.first_deadline() {
            self.tick(number);
        }
    }

    /// So much time passes, in which everything works.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((deadline, number)) = self.first_deadline()
            && deadline <= until
        {
            self.tick(number);
            self.flow();
        }
        self.now = until;
    }

    /// Everything works from now on: all replicas must come to vote, one must be able to write, and
    /// know all that was ever confirmed.
    fn converge(&mut self) {
        for number in 0..self.nodes.len() {
            self.start(number, false);
        }
        self.flow();
        for _ in 0..100 {
            if self.all_vote() {
                break;
            }
            self.tick_first();
            self.flow();
        }
        let confirmed = self.confirmed.len();
        for round in 0..200 {
            // Others may have wanted to write as well, and succeeded in between.
            if round % 20 == 0 && self.nodes[0].writer.is_none() {
                self.elect(0);
            }
            self.flow();
            self.append(0);
            self.flow();
            if self.confirmed.len() > confirmed {
                return self.check_known(0);
            }
            self.wait(timing().heartbeat);
        }
        let states: Vec<_> = (0..self.nodes.len()).map(|node| self.state(node)).collect();
        self.violation.get_or_insert(format!("no write succeeds when all works: {states:?}"));
    }

    fn check_known(&mut self, number: usize) {
        let Some(machine) = &self.nodes[number].machine else { return };
        let replica = machine.parts().0;
        for (position, value) in &self.confirmed {
            if *position >= replica.begin() && !replica.is_learned(*position) {
                let text = format!("{value:?}, confirmed at {position}, is not known");
                self.violation.get_or_insert(text);
            }
        }
    }

    /// A number that differs, as good as surely, where anything differs that matters.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for node in &self.nodes {
            match &node.machine {
                Some(machine) => machine.parts().hash(&mut hasher),
                None => node.durable.hash(&mut hasher),
            }
            (&node.jobs, node.life, node.writer).hash(&mut hasher);
        }
        let mut network = self.network.clone();
        network.sort();
        network.hash(&mut hasher);
        (&self.writes, &self.lost, &self.agreed, self.now).hash(&mut hasher);
        hasher.finish()
    }
}

/// Times that make nothing happen by itself for as long as nobody is woken.
fn timing() -> Timing {
    Timing {
        heartbeat: Duration::from_millis(100),
        retry: Duration::from_millis(500),
        backoff: Duration::from_millis(100),
    }
}
