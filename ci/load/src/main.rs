//! Drives a cluster over real sockets and says how fast it is.
//!
//! ```text
//! orrery-load real     [--tasks=500] [--at_once=50] [--command='exit 0']
//! orrery-load emulated [--agents=100] [--frameworks=1] [--tasks=100000] [--at_once=2000]
//! orrery-load failover [--agents=10000] [--tasks=10] [--completed=0] [--together=1]
//! orrery-load memory   [--agents=100000] [--tasks=10] [--completed=10] [--statuses=0]
//! orrery-load idle     [--after=5secs]
//! ```
//!
//! Each prints aligned text, or one JSON object with `--json`; `--help` after a command lists all
//! its flags. The exit code is 0 when the measurement came to its end and 1 otherwise, with the
//! reason (after `--limit`: with what is missing) on the standard error. Daemons are child
//! processes on ports that the system chooses, in a temporary folder; they are stopped and the
//! folder is removed at the end, however it comes. `--orrery=PATH` names the executable, by default
//! the `orrery` beside this one. Measure release builds only, and nothing else on the machine.
//!
//! **`real`** starts one master and one agent, and runs a framework in this process that keeps
//! `--at_once` tasks in flight until `--tasks` of them have finished. Every task is a real command
//! under the command executor. With `--tasks` equal to `--at_once` it is a burst.
//!
//! **`emulated`** starts a master only (or uses the one at `--master`). This process is `--agents`
//! agents, each on a link of its own speaking the real protocol, and `--frameworks` schedulers over
//! HTTP. Nothing is run: an agent answers a task with its states, each update waiting for the
//! acknowledgement of the one before, as a real agent's status update manager does. Frameworks keep
//! offers until they need them, and use all that they hold of an agent at once, for `--batch`
//! tasks; they wait until they may launch so many. (In `real`, with its single agent, they launch
//! whatever may be launched as soon as there is an offer.)
//!
//! **`failover`** registers emulated agents with a master, kills it, starts it again with the same
//! registry, and has all agents register at once, each with its tasks, on links that are open
//! before. What is told is the time from the first such message until the last agent is registered,
//! and how long `/health` takes meanwhile, asked by a thread of its own. With more agents than a
//! process may have sockets, `--together` puts the links of several on one connection.
//!
//! **`memory`** feeds a master's state machine in this process, without sockets: agents register,
//! come back with tasks, and bring tasks that have ended. What is told is by how much this process
//! grows with each, divided by their number.
//!
//! **`idle`** starts a master and an agent, and looks at them after a while.
//!
//! What the figures mean:
//!
//! - *RUNNING per second*: all tasks, over the time from the first ACCEPT until the last
//!   TASK_RUNNING was there; `real` counts its arrival at the framework, `emulated` the arrival of
//!   its acknowledgement at the agent. *Finished per second*: the same for TASK_FINISHED.
//! - *ACCEPT to RUNNING*: for each task, from the moment when the framework makes the call until
//!   the framework is told TASK_RUNNING, waiting in the framework's own queues included.
//! - *memory*: the resident set (`VmRSS`), in `real` once before the first task and once after the
//!   last; the anonymous part of it is what the process allocated itself.
//! - *CPU*: user and system time from the first ACCEPT to the end; for an agent without that of its
//!   executors. That of this process tells how much of the machine the measuring itself took.
//! - *allocation interval*: resources that were given back are offered again at the next beat of
//!   this length. Mesos' default, 1 s, would hold a framework back for most of the time, so it is
//!   50 ms here unless `--allocation_interval` says otherwise. An agent's offer is used once in
//!   each beat, so there can be no more than agents × batch tasks per beat.

#![forbid(unsafe_code)]
// A measuring tool lives on the real machine: it reads /proc, starts processes and looks at clocks.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod agent;
mod agent_link;
mod arguments;
mod cluster;
mod daemon;
mod emulated;
mod failover;
mod failure;
mod framework;
mod health;
mod idle;
mod latency;
mod memory;
mod offers;
mod progress;
mod real;
mod registration;
mod report;
mod schedulers;
mod usage;

use std::process::ExitCode;

use arguments::Command;
use failure::Failure;
use report::Report;

/// The cheaper this process, the more of the machine is left for what it measures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("orrery-load: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let arguments = match arguments::read()? {
        Some(arguments) => arguments,
        None => return Ok(()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(&arguments.command));
    // What still runs ends with the process.
    runtime.shutdown_background();
    let report = report?;
    println!("{}", if arguments.json { report.json() } else { report.text() });
    Ok(())
}

async fn measure(command: &Command) -> Result<Report, Failure> {
    match command {
        Command::Real(options) => real::run(options).await,
        Command::Emulated(options) => emulated::run(options).await,
        Command::Failover(options) => failover::run(options).await,
        Command::Memory(options) => memory::run(options),
        Command::Idle(options) => idle::run(options).await,
    }
}
