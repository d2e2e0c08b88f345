//! A model of a ZooKeeper ensemble: servers on hosts of the simulated world that speak the real
//! protocol on the simulated network, so that the real client runs against them.
//!
//! What clients can tell apart is as in the real thing: a leader with a majority behind it orders
//! all writes; followers lag, so that reads may be old, but never older than what the same session
//! has seen; sessions end by the leader's clock, at a full tick after their time-out, and begin to
//! wait anew under a new leader; followers pass on each half tick what they heard of sessions, and
//! what they have not passed on dies with them; watches are told once, by the server that the
//! client is connected to, before any answer that shows the change; a session that was taken over
//! by another server cannot write through the old one; sequential nodes are numbered by their
//! parent's count of children ever made, which goes on below zero after 2147483647.
//!
//! `runtime-real/tests/zookeeper` runs the same random operations and faults against real servers.
//! Not modelled are observers, read-only servers, snapshots and logs on disk (a server that comes
//! back has all that it had applied), and proposals that survive without a majority.

mod connection;
mod server;
mod state;
mod tree;

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use orrery_runtime::{Address, ProcessId};

use crate::fault::Extent;
use crate::host::Host;
use crate::lock::Lock;
use crate::world::World;
use state::{Role, State};
use tree::Transaction;

/// Where each server listens.
const PORT: u16 = 2181;

/// The name of a server's process.
const PROCESS: &str = "zookeeper";

/// An ensemble in the scenario's hands. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ensemble {
    state: Arc<Lock<State>>,
}

/// A node, as everybody would see it who asked the leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnsembleNode {
    /// Its name, without its parent's path.
    pub name: String,
    /// What it holds.
    pub data: Bytes,
    /// The session that it lives as long as; 0 for a persistent one.
    pub session: i64,
    /// The transaction that made it.
    pub created: i64,
}

impl Ensemble {
    /// Starts a server on each of these hosts, with ZooKeeper's usual tick of two seconds: sessions
    /// last between 4 and 40 s.
    pub fn start(world: &World, hosts: &[&str]) -> Self {
        Self::with_tick(world, hosts, Duration::from_secs(2))
    }

