//! Connecting, listening, accepting.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use super::connection::{Connection, End, Phase, State, Way};
use super::link::{Connecting, Fate};
use super::state::{Backlog, NOWHERE, Network};
use super::{NetworkEvent, Owner};
use crate::arena::Key;
use crate::trace::Node;
use crate::world::Inner;

const SECOND: u64 = 1_000_000_000;
/// Linux asks seven times, waiting 1, 2, 4, … 64 seconds, before it gives up.
const ATTEMPTS: u32 = 7;
const UNREACHABLE_AFTER: u64 = 3 * SECOND;

impl Network {
    /// Asks for a connection from a process to a port of a host.
    pub(crate) fn open(
        &mut self,
        world: &Inner,
        owner: Owner,
        target: u32,
        (address, port): (IpAddr, u16),
    ) -> io::Result<Key> {
        let loopback = address.is_loopback();
        let source = self.take_port(owner.host).ok_or(ErrorKind::AddrNotAvailable)?;
        let own = self.stations[owner.host as usize].address;
        let own = if loopback { Ipv4Addr::LOCALHOST } else { own };
        let local = SocketAddr::new(IpAddr::V4(own), source);
        let peer = SocketAddr::new(address, port);
        let nobody = Owner { host: target, process: 0 };
        let number = self.next_number();
        let key = self.enter(Connection {
            number,
            ends: [End::new(owner, local, State::Open), End::new(nobody, peer, State::Absent)],
            ways: [Way::default(), Way::default()],
            phase: Phase::Connecting,
            fate: Fate::Whole,
            connector: None,
        });
        self.own_end(owner, key, 0);
        self.record(world, owner, "connect", &[number, u64::from(port)], || {
            format!("#{number} {local} -> {peer}")
        });
        if target == NOWHERE {
            let event = NetworkEvent::Unreachable { connection: key };
            self.schedule(world, UNREACHABLE_AFTER, event);
        } else {
            let delay = self.latency(owner.host, target);
            self.schedule(world, delay, NetworkEvent::Request { connection: key, attempt: 0 });
        }
        Ok(key)
    }

    /// A request reaches its host, or does not.
    pub(crate) fn request(&mut self, world: &Inner, key: Key, attempt: u32) {
        let Some(connection) = self.connections.get(key) else { return };
        if connection.phase != Phase::Connecting || connection.ends[1].state != State::Absent {
            return;
        }
        let (from, to) = connection.path(0);
        let peer = connection.ends[1].address;
        let listener = self.listener(to, peer);
        let full = listener
            .and_then(|listener| self.listeners.get(listener))
            .is_some_and(|backlog| backlog.queue.len() >= self.config.backlog);
        let connecting = self.link(from, to).connecting;
        let lost = connecting == Connecting::Hang || connection.fate != Fate::Whole;
        if !self.is_whole(from, to) || full || lost {
            let next = attempt + 1;
            if next == ATTEMPTS {
                self.fail(world, key, ErrorKind::TimedOut);
            } else {
                let event = NetworkEvent::Request { connection: key, attempt: next };
                self.schedule(world, SECOND << attempt, event);
            }
            return;
        }
        let delay = self.latency(to, from);
        let accepted = match (connecting, listener) {
            (Connecting::Close, _) => {
                self.accept_and_close(world, key, delay);
                true
            }
            (Connecting::Normal, Some(listener)) => {
                self.enqueue(world, key, listener, delay);
                true
            }
            _ => false,
        };
        self.schedule(world, delay, NetworkEvent::Answer { connection: key, accepted });
    }

