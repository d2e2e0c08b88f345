//! What the daemons share: threads, and the signals that stop them.

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::Failure;

/// Threads for work that blocks, such as files. Each costs memory only while it is busy.
const BLOCKING_THREADS: usize = 32;
const BLOCKING_THREAD_LIFE: Duration = Duration::from_secs(2);

/// Runs a daemon to its end on one thread for each core.
///
/// # Errors
/// The daemon's own, or threads cannot be had.
pub fn run(daemon: impl Future<Output = Result<ExitCode, Failure>>) -> Result<ExitCode, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = Builder::new_multi_thread()
        .worker_threads(cores)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_THREAD_LIFE)
        .enable_all()
        .build()
        .map_err(Failure::because)?;
    let end = runtime.block_on(daemon);
    // What still runs ends with the process; waiting for it could take for ever.
    runtime.shutdown_background();
    end
}

/// Waits for the signals that ask a daemon to stop.
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Begins to listen; from now on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(Failure::because)?,
            terminate: signal(SignalKind::terminate()).map_err(Failure::because)?,
        })
    }

    /// Completes with the name of the first signal that came. Safe to cancel.
    pub async fn asked(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// Lets `stopping` come to its end unless a second signal shows impatience.
    pub async fn unless_asked_again(&mut self, stopping: impl Future<Output = ()>) {
        tokio::select! {
            biased;
            () = stopping => {}
            signal = self.asked() => tracing::warn!(signal, "stopping at once"),
        }
    }
}
