//! `orrery executor`, also known as `mesos-executor`: agents start one for every command.
//!
//! It has to start fast and stay small, since a host runs as many as it runs commands: one thread,
//! and a log filter without regular expressions.

use std::process::ExitCode;

use tokio::runtime::Builder;
use tracing::level_filters::LevelFilter;

use crate::logging;

/// Runs a command executor to its end.
pub fn run(environment: Vec<(String, String)>) -> ExitCode {
    // The standard error is the task's own: only what went wrong is put there.
    if let Err(failure) = logging::start_at(LevelFilter::WARN) {
        eprintln!("mesos-executor: {failure}");
        return ExitCode::FAILURE;
    }
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mesos-executor: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ports = runtime.block_on(async { orrery_runtime_real::runtime() });
    let code = runtime.block_on(orrery_net_executor::run(ports, environment));
    // Nothing that still runs is worth waiting for.
    runtime.shutdown_background();
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}
