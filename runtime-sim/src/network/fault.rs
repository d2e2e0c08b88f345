//! What breaks the network, and what mends it.

use super::connection::State;
use super::link::{Ending, Fate};
use super::state::Network;
use super::{NetworkEvent, Side};
use crate::arena::Key;
use crate::config::{Latency, NetworkConfig, nanoseconds};
use crate::trace::Node;
use crate::world::Inner;

impl Network {
    /// Stops everything that travels from one host to the other.
    pub(crate) fn cut(&mut self, world: &Inner, from: u32, to: u32) {
        if from == to || self.set_cut(from, to, true) != Some(false) {
            return;
        }
        self.record_link(world, "cut", from, to);
        for key in self.between(from, to) {
            for side in [0, 1] {
                let connection = self.connections.get(key);
                if connection.is_some_and(|connection| !connection.ways[side].segments.is_empty()) {
                    self.stall(world, key, side);
                }
            }
        }
    }

    /// Lets everything travel again; what was held arrives after a retransmission.
    pub(crate) fn heal(&mut self, world: &Inner, from: u32, to: u32) {
        if self.set_cut(from, to, false) != Some(true) {
            return;
        }
        self.record_link(world, "heal", from, to);
        self.reopen(world, from, to);
    }

    /// Holds data from one host to the other back, or lets it travel again. Requests to connect and
    /// acknowledgements travel all the time.
    pub(crate) fn hold(&mut self, world: &Inner, from: u32, to: u32, held: bool) {
        let row = self.links.get_mut(from as usize);
        let Some(link) = row.and_then(|row| row.get_mut(to as usize)) else { return };
        if std::mem::replace(&mut link.held, held) == held {
            return;
        }
        self.record_link(world, if held { "hold" } else { "release" }, from, to);
        if !held {
            self.reopen(world, from, to);
            return;
        }
        for key in self.between(from, to) {
            for side in [0, 1] {
                let Some(connection) = self.connections.get(key) else { continue };
                let pending = !connection.ways[side].segments.is_empty();
                if pending && connection.path(side) == (from, to) {
                    self.stall(world, key, side);
                }
            }
        }
    }

    /// Sets whether a link is cut and returns whether it was.
    fn set_cut(&mut self, from: u32, to: u32, cut: bool) -> Option<bool> {
        let link = self.links.get_mut(from as usize)?.get_mut(to as usize)?;
        Some(std::mem::replace(&mut link.cut, cut))
    }

    fn record_link(&self, world: &Inner, kind: &str, from: u32, to: u32) {
        world.record(Node::Named("network"), kind, &[u64::from(from), u64::from(to)], || {
            self.way_name(from, to)
        });
    }

    /// Records that a link has other delays or another bandwidth than before.
    pub(crate) fn record_quality(&self, world: &Inner, from: u32, to: u32) {
        let link = self.link(from, to);
        let NetworkConfig { latency, loopback, bandwidth, .. } = &self.config;
        let usual = if from == to { (*loopback, None) } else { (*latency, *bandwidth) };
        let is_usual = (link.latency, link.bandwidth) == usual;
        let kind = if is_usual { "normal" } else { "slow" };
        let Latency { minimum, maximum } = link.latency;
        let bandwidth = link.bandwidth;
        let numbers = [
            u64::from(from),
            u64::from(to),
            nanoseconds(minimum),
            nanoseconds(maximum),
            bandwidth.unwrap_or(u64::MAX),
        ];
        world.record(Node::Named("network"), kind, &numbers, || {
            let bandwidth = bandwidth.map_or_else(|| "any".to_owned(), |bytes| bytes.to_string());
            let way = self.way_name(from, to);
            format!("{way} latency={minimum:?}..{maximum:?} bandwidth={bandwidth}")
        });
    }

    fn way_name(&self, from: u32, to: u32) -> String {
        let name = |host: u32| self.stations.get(host as usize).map_or("", |found| &found.name);
        format!("{} -> {}", name(from), name(to))
    }

