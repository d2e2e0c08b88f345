//! The agent: runs tasks on one machine on behalf of the master.
//!
//! [`Agent`] is a state machine ([`orrery_runtime::machine::Machine`]): [`Input`]s go in, one at a
//! time, and [`Output`]s come out, as data. It never waits and never touches the world; the driver
//! in `net/agent` connects it to the master, to executors (HTTP) and to operating-system processes.
//!
//! ```text
//! master ── link ──▶ registration ──▶ launch ──▶ container (process) ──▶ executor subscribes
//!   ▲                                    │                                     │
//!   │                                    ├──▶ kill, shutdown ──▶ exit          ▼
//!   └──────────── status update streams ◀┴──────────────────────────── executor calls
//! ```
//!
//! What it promises, whatever the order of inputs:
//! - each launched task gets exactly one terminal state, reported until it is acknowledged;
//! - updates of one task leave in the order in which they were made, one in flight at a time, and
//!   none is sent again once it was acknowledged;
//! - a task whose kill was answered with TASK_KILLED is never handed to an executor;
//! - executors and tasks outlive every loss of the master; the agent registers again with its id;
//! - tasks and updates of frameworks that checkpoint outlive the agent: nothing is done or said
//!   that its next run would not know of.
//!
//! One file for each subject: `registration.rs`, `launch.rs`, `kill.rs`, `exit.rs`, `status.rs`
//! with `streams.rs`, `executor_calls.rs`; what is written down for the next run is in
//! `checkpoint.rs` (with `records.rs` and `paths.rs`), reading it in `recover.rs`, going on with it
//! in `recovery.rs`; what endpoints show is in `snapshot.rs` and
//! `metrics.rs`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod agent;
mod checkpoint;
mod checks;
mod command_executor;
mod container;
mod executor_calls;
mod exit;
mod framework;
mod input;
mod kill;
mod launch;
mod metrics;
mod options;
mod output;
mod paths;
mod planted;
mod reconfiguration;
mod records;
mod recover;
mod recovery;
mod registration;
mod sealed;
mod snapshot;
mod status;
mod streams;

#[cfg(test)]
mod damage_test;
#[cfg(test)]
mod executor_calls_test;
#[cfg(test)]
mod kill_test;
#[cfg(test)]
mod launch_test;
#[cfg(test)]
mod property_test;
#[cfg(test)]
mod recovery_test;
#[cfg(test)]
mod registration_test;
#[cfg(test)]
mod status_test;
#[cfg(test)]
mod testing;

pub use agent::Agent;
pub use container::SANDBOX_VARIABLE;
pub use executor_calls::validate;
pub use input::{ConnectionNumber, Input, LinkNumber, RequestNumber};
pub use options::Options;
pub use output::{Container, Launch, Output};
pub use paths::{agent_directory, agent_meta, latest_run, meta, short_path};
pub use planted::PlantedBug;
pub use reconfiguration::{Policy, Reconfiguration};
pub use records::{info_from_file, info_to_file};
pub use recover::{Life, Recovered, RecoveredExecutor, RecoveredFramework, RecoveryError};
pub use snapshot::{ExecutorSnapshot, FrameworkSnapshot, QueuedTask, Snapshot};
