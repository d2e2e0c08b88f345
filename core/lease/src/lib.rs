//! Who leads among a fixed set of members, decided by a majority of them and by nobody else.
//!
//! [`Elector`] is a state machine without I/O (see [`orrery_runtime::machine`]); `net/lease`
//! carries its messages and keeps its [`Durable`] state. The terms and votes are Raft's (Ongaro:
//! Consensus: Bridging Theory and Practice, chapters 3 and 9.6), without its log; on top of them
//! the leader holds a lease (Gray and Cheriton: Leases, 1989):
//!
//! ```text
//!  leader   ──Heartbeat──▶ majority: nobody of it votes for another within `patience`
//!           ◀───Accepted── the leader leads until (when it *sent* the heartbeat) + `lease`
//! ```
//!
//! What it promises, as long as no member's monotonic clock runs more than a tenth faster or slower
//! than another's: of [`Output::Elected`] and [`Output::Deposed`], no two members are ever between
//! the first and the second at one time. A member that was stopped learns of its deposition only
//! when it goes on; what it does durably must therefore be guarded by more than this lease, as
//! writes of the registry are by the ballots of the replicated log.

#![forbid(unsafe_code)]

mod elector;
mod leading;
mod message;
mod options;
mod planted;
#[cfg(test)]
mod property_test;
mod voting;

pub use elector::{Durable, Elector, Input, Output, RequestId};
pub use message::{Kind, Request, Response};
pub use options::{Options, Timing};
pub use planted::PlantedBug;
