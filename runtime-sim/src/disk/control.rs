//! What a scenario can see of a disk and do to it.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::tree::{Change, Disk};
use crate::config::nanoseconds;
use crate::host::Host;

/// The disk of one host, in the scenario's hands.
#[derive(Clone, Debug)]
pub struct DiskControl {
    pub(super) host: Host,
}

impl DiskControl {
    pub(crate) fn new(host: Host) -> Self {
        Self { host }
    }

    /// The content of a file as processes see it now, whatever faults wait for those who read.
    ///
    /// # Errors
    /// It does not exist, or is no file.
    pub fn read(&self, path: impl AsRef<Path>) -> io::Result<Bytes> {
        self.host.files().lock().peek(path.as_ref())
    }

    /// The content of a file as text; empty when it cannot be read.
    pub fn read_text(&self, path: impl AsRef<Path>) -> String {
        let content = self.read(path).unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    }

    /// How many lines a file has, the last one among them if it has no end; 0 when it cannot be
    /// read.
    pub fn count_lines(&self, path: impl AsRef<Path>) -> usize {
        self.host.files().lock().count_lines(path.as_ref())
    }

    /// Puts a file there, durably and past all faults, with the folders that lead to it.
    ///
    /// # Errors
    /// Something along the path is no folder.
    pub fn install(&self, path: impl AsRef<Path>, content: impl Into<Bytes>) -> io::Result<()> {
        let now = self.host.wall();
        self.host.files().lock().install(path.as_ref(), content.into(), now)
    }

    /// Whether a path names anything.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.host.files().lock().metadata(path.as_ref()).is_ok()
    }

    /// Whether a file below `folder` holds these bytes, or has them for its name, whatever a loss
    /// of power would now leave of what is not durable.
    pub fn survives(&self, folder: impl AsRef<Path>, bytes: &[u8]) -> bool {
        self.host.files().lock().survives(folder.as_ref(), bytes)
    }

    /// From now on nothing can grow (ENOSPC), or again it can.
    pub fn set_full(&self, full: bool) {
        self.fault("full", u64::from(full), |disk| disk.faults.full = full);
    }

    /// From now on nothing can be changed (EROFS), or again it can.
    pub fn set_read_only(&self, read_only: bool) {
        self.fault("read-only", u64::from(read_only), |disk| disk.faults.read_only = read_only);
    }

    /// The next sync of a file or folder fails with EIO; a file's unsynced changes are then lost at
    /// the next crash whatever is synced later.
    pub fn fail_next_sync(&self) {
        self.fault("fail sync", 1, |disk| disk.faults.syncs += 1);
    }

    /// The next write fails with EIO and changes nothing.
    pub fn fail_next_write(&self) {
        self.fault("fail write", 1, |disk| disk.faults.writes += 1);
    }

    /// The next read fails with EIO.
    pub fn fail_next_read(&self) {
        self.fault("fail read", 1, |disk| disk.faults.reads += 1);
    }

    /// Nothing that touches the disk completes for `duration`.
    pub fn stall(&self, duration: Duration) {
        let until = self.host.world().now().saturating_add(nanoseconds(duration));
        self.fault("stall", until, |disk| disk.faults.stalled_until = until);
    }

    /// Flips one random bit of a file, durably, as decaying hardware does. False when the file is
    /// missing or empty.
    pub fn flip_bit(&self, path: impl AsRef<Path>) -> bool {
        let path = path.as_ref();
        let mut disk = self.host.files().lock();
        let Ok(Some(id)) = disk.find(path, true).map(|place| place.id) else { return false };
        let length = disk.length(id) as u64;
        let Ok(content) = disk.file_mut(id) else { return false };
        if length == 0 {
            return false;
        }
        let bit = self.host.random().lock().below(length * 8);
        let offset = (bit / 8) as usize;
        let data = Bytes::from(vec![content.current[offset] ^ (1 << (bit % 8))]);
        let change = Change::Write { offset, data };
        change.apply(&mut content.current);
        if offset < content.durable.len() {
            change.apply(&mut content.durable);
        }
        drop(disk);
        self.host.record(0, "disk", &[bit], || format!("bit {bit} of {} flips", path.display()));
        true
    }

    /// Replaces the disk by an empty one. Open files are gone; do it while the host is down.
    pub fn wipe(&self) {
        let now = self.host.wall();
        self.fault("wipe", 0, |disk| disk.format(now));
    }

    pub(super) fn fault<T>(
        &self,
        name: &str,
        value: u64,
        change: impl FnOnce(&mut Disk) -> T,
    ) -> T {
        self.host.record(0, "disk", &[value], || format!("{name} {value}"));
        change(&mut self.host.files().lock())
    }
}
