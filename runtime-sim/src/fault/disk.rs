//! Faults of a disk.

use std::path::PathBuf;
use std::time::Duration;

use super::InjectError;
use super::table::faults;
use crate::config::Latency;
use crate::crash_point::matches;
use crate::disk::{DiskControl, DiskOperation, Tearing};
use crate::probability::Probability;
use crate::world::World;

faults! {
    /// Something about the disk of a host.
    DiskFault {
        /// How the next losses of power tear what was not synced.
        Tearing("D2", "tearing") {
            /// Where.
            host: String,
            /// How.
            tearing: Tearing,
        }
        /// Nothing can grow.
        Full("D4", "full") {
            /// Where.
            host: String,
            /// Full or not.
            on: bool,
        }
        /// The n-th operation of a kind fails with EIO.
        FailNth("D5 D6", "fail-disk") {
            /// Where.
            host: String,
            /// Of which kind.
            operation: DiskOperation,
            /// Which one from now, counted from 1; 0 takes it back.
            nth: u64,
        }
        /// Operations of a kind fail with EIO now and then.
        ErrorRate("D5", "disk-errors") {
            /// Where.
            host: String,
            /// Of which kind.
            operation: DiskOperation,
            /// How likely.
            rate: Probability,
        }
        /// One random bit of a file flips.
        FlipBit("D7", "bit-rot") {
            /// Where.
            host: String,
            /// Which file; `*` in it stands for anything, and one of those that match is chosen.
            path: String,
        }
        /// A file loses its tail.
        TruncateTail("D8", "truncate-tail") {
            /// Where.
            host: String,
            /// Which file; `*` in it stands for anything, and one of those that match is chosen.
            path: String,
            /// How much of it, in bytes.
            bytes: u64,
        }
        /// The next write lands in another file.
        Misdirect("D9", "misdirect") {
            /// Where.
            host: String,
            /// The file that it lands in; `*` in it stands for anything, and one of those that
            /// match is chosen.
            victim: String,
        }
        /// The next write lands nowhere.
        LoseWrite("D9", "lose-write") {
            /// Where.
            host: String,
        }
        /// Nothing on the disk completes for a while.
        Stall("D10", "stall") {
            /// Where.
            host: String,
            /// For how long.
            duration: Duration,
        }
        /// Everything on the disk takes longer.
        Slow("D10", "slow-disk") {
            /// Where.
            host: String,
            /// By how much.
            latency: Option<Latency>,
        }
        /// Losses of power leave files empty that were never synced.
        EmptyAtCrash("D11", "empty-at-crash") {
            /// Where.
            host: String,
            /// So or not.
            on: bool,
        }
        /// The disk is replaced by an empty one.
        Wipe("D12", "wipe") {
            /// Where.
            host: String,
        }
        /// Nothing can be changed.
        ReadOnly("D13", "read-only") {
            /// Where.
            host: String,
            /// Read-only or not.
            on: bool,
        }
        /// Everything durable is put aside under a name.
        Snapshot("D14", "snapshot") {
            /// Where.
            host: String,
            /// Its name.
            name: String,
        }
        /// Everything durable is again as it was put aside; only while the host is down.
        Restore("D14", "restore") {
            /// Where.
            host: String,
            /// The name it was put aside under.
            name: String,
        }
        /// What is read comes from the platter again.
        DropCaches("", "drop-caches") {
            /// Where.
            host: String,
        }
    }
}

impl DiskFault {
    /// Where.
    pub fn host(&self) -> &String {
        match self {
            Self::Tearing { host, .. }
            | Self::Full { host, .. }
            | Self::FailNth { host, .. }
            | Self::ErrorRate { host, .. }
            | Self::FlipBit { host, .. }
            | Self::TruncateTail { host, .. }
            | Self::Misdirect { host, .. }
            | Self::LoseWrite { host }
            | Self::Stall { host, .. }
            | Self::Slow { host, .. }
            | Self::EmptyAtCrash { host, .. }
            | Self::Wipe { host }
            | Self::ReadOnly { host, .. }
            | Self::Snapshot { host, .. }
            | Self::Restore { host, .. }
            | Self::DropCaches { host } => host,
        }
    }

    pub(super) fn apply(&self, world: &World) -> Result<(), InjectError> {
        let host = world.known(self.host())?;
        let disk = host.disk();
        match self {
            Self::Tearing { tearing, .. } => disk.set_tearing(*tearing),
            Self::Full { on, .. } => disk.set_full(*on),
            Self::FailNth { operation, nth, .. } => disk.fail_nth(*operation, *nth),
            Self::ErrorRate { operation, rate, .. } => disk.set_error_rate(*operation, *rate),
            Self::FlipBit { path, .. } => {
                if let Some(path) = one_of(world, &disk, path) {
                    disk.flip_bit(path);
                }
            }
            Self::TruncateTail { path, bytes, .. } => {
                if let Some(path) = one_of(world, &disk, path) {
                    disk.truncate_tail(path, *bytes);
                }
            }
            Self::Misdirect { victim, .. } => {
                if let Some(victim) = one_of(world, &disk, victim) {
                    disk.misdirect_next_write(Some(&victim));
                }
            }
            Self::LoseWrite { .. } => disk.misdirect_next_write(None),
            Self::Stall { duration, .. } => disk.stall(*duration),
            Self::Slow { latency, .. } => disk.set_latency(*latency),
            Self::EmptyAtCrash { on, .. } => disk.set_empty_at_crash(*on),
            Self::Wipe { .. } => disk.wipe(),
            Self::ReadOnly { on, .. } => disk.set_read_only(*on),
            Self::Snapshot { name, .. } => {
                let snapshot = disk.snapshot();
                host.faults().lock().snapshots.insert(name.clone(), snapshot);
            }
            Self::Restore { name, .. } => {
                let snapshot = host.faults().lock().snapshots.get(name).cloned();
                let unknown = || InjectError::UnknownSnapshot {
                    host: host.name().to_owned(),
                    name: name.clone(),
                };
                disk.restore(&snapshot.ok_or_else(unknown)?);
            }
            Self::DropCaches { .. } => disk.drop_caches(),
        }
        Ok(())
    }
}

/// One of the files that a pattern stands for; a plain path is its own.
fn one_of(world: &World, disk: &DiskControl, pattern: &str) -> Option<PathBuf> {
    if !pattern.contains('*') {
        return Some(PathBuf::from(pattern));
    }
    let mut files = disk.files();
    files.retain(|path| path.to_str().is_some_and(|path| matches(pattern, path)));
    let chosen = world.random(|random| random.below(files.len().max(1) as u64)) as usize;
    files.into_iter().nth(chosen)
}
