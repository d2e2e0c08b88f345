//! What the servers of an ensemble agree on, and what each of them knows of it.
//!
//! The servers do not run ZooKeeper's own broadcast. They share one history, and a server may add
//! to it or see what was added only where its links, its power and its process would have let it:
//! a leader needs a majority in touch with it, a follower applies what its leader sends it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use orrery_runtime::coordination::Change;
use orrery_runtime::{Generator, Instant, ProcessId};
use orrery_zookeeper::records::ReplyHeader;
use tokio::sync::{mpsc, oneshot};

use super::tree::{Client, Transaction, Tree};
use crate::config::{Latency, nanoseconds};
use crate::host::Host;

/// What a server believes itself to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It looks for a leader, since then.
    Looking { since: Instant },
    /// It follows, and was last in touch with its leader then.
    Following { leader: usize, epoch: i64, contact: Instant },
    /// It leads, and last had a majority then.
    Leading { epoch: i64, majority: Instant },
}

/// What a connection is to send.
#[derive(Debug)]
pub(super) enum Outgoing {
    Frame(Bytes),
    /// The end.
    End,
}

/// A client's connection to one server.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Client,
    pub(super) outgoing: mpsc::UnboundedSender<Outgoing>,
    pub(super) data: BTreeSet<String>,
    pub(super) children: BTreeSet<String>,
}

/// One server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) host: Host,
    pub(super) process: Option<ProcessId>,
    pub(super) role: Role,
    pub(super) tree: Tree,
    /// How much of the history it has applied.
    pub(super) applied: usize,
    pub(super) connections: BTreeMap<u64, Connection>,
    /// Sessions that it heard of and has not told its leader about.
    touched: BTreeSet<i64>,
    /// Who waits until so much is applied.
    waiters: Vec<(usize, oneshot::Sender<()>)>,
    /// Tells its process how much there is to apply, and since when.
    pub(super) news: Option<mpsc::UnboundedSender<(usize, Instant)>>,
    /// How much later than usual it applies what its leader sends.
    pub(super) lag: Duration,
    /// So many watches are lost, each with its connection.
    pub(super) lost_watches: u32,
    /// So many answers to writes are lost, each with its connection.
    pub(super) lost_answers: u32,
}

impl Server {
    pub(super) fn new(host: Host) -> Self {
        Self {
            host,
            process: None,
            role: Role::Looking { since: Instant::from_nanoseconds(0) },
            tree: Tree::new(),
            applied: 0,
            connections: BTreeMap::new(),
            touched: BTreeSet::new(),
            waiters: Vec::new(),
            news: None,
            lag: Duration::ZERO,
            lost_watches: 0,
            lost_answers: 0,
        }
    }

    pub(super) const fn serves(&self) -> bool {
        !matches!(self.role, Role::Looking { .. })
    }

    /// Whether its process lives, stopped or not.
    fn is_alive(&self) -> bool {
        self.process.is_some_and(|process| self.host.is_alive(process))
    }

    fn is_running(&self) -> bool {
        let Some(process) = self.process else { return false };
        let mut table = self.host.table().lock();
        table.get_mut(process.0).is_some_and(|process| !process.stopped)
    }

    /// Ends every connection, and everybody's waiting.
    fn disconnect_all(&mut self) {
        for (_, connection) in std::mem::take(&mut self.connections) {
            let _ = connection.outgoing.send(Outgoing::End);
        }
        self.waiters.clear();
    }

    pub(super) fn disconnect(&mut self, number: u64) {
        if let Some(connection) = self.connections.remove(&number) {
            let _ = connection.outgoing.send(Outgoing::End);
        }
    }
}

/// How long the leader waits for a sign of life of a session.
#[derive(Debug)]
struct Lease {
    /// By the leader's clock.
    deadline: Instant,
    /// The connection that may write: a server and a number.
    owner: (usize, u64),
}

/// An ensemble.
#[derive(Debug)]
pub(super) struct State {
    pub(super) tick: Duration,
    pub(super) servers: Vec<Server>,
    /// The tree after all transactions.
    pub(super) head: Tree,
    history: Vec<(i64, Transaction)>,
    epoch: i64,
    counter: i64,
    leases: BTreeMap<i64, Lease>,
    sessions: i64,
    connections: u64,
    pub(super) random: Generator,
}