    /// Something in front of the host takes a connection and ends it at once.
    fn accept_and_close(&mut self, world: &Inner, key: Key, delay: u64) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.ends[1].state = State::Open;
        connection.ways[1].last = world.now().saturating_add(delay);
        self.close(world, key, 1);
    }

    fn enqueue(&mut self, world: &Inner, key: Key, listener: Key, delay: u64) {
        let Some(backlog) = self.listeners.get_mut(listener) else { return };
        let owner = backlog.owner;
        backlog.queue.push_back(key);
        if let Some(waker) = backlog.acceptor.take() {
            waker.wake();
        }
        if let Some(connection) = self.connections.get_mut(key) {
            connection.ends[1].owner = owner;
            connection.ends[1].state = State::Waiting;
            // What is written before the answer arrives cannot overtake it.
            connection.ways[1].last = world.now().saturating_add(delay);
        }
        self.own_end(owner, key, 1);
    }

    /// The listener that takes connections to `address`.
    fn listener(&self, host: u32, address: SocketAddr) -> Option<Key> {
        let keys = self.stations.get(host as usize)?.listening.get(&address.port())?;
        let takes = |key: &&Key| {
            let backlog = self.listeners.get(**key);
            backlog.is_some_and(|backlog| {
                backlog.address == address.ip() || backlog.address.is_unspecified()
            })
        };
        keys.iter().find(takes).copied()
    }

    /// The answer to a request reaches who asked.
    pub(crate) fn answer(&mut self, world: &Inner, key: Key, accepted: bool) {
        if !accepted {
            self.fail(world, key, ErrorKind::ConnectionRefused);
            return;
        }
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.phase == Phase::Connecting {
            connection.phase = Phase::Established;
            if let Some(waker) = connection.connector.take() {
                waker.wake();
            }
        }
    }

    /// Tells who asked that there will be no connection.
    pub(crate) fn fail(&mut self, world: &Inner, key: Key, kind: ErrorKind) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.phase != Phase::Connecting {
            return;
        }
        connection.phase = Phase::Failed(kind);
        if let Some(waker) = connection.connector.take() {
            waker.wake();
        }
        let (owner, number) = (connection.ends[0].owner, connection.number);
        self.record(world, owner, "fail", &[number], || format!("#{number} {kind}"));
    }

    /// Asks how far connecting has come; gives both addresses once it is done.
    pub(crate) fn poll_connected(
        &mut self,
        key: Key,
        context: &Context<'_>,
    ) -> Poll<io::Result<(SocketAddr, SocketAddr)>> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Poll::Ready(Err(ErrorKind::ConnectionAborted.into()));
        };
        match connection.phase {
            Phase::Failed(kind) => Poll::Ready(Err(kind.into())),
            Phase::Established => {
                let [own, peer] = &connection.ends;
                Poll::Ready(Ok((own.address, peer.address)))
            }
            Phase::Connecting => {
                connection.connector = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Starts to listen.
    pub(crate) fn listen(
        &mut self,
        world: &Inner,
        owner: Owner,
        address: SocketAddr,
    ) -> io::Result<(Key, SocketAddr)> {
        let host = owner.host;
        let own = IpAddr::V4(self.stations[host as usize].address);
        let ip = match address.ip() {
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            ip => ip,
        };
        if !ip.is_unspecified() && !ip.is_loopback() && ip != own {
            return Err(ErrorKind::AddrNotAvailable.into());
        }
        let port = match address.port() {
            0 => {
                let port = self.take_port(host).ok_or(ErrorKind::AddrInUse)?;
                self.free_port(host, port);
                port
            }
            port => port,
        };
        let taken = self.stations[host as usize].listening.get(&port).into_iter().flatten();
        let clashes = |key: &Key| {
            let other = self.listeners.get(*key).map(|backlog| backlog.address);
            other.is_some_and(|other| other == ip || other.is_unspecified() || ip.is_unspecified())
        };
        if taken.clone().any(clashes) || self.is_port_used(host, port) {
            return Err(ErrorKind::AddrInUse.into());
        }
        let backlog = Backlog { owner, address: ip, port, queue: VecDeque::new(), acceptor: None };
        let key = self.listeners.insert(backlog);
        self.stations[host as usize].listening.entry(port).or_default().push(key);
        self.own_listener(owner, key);
        let local = SocketAddr::new(ip, port);
        self.record(world, owner, "listen", &[u64::from(port)], || local.to_string());
        Ok((key, local))
    }

    /// Takes the next connection that waits.
    pub(crate) fn poll_accept(
        &mut self,
        world: &Inner,
        listener: Key,
        context: &Context<'_>,
    ) -> Poll<io::Result<(Key, SocketAddr, SocketAddr)>> {
        loop {
            let Some(backlog) = self.listeners.get_mut(listener) else {
                return Poll::Ready(Err(ErrorKind::NotConnected.into()));
            };
            let owner = backlog.owner;
            let Some(key) = backlog.queue.pop_front() else {
                backlog.acceptor = Some(context.waker().clone());
                return Poll::Pending;
            };
            let Some(connection) = self.connections.get_mut(key) else { continue };
            if connection.ends[1].state != State::Waiting {
                continue;
            }
            connection.ends[1].state = State::Open;
            let number = connection.number;
            let [peer, own] = &connection.ends;
            let (local, peer) = (own.address, peer.address);
            self.record(world, owner, "accept", &[number], || {
                format!("#{number} {local} <- {peer}")
            });
            return Poll::Ready(Ok((key, local, peer)));
        }
    }

    /// Stops listening; what waited to be accepted is reset.
    pub(crate) fn close_listener(&mut self, world: &Inner, key: Key) {
        let Some(backlog) = self.listeners.remove(key) else { return };
        self.disown_listener(backlog.owner, key);
        if let Some(station) = self.stations.get_mut(backlog.owner.host as usize)
            && let Some(keys) = station.listening.get_mut(&backlog.port)
        {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                station.listening.remove(&backlog.port);
            }
        }
        for connection in backlog.queue {
            self.abort(world, connection, 1);
        }
    }

    /// Records what a process did, or what befell it.
    pub(crate) fn record(
        &self,
        world: &Inner,
        owner: Owner,
        kind: &str,
        numbers: &[u64],
        text: impl FnOnce() -> String,
    ) {
        let name = self.stations.get(owner.host as usize).map_or("", |station| &station.name);
        let node = Node::Host { index: owner.host.wrapping_add(1), name, process: owner.process };
        world.record(node, kind, numbers, text);
    }
}
