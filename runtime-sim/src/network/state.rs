//! What the network consists of: hosts, links, listeners, connections, and who owns them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::task::Waker;

use orrery_runtime::Generator;

use super::connection::{Connection, State};
use super::link::Link;
use super::{NetworkEvent, Owner, Side};
use crate::arena::{Arena, Key};
use crate::config::NetworkConfig;
use crate::timers::Event;
use crate::world::Inner;

/// Addresses that belong to no host still need a number for the path that leads nowhere.
pub(crate) const NOWHERE: u32 = u32::MAX;

const FIRST_EPHEMERAL: u16 = 32_768;
const LAST_EPHEMERAL: u16 = 60_999;

/// One host's share of the network.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) up: bool,
    pub(crate) listening: BTreeMap<u16, Vec<Key>>,
    used: BTreeSet<u16>,
    next_port: u16,
}

/// Where streams wait to be accepted.
#[derive(Debug)]
pub(crate) struct Backlog {
    pub(crate) owner: Owner,
    pub(crate) address: IpAddr,
    pub(crate) port: u16,
    pub(crate) queue: VecDeque<Key>,
    pub(crate) acceptor: Option<Waker>,
}

#[derive(Debug, Default)]
struct Belongings {
    ends: BTreeSet<(Key, Side)>,
    listeners: BTreeSet<Key>,
}

/// The whole network.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) config: NetworkConfig,
    pub(crate) random: Generator,
    pub(crate) stations: Vec<Station>,
    /// `links[from][to]`
    pub(crate) links: Vec<Vec<Link>>,
    pub(crate) connections: Arena<Connection>,
    pub(crate) listeners: Arena<Backlog>,
    /// Connections by their two hosts, the lower number first.
    pairs: BTreeMap<(u32, u32), BTreeSet<Key>>,
    belongings: BTreeMap<Owner, Belongings>,
    pub(crate) names: BTreeMap<String, u32>,
    /// Names that mean another host than at first, or none.
    pub(crate) aliases: BTreeMap<String, Option<u32>>,
    /// Counts addresses that were given out later.
    pub(crate) moved: u32,
    /// How often everything was mended.
    pub(crate) mends: u32,
    opened: u64,
    /// The limit that a random 64-bit number must be under for a partial read or write.
    partial: u64,
}

impl Network {
    /// A network without hosts.
    pub(crate) fn new(config: NetworkConfig, random: Generator) -> Self {
        Self {
            partial: (config.partial.clamp(0.0, 1.0) * u64::MAX as f64) as u64,
            config,
            random,
            stations: Vec::new(),
            links: Vec::new(),
            connections: Arena::default(),
            listeners: Arena::default(),
            pairs: BTreeMap::new(),
            belongings: BTreeMap::new(),
            names: BTreeMap::new(),
            aliases: BTreeMap::new(),
            moved: 0,
            mends: 0,
            opened: 0,
        }
    }

    /// Adds the next host; it is down until it is booted.
    pub(crate) fn add_host(&mut self, name: &str, address: Ipv4Addr) {
        let index = u32::try_from(self.stations.len()).unwrap_or(NOWHERE);
        self.names.insert(name.to_owned(), index);
        self.names.insert(address.to_string(), index);
        self.stations.push(Station {
            name: name.to_owned(),
            address,
            up: false,
            listening: BTreeMap::new(),
            used: BTreeSet::new(),
            next_port: FIRST_EPHEMERAL,
        });
        let link = Link::new(self.config.latency, self.config.bandwidth);
        for row in &mut self.links {
            row.push(link);
        }
        let mut row = vec![link; self.stations.len()];
        if let Some(own) = row.last_mut() {
            *own = Link::new(self.config.loopback, None);
        }
        self.links.push(row);
    }