/// Ticks without a word after which a leader or a follower gives the other up.
const SYNC_LIMIT: u32 = 5;

/// Between two servers.
const LATENCY: Latency = Latency::from_micros(100, 600);

impl State {
    pub(super) fn new(tick: Duration, hosts: Vec<Host>, random: Generator) -> Self {
        Self {
            tick,
            servers: hosts.into_iter().map(Server::new).collect(),
            head: Tree::new(),
            history: Vec::new(),
            epoch: 0,
            counter: 0,
            leases: BTreeMap::new(),
            sessions: 0,
            connections: 0,
            random,
        }
    }

    /// How long something takes from one server to another.
    pub(super) fn latency(&mut self) -> Duration {
        Duration::from_nanos(LATENCY.draw(&mut self.random))
    }

    /// What a client gets that asks for `wanted` milliseconds.
    pub(super) fn negotiate(&self, wanted: i32) -> Duration {
        let wanted = Duration::from_millis(u64::try_from(wanted).unwrap_or(0));
        wanted.clamp(self.tick * 2, self.tick * 20)
    }

    /// A number for a new session at this server.
    pub(super) fn new_session(&mut self, server: usize) -> i64 {
        self.sessions += 1;
        let server = i64::try_from(server).unwrap_or(0) + 1;
        (server << 56) + self.sessions
    }

    /// A number for a new connection.
    pub(super) const fn new_connection(&mut self) -> u64 {
        self.connections += 1;
        self.connections
    }

    /// How many transactions there are.
    pub(super) const fn length(&self) -> usize {
        self.history.len()
    }

    /// Whether two servers can talk now.
    fn in_touch(&self, a: usize, b: usize) -> bool {
        let (Some(one), Some(other)) = (self.servers.get(a), self.servers.get(b)) else {
            return false;
        };
        let whole = || {
            let network = one.host.world().network.lock();
            network.is_whole(one.host.index(), other.host.index())
        };
        one.is_running() && other.is_running() && (a == b || whole())
    }

    fn followers(&self, leader: usize, epoch: i64) -> Vec<usize> {
        let follows = |server: &usize| {
            let role = self.servers.get(*server).map(|server| server.role);
            let ours = matches!(role, Some(Role::Following { leader: whom, epoch: when, .. })
                if whom == leader && when == epoch);
            ours && self.in_touch(*server, leader)
        };
        (0..self.servers.len()).filter(follows).collect()
    }

    fn is_majority(&self, count: usize) -> bool {
        count * 2 > self.servers.len()
    }

    /// The leader that can carry out what is asked of this server: itself or the one that it is in
    /// touch with, with a majority behind it.
    pub(super) fn able_leader(&self, server: usize) -> Option<usize> {
        let (leader, epoch) = match self.servers.get(server)?.role {
            Role::Leading { epoch, .. } => (server, epoch),
            Role::Following { leader, epoch, .. } => (leader, epoch),
            Role::Looking { .. } => return None,
        };
        let leads = matches!(self.servers.get(leader)?.role,
            Role::Leading { epoch: current, .. } if current == epoch);
        let able = leads
            && self.in_touch(server, leader)
            && self.is_majority(self.followers(leader, epoch).len() + 1);
        able.then_some(leader)
    }

    /// Adds a transaction to the history; returns how long it then is.
    pub(super) fn commit(&mut self, transaction: Transaction) -> usize {
        self.counter += 1;
        let zxid = (self.epoch << 32) | self.counter;
        self.head.apply(&transaction, zxid);
        if let Transaction::CloseSession { session } = transaction {
            self.leases.remove(&session);
        }
        self.history.push((zxid, transaction));
        let length = self.history.len();
        for server in &self.servers {
            if let Some(news) = &server.news {
                let _ = news.send((length, server.host.monotonic()));
            }
        }
        length
    }

    /// Whether this server may apply what its leader has: it leads, or is in touch with the leader.
    pub(super) fn may_apply(&self, server: usize) -> bool {
        match self.servers.get(server).map(|server| server.role) {
            Some(Role::Leading { epoch, .. }) => epoch == self.epoch,
            Some(Role::Following { leader, epoch, .. }) => {
                epoch == self.epoch && self.in_touch(server, leader)
            }
            _ => false,
        }
    }

