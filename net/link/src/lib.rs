//! The link between an agent and the leading master: one HTTP/2 connection, one gRPC call on it,
//! whole messages both ways until either side ends it.
//!
//! ```text
//!   agent: connect() ──────── AgentLink.Connect ───────▶ master: LinkService ─▶ Acceptor::accept
//!   LinkSender<FromAgent> ─▶ queue ─▶ HTTP/2 stream ─▶ LinkReceiver<FromAgent>
//!   LinkReceiver<FromMaster> ◀─ HTTP/2 stream ◀─ queue ◀─ LinkSender<FromMaster>
//! ```
//!
//! What it promises: messages arrive whole, in order and at most once; nothing waits for a peer
//! that does not read ([`LinkSender::try_send`] says so instead); the end of the link, for whatever
//! reason, is one event, `None` from [`LinkReceiver::receive`]; and what a peer sends, however
//! wrong, ends its own link and nothing else.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod agent;
mod codec;
mod ends;
pub mod master;

/// What the build script made of `link.proto`.
#[allow(clippy::all, clippy::pedantic, missing_docs, rust_2018_idioms, unused_qualifications)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/orrery.link.v1.rs"));
}

pub use agent::{AgentEnds, LinkError, connect, connect_together};
pub use ends::{LinkMessage, LinkReceiver, LinkSender, SendError};
pub use master::{Acceptor, LinkService};

/// The version of the link's protocol that this code speaks. Every message carries its sender's. A
/// newer one is refused, an older one from 1 on is understood.
pub const PROTOCOL_VERSION: u32 = 1;

/// Largest message, in bytes, either way.
pub const MESSAGE_MAX: usize = 64 << 20;

/// Messages that may wait for a peer.
pub const QUEUE_MAX: usize = 65_536;

/// After one side has ended the link, how long what still waits in its queue may take to go out.
pub const LINGER: std::time::Duration = std::time::Duration::from_secs(5);