    /// Carries out a due event.
    pub(crate) fn handle(&mut self, world: &Inner, event: NetworkEvent) {
        match event {
            NetworkEvent::Request { connection, attempt } => {
                self.request(world, connection, attempt);
            }
            NetworkEvent::Answer { connection, accepted } => {
                self.answer(world, connection, accepted);
            }
            NetworkEvent::Unreachable { connection } => {
                self.fail(world, connection, std::io::ErrorKind::HostUnreachable);
            }
            NetworkEvent::Arrive { connection, from } => self.arrive(world, connection, from),
            NetworkEvent::Credit { connection, from } => self.credit(connection, from),
            NetworkEvent::GiveUp { connection, from, since } => {
                self.give_up(world, connection, from, since);
            }
        }
    }

    /// Queues an event `delay` nanoseconds from now.
    pub(crate) fn schedule(&self, world: &Inner, delay: u64, event: NetworkEvent) {
        let at = world.now().saturating_add(delay);
        world.timers.lock().schedule(at, Event::Network(event));
    }

    /// Whether segments from one host reach the other.
    pub(crate) fn is_open(&self, from: u32, to: u32) -> bool {
        let link = self.links.get(from as usize).and_then(|row| row.get(to as usize));
        link.is_some_and(|link| !link.cut) && self.is_up(to)
    }

    /// Whether segments from one host reach the other and their acknowledgements come back.
    pub(crate) fn is_whole(&self, from: u32, to: u32) -> bool {
        self.is_open(from, to) && self.is_open(to, from)
    }

    /// Whether data from one host is held back while acknowledgements travel.
    pub(crate) fn is_held(&self, from: u32, to: u32) -> bool {
        let link = self.links.get(from as usize).and_then(|row| row.get(to as usize));
        link.is_some_and(|link| link.held)
    }

    pub(crate) fn is_up(&self, host: u32) -> bool {
        self.stations.get(host as usize).is_some_and(|station| station.up)
    }

    pub(crate) fn link(&self, from: u32, to: u32) -> Link {
        let link = self.links.get(from as usize).and_then(|row| row.get(to as usize));
        let nowhere = || Link { cut: true, ..Link::new(self.config.latency, None) };
        link.copied().unwrap_or_else(nowhere)
    }

    /// Draws how long a segment takes between two hosts.
    pub(crate) fn latency(&mut self, from: u32, to: u32) -> u64 {
        match self.links.get(from as usize).and_then(|row| row.get(to as usize)) {
            Some(link) => link.delay(&mut self.random),
            None => self.config.latency.draw(&mut self.random),
        }
    }

    /// How many of `most` bytes a read or write moves: mostly all.
    pub(crate) fn portion(&mut self, most: usize) -> usize {
        if self.partial > 0 && most > 1 && self.random.next_u64() < self.partial {
            1 + self.random.below(most as u64) as usize
        } else {
            most
        }
    }

    pub(crate) fn next_number(&mut self) -> u64 {
        self.opened += 1;
        self.opened
    }

    /// Takes a free port of a host for a stream or listener.
    pub(crate) fn take_port(&mut self, host: u32) -> Option<u16> {
        let station = self.stations.get_mut(host as usize)?;
        for _ in FIRST_EPHEMERAL..=LAST_EPHEMERAL {
            let port = station.next_port;
            station.next_port = if port == LAST_EPHEMERAL { FIRST_EPHEMERAL } else { port + 1 };
            if !station.listening.contains_key(&port) && station.used.insert(port) {
                return Some(port);
            }
        }
        None
    }

    pub(crate) fn free_port(&mut self, host: u32, port: u16) {
        if let Some(station) = self.stations.get_mut(host as usize) {
            station.used.remove(&port);
        }
    }

    pub(crate) fn is_port_used(&self, host: u32, port: u16) -> bool {
        self.stations.get(host as usize).is_some_and(|station| station.used.contains(&port))
    }

    pub(crate) fn own_end(&mut self, owner: Owner, connection: Key, side: Side) {
        self.belongings.entry(owner).or_default().ends.insert((connection, side));
    }

