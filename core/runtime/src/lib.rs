//! The ports: everything through which Orrery's logic reaches the world.
//!
//! `core/` and `net/` are written against this crate alone. `runtime-real/` implements the ports on
//! tokio and Linux, `runtime-sim/` on a deterministic simulator, so the same code, byte for byte,
//! runs in production and in a test that replays any failure from a seed.
//!
//! | port | what it gives |
//! |---|---|
//! | [`Clock`] | monotonic and wall time, sleeping |
//! | [`Tasks`] | concurrent tasks |
//! | [`Random`] | entropy |
//! | [`Network`] | byte streams: connect and listen |
//! | [`Disk`] | files, renames, links, listing, syncing |
//! | [`Processes`] | launching, signalling and waiting for operating-system processes |
//! | [`Coordination`] | sessions, nodes that live as long as they, watches |
//!
//! [`Runtime`] bundles one of each but the last, which is itself built on the others: its client is
//! the same everywhere, and only the service at the other end of its streams is real or simulated.
//! [`machine`] holds the shape of a state machine and the driver that every daemon shares.

#![forbid(unsafe_code)]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub mod clock;
#[cfg(feature = "contract")]
pub mod contract;
pub mod coordination;
pub mod disk;
pub mod machine;
pub mod network;
mod planted;
pub mod processes;
pub mod random;
pub mod tasks;

pub use clock::{Clock, Instant, Now, WallTime};
pub use coordination::Coordination;
pub use disk::{DirectoryEntry, Disk, DiskLock, File, FileKind, Metadata, OpenOptions};
pub use network::{Address, ByteStream, Connection, Listener, Network};
pub use planted::PlantedBug;
pub use processes::{Adoption, Command, ExitStatus, Marked, ProcessId, Processes, Signal, Target};
pub use random::{Generator, Random};
pub use tasks::{TaskHandle, Tasks};

/// A future that can be stored and sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One implementation of every port: the world that a daemon lives in. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Concurrent tasks.
    pub tasks: Arc<dyn Tasks>,
    /// Entropy.
    pub random: Arc<dyn Random>,
    /// Byte streams.
    pub network: Arc<dyn Network>,
    /// Files.
    pub disk: Arc<dyn Disk>,
    /// Operating-system processes.
    pub processes: Arc<dyn Processes>,
}

impl Runtime {
    /// Runs `future` concurrently with its caller. See [`Tasks::spawn`].
    pub fn spawn(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> TaskHandle {
        self.tasks.spawn(name, Box::pin(future))
    }

    /// The same runtime, but its tasks do not wait behind those of this one. See
    /// [`Tasks::prompt`].
    pub fn prompt(&self) -> Self {
        let tasks = self.tasks.prompt().unwrap_or_else(|| Arc::clone(&self.tasks));
        Self { tasks, ..self.clone() }
    }

    /// Both times at once, as state machines want them.
    pub fn now(&self) -> Now {
        Now { instant: self.clock.now(), wall: self.clock.wall() }
    }

    /// Waits for `duration` on the monotonic clock.
    pub async fn sleep(&self, duration: std::time::Duration) {
        self.clock.sleep_until(self.clock.now() + duration).await;
    }

    /// Runs `future` for at most `duration`; `None` when it did not finish in time.
    pub async fn timeout<T>(
        &self,
        duration: std::time::Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let sleep = self.sleep(duration);
        tokio::select! {
            biased;
            value = future => Some(value),
            () = sleep => None,
        }
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Runtime")
    }
}
