//! Untimely ends of single streams: resets, early ends and silence, also in the middle of data; and
//! bits that flip on the way.

use std::io::ErrorKind;

use super::connection::{Phase, Piece, State};
use super::link::{Ending, Fate};
use super::state::Network;
use super::{Owner, Side};
use crate::arena::Key;
use crate::world::Inner;

impl Network {
    /// Ends all streams between two hosts, or a random one of them; returns how many.
    pub(crate) fn break_between(
        &mut self,
        world: &Inner,
        (a, b): (u32, u32),
        all: bool,
        ending: Ending,
    ) -> usize {
        let mut keys = self.between(a, b);
        if !all && !keys.is_empty() {
            let chosen = self.random.below(keys.len() as u64) as usize;
            keys = vec![keys[chosen]];
        }
        for key in &keys {
            self.break_stream(world, *key, ending);
        }
        keys.len()
    }

    /// Ends a stream. With a reset or an end, a random part of what was on its way still arrives.
    pub(crate) fn break_stream(&mut self, world: &Inner, key: Key, ending: Ending) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if ending == Ending::Silence {
            self.silence(world, key, Fate::Silent);
            return;
        }
        if connection.phase == Phase::Connecting && connection.ends[1].state == State::Absent {
            self.fail(world, key, ErrorKind::ConnectionReset);
            return;
        }
        for way in &mut connection.ways {
            let kept = self.random.below(way.in_flight() as u64 + 1) as usize;
            way.cut_short(kept);
        }
        for side in [0, 1] {
            match ending {
                Ending::Reset => self.break_end(world, key, side, ErrorKind::ConnectionReset),
                Ending::End => self.end_early(world, key, side),
                Ending::Silence => {}
            }
        }
    }

    /// What one end has received so far ends there, as if the peer had closed; writing fails.
    fn end_early(&mut self, world: &Inner, key: Key, side: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let end = &connection.ends[side];
        if end.broken.is_some() || !matches!(end.state, State::Open | State::Waiting) {
            return;
        }
        connection.ways[1 - side].finished = true;
        self.break_end(world, key, side, ErrorKind::BrokenPipe);
    }

    /// From now on nothing of a stream arrives.
    pub(crate) fn silence(&mut self, world: &Inner, key: Key, fate: Fate) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.fate = fate;
        let (owner, number) = (connection.ends[0].owner, connection.number);
        self.record(world, owner, "silence", &[number], || format!("#{number}"));
        for side in [0, 1] {
            let Some(connection) = self.connections.get(key) else { return };
            if !connection.ways[side].segments.is_empty() {
                self.stall(world, key, side);
            }
        }
    }

    /// Whether what `from` sends cannot arrive for the connection's own sake. Where a stranger has
    /// the peer's address, sending is answered with a reset.
    pub(crate) fn is_lost(&mut self, world: &Inner, key: Key, from: Side) -> bool {
        let fate = self.connections.get(key).map_or(Fate::Whole, |connection| connection.fate);
        let pending = |network: &Self| {
            let way = network.connections.get(key).map(|connection| &connection.ways[from]);
            way.is_some_and(|way| !way.segments.is_empty())
        };
        match fate {
            Fate::Whole => return false,
            Fate::Stranger(side) if side == from && pending(self) => {
                self.break_end(world, key, from, ErrorKind::ConnectionReset);
            }
            Fate::Silent | Fate::Stranger(_) => {}
        }
        true
    }

    /// Whether a piece that arrives springs the trap of its link: then all that is left of it is
    /// delivered by the caller, and how the stream ends is returned with its length.
    pub(crate) fn spring(&mut self, path: (u32, u32), piece: Piece) -> Option<(usize, Ending)> {
        let Piece::Data(length) = piece else { return None };
        let link = self.links.get_mut(path.0 as usize)?.get_mut(path.1 as usize)?;
        let trap = link.trap.as_mut()?;
        if trap.bytes >= length as u64 {
            trap.bytes -= length as u64;
            return None;
        }
        let sprung = (trap.bytes as usize, trap.ending);
        link.trap = None;
        Some(sprung)
    }

    /// Delivers the first `kept` bytes of a piece and ends the stream there.
    pub(crate) fn break_inside(&mut self, world: &Inner, (key, from): (Key, Side), ending: Ending) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if ending != Ending::Silence {
            connection.ways[from].cut_short(0);
        }
        self.break_stream(world, key, ending);
        if ending == Ending::Silence {
            // What was to follow has left its writer and is never acknowledged.
            self.stall(world, key, from);
        }
    }

    /// Flips one bit of the next `length` bytes that `from` sent, if the link is to do so.
    pub(crate) fn flip(&mut self, world: &Inner, key: Key, from: Side, length: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let (source, target) = connection.path(from);
        let flips = self.link(source, target).flips;
        if length == 0 || !flips.draw(&mut self.random) {
            return;
        }
        let bit = self.random.below(length as u64 * 8);
        let Some(connection) = self.connections.get_mut(key) else { return };
        let (number, owner): (u64, Owner) = (connection.number, connection.ends[1 - from].owner);
        let way = &mut connection.ways[from];
        let position = way.readable + (bit / 8) as usize;
        if let Some(byte) = way.bytes.get_mut(position) {
            *byte ^= 1 << (bit % 8);
        }
        self.record(world, owner, "flip", &[number, bit], || format!("#{number} bit {bit}"));
    }
}
