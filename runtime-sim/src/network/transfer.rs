//! Moving bytes: sending, arriving, reading, acknowledging, closing.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll};

use tokio::io::ReadBuf;

use super::connection::{Piece, Segment, State};
use super::link::Fate;
use super::state::Network;
use super::{NetworkEvent, Side};
use crate::arena::Key;
use crate::config::nanoseconds;
use crate::trace::Chain;
use crate::world::Inner;

/// A time as lines show it.
fn seconds(nanoseconds: u64) -> String {
    let micros = nanoseconds / 1_000;
    format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}

impl Network {
    /// Puts a piece on its way, behind everything that was sent before.
    pub(crate) fn transmit(&mut self, world: &Inner, key: Key, from: Side, piece: Piece) {
        let Some(connection) = self.connections.get(key) else { return };
        let (source, target) = connection.path(from);
        let delay = self.latency(source, target);
        let link = self.link(source, target);
        let now = world.now();
        let Some(connection) = self.connections.get_mut(key) else { return };
        let way = &mut connection.ways[from];
        let mut at = now.saturating_add(delay).max(way.last);
        if let (Piece::Data(length), Some(bandwidth)) = (piece, link.bandwidth) {
            let nanoseconds = length as u128 * 1_000_000_000 / u128::from(bandwidth.max(1));
            let nanoseconds = u64::try_from(nanoseconds).unwrap_or(u64::MAX);
            at = at.max(way.last.max(now).saturating_add(nanoseconds));
        }
        way.last = at;
        way.segments.push_back(Segment { at, sent: now, piece });
        if !way.armed && !way.held {
            way.armed = true;
            let event = NetworkEvent::Arrive { connection: key, from };
            world.timers.lock().schedule(at, crate::timers::Event::Network(event));
        }
        if !self.is_whole(source, target) || self.is_held(source, target) {
            self.stall(world, key, from);
        }
    }

    /// Starts the time after which `from` gives up waiting for acknowledgements.
    pub(crate) fn stall(&mut self, world: &Inner, key: Key, from: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let living = matches!(connection.ends[from].state, State::Open | State::Waiting);
        if !living || connection.ways[from].stalled.is_some() {
            return;
        }
        let since = world.now();
        connection.ways[from].stalled = Some(since);
        let event = NetworkEvent::GiveUp { connection: key, from, since };
        self.schedule(world, nanoseconds(self.config.stream_timeout), event);
    }

