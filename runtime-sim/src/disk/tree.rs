//! Files, folders and links as living processes see them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use orrery_runtime::{DirectoryEntry, FileKind, Metadata, OpenOptions, WallTime};

use super::errors::Errors;
use super::tearing::Tearing;
use crate::config::Latency;

/// Names a file, folder or link, whatever it is called.
pub(crate) type Id = u64;

pub(crate) const ROOT: Id = 1;
const FOLDERS: [&str; 6] =
    ["/etc", "/proc/sys/kernel/random", "/root", "/tmp", "/var/lib", "/var/log"];

/// A change of a file's content that was not synced yet.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Write { offset: usize, data: Bytes },
    Truncate(usize),
}

impl Change {
    pub(crate) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => {
                let end = offset + data.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*offset..end].copy_from_slice(data);
            }
            Self::Truncate(length) => content.resize(*length, 0),
        }
    }
}

/// A file's content: as it reads now, and as it would read after a crash that lost all of
/// `pending`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) current: Vec<u8>,
    pub(crate) durable: Vec<u8>,
    pub(crate) pending: VecDeque<(u64, Change)>,
}

/// A folder's names: as they are now, and as they would be after a crash that lost the journal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folder {
    pub(crate) current: BTreeMap<String, Id>,
    pub(crate) durable: BTreeMap<String, Id>,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    File(Content),
    Folder(Folder),
    Link(PathBuf),
}

#[derive(Clone, Debug)]
pub(crate) struct Inode {
    pub(crate) body: Body,
    /// Current names, durable names, mentions in the journal and open handles.
    pub(crate) references: u32,
    /// Current names alone.
    pub(crate) links: u32,
    pub(crate) modified: WallTime,
}

/// Changes of names that become durable together: folder, name, and what it then means.
#[derive(Debug, Default)]
pub(crate) struct NameChange {
    pub(crate) sequence: u64,
    pub(crate) changes: Vec<(Id, String, Option<Id>)>,
}

/// Faults that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) full: bool,
    pub(crate) read_only: bool,
    pub(crate) syncs: u32,
    pub(crate) writes: u32,
    pub(crate) reads: u32,
    /// Virtual time before which nothing is answered.
    pub(crate) stalled_until: u64,
    /// How much longer everything takes.
    pub(crate) latency: Option<Latency>,
    pub(crate) errors: Errors,
    pub(crate) tearing: Tearing,
    /// A loss of power empties files that were never synced.
    pub(crate) empty: bool,
    /// Where the next writes land; `None` is nowhere.
    pub(crate) misdirected: VecDeque<Option<PathBuf>>,
}

/// The disk of one host.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) inodes: BTreeMap<Id, Inode>,
    pub(crate) next: Id,
    pub(crate) journal: VecDeque<NameChange>,
    /// Counts changes, so that a sync takes only what was there when it began.
    pub(crate) sequence: u64,
    /// Counts crashes: an open handle is of no use after one.
    pub(crate) generation: u32,
    pub(crate) faults: Faults,
    identity: [u8; 16],
}

impl Disk {
    /// A formatted disk with the usual folders.
    pub(crate) fn new(identity: [u8; 16], now: WallTime) -> Self {
        let mut disk = Self {
            inodes: BTreeMap::new(),
            next: ROOT + 1,
            journal: VecDeque::new(),
            sequence: 0,
            generation: 0,
            faults: Faults::default(),
            identity,
        };
        disk.format(now);
        disk
    }

    /// Empties the disk as if it had been replaced.
    pub(crate) fn format(&mut self, now: WallTime) {
        self.inodes.clear();
        self.journal.clear();
        self.generation += 1;
        let body = Body::Folder(Folder::default());
        self.inodes.insert(ROOT, Inode { body, references: 1, links: 1, modified: now });
        for folder in FOLDERS {
            // A new disk has room and no faults.
            let _ = self.create_directories(Path::new(folder), now);
        }
        let id = orrery_runtime::random::format_uuid(&self.identity).replace('-', "");
        let _ = self.install(Path::new("/etc/machine-id"), Bytes::from(id + "\n"), now);
        self.sync_names(None);
    }

    pub(crate) fn create(&mut self, body: Body, now: WallTime) -> Id {
        let id = self.next;
        self.next += 1;
        self.inodes.insert(id, Inode { body, references: 0, links: 0, modified: now });
        id
    }

