//! Whole clusters in the simulator: what happens to them, and what must hold all the while.
//!
//! A run follows from its seed alone. The seed gives a [`plan::Plan`]: the shape of a cluster, what
//! its frameworks do, and what goes wrong. [`scenario`] builds the [`cluster::Cluster`] out of the
//! very daemons that production runs, plays the plan, then mends everything and waits until the
//! cluster is at rest and serves fresh work. All the while the [`oracle::Oracle`] is told what
//! frameworks see, and looks into master and agents after each of their steps; one file in
//! [`invariants`] stands for each rule that it checks.
//!
//! ```text
//!  seed ─▶ plan ─▶ scenario ─┬─ operations ─▶ workload ──calls──▶ master ◀─▶ agents ─▶ executors
//!                            ├─ faults ─────▶ cluster, network, hosts
//!                            └─ rest ───────▶ converge
//!                        oracle ◀── events, calls, steps ──┘
//! ```
//!
//! [`runner`] runs many seeds, or one with its log.

#![cfg(feature = "sim")]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod checks;
pub mod cluster;
pub mod converge;
mod copies;
mod custom_executor;
mod daemons;
pub mod deaths;
mod faults;
pub mod frameworks;
pub mod goals;
pub mod healing;
pub mod invariants;
pub mod log_cluster;
pub mod log_faults;
pub mod log_history;
mod operator;
pub mod oracle;
pub mod plan;
pub mod planted;
pub mod runner;
pub mod scenario;
pub mod shrink;
pub mod trace_file;
pub mod view;
pub mod workload;
