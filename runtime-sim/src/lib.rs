//! A deterministic world for Orrery's daemons: the ports of `orrery-runtime` on a simulator.
//!
//! [`simulate`] runs one scenario from one seed on a fresh thread. Inside it [`World`] makes
//! [`Host`]s, each with an address, a clock, a disk and a table of processes; every process gets an
//! `orrery_runtime::Runtime` whose ports lead into models that this crate owns:
//!
//! | port | model |
//! |---|---|
//! | clock | virtual time with an offset and a drift of its own per host |
//! | tasks | madsim's executor: the next task to run is drawn from the seed; kill and pause |
//! | random | a stream per process that follows from the seed |
//! | network | byte streams: latency, windows, partial reads, cuts, resets, half-open peers |
//! | disk | what was not synced is lost or torn when the host loses power |
//! | processes | registered programs and a small scripted shell; groups, sessions, signals |
//!
//! ZooKeeper is an [`Ensemble`] of servers on hosts, which speak its protocol: clients are real.
//!
//! What goes wrong is a [`Fault`]: one line of text that [`World::inject`] carries out. The same
//! can be done by methods of [`NetworkControl`], [`Host`] and [`DiskControl`]. A fault that is off
//! draws no random values: a run without it is the same as before the fault was thought of.
//!
//! Everything that happens is recorded through one function into a chain of hashes. Two runs of a
//! seed give the same chain; when they do not, the lines of the two traces show where they part.
//! [`mod@line`] tells what stands in them.
//!
//! All of it stands behind the feature `sim`; without it this crate is empty and nothing of the
//! simulator reaches a production binary.

#![forbid(unsafe_code)]

#[cfg(feature = "sim")]
mod arena;
#[cfg(feature = "sim")]
mod clock;
#[cfg(feature = "sim")]
mod config;
#[cfg(feature = "sim")]
mod crash_point;
#[cfg(feature = "sim")]
mod disk;
#[cfg(feature = "sim")]
mod fault;
#[cfg(feature = "sim")]
mod host;
#[cfg(feature = "sim")]
mod host_faults;
#[cfg(feature = "sim")]
pub mod line;
#[cfg(feature = "sim")]
mod lock;
#[cfg(feature = "sim")]
mod logs;
#[cfg(feature = "sim")]
mod network;
#[cfg(feature = "sim")]
mod ports;
#[cfg(feature = "sim")]
mod probability;
#[cfg(feature = "sim")]
mod process;
#[cfg(feature = "sim")]
mod simulate;
#[cfg(feature = "sim")]
mod timers;
#[cfg(feature = "sim")]
mod trace;
#[cfg(feature = "sim")]
mod world;
#[cfg(feature = "sim")]
mod zookeeper;

#[cfg(feature = "sim")]
pub use {
    config::{Config, DiskConfig, Latency, NetworkConfig, Tail},
    crash_point::{CrashKind, CrashPoint, Moment, Operation, matches},
    disk::{DiskControl, DiskOperation, DiskSnapshot, Tearing},
    fault::{
        Ahead, ClockFault, DiskFault, Extent, Fault, InjectError, NetworkFault, ParseFaultError,
        ProcessFault, Ways, ZookeeperFault, text,
    },
    host::Host,
    network::{Connecting, Ending, NetworkControl},
    probability::Probability,
    process::{Behaviour, ProcessInfo},
    simulate::{Failure, Report, Seed, simulate},
    world::World,
    zookeeper::{Ensemble, EnsembleNode},
};