    pub(crate) fn folder(&self, id: Id) -> io::Result<&Folder> {
        match self.inodes.get(&id).map(|inode| &inode.body) {
            Some(Body::Folder(folder)) => Ok(folder),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn file(&self, id: Id) -> io::Result<&Content> {
        match self.inodes.get(&id).map(|inode| &inode.body) {
            Some(Body::File(content)) => Ok(content),
            Some(Body::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    pub(crate) fn file_mut(&mut self, id: Id) -> io::Result<&mut Content> {
        match self.inodes.get_mut(&id).map(|inode| &mut inode.body) {
            Some(Body::File(content)) => Ok(content),
            Some(Body::Folder(_)) => Err(io::ErrorKind::IsADirectory.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The file at `path`, made or cut as `options` say, with one reference more for its handle.
    pub(crate) fn open(
        &mut self,
        path: &Path,
        options: OpenOptions,
        now: WallTime,
    ) -> io::Result<Id> {
        if (options.create || options.truncate) && !options.write {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if options.write && self.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let place = self.find(path, true)?;
        let id = match place.id {
            Some(id) => {
                self.file(id)?;
                id
            }
            None if options.create => {
                self.check_room()?;
                let id = self.create(Body::File(Content::default()), now);
                self.rename_entries(vec![(place.folder, place.name, Some(id))], now);
                id
            }
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        if options.truncate && !self.file(id)?.current.is_empty() {
            self.change(id, Change::Truncate(0), now)?;
        }
        self.retain(id);
        Ok(id)
    }

    pub(crate) fn check_room(&self) -> io::Result<()> {
        if self.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if self.faults.full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// The length of an open file.
    pub(crate) fn length(&self, id: Id) -> usize {
        self.file(id).map_or(0, |content| content.current.len())
    }

    /// Up to `length` bytes of an open file.
    pub(crate) fn read(&mut self, id: Id, offset: u64, length: usize) -> io::Result<Bytes> {
        if self.faults.reads > 0 {
            self.faults.reads -= 1;
            return Err(input_output_error());
        }
        let content = &self.file(id)?.current;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let end = start.saturating_add(length).min(content.len());
        Ok(Bytes::copy_from_slice(&content[start..end]))
    }

    /// Writes to an open file. A full disk takes a part of what would make the file longer.
    pub(crate) fn write(
        &mut self,
        id: Id,
        offset: u64,
        mut data: Bytes,
        part: impl FnOnce(u64) -> u64,
        now: WallTime,
    ) -> io::Result<()> {
        if self.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        if self.faults.writes > 0 {
            self.faults.writes -= 1;
            return Err(input_output_error());
        }
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let offset = usize::try_from(offset).map_err(too_large)?;
        let end = offset.checked_add(data.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        let grows = end > self.file(id)?.current.len();
        let fails = grows && self.faults.full;
        if fails {
            data.truncate(part(data.len() as u64) as usize);
        }
        if !data.is_empty() {
            let change = Change::Write { offset, data };
            match self.faults.misdirected.pop_front() {
                Some(victim) => self.misdirect(id, victim, &change)?,
                None => self.change(id, change, now)?,
            }
        }
        if fails { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Cuts or grows an open file.
    pub(crate) fn truncate(&mut self, id: Id, length: u64, now: WallTime) -> io::Result<()> {
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let length = usize::try_from(length).map_err(too_large)?;
        if length > self.file(id)?.current.len() {
            self.check_room()?;
        }
        self.change(id, Change::Truncate(length), now)
    }

    pub(crate) fn change(&mut self, id: Id, change: Change, now: WallTime) -> io::Result<()> {
        self.sequence += 1;
        let sequence = self.sequence;
        let content = self.file_mut(id)?;
        change.apply(&mut content.current);
        content.pending.push_back((sequence, change));
        if let Some(inode) = self.inodes.get_mut(&id) {
            inode.modified = now;
        }
        Ok(())
    }

    /// Makes a change that reads back but lands on the platter elsewhere, or nowhere.
    fn misdirect(&mut self, id: Id, victim: Option<PathBuf>, change: &Change) -> io::Result<()> {
        change.apply(&mut self.file_mut(id)?.current);
        let place = victim.and_then(|victim| self.find(&victim, true).ok());
        if let Some(victim) = place.and_then(|place| place.id)
            && let Ok(content) = self.file_mut(victim)
        {
            change.apply(&mut content.durable);
        }
        Ok(())
    }

    /// Facts about what `path` names, links followed.
    pub(crate) fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let id = self.find(path, true)?.id.ok_or(io::ErrorKind::NotFound)?;
        let inode = self.inodes.get(&id).ok_or(io::ErrorKind::NotFound)?;
        let (length, links, permissions) = match &inode.body {
            Body::File(content) => (content.current.len() as u64, u64::from(inode.links), 0o644),
            Body::Link(target) => (target.as_os_str().len() as u64, 1, 0o777),
            Body::Folder(folder) => {
                let inside = folder.current.values();
                let folders = inside.filter(|id| self.kind(**id) == FileKind::Directory).count();
                (4_096, 2 + folders as u64, 0o755)
            }
        };
        Ok(Metadata {
            kind: self.kind(id),
            length,
            links,
            permissions,
            user: "root".to_owned(),
            group: "root".to_owned(),
            modified: inode.modified,
        })
    }

    pub(crate) fn kind(&self, id: Id) -> FileKind {
        match self.inodes.get(&id).map(|inode| &inode.body) {
            Some(Body::File(_)) => FileKind::File,
            Some(Body::Folder(_)) => FileKind::Directory,
            Some(Body::Link(_)) => FileKind::Link,
            None => FileKind::Other,
        }
    }

    /// Names in a folder, sorted.
    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let id = self.find(path, true)?.id.ok_or(io::ErrorKind::NotFound)?;
        let entries = self.folder(id)?.current.iter();
        Ok(entries
            .map(|(name, id)| DirectoryEntry { name: name.clone(), kind: self.kind(*id) })
            .collect())
    }
}

/// EIO, which `io::ErrorKind` has no name for.
pub(crate) fn input_output_error() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}
