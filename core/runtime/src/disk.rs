//! Files.

mod around;

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use orrery_coverage::sometimes;

use crate::{BoxFuture, PlantedBug, WallTime};

pub use around::{Around, AroundSync};

/// How to open a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Allow writing.
    pub write: bool,
    /// Create the file if it does not exist. Needs `write`.
    pub create: bool,
    /// Cut the file to length 0. Needs `write`.
    pub truncate: bool,
}

impl OpenOptions {
    /// For reading an existing file.
    pub const READ: Self = Self { write: false, create: false, truncate: false };
    /// For reading and writing, made if missing, content kept.
    pub const UPDATE: Self = Self { write: true, create: true, truncate: false };
    /// For writing a file anew.
    pub const CREATE: Self = Self { write: true, create: true, truncate: true };
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Directory,
    /// A symbolic link (only where links are not followed).
    Link,
    /// A device, socket or pipe.
    Other,
}

/// Facts about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes.
    pub length: u64,
    /// Number of hard links.
    pub links: u64,
    /// Permission bits, as in `st_mode & 0o7777`.
    pub permissions: u32,
    /// Owner's name, or number where it has no name.
    pub user: String,
    /// Group's name, or number where it has no name.
    pub group: String,
    /// Last change of the content.
    pub modified: WallTime,
}

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// The name without its folder.
    pub name: String,
    /// What it is, links not followed.
    pub kind: FileKind,
}

/// The port to files. All paths are absolute. Nothing written is durable before [`File::sync`]; no
/// created, renamed or removed name is durable before [`Disk::sync_directory`] of its folder.
pub trait Disk: Send + Sync {
    /// Opens a file.
    ///
    /// # Errors
    /// As open(2).
    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn File>>>;

    /// Gives a file a new name, replacing what had that name.
    ///
    /// # Errors
    /// As rename(2).
    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'static, io::Result<()>>;

    /// Removes a file or link.
    ///
    /// # Errors
    /// As unlink(2).
    fn remove_file(&self, path: &Path) -> BoxFuture<'static, io::Result<()>>;

    /// Makes a folder and all that lead to it.
    ///
    /// # Errors
    /// As mkdir(2); an existing folder is no error.
    fn create_directories(&self, path: &Path) -> BoxFuture<'static, io::Result<()>>;

    /// Removes a folder with everything inside, not following links.
    ///
    /// # Errors
    /// The first failure; some of it may be gone.
    fn remove_directory(&self, path: &Path) -> BoxFuture<'static, io::Result<()>>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// As fsync(2).
    fn sync_directory(&self, path: &Path) -> BoxFuture<'static, io::Result<()>>;

    /// Names in a folder, sorted.
    ///
    /// # Errors
    /// As opendir(3).
    fn list(&self, path: &Path) -> BoxFuture<'static, io::Result<Vec<DirectoryEntry>>>;

    /// Facts about what `path` names, links followed.
    ///
    /// # Errors
    /// As stat(2).
    fn metadata(&self, path: &Path) -> BoxFuture<'static, io::Result<Metadata>>;

    /// Makes `link` a symbolic link to `target`, replacing an older link of that name.
    ///
    /// # Errors
    /// As symlink(2).
    fn symbolic_link(&self, target: &Path, link: &Path) -> BoxFuture<'static, io::Result<()>>;

    /// Gives a file or folder to a user and to that user's own group. A world that has no users
    /// does nothing.
    ///
    /// # Errors
    /// `NotFound` when there is no such user or path; otherwise as chown(2).
    fn set_owner(&self, _path: &Path, _user: &str) -> BoxFuture<'static, io::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Takes a lock on the file at `path`, which is made if missing. It is held until what is
    /// returned is dropped or the process ends. A world in which no two processes can meet in one
    /// folder does nothing.
    ///
    /// # Errors
    /// `WouldBlock` when another process, or this one, holds it; otherwise as open(2) and flock(2).
    fn lock(&self, _path: &Path) -> BoxFuture<'static, io::Result<DiskLock>> {
        Box::pin(async { Ok(DiskLock::new(())) })
    }

    /// The path without links, `.` and `..`.
    ///
    /// # Errors
    /// As realpath(3).
    fn canonicalize(&self, path: &Path) -> BoxFuture<'static, io::Result<PathBuf>>;
}

/// A lock on a file. Dropping it gives it up.
pub struct DiskLock(Box<dyn Send + Sync>);

