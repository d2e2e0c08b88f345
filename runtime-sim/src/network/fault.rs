//! What breaks the network, and what mends it.

use std::io::ErrorKind;

use super::connection::{Phase, State};
use super::state::Network;
use super::{NetworkEvent, Side};
use crate::arena::Key;
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

    /// Sets whether a link is cut and returns whether it was.
    fn set_cut(&mut self, from: u32, to: u32, cut: bool) -> Option<bool> {
        let link = self.links.get_mut(from as usize)?.get_mut(to as usize)?;
        Some(std::mem::replace(&mut link.cut, cut))
    }

    fn record_link(&self, world: &Inner, kind: &str, from: u32, to: u32) {
        let name = |host: u32| self.stations.get(host as usize).map_or("", |found| &found.name);
        world.record(Node::Named("network"), kind, &[u64::from(from), u64::from(to)], || {
            format!("{} -> {}", name(from), name(to))
        });
    }

    /// Segments from one host to the other, and acknowledgements that ride on them, flow again.
    fn reopen(&mut self, world: &Inner, from: u32, to: u32) {
        let whole = self.is_whole(from, to);
        for key in self.between(from, to) {
            for side in [0, 1] {
                let Some(connection) = self.connections.get_mut(key) else { continue };
                if whole {
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
        if !connection.ways[side].held || !self.is_open(from, to) {
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
        self.record_link(world, "reset all", a, b);
        for key in self.between(a, b) {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            if connection.phase == Phase::Connecting && connection.ends[1].state == State::Absent {
                self.fail(key, ErrorKind::ConnectionReset);
                continue;
            }
            for way in &mut connection.ways {
                let kept = self.random.below(way.in_flight() as u64 + 1) as usize;
                way.cut_short(kept);
            }
            for side in [0, 1] {
                self.break_end(world, key, side, ErrorKind::ConnectionReset);
            }
        }
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
