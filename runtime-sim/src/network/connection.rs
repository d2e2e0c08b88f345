//! A connection as both kernels see it.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::task::Waker;

use super::link::Fate;
use super::{Owner, Side};

/// What travels in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// The next so many bytes of the queue.
    Data(usize),
    /// Nothing more will come (FIN).
    End,
    /// The connection is gone (RST).
    Reset,
}

/// A piece and when it arrives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) at: u64,
    /// When it was written, for the trace.
    pub(crate) sent: u64,
    pub(crate) piece: Piece,
}

/// One direction of a connection.
#[derive(Debug, Default)]
pub(crate) struct Way {
    /// Bytes that wait to be read, then bytes on their way.
    pub(crate) bytes: VecDeque<u8>,
    /// How many of them can be read.
    pub(crate) readable: usize,
    pub(crate) segments: VecDeque<Segment>,
    /// When the last segment arrives, or arrived.
    pub(crate) last: u64,
    /// An event will deliver the first segment.
    pub(crate) armed: bool,
    /// The path is broken: segments wait for it to be whole.
    pub(crate) held: bool,
    /// The writer has sent its end.
    pub(crate) ended: bool,
    /// The reader has received that end.
    pub(crate) finished: bool,
    /// Bytes that were read without the writer knowing.
    pub(crate) unacknowledged: usize,
    /// An event will tell the writer.
    pub(crate) crediting: bool,
    /// Since when the writer has waited for an acknowledgement that cannot come.
    pub(crate) stalled: Option<u64>,
}

impl Way {
    /// How many more bytes the writer may write.
    pub(crate) fn room(&self, window: usize) -> usize {
        window.saturating_sub(self.bytes.len() + self.unacknowledged)
    }

    /// Bytes on their way.
    pub(crate) fn in_flight(&self) -> usize {
        self.bytes.len() - self.readable
    }

    /// Loses everything that is on its way but the first `kept` segments.
    pub(crate) fn keep(&mut self, kept: usize) {
        self.segments.truncate(kept);
        let data = self.segments.iter().map(|segment| match segment.piece {
            Piece::Data(length) => length,
            Piece::End | Piece::Reset => 0,
        });
        self.bytes.truncate(self.readable + data.sum::<usize>());
    }

    /// Loses everything that is on its way but the first `kept` bytes, which arrive now.
    pub(crate) fn cut_short(&mut self, kept: usize) {
        self.segments.clear();
        self.readable = (self.readable + kept).min(self.bytes.len());
        self.bytes.truncate(self.readable);
    }
}

/// Whether an end can still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The other host does not know of the connection yet.
    Absent,
    /// It waits to be accepted.
    Waiting,
    Open,
    /// Its process has closed it.
    Closed,
    /// Its host lost power.
    Gone,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) owner: Owner,
    pub(crate) address: SocketAddr,
    pub(crate) state: State,
    /// Why nothing can be sent or received any more.
    pub(crate) broken: Option<ErrorKind>,
    /// The process has been told so.
    pub(crate) told: bool,
    pub(crate) reader: Option<Waker>,
    pub(crate) writer: Option<Waker>,
}

impl End {
    pub(crate) fn new(owner: Owner, address: SocketAddr, state: State) -> Self {
        Self { owner, address, state, broken: None, told: false, reader: None, writer: None }
    }

    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, State::Absent | State::Closed | State::Gone)
    }

    pub(crate) fn wake(&mut self) {
        self.wake_reader();
        self.wake_writer();
    }

    pub(crate) fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    pub(crate) fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }
}

/// How far connecting has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Established,
    Failed(ErrorKind),
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Counts connections, for the trace.
    pub(crate) number: u64,
    pub(crate) ends: [End; 2],
    /// `ways[side]` carries what `ends[side]` writes.
    pub(crate) ways: [Way; 2],
    pub(crate) phase: Phase,
    pub(crate) fate: Fate,
    pub(crate) connector: Option<Waker>,
}

impl Connection {
    /// The hosts that what `from` sends travels between.
    pub(crate) fn path(&self, from: Side) -> (u32, u32) {
        (self.ends[from].owner.host, self.ends[1 - from].owner.host)
    }
}
