//! Disks put aside and brought back.

use std::collections::BTreeMap;

use orrery_runtime::WallTime;

use super::tree::{Body, Disk, Id, Inode};

/// What was durable on a disk at some time.
#[derive(Clone, Debug)]
pub struct DiskSnapshot {
    inodes: BTreeMap<Id, Inode>,
}

impl Disk {
    /// Copies all that is durable.
    pub(crate) fn snapshot(&self) -> DiskSnapshot {
        let mut inodes = self.inodes.clone();
        for inode in inodes.values_mut() {
            match &mut inode.body {
                Body::Folder(folder) => folder.current = folder.durable.clone(),
                Body::File(content) => {
                    content.current = content.durable.clone();
                    content.pending.clear();
                }
                Body::Link(_) => {}
            }
        }
        DiskSnapshot { inodes }
    }

    /// Replaces everything by what a snapshot holds.
    pub(crate) fn restore(&mut self, snapshot: &DiskSnapshot, now: WallTime) {
        self.inodes = snapshot.inodes.clone();
        self.journal.clear();
        // Numbers of files that came later are not used again: handles may still mention them.
        self.rebuild(now);
    }
}