    /// Has a server apply the history up to `length`.
    pub(super) fn apply(&mut self, number: usize, length: usize) {
        let Some(server) = self.servers.get_mut(number) else { return };
        while let Some((zxid, transaction)) =
            self.history.get(server.applied).filter(|_| server.applied < length)
        {
            server.applied += 1;
            let changes = server.tree.apply(transaction, *zxid);
            for (path, change) in &changes {
                tell(server, path, *change);
            }
            if let Transaction::CloseSession { session } = transaction {
                let of =
                    |(_, connection): &(&u64, &Connection)| connection.client.session == *session;
                let gone: Vec<u64> =
                    server.connections.iter().filter(of).map(|(number, _)| *number).collect();
                gone.into_iter().for_each(|number| server.disconnect(number));
            }
        }
        let applied = server.applied;
        for (length, waiter) in std::mem::take(&mut server.waiters) {
            if length <= applied {
                let _ = waiter.send(());
            } else {
                server.waiters.push((length, waiter));
            }
        }
    }

    /// Tells once a server has applied so much; never when it stops serving before.
    pub(super) fn wait(&mut self, server: usize, length: usize) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        if let Some(server) = self.servers.get_mut(server) {
            if server.applied >= length {
                let _ = sender.send(());
            } else {
                server.waiters.push((length, sender));
            }
        }
        receiver
    }

    /// A server has heard of a session.
    pub(super) fn touch(&mut self, server: usize, session: i64) {
        if let Some(server) = self.servers.get_mut(server) {
            server.touched.insert(session);
        }
    }

    /// Gives a session to a connection: no other may write for it from now on.
    pub(super) fn own(&mut self, leader: usize, session: i64, server: usize, connection: u64) {
        let deadline = self.deadline(leader, session);
        self.leases.insert(session, Lease { deadline, owner: (server, connection) });
    }

    /// Whether a session is this connection's.
    pub(super) fn owns(&self, session: i64, server: usize, connection: u64) -> bool {
        self.leases.get(&session).is_some_and(|lease| lease.owner == (server, connection))
    }

    /// When a session ends that is heard of now: at the first multiple of a tick after its
    /// time-out, by the leader's clock.
    fn deadline(&self, leader: usize, session: i64) -> Instant {
        let timeout = self.head.sessions.get(&session).map_or(0, |session| session.timeout);
        let now = self.servers.get(leader).map(|server| server.host.monotonic());
        let tick = nanoseconds(self.tick).max(1);
        let end = now.unwrap_or_default().as_nanoseconds() + timeout;
        Instant::from_nanoseconds((end / tick + 1) * tick)
    }

    /// What a server does every half tick, at `now` by its own clock.
    pub(super) fn half_tick(&mut self, number: usize, now: Instant) {
        match self.servers.get(number).map(|server| server.role) {
            Some(Role::Leading { epoch, majority }) => self.lead(number, epoch, majority, now),
            Some(Role::Following { leader, epoch, contact }) => {
                self.follow(number, (leader, epoch), contact, now);
            }
            Some(Role::Looking { since }) => self.look(number, since, now),
            None => {}
        }
    }

    fn set_role(&mut self, number: usize, role: Role) {
        if let Some(server) = self.servers.get_mut(number) {
            server.role = role;
            if !server.serves() {
                server.disconnect_all();
            }
            server.host.record(0, "zookeeper", &[number as u64], || format!("{role:?}"));
        }
    }

    fn lead(&mut self, number: usize, epoch: i64, majority: Instant, now: Instant) {
        let mut heard = self.followers(number, epoch);
        heard.push(number);
        let mut touched = BTreeSet::new();
        for server in &heard {
            if let Some(server) = self.servers.get_mut(*server) {
                touched.append(&mut server.touched);
            }
        }
        if epoch == self.epoch {
            for session in touched {
                let deadline = self.deadline(number, session);
                if let Some(lease) = self.leases.get_mut(&session) {
                    lease.deadline = deadline;
                }
            }
        }
        if self.is_majority(heard.len()) {
            if let Some(server) = self.servers.get_mut(number) {
                server.role = Role::Leading { epoch, majority: now };
            }
            self.expire(now);
        } else if now.since(majority) > self.tick * SYNC_LIMIT {
            self.set_role(number, Role::Looking { since: now });
        }
    }

    fn expire(&mut self, now: Instant) {
        let due: Vec<i64> = self
            .leases
            .iter()
            .filter(|(_, lease)| lease.deadline <= now)
            .map(|(session, _)| *session)
            .collect();
        for session in due {
            self.commit(Transaction::CloseSession { session });
        }
    }

    fn follow(
        &mut self,
        number: usize,
        (leader, epoch): (usize, i64),
        contact: Instant,
        now: Instant,
    ) {
        let whom = self.servers.get(leader);
        let leads = whom.is_some_and(|leader| {
            matches!(leader.role, Role::Leading { epoch: current, .. } if current == epoch)
        });
        let touch = self.in_touch(number, leader);
        // A process that has ended takes its connections with it; a silent one does not.
        let hung_up =
            (touch && !leads) || whom.is_some_and(|whom| whom.host.is_up() && !whom.is_alive());
        if hung_up || (!touch && now.since(contact) > self.tick * SYNC_LIMIT) {
            self.set_role(number, Role::Looking { since: now });
        } else if touch && let Some(server) = self.servers.get_mut(number) {
            server.role = Role::Following { leader, epoch, contact: now };
            // What was sent while they were out of touch.
            if let Some(news) = &server.news {
                let _ = news.send((self.history.len(), now));
            }
        }
    }

    fn look(&mut self, number: usize, since: Instant, now: Instant) {
        let epoch = self.epoch;
        let leads = |server: &usize| {
            let role = self.servers.get(*server).map(|server| server.role);
            matches!(role, Some(Role::Leading { epoch: current, .. }) if current == epoch)
                && self.in_touch(number, *server)
        };
        if let Some(leader) = (0..self.servers.len()).find(leads) {
            self.apply(number, self.history.len());
            return self.set_role(number, Role::Following { leader, epoch, contact: now });
        }
        // An election takes a while.
        if now.since(since) < self.tick {
            return;
        }
        let voters: Vec<usize> = (0..self.servers.len())
            .filter(|other| {
                self.servers.get(*other).is_some_and(|server| !server.serves())
                    && self.in_touch(number, *other)
            })
            .collect();
        let best = voters.iter().max_by_key(|voter| {
            (self.servers.get(**voter).map_or(0, |server| server.applied), **voter)
        });
        if self.is_majority(voters.len()) && best == Some(&number) {
            self.become_leader(number, now);
        }
    }

    /// Any majority has a server that has stored all that was committed, and it is in this one.
    fn become_leader(&mut self, number: usize, now: Instant) {
        self.epoch += 1;
        self.counter = 0;
        self.apply(number, self.history.len());
        self.set_role(number, Role::Leading { epoch: self.epoch, majority: now });
        // A new leader knows of nobody when it was heard last, and waits for everybody anew.
        let sessions: Vec<i64> = self.head.sessions.keys().copied().collect();
        for session in sessions {
            let deadline = self.deadline(number, session);
            let lease = Lease { deadline, owner: (0, 0) };
            self.leases.entry(session).or_insert(lease).deadline = deadline;
        }
    }

    /// A server's process has just started.
    pub(super) fn started(
        &mut self,
        number: usize,
        now: Instant,
    ) -> mpsc::UnboundedReceiver<(usize, Instant)> {
        let (sender, receiver) = mpsc::unbounded_channel();
        if let Some(server) = self.servers.get_mut(number) {
            server.touched.clear();
            server.news = Some(sender);
        }
        self.set_role(number, Role::Looking { since: now });
        receiver
    }
}

/// Tells the watches of one server's clients of a change.
fn tell(server: &mut Server, path: &str, change: Change) {
    let mut lost = Vec::new();
    for (number, connection) in &mut server.connections {
        let data = change != Change::Children && connection.data.remove(path);
        let children = matches!(change, Change::Children | Change::Deleted)
            && connection.children.remove(path);
        if !data && !children {
            continue;
        }
        if server.lost_watches > 0 {
            server.lost_watches -= 1;
            lost.push(*number);
        } else {
            let frame = ReplyHeader::watch_frame(path, change);
            let _ = connection.outgoing.send(Outgoing::Frame(frame));
        }
    }
    lost.into_iter().for_each(|number| server.disconnect(number));
}
