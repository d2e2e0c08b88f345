//! What a scenario can do to a disk beside filling it up: errors, lost and misplaced data, old
//! states.

use std::path::{Path, PathBuf};

use super::control::DiskControl;
use super::errors::DiskOperation;
use super::snapshot::DiskSnapshot;
use super::tearing::Tearing;
use super::tree::{Body, Change, Faults};
use crate::config::Latency;
use crate::probability::Probability;

impl DiskControl {
    /// The n-th operation of this kind from now fails with EIO, counted from 1; 0 ends that. A file
    /// whose sync fails has lost what was dirty, whatever is synced later; see
    /// [`DiskControl::fail_next_sync`].
    pub fn fail_nth(&self, operation: DiskOperation, nth: u64) {
        let name = format!("fail {operation:?} number").to_lowercase();
        self.fault(&name, nth, |disk| disk.faults.errors.fail_nth(operation, nth));
    }

    /// From now on each operation of this kind that a process asks for fails with EIO this likely.
    pub fn set_error_rate(&self, operation: DiskOperation, rate: Probability) {
        let name = format!("{operation:?} errors per million").to_lowercase();
        let parts = u64::from(rate.parts_per_million());
        self.fault(&name, parts, |disk| disk.faults.errors.set_rate(operation, rate));
    }

    /// From now on everything that touches the disk takes so much longer; `None` ends that.
    pub fn set_latency(&self, latency: Option<Latency>) {
        let longest = latency.map_or(0, |latency| crate::config::nanoseconds(latency.maximum));
        self.fault("latency", longest, |disk| disk.faults.latency = latency);
    }

    /// Sets how a loss of power tears what was not synced.
    pub fn set_tearing(&self, tearing: Tearing) {
        let (name, size) = match tearing {
            Tearing::Mixed => ("tear anywhere", 0),
            Tearing::Blocks(size) => ("tear blocks", u64::from(size)),
            Tearing::Scattered(size) => ("scatter blocks", u64::from(size)),
        };
        self.fault(name, size, |disk| disk.faults.tearing = tearing);
    }

    /// From now on a loss of power keeps all names, but leaves every file empty that was never
    /// synced, as file systems do that allocate late.
    pub fn set_empty_at_crash(&self, empty: bool) {
        self.fault("empty at crash", u64::from(empty), |disk| disk.faults.empty = empty);
    }

    /// The next write to any file lands, durably and at the same offset, in the file `victim`
    /// instead; without one it is lost. Its writer is told that all went well, and what was written
    /// still reads back until the caches are gone: see [`DiskControl::drop_caches`].
    pub fn misdirect_next_write(&self, victim: Option<&Path>) {
        let target = victim.map(Path::to_path_buf);
        let name = match victim {
            Some(victim) => format!("misdirect to {}", victim.display()),
            None => "lose a write".to_owned(),
        };
        self.fault(&name, 1, |disk| disk.faults.misdirected.push_back(target));
    }

    /// Cuts up to `bytes` bytes off the end of a file, durably. False when the file is missing or
    /// empty.
    pub fn truncate_tail(&self, path: impl AsRef<Path>, bytes: u64) -> bool {
        let path = path.as_ref();
        let mut disk = self.host.files().lock();
        let Ok(Some(id)) = disk.find(path, true).map(|place| place.id) else { return false };
        let length = disk.length(id);
        let Ok(content) = disk.file_mut(id) else { return false };
        if length == 0 {
            return false;
        }
        let left = length.saturating_sub(usize::try_from(bytes).unwrap_or(usize::MAX));
        content.current.truncate(left);
        content.durable.truncate(left);
        // What is still to be written must not bring the tail back.
        content.pending.push_back((0, Change::Truncate(left)));
        drop(disk);
        self.host.record(0, "disk", &[left as u64], || {
            format!("{} is cut from {length} to {left} bytes", path.display())
        });
        true
    }

    /// What processes read from now on comes from the platter: what was lost, misplaced or decayed
    /// shows.
    pub fn drop_caches(&self) {
        self.fault("drop caches", 0, |disk| {
            for inode in disk.inodes.values_mut() {
                let Body::File(content) = &mut inode.body else { continue };
                let mut platter = content.durable.clone();
                for (_, change) in &content.pending {
                    change.apply(&mut platter);
                }
                content.current = platter;
            }
        });
    }

    /// Copies all that is durable.
    pub fn snapshot(&self) -> DiskSnapshot {
        self.fault("snapshot", 0, |disk| disk.snapshot())
    }

    /// Brings an old state back: everything durable is as it was then. Open files are gone; do it
    /// while the host is down.
    pub fn restore(&self, snapshot: &DiskSnapshot) {
        let now = self.host.wall();
        self.fault("restore", 0, |disk| disk.restore(snapshot, now));
    }

    /// Takes every fault off the disk. What is lost stays lost.
    pub fn mend(&self) {
        self.fault("mend", 0, |disk| disk.faults = Faults::default());
    }

    /// The files of the disk, for choosing one to damage; sorted.
    pub fn files(&self) -> Vec<PathBuf> {
        self.host.files().lock().paths()
    }
}