    /// Segments from one host to the other, and acknowledgements that ride on them, flow again.
    fn reopen(&mut self, world: &Inner, from: u32, to: u32) {
        let whole = self.is_whole(from, to);
        let held = [(from, to), (to, from)].map(|(from, to)| self.is_held(from, to));
        for key in self.between(from, to) {
            for side in [0, 1] {
                let Some(connection) = self.connections.get_mut(key) else { continue };
                if connection.fate != Fate::Whole {
                    continue;
                }
                let back = usize::from(connection.path(side) != (from, to));
                if whole && !held[back] {
                    connection.ways[side].stalled = None;
                }
                if connection.path(side) == (from, to) {
                    self.retransmit(world, key, side);
                    self.credit_later(world, key, 1 - side);
                }
            }
        }
    }

    /// Sends again what was held back.
    fn retransmit(&mut self, world: &Inner, key: Key, side: Side) {
        let Some(connection) = self.connections.get(key) else { return };
        let (from, to) = connection.path(side);
        let open = self.is_open(from, to) && !self.is_held(from, to);
        if !connection.ways[side].held || !open {
            return;
        }
        let delay = self.latency(from, to) + self.config.retransmission.draw(&mut self.random);
        let at = world.now().saturating_add(delay);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let way = &mut connection.ways[side];
        way.held = false;
        for segment in &mut way.segments {
            segment.at = segment.at.max(at);
        }
        way.last = way.last.max(at);
        if !way.armed {
            way.armed = true;
            self.schedule(world, delay, NetworkEvent::Arrive { connection: key, from: side });
        }
    }

    fn credit_later(&mut self, world: &Inner, key: Key, side: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let (from, to) = connection.path(side);
        let way = &mut connection.ways[side];
        if way.unacknowledged > 0 && !std::mem::replace(&mut way.crediting, true) {
            let delay = self.latency(to, from);
            self.schedule(world, delay, NetworkEvent::Credit { connection: key, from: side });
        }
    }

    /// Breaks all streams between two hosts, as a middlebox does that lost its state: a random part
    /// of what was on its way still arrives.
    pub(crate) fn reset_all(&mut self, world: &Inner, a: u32, b: u32) {
        self.record_link(world, "reset-all", a, b);
        self.break_between(world, (a, b), true, Ending::Reset);
    }

    /// A host loses power: its ends are gone without a word. Of what it has sent, a random first
    /// part is still on its way.
    pub(crate) fn crash_host(&mut self, world: &Inner, host: u32) {
        if let Some(station) = self.stations.get_mut(host as usize) {
            station.up = false;
        }
        for key in self.touching(host) {
            for side in [0, 1] {
                self.crash_end(world, key, side, host);
            }
            self.remove_if_dead(key);
        }
        self.disown_host(host);
    }

    fn crash_end(&mut self, world: &Inner, key: Key, side: Side, host: u32) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.ends[side].owner.host != host {
            if !connection.ways[side].segments.is_empty() {
                self.stall(world, key, side);
            }
            return;
        }
        let end = &mut connection.ends[side];
        if end.state == State::Absent {
            return;
        }
        end.state = State::Gone;
        end.reader = None;
        end.writer = None;
        let way = &mut connection.ways[side];
        // What a cut held back was never on its way: only the dead host could have sent it again.
        let segments = if way.held { 0 } else { way.segments.len() as u64 };
        way.keep(self.random.below(segments + 1) as usize);
        // What had arrived for it is lost with its memory.
        let unread = std::mem::take(&mut connection.ways[1 - side].readable);
        connection.ways[1 - side].bytes.drain(..unread);
    }

    /// A host has power again: it will answer what others keep sending.
    pub(crate) fn boot_host(&mut self, world: &Inner, host: u32) {
        if let Some(station) = self.stations.get_mut(host as usize) {
            station.up = true;
        }
        for other in 0..self.stations.len() as u32 {
            if other != host {
                self.reopen(world, other, host);
                self.reopen(world, host, other);
            }
        }
    }
}
