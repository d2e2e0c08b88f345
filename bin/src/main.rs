//! The one executable: `orrery master`, `agent`, `local`, `execute`, and the command executor.
//!
//! Called through a link with one of Mesos' names (`mesos-master`, `mesos-agent`, …) it behaves as
//! that program. This crate wires flags, environment, logging and signals to the crates that do
//! the work; one file for each command.

#![forbid(unsafe_code)]
// The executable is where flags, files and the environment are read.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod agent;
mod daemon;
mod descriptors;
mod elections;
mod execute;
mod executor;
mod failure;
mod host;
mod invocation;
mod local;
mod log;
mod logging;
mod master;
mod masters;
#[cfg(feature = "sim")]
mod sim;
mod work_dir;

use std::process::ExitCode;

use invocation::{Invocation, Program};

/// Messages are made on one thread and dropped on another, thousands of times a second, which the
/// system's own allocator answers with locks: a busy master spent a third of its time there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Invocation::of_this_process() {
        Ok(invocation) => match invocation.program {
            Program::Master => failure::report(&invocation, master::run(&invocation)),
            Program::Agent => failure::report(&invocation, agent::run(&invocation)),
            Program::Local => failure::report(&invocation, local::run(&invocation)),
            Program::Log => failure::report(&invocation, log::run(&invocation)),
            Program::Execute => failure::report(&invocation, execute::run(&invocation)),
            #[cfg(feature = "sim")]
            Program::Sim => failure::report(&invocation, sim::run(&invocation)),
            Program::Executor => executor::run(invocation.environment),
            Program::Version => {
                invocation::say(&invocation::version());
                ExitCode::SUCCESS
            }
            Program::Help => {
                invocation::say(&invocation::help());
                ExitCode::SUCCESS
            }
        },
        Err(unknown) => {
            eprintln!("orrery: {unknown}");
            ExitCode::FAILURE
        }
    }
}