    /// Starts a server on each of these hosts. Sessions last between 2 and 20 ticks.
    pub fn with_tick(world: &World, hosts: &[&str], tick: Duration) -> Self {
        let hosts: Vec<Host> = hosts.iter().map(|host| world.host(host)).collect();
        let count = hosts.len();
        let state = State::new(tick, hosts, world.generator("zookeeper"));
        let ensemble = Self { state: Arc::new(Lock::new(state)) };
        world.enter_ensemble(&ensemble);
        for server in 0..count {
            ensemble.start_server(server);
        }
        ensemble
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Where clients connect to.
    pub fn addresses(&self) -> Vec<Address> {
        let address = |server: &state::Server| Address::new(server.host.name(), PORT);
        self.state().servers.iter().map(address).collect()
    }

    /// How many servers there are.
    pub fn len(&self) -> usize {
        self.state().servers.len()
    }

    /// Whether there are no servers.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The host of a server.
    ///
    /// # Panics
    /// When there is no such server.
    pub fn host(&self, server: usize) -> Host {
        self.state().servers[server].host.clone()
    }

    /// Starts a server's process, unless it lives or its host has no power. What it had applied is
    /// still there.
    pub fn start_server(&self, server: usize) {
        let host = self.host(server);
        let process = self.state().servers[server].process;
        if !host.is_up() || process.is_some_and(|process| host.is_alive(process)) {
            return;
        }
        let ensemble = self.clone();
        let process = host.start(PROCESS, move |runtime| server::run(runtime, ensemble, server));
        self.state().servers[server].process = Some(process);
    }

    /// A server's process, while it lives.
    pub fn process(&self, server: usize) -> Option<ProcessId> {
        let process = self.state().servers.get(server)?.process?;
        self.host(server).is_alive(process).then_some(process)
    }

    /// Ends a server's process at once. False when it was not alive.
    pub fn kill_server(&self, server: usize) -> bool {
        let process = self.state().servers[server].process;
        process.is_some_and(|process| self.host(server).kill(process))
    }

    /// Stops a server's process as SIGSTOP does. False when it was not alive.
    pub fn pause_server(&self, server: usize) -> bool {
        let process = self.state().servers[server].process;
        process.is_some_and(|process| self.host(server).pause(process))
    }

    /// Lets a stopped server go on. False when it was not alive.
    pub fn resume_server(&self, server: usize) -> bool {
        let process = self.state().servers[server].process;
        process.is_some_and(|process| self.host(server).resume(process))
    }

    /// The server that leads with a majority behind it, if one does.
    pub fn leader(&self) -> Option<usize> {
        let state = self.state();
        let leads = |server: &usize| {
            let role = state.servers.get(*server).map(|server| server.role);
            matches!(role, Some(Role::Leading { .. }))
                && state.able_leader(*server) == Some(*server)
        };
        (0..state.servers.len()).find(leads)
    }

    /// Whether a server answers clients.
    pub fn serves(&self, server: usize) -> bool {
        self.state().servers.get(server).is_some_and(state::Server::serves)
    }

    /// The children of a node, by all that was committed.
    pub fn children(&self, path: &str) -> Vec<EnsembleNode> {
        self.state().head.children(path)
    }

    /// Whether a session lives, by all that was committed.
    pub fn has_session(&self, session: i64) -> bool {
        self.state().head.sessions.contains_key(&session)
    }

    /// Ends sessions that have a node below `path`, while their clients think them alive (Z1): all
    /// of them, or that of the first node by name. Says how many.
    pub fn expire_sessions(&self, path: &str, extent: Extent) -> usize {
        let sessions: BTreeSet<i64> = self
            .children(path)
            .into_iter()
            .map(|node| node.session)
            .filter(|session| *session != 0)
            .take(if extent == Extent::One { 1 } else { usize::MAX })
            .collect();
        let mut state = self.state();
        for session in &sessions {
            state.commit(Transaction::CloseSession { session: *session });
        }
        sessions.len()
    }

    /// Removes the first child of a node by name, as an operator may.
    pub fn remove_first(&self, path: &str) {
        if let Some(first) = self.children(path).into_iter().next() {
            let path = format!("{path}/{}", first.name);
            self.state().commit(Transaction::Delete { path });
        }
    }

    /// The next watches that a server would tell of are lost, each with the client's connection
    /// (Z4).
    pub fn lose_watches(&self, server: usize, count: u32) {
        if let Some(server) = self.state().servers.get_mut(server) {
            server.lost_watches = count;
        }
    }

    /// The next writes through a server are carried out, and their answers lost with the client's
    /// connection (Z7).
    pub fn lose_answers(&self, server: usize, count: u32) {
        if let Some(server) = self.state().servers.get_mut(server) {
            server.lost_answers = count;
        }
    }

    /// From now on a server sees so much later what the others have committed (Z4).
    pub fn set_lag(&self, server: usize, lag: Duration) {
        if let Some(server) = self.state().servers.get_mut(server) {
            server.lag = lag;
        }
    }

    /// The next sequential node below `path` gets this number (Z5).
    pub fn set_sequence(&self, path: &str, next: i32) {
        let path = path.to_owned();
        self.state().commit(Transaction::SetSequence { path, next });
    }

    /// The server on a host, if there is one.
    pub(crate) fn server_on(&self, host: &str) -> Option<usize> {
        self.state().servers.iter().position(|server| server.host.name() == host)
    }

    /// Lets stopped servers go on, starts dead ones, and takes back what can be.
    pub fn mend(&self) {
        for server in 0..self.len() {
            self.resume_server(server);
            self.start_server(server);
            self.lose_watches(server, 0);
            self.lose_answers(server, 0);
            self.set_lag(server, Duration::ZERO);
        }
    }
}
