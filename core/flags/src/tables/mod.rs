//! The tables: which flags each program has.
//!
//! Names, defaults and bounds are Mesos'. A flag of Mesos that is missing here is unknown to the
//! program, which then refuses to start rather than running without what was asked for.

mod agent;
mod common;
mod execute;
mod local;
mod log;
mod master;

pub use agent::agent;
pub use execute::execute;
pub use local::local;
pub use log::{log_benchmark, log_initialize, log_read, log_replica};
pub use master::master;
