//! Files of the operating system, on tokio's blocking threads.

use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use orrery_runtime::{
    BoxFuture, DirectoryEntry, Disk, DiskLock, File, FileKind, Metadata, OpenOptions, WallTime,
};

use crate::{blocking, users};

/// The most that one pread(2) asks for, so that a reader who names a huge length costs no more
/// memory than there are bytes.
const READ_PIECE: usize = 1 << 20;

/// The file system that this process sees.
#[derive(Debug)]
pub(crate) struct SystemDisk;

impl Disk for SystemDisk {
    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn File>>> {
        let path = path.to_owned();
        Box::pin(blocking(move || {
            let file = fs::OpenOptions::new()
                .read(true)
                .write(options.write)
                .create(options.create)
                .truncate(options.truncate)
                .open(path)?;
            Ok(Box::new(SystemFile(Arc::new(file))) as Box<dyn File>)
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'static, io::Result<()>> {
        let (from, to) = (from.to_owned(), to.to_owned());
        Box::pin(blocking(move || fs::rename(from, to)))
    }

    fn remove_file(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(blocking(move || fs::remove_file(path)))
    }

    fn create_directories(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(blocking(move || fs::create_dir_all(path)))
    }

    fn remove_directory(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(blocking(move || fs::remove_dir_all(path)))
    }

    fn sync_directory(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        let path = path.to_owned();
        Box::pin(blocking(move || fs::File::open(path)?.sync_all()))
    }

    fn list(&self, path: &Path) -> BoxFuture<'static, io::Result<Vec<DirectoryEntry>>> {
        let path = path.to_owned();
        Box::pin(blocking(move || list(&path)))
    }

    fn metadata(&self, path: &Path) -> BoxFuture<'static, io::Result<Metadata>> {
        let path = path.to_owned();
        Box::pin(blocking(move || fs::metadata(path).map(|facts| metadata(&facts))))
    }

    fn symbolic_link(&self, target: &Path, link: &Path) -> BoxFuture<'static, io::Result<()>> {
        let (target, link) = (target.to_owned(), link.to_owned());
        Box::pin(blocking(move || symbolic_link(&target, &link)))
    }

    fn set_owner(&self, path: &Path, user: &str) -> BoxFuture<'static, io::Result<()>> {
        let (path, user) = (path.to_owned(), user.to_owned());
        Box::pin(blocking(move || {
            let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("no user '{user}'"));
            let found = users::find(&user)?.ok_or_else(unknown)?;
            std::os::unix::fs::chown(&path, Some(found.uid), Some(found.gid))
        }))
    }

    fn lock(&self, path: &Path) -> BoxFuture<'static, io::Result<DiskLock>> {
        let path = path.to_owned();
        Box::pin(blocking(move || {
            let mut options = fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(false).open(path)?;
            file.try_lock()?;
            Ok(DiskLock::new(file))
        }))
    }

    fn canonicalize(&self, path: &Path) -> BoxFuture<'static, io::Result<PathBuf>> {
        let path = path.to_owned();
        Box::pin(blocking(move || fs::canonicalize(path)))
    }
}

fn kind(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_symlink() {
        FileKind::Link
    } else {
        FileKind::Other
    }
}

fn list(path: &Path) -> io::Result<Vec<DirectoryEntry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        entries.push(DirectoryEntry { name, kind: kind(entry.file_type()?) });
    }
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn metadata(facts: &fs::Metadata) -> Metadata {
    let (uid, gid) = (facts.uid(), facts.gid());
    let modified = facts.mtime().saturating_mul(1_000_000_000).saturating_add(facts.mtime_nsec());
    Metadata {
        kind: kind(facts.file_type()),
        length: facts.len(),
        links: facts.nlink(),
        permissions: facts.permissions().mode() & 0o7777,
        user: users::user_name(uid).unwrap_or_else(|| uid.to_string()),
        group: users::group_name(gid).unwrap_or_else(|| gid.to_string()),
        modified: WallTime::from_nanoseconds(modified),
    }
}

/// Whoever looks at `link` meanwhile sees the old link or the new one, never none.
fn symbolic_link(target: &Path, link: &Path) -> io::Result<()> {
    match std::os::unix::fs::symlink(target, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !fs::symlink_metadata(link)?.is_symlink() {
                return Err(error);
            }
        }
        done => return done,
    }
    let temporary = temporary_name(link);
    std::os::unix::fs::symlink(target, &temporary)?;
    fs::rename(&temporary, link).inspect_err(|_| {
        // The failure to tell is that of renaming.
        let _ = fs::remove_file(&temporary);
    })
}

/// A name beside `path` that no other call of any process has.
fn temporary_name(path: &Path) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.{number}.new", std::process::id()));
    name.into()
}

#[derive(Debug)]
struct SystemFile(Arc<fs::File>);

impl SystemFile {
    /// Runs `work` on the file on a blocking thread.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&fs::File) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'_, io::Result<T>> {
        let file = Arc::clone(&self.0);
        Box::pin(blocking(move || work(&file)))
    }
}

impl File for SystemFile {
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        self.run(move |file| read_at(file, offset, length))
    }

    fn write_at(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.run(move |file| file.write_all_at(&data, offset))
    }

    fn length(&self) -> BoxFuture<'_, io::Result<u64>> {
        self.run(|file| Ok(file.metadata()?.len()))
    }

    fn truncate(&self, length: u64) -> BoxFuture<'_, io::Result<()>> {
        self.run(move |file| file.set_len(length))
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        // fdatasync(2): content and length are promised, times are not.
        self.run(fs::File::sync_data)
    }

    fn write_and_sync(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        // One visit to a blocking thread, not two.
        self.run(move |file| {
            file.write_all_at(&data, offset)?;
            file.sync_data()
        })
    }
}

fn read_at(file: &fs::File, offset: u64, length: usize) -> io::Result<Bytes> {
    let mut content = Vec::new();
    while content.len() < length {
        let filled = content.len();
        content.resize(filled + READ_PIECE.min(length - filled), 0);
        let count = match file.read_at(&mut content[filled..], offset + filled as u64) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                content.truncate(filled);
                continue;
            }
            Err(error) => return Err(error),
        };
        content.truncate(filled + count);
        if count == 0 {
            break;
        }
    }
    Ok(content.into())
}