    pub(crate) fn own_listener(&mut self, owner: Owner, listener: Key) {
        self.belongings.entry(owner).or_default().listeners.insert(listener);
    }

    pub(crate) fn disown_end(&mut self, owner: Owner, connection: Key, side: Side) {
        if let Some(belongings) = self.belongings.get_mut(&owner) {
            belongings.ends.remove(&(connection, side));
            self.forget_owner(owner);
        }
    }

    pub(crate) fn disown_listener(&mut self, owner: Owner, listener: Key) {
        if let Some(belongings) = self.belongings.get_mut(&owner) {
            belongings.listeners.remove(&listener);
            self.forget_owner(owner);
        }
    }

    fn forget_owner(&mut self, owner: Owner) {
        let empty = |owned: &Belongings| owned.ends.is_empty() && owned.listeners.is_empty();
        if self.belongings.get(&owner).is_some_and(empty) {
            self.belongings.remove(&owner);
        }
    }

    /// Closes everything that a process has open, as the kernel does when it ends.
    pub(crate) fn close_process(&mut self, world: &Inner, owner: Owner) {
        let Some(belongings) = self.belongings.remove(&owner) else { return };
        for listener in belongings.listeners {
            self.close_listener(world, listener);
        }
        for (connection, side) in belongings.ends {
            self.close(world, connection, side);
        }
    }

    /// Forgets who owned what on a host that lost power; its listeners are gone with it.
    pub(crate) fn disown_host(&mut self, host: u32) {
        let owners = Owner { host, process: 0 }..=Owner { host, process: u32::MAX };
        let owners: Vec<Owner> = self.belongings.range(owners).map(|(owner, _)| *owner).collect();
        for owner in owners {
            for listener in self.belongings.remove(&owner).unwrap_or_default().listeners {
                self.listeners.remove(listener);
            }
        }
        if let Some(station) = self.stations.get_mut(host as usize) {
            station.listening.clear();
            station.used.clear();
        }
    }

    pub(crate) fn pair(a: u32, b: u32) -> (u32, u32) {
        (a.min(b), a.max(b))
    }

    pub(crate) fn enter(&mut self, connection: Connection) -> Key {
        let (from, to) = connection.path(0);
        let key = self.connections.insert(connection);
        self.pairs.entry(Self::pair(from, to)).or_default().insert(key);
        key
    }

    /// Connections between two hosts.
    pub(crate) fn between(&self, a: u32, b: u32) -> Vec<Key> {
        let keys = self.pairs.get(&Self::pair(a, b));
        keys.map(|keys| keys.iter().copied().collect()).unwrap_or_default()
    }

    /// Connections that have an end on `host`, with the side of one such end.
    pub(crate) fn touching(&self, host: u32) -> Vec<Key> {
        let touches = |pair: &(u32, u32)| pair.0 == host || pair.1 == host;
        let pairs = self.pairs.iter().filter(|(pair, _)| touches(pair));
        pairs.flat_map(|(_, keys)| keys.iter().copied()).collect()
    }

    /// Forgets a connection that nobody has a use for.
    pub(crate) fn remove_if_dead(&mut self, key: Key) {
        let Some(connection) = self.connections.get(key) else { return };
        if connection.ends.iter().all(|end| end.is_dead()) {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) {
        let Some(connection) = self.connections.remove(key) else { return };
        let (from, to) = connection.path(0);
        let pair = Self::pair(from, to);
        if let Some(keys) = self.pairs.get_mut(&pair) {
            keys.remove(&key);
            if keys.is_empty() {
                self.pairs.remove(&pair);
            }
        }
        for (side, end) in connection.ends.iter().enumerate() {
            self.disown_end(end.owner, key, side);
        }
        if connection.ends[0].state != State::Gone {
            self.free_port(from, connection.ends[0].address.port());
        }
    }
}