impl DiskLock {
    /// A lock that is held for as long as `held` lives.
    pub fn new(held: impl Send + Sync + 'static) -> Self {
        Self(Box::new(held))
    }
}

impl std::fmt::Debug for DiskLock {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(_held) = self;
        formatter.write_str("DiskLock")
    }
}

/// An open file.
pub trait File: Send + Sync {
    /// Reads up to `length` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// As pread(2).
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, io::Result<Bytes>>;

    /// Writes all of `data` at `offset`, growing the file where needed.
    ///
    /// # Errors
    /// As pwrite(2); some of it may be written.
    fn write_at(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>>;

    /// Length in bytes.
    ///
    /// # Errors
    /// As fstat(2).
    fn length(&self) -> BoxFuture<'_, io::Result<u64>>;

    /// Cuts or grows the file to `length` bytes.
    ///
    /// # Errors
    /// As ftruncate(2).
    fn truncate(&self, length: u64) -> BoxFuture<'_, io::Result<()>>;

    /// Makes content and length durable.
    ///
    /// # Errors
    /// As fsync(2). After a failure nothing is known about what was written.
    fn sync(&self) -> BoxFuture<'_, io::Result<()>>;

    /// Writes as [`File::write_at`] and then syncs as [`File::sync`]. An implementation may do both
    /// in one go.
    ///
    /// # Errors
    /// Of either.
    fn write_and_sync(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            self.write_at(offset, data).await?;
            self.sync().await
        })
    }
}

/// The whole content of a file.
///
/// # Errors
/// As [`Disk::open`] and [`File::read_at`].
pub async fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Bytes> {
    let file = disk.open(path, OpenOptions::READ).await?;
    let length = usize::try_from(file.length().await?).map_err(io::Error::other)?;
    file.read_at(0, length).await
}

/// Makes a folder and all that lead to it, durably: without this, what is later synced inside can
/// be gone after a crash together with the folder.
///
/// # Errors
/// As [`Disk::create_directories`] and [`Disk::sync_directory`].
pub async fn create_durable_directories(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let mut missing = Vec::new();
    for folder in path.ancestors() {
        if disk.metadata(folder).await.is_err() {
            missing.push(folder);
            continue;
        }
        // It may be the work of a process that was killed before it could sync. A parent that we
        // may not open is not one that we made it in.
        if let Some(parent) = folder.parent()
            && let Err(error) = disk.sync_directory(parent).await
            && error.kind() != io::ErrorKind::PermissionDenied
        {
            return Err(error);
        }
        break;
    }
    for folder in missing.into_iter().rev() {
        disk.create_directories(folder).await?;
        if let Some(parent) = folder.parent() {
            disk.sync_directory(parent).await?;
        }
    }
    Ok(())
}

/// Replaces a file's content so that a crash leaves either the old or the new content, durably:
/// writes `<path>.new`, syncs, renames, syncs the folder.
///
/// # Errors
/// Any of the steps; the old content then still stands.
pub async fn replace_file(disk: &dyn Disk, path: &Path, content: Bytes) -> io::Result<()> {
    let replaced = replace(disk, path, content).await;
    if let Err(error) = &replaced {
        let is_full = error.kind() == io::ErrorKind::StorageFull;
        sometimes!(is_full, "a file is not replaced because the disk is full");
        sometimes!(!is_full, "a file is not replaced because the disk fails");
    }
    replaced
}

/// The whole content of a file that [`replace_file`] writes, durable from now on: a process may
/// have been killed when the file had its new name, but before that was synced, and what somebody
/// acts upon must not be gone after a loss of power.
///
/// # Errors
/// As [`read_file`] and [`Disk::sync_directory`].
pub async fn read_replaced_file(disk: &dyn Disk, path: &Path) -> io::Result<Bytes> {
    let content = read_file(disk, path).await?;
    if let Some(folder) = path.parent() {
        disk.sync_directory(folder).await?;
    }
    Ok(content)
}

async fn replace(disk: &dyn Disk, path: &Path, content: Bytes) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    let file = disk.open(&temporary, OpenOptions::CREATE).await?;
    file.write_at(0, content).await?;
    if !PlantedBug::RenamesBeforeSync.is_planted() {
        file.sync().await?;
    }
    disk.rename(&temporary, path).await?;
    match path.parent().filter(|_| !PlantedBug::FolderIsNotSynced.is_planted()) {
        Some(folder) => disk.sync_directory(folder).await,
        None => Ok(()),
    }
}
