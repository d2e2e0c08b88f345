//! A client of ZooKeeper, behind the coordination port of `orrery-runtime`.
//!
//! It is written on the other ports alone: what runs against a real ensemble in production is, byte
//! for byte, what the simulator runs against a simulated one. That is why it is not a library of
//! somebody else's: those open sockets and start timers by themselves, so that a simulation could
//! only ever test a stand-in; and what must be exact here, when a session is lost, is hidden or
//! late in them (`docs/dependencies.md`).
//!
//! | module | |
//! |---|---|
//! | [`jute`] | the encoding: numbers, texts, frames |
//! | [`records`] | the records, read and written, so that the simulated servers speak them too |
//! | `session` | one session as a machine without I/O; it says when a session is lost |
//! | `client` | [`ZooKeeper`]: sessions on the ports |
//!
//! Left out is what nobody here needs: transactions of several operations, persistent watches,
//! containers and times to live, SASL, read-only servers, changes of the ensemble.

#![forbid(unsafe_code)]

mod client;
pub mod jute;
mod planted;
pub mod records;
mod session;
mod watches;

pub use client::ZooKeeper;
pub use planted::PlantedBug;
