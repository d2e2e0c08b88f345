//! What survives a loss of power.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};

use bytes::Bytes;
use orrery_runtime::{Generator, OpenOptions, WallTime};

use super::tearing::settle;
use super::tree::{Body, Disk, Id, NameChange, ROOT, input_output_error};

impl Disk {
    /// Whether the next sync is to fail; asking uses the fault up.
    pub(crate) fn take_sync_fault(&mut self) -> bool {
        let fails = self.faults.syncs > 0;
        self.faults.syncs = self.faults.syncs.saturating_sub(1);
        fails
    }

    /// Makes durable what was changed in a file up to `sequence`. When it fails, those changes read
    /// as before but will never be written: that is what Linux does with pages whose write failed.
    pub(crate) fn sync_file(&mut self, id: Id, sequence: u64, fails: bool) -> io::Result<()> {
        let content = self.file_mut(id)?;
        while content.pending.front().is_some_and(|(number, _)| *number <= sequence) {
            if let Some((_, change)) = content.pending.pop_front()
                && !fails
            {
                change.apply(&mut content.durable);
            }
        }
        if fails { Err(input_output_error()) } else { Ok(()) }
    }

    /// Makes durable the changes of names that touch `folder` (all of them when there is none) and
    /// were made up to now.
    pub(crate) fn sync_names(&mut self, folder: Option<Id>) {
        self.sync_names_until(folder, u64::MAX, false);
    }

    /// As [`Disk::sync_names`], up to `sequence`; when it `fails`, nothing becomes durable.
    pub(crate) fn sync_names_until(&mut self, folder: Option<Id>, sequence: u64, fails: bool) {
        if fails {
            return;
        }
        let journal = std::mem::take(&mut self.journal);
        for item in journal {
            let touched =
                folder.is_none_or(|folder| item.changes.iter().any(|(place, ..)| *place == folder));
            if touched && item.sequence <= sequence {
                self.harden(item);
            } else {
                self.journal.push_back(item);
            }
        }
    }

    /// Moves one item from the journal into the durable names.
    fn harden(&mut self, item: NameChange) {
        for (folder, name, target) in item.changes {
            let inode = self.inodes.get_mut(&folder);
            let Some(Body::Folder(entries)) = inode.map(|inode| &mut inode.body) else {
                // The folder itself is gone for good, and with it the name.
                if let Some(id) = target {
                    self.release(id);
                }
                continue;
            };
            // The journal's reference becomes that of the durable name.
            let before = match target {
                Some(id) => entries.durable.insert(name, id),
                None => entries.durable.remove(&name),
            };
            if let Some(before) = before {
                self.release(before);
            }
        }
    }

    /// The power fails: of the changes of names that were not synced, the first few stay; of the
    /// unsynced changes of each file, likewise, and the next may be torn.
    pub(crate) fn crash(&mut self, random: &mut Generator, now: WallTime) {
        let kept = random.below(self.journal.len() as u64 + 1) as usize;
        if !self.faults.empty {
            self.journal.truncate(kept);
        }
        for item in std::mem::take(&mut self.journal) {
            self.harden(item);
        }
        let reachable = self.reachable();
        self.inodes.retain(|id, _| reachable.contains_key(id));
        for inode in self.inodes.values_mut() {
            if let Body::File(content) = &mut inode.body {
                settle(content, self.faults.tearing, self.faults.empty, random);
            }
        }
        self.faults.stalled_until = 0;
        self.rebuild(now);
    }

    /// Whether something below `folder` holds these bytes, or is called so, after any loss of
    /// power.
    pub(crate) fn survives(&self, folder: &Path, bytes: &[u8]) -> bool {
        let Some(folder) = self.durable_folder(folder) else { return false };
        let mut todo = vec![folder];
        while let Some(id) = todo.pop() {
            match self.inodes.get(&id).map(|inode| &inode.body) {
                Some(Body::Folder(folder)) => {
                    if folder.durable.keys().any(|name| name.as_bytes() == bytes) {
                        return true;
                    }
                    todo.extend(folder.durable.values());
                }
                Some(Body::File(content)) if holds(&content.durable, bytes) => return true,
                _ => {}
            }
        }
        false
    }

    fn durable_folder(&self, path: &Path) -> Option<Id> {
        let names = path.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_str()),
            _ => None,
        });
        let mut id = ROOT;
        for name in names {
            id = *self.folder(id).ok()?.durable.get(name?)?;
        }
        Some(id)
    }

    /// How many durable names each file and folder has that can be reached.
    fn reachable(&self) -> BTreeMap<Id, u32> {
        let mut reachable = BTreeSet::from([ROOT]);
        let mut todo = vec![ROOT];
        let mut names: BTreeMap<Id, u32> = BTreeMap::from([(ROOT, 1)]);
        while let Some(id) = todo.pop() {
            let inode = self.inodes.get(&id);
            if let Some(Body::Folder(folder)) = inode.map(|inode| &inode.body) {
                for inside in folder.durable.values() {
                    *names.entry(*inside).or_default() += 1;
                    if reachable.insert(*inside) {
                        todo.push(*inside);
                    }
                }
            }
        }
        names
    }

    /// Starts over from what is durable: names and references follow from it alone, and no handle
    /// is of use any more.
    pub(crate) fn rebuild(&mut self, now: WallTime) {
        let names = self.reachable();
        self.inodes.retain(|id, _| names.contains_key(id));
        for (id, inode) in &mut self.inodes {
            inode.links = names.get(id).copied().unwrap_or_default();
            // One for the current and one for the durable name.
            inode.references = inode.links * 2;
            if let Body::Folder(folder) = &mut inode.body {
                folder.current = folder.durable.clone();
            }
        }
        self.generation += 1;
        if let Some(root) = self.inodes.get_mut(&ROOT) {
            root.modified = now;
        }
    }

    /// Writes a file durably, folders and all, past every fault: for preparing a scene.
    pub(crate) fn install(&mut self, path: &Path, content: Bytes, now: WallTime) -> io::Result<()> {
        let faults = std::mem::take(&mut self.faults);
        let installed = self.install_without_faults(path, content, now);
        self.faults = faults;
        installed
    }

    fn install_without_faults(
        &mut self,
        path: &Path,
        content: Bytes,
        now: WallTime,
    ) -> io::Result<()> {
        let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        self.create_directories(parent, now)?;
        let id = self.open(path, OpenOptions::CREATE, now)?;
        let written = self.write(id, 0, content, |_| 0, now);
        let synced = written.and_then(|()| self.sync_file(id, u64::MAX, false));
        self.release(id);
        self.sync_path(path)?;
        synced
    }

    /// Makes every name along `path` durable.
    fn sync_path(&mut self, path: &Path) -> io::Result<()> {
        for folder in path.ancestors().skip(1) {
            let id = self.find(folder, true)?.id;
            self.sync_names(id);
        }
        Ok(())
    }

    /// Writes the id of this boot where Linux shows it.
    pub(crate) fn set_boot_id(&mut self, id: &str, now: WallTime) {
        let path = Path::new("/proc/sys/kernel/random/boot_id");
        // Only a scenario that put a file in the place of /proc could make this fail.
        let _ = self.install(path, Bytes::from(format!("{id}\n")), now);
    }
}

/// Whether `bytes` stand somewhere in `content`. What was written last is looked at first.
fn holds(content: &[u8], bytes: &[u8]) -> bool {
    let Some(first) = bytes.first() else { return true };
    content.windows(bytes.len()).rev().any(|part| part.first() == Some(first) && part == bytes)
}
