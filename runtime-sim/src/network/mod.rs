//! The network: byte streams between processes, over virtual time.
//!
//! A stream's two directions are queues of what its host has sent. Each segment has a time at which
//! it arrives; a cut or a host without power holds the queue back until the path is whole again,
//! as retransmission does. Everything an operating system would answer by itself (refusing,
//! resetting, timing out, telling how much room is left) happens here, in events of the timer
//! queue, whether or not the process at that end is running.

mod breaking;
mod connection;
mod control;
mod control_faults;
mod fault;
mod handshake;
mod link;
mod names;
mod port;
mod state;
mod stream;
mod swizzle;
mod transfer;

pub use control::NetworkControl;
pub use link::{Connecting, Ending};
pub(crate) use state::Network;

use crate::arena::Key;

/// The process that a stream or listener belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) host: u32,
    pub(crate) process: u32,
}

/// One end of a connection: 0 connected, 1 was connected to.
pub(crate) type Side = usize;

/// What the network does at a point of time.
#[derive(Debug)]
pub(crate) enum NetworkEvent {
    /// A request to connect reaches its host, for the n-th time.
    Request { connection: Key, attempt: u32 },
    /// The answer to a request reaches who asked.
    Answer { connection: Key, accepted: bool },
    /// Nobody has that address.
    Unreachable { connection: Key },
    /// The first segments that `from` sent reach the other end.
    Arrive { connection: Key, from: Side },
    /// `from` learns that its bytes were read.
    Credit { connection: Key, from: Side },
    /// `from` gives up if nothing was acknowledged since that time.
    GiveUp { connection: Key, from: Side, since: u64 },
}
