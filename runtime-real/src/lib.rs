//! The ports of `orrery-runtime` on tokio and Linux: what every daemon runs on in production.
//!
//! | port | made of |
//! |---|---|
//! | clock | tokio's timers; `CLOCK_MONOTONIC` and `CLOCK_REALTIME` |
//! | tasks | tokio's tasks, each in a tracing span of its name; prompt ones on an own thread |
//! | random | getrandom(2) |
//! | network | TCP without Nagle's delay |
//! | disk | pread(2), pwrite(2) and friends on tokio's blocking threads |
//! | processes | posix_spawn(3), pidfds, signals by session |
//!
//! It talks to the operating system and decides nothing. The tests of `orrery_runtime::contract`
//! say what it promises; the simulator's ports pass the same tests.

// This crate is where the ports meet what the rest of the workspace must not touch.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use std::sync::Arc;

use orrery_runtime::Runtime;

mod clock;
mod disk;
mod launch;
mod network;
mod priority;
mod processes;
mod random;
mod sessions;
mod spawn;
mod stream;
mod tasks;
mod users;

pub use priority::go_first;

/// A runtime on the machine it is called on. Its ports must be used inside the same tokio runtime,
/// with I/O and time enabled, or in tasks that were spawned on it.
///
/// Children must be reported to this process, so a `SIGCHLD` that our own parent left ignored is
/// set back to its default here.
///
/// # Panics
/// Outside a tokio runtime.
pub fn runtime() -> Runtime {
    Runtime {
        clock: Arc::new(clock::TokioClock::new()),
        tasks: Arc::new(tasks::TokioTasks::new()),
        random: Arc::new(random::SystemRandom),
        network: Arc::new(network::TcpNetwork),
        disk: Arc::new(disk::SystemDisk),
        processes: Arc::new(processes::SystemProcesses::new()),
    }
}

/// Runs blocking work on tokio's threads for that.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    // The error is that the work panicked or that the tokio runtime is shutting down.
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}
