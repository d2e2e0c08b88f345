//! The wire and the disk of the election in `orrery-lease`: its questions are HTTP POSTs to a path
//! of the master's own port, their answers the responses, and what must survive is one small file.
//!
//! Not gRPC as the other connections between daemons: an election asks once and is answered once,
//! an answer that is late is worth nothing, and a client that keeps its connections does the rest.

#![forbid(unsafe_code)]

mod carrier;
mod member;
mod message;
mod vote_file;

pub use member::{Event, Member, Options, StartError};