    /// The time is up: the process at `from` learns that the connection timed out.
    pub(crate) fn give_up(&mut self, world: &Inner, key: Key, from: Side, since: u64) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        if connection.ways[from].stalled == Some(since) {
            connection.ways[from].cut_short(0);
            self.break_end(world, key, from, ErrorKind::TimedOut);
        }
    }

    /// Delivers what is due of what `from` sent.
    pub(crate) fn arrive(&mut self, world: &Inner, key: Key, from: Side) {
        let now = world.now();
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.ways[from].armed = false;
        let (source, target) = connection.path(from);
        let lost = self.is_lost(world, key, from);
        let open = self.is_open(source, target) && !self.is_held(source, target) && !lost;
        loop {
            let Some(connection) = self.connections.get_mut(key) else { return };
            let way = &mut connection.ways[from];
            let Some(segment) = way.segments.front().copied() else { return };
            if !open {
                way.held = true;
                self.stall(world, key, from);
                return;
            }
            if segment.at > now {
                way.armed = true;
                let event = NetworkEvent::Arrive { connection: key, from };
                world.timers.lock().schedule(segment.at, crate::timers::Event::Network(event));
                return;
            }
            way.segments.pop_front();
            if let Some((kept, ending)) = self.spring((source, target), segment.piece) {
                self.deliver(world, key, from, Segment { piece: Piece::Data(kept), ..segment });
                self.break_inside(world, (key, from), ending);
                return;
            }
            self.deliver(world, key, from, segment);
        }
    }

    fn deliver(&mut self, world: &Inner, key: Key, from: Side, segment: Segment) {
        let Segment { sent, piece, .. } = segment;
        if let Piece::Data(length) = piece {
            self.flip(world, key, from, length);
        }
        let Some(connection) = self.connections.get_mut(key) else { return };
        let number = connection.number;
        let end = &mut connection.ends[1 - from];
        let owner = end.owner;
        let way = &mut connection.ways[from];
        let living = matches!(end.state, State::Open | State::Waiting) && end.broken.is_none();
        match piece {
            Piece::Data(length) if living => {
                let mut chain = Chain::new(number);
                let (front, back) = way.bytes.as_slices();
                let (start, stop) = (way.readable, way.readable + length);
                let middle = front.len();
                chain.bytes(&front[start.min(middle)..stop.min(middle)]);
                chain.bytes(&back[start.saturating_sub(middle)..stop.saturating_sub(middle)]);
                way.readable = stop;
                end.wake_reader();
                let numbers = [number * 2 + from as u64, length as u64, chain.value()];
                self.record(world, owner, "data", &numbers, || {
                    format!("#{number} sent={} bytes={length}", seconds(sent))
                });
            }
            Piece::End if living => {
                way.finished = true;
                end.wake_reader();
                let numbers = [number * 2 + from as u64];
                self.record(world, owner, "end", &numbers, || {
                    format!("#{number} sent={}", seconds(sent))
                });
            }
            Piece::Reset => self.break_end(world, key, 1 - from, ErrorKind::ConnectionReset),
            // Nobody is there any more: that is what RST is for.
            Piece::Data(length) => {
                let unread = way.readable;
                way.bytes.drain(unread..unread + length);
                self.transmit(world, key, 1 - from, Piece::Reset);
            }
            Piece::End if end.state == State::Gone => {
                self.transmit(world, key, 1 - from, Piece::Reset);
            }
            Piece::End => {}
        }
    }

    /// Makes one end unusable. Bytes that have arrived can still be read.
    pub(crate) fn break_end(&mut self, world: &Inner, key: Key, side: Side, kind: ErrorKind) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let end = &mut connection.ends[side];
        if end.broken.is_some() || !matches!(end.state, State::Open | State::Waiting) {
            return;
        }
        end.broken = Some(kind);
        end.wake();
        let owner = end.owner;
        let number = connection.number;
        connection.ways[side].cut_short(0);
        self.record(world, owner, "reset", &[number, side as u64], || format!("#{number} {kind}"));
    }

    /// Writes some of `data`.
    pub(crate) fn poll_write(
        &mut self,
        world: &Inner,
        (key, side): (Key, Side),
        data: &[u8],
        context: &Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let window = self.config.window;
        let Some(connection) = self.connections.get_mut(key) else {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        };
        let end = &mut connection.ends[side];
        if let Some(kind) = end.broken {
            let kind = if end.told { ErrorKind::BrokenPipe } else { kind };
            end.told = true;
            return Poll::Ready(Err(kind.into()));
        }
        if connection.ways[side].ended || end.state != State::Open {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let room = connection.ways[side].room(window).min(data.len());
        if room == 0 && !data.is_empty() {
            end.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let length = self.portion(room);
        if length > 0 {
            if let Some(connection) = self.connections.get_mut(key) {
                connection.ways[side].bytes.extend(&data[..length]);
            }
            self.transmit(world, key, side, Piece::Data(length));
        }
        Poll::Ready(Ok(length))
    }

    /// Reads some of what has arrived.
    pub(crate) fn poll_read(
        &mut self,
        world: &Inner,
        (key, side): (Key, Side),
        buffer: &mut ReadBuf<'_>,
        context: &Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(connection) = self.connections.get_mut(key) else {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        };
        let way = &connection.ways[1 - side];
        let most = way.readable.min(buffer.remaining());
        if most > 0 {
            let length = self.portion(most);
            self.take(key, side, length, buffer);
            self.acknowledge(world, key, 1 - side, length);
            return Poll::Ready(Ok(()));
        }
        let end = &mut connection.ends[side];
        if way.finished || buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if let Some(kind) = end.broken {
            end.told = true;
            return Poll::Ready(Err(kind.into()));
        }
        end.reader = Some(context.waker().clone());
        Poll::Pending
    }

    fn take(&mut self, key: Key, side: Side, length: usize, buffer: &mut ReadBuf<'_>) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let way = &mut connection.ways[1 - side];
        let (front, back) = way.bytes.as_slices();
        let first = length.min(front.len());
        buffer.put_slice(&front[..first]);
        buffer.put_slice(&back[..length - first]);
        way.bytes.drain(..length);
        way.readable -= length;
    }

    /// The reader has taken `length` bytes of what `from` sent. A writer that waits for room learns
    /// of it after the latency back; one that does not wait would not notice the difference.
    fn acknowledge(&mut self, world: &Inner, key: Key, from: Side, length: usize) {
        let Some(connection) = self.connections.get(key) else { return };
        let (source, target) = connection.path(from);
        let waiting = connection.ends[from].writer.is_some();
        let crediting = connection.ways[from].crediting;
        let open = self.is_open(target, source) && connection.fate == Fate::Whole;
        if open && !waiting && !crediting {
            return;
        }
        let delay = self.latency(target, source);
        if let Some(connection) = self.connections.get_mut(key) {
            connection.ways[from].unacknowledged += length;
            connection.ways[from].crediting = open || crediting;
        }
        if open && !crediting {
            self.schedule(world, delay, NetworkEvent::Credit { connection: key, from });
        }
    }

    /// `from` learns that its bytes were read, unless the path back is cut: then healing tells it.
    pub(crate) fn credit(&mut self, key: Key, from: Side) {
        let Some(connection) = self.connections.get(key) else { return };
        let (source, target) = connection.path(from);
        let open = self.is_open(target, source) && connection.fate == Fate::Whole;
        let Some(connection) = self.connections.get_mut(key) else { return };
        connection.ways[from].crediting = false;
        if open {
            connection.ways[from].unacknowledged = 0;
            connection.ends[from].wake_writer();
        }
    }

    /// Ends one direction; the other goes on.
    pub(crate) fn shutdown(&mut self, world: &Inner, key: Key, side: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let broken = connection.ends[side].broken.is_some();
        if !broken && !std::mem::replace(&mut connection.ways[side].ended, true) {
            self.transmit(world, key, side, Piece::End);
        }
    }

    /// Closes an end, as close(2) does: with bytes unread it resets, else it ends its direction.
    pub(crate) fn close(&mut self, world: &Inner, key: Key, side: Side) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let state = connection.ends[side].state;
        if !matches!(state, State::Open | State::Waiting) {
            return;
        }
        let unread = std::mem::take(&mut connection.ways[1 - side].readable);
        connection.ways[1 - side].bytes.drain(..unread);
        if unread > 0 {
            self.abort(world, key, side);
            return;
        }
        self.shutdown(world, key, side);
        self.finish_close(world, key, side, 0);
    }

    /// Closes an end with a reset.
    pub(crate) fn abort(&mut self, world: &Inner, key: Key, side: Side) {
        let Some(connection) = self.connections.get(key) else { return };
        let end = &connection.ends[side];
        if !matches!(end.state, State::Open | State::Waiting) {
            return;
        }
        if end.broken.is_none() {
            self.transmit(world, key, side, Piece::Reset);
        }
        self.finish_close(world, key, side, 1);
    }

    fn finish_close(&mut self, world: &Inner, key: Key, side: Side, reset: u64) {
        let Some(connection) = self.connections.get_mut(key) else { return };
        let end = &mut connection.ends[side];
        end.state = State::Closed;
        end.reader = None;
        end.writer = None;
        let (owner, number) = (end.owner, connection.number);
        if side == 0 {
            connection.connector = None;
        }
        self.disown_end(owner, key, side);
        self.record(world, owner, "close", &[number, side as u64, reset], || format!("#{number}"));
        self.remove_if_dead(key);
    }
}
