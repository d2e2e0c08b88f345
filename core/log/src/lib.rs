//! The replicated log: entries that a majority of replicas agrees upon and keeps.
//!
//! Multi-Paxos as in Apache Mesos' replicated log, with one ballot for all positions. Three state
//! machines without I/O make the decisions, [`LogMachine`] puts them together, and the driver in
//! `driver.rs` carries out what they want over the disk port and a [`Transport`].
//!
//! | module | what it holds |
//! |---|---|
//! | `log` | [`Log`], [`Writer`], [`Reader`]: what the rest of the program uses |
//! | `machine` | [`LogMachine`], which owns the parts below |
//! | `agreement` | whether replicas were told the same about their cluster |
//! | `replica` | promises, accepted and agreed entries, truncation |
//! | `coordinator` | elections |
//! | `leadership` | an elected coordinator's term: filling of holes, writing in batches |
//! | `limits` | to what numbers can come, and how much of a log may be open |
//! | `recovery` | how a new, emptied or damaged replica comes to vote |
//! | `advice` | what can be done about replicas that do not come to vote by themselves |
//! | `catch_up` | how a voting replica that was away learns what it missed |
//! | `survey` | asking a quorum for all that it knows, for elections and recovery |
//! | `tools` | what `orrery log` does to a replica that does not run |
//! | `storage` | segments with checksums on the disk port |
//!
//! What it promises: an entry whose append returned its position stays at that position and is read
//! there by everyone, whatever minority of replicas loses its disk and however often replicas
//! crash; at most one [`Writer`] succeeds at a time; nothing is answered that is not durable.
//! `docs/replicated-log.md` argues why.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod advice;
mod agreement;
mod backlog;
mod catch_up;
mod coordinator;
mod disk_task;
mod driver;
mod error;
mod handle;
mod leadership;
mod limits;
mod log;
mod machine;
mod messages;
#[cfg(test)]
mod model;
mod options;
mod planted;
mod quorum;
mod record;
mod recovery;
mod replica;
mod signal;
mod storage;
#[cfg(test)]
mod stuck_disk_test;
mod survey;
mod tools;
mod types;
pub mod wire;

pub use agreement::{Agreement, Cluster, Disagreement, Origin, Statement};
pub use coordinator::Client;
pub use error::{Damage, Defect, LogError, ReadError, StartError, WriteError};
pub use handle::APPEND_MAX;
pub use log::{Log, Reader, Responses, Status, Transport, Writer};
pub use machine::{Caller, Input, LogMachine, Output};
pub use messages::{KnownEntry, Request, Response, Verdict, Voter};
pub use options::{Membership, Options, Timing};
pub use planted::PlantedBug;
pub use record::{Metadata, Record};
pub use tools::{InitializeError, Inspection, initialize, inspect};
pub use types::{Ballot, Entry, Position, ReplicaState, Value};
