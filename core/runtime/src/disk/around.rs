//! A disk with something put around each sync of its files: a wait, or a stopwatch.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::{DirectoryEntry, Disk, DiskLock, File, Metadata, OpenOptions};
use crate::BoxFuture;

/// What is put around syncs.
pub trait AroundSync: Send + Sync + 'static {
    /// Carries `sync` out, which writes `written` before, if anything. Nothing of it has happened
    /// until it is polled.
    ///
    /// # Errors
    /// Those of `sync`, and whatever else is to be seen as such.
    fn around<'a>(
        &'a self,
        path: &'a Path,
        written: Option<&Bytes>,
        sync: BoxFuture<'a, io::Result<()>>,
    ) -> BoxFuture<'a, io::Result<()>>;
}

/// Another disk, with something around each [`File::sync`] and [`File::write_and_sync`].
pub struct Around<A> {
    disk: Arc<dyn Disk>,
    around: Arc<A>,
}

impl<A> Around<A> {
    /// Puts `around` around the syncs of `disk`.
    pub fn new(disk: Arc<dyn Disk>, around: Arc<A>) -> Self {
        Self { disk, around }
    }
}

impl<A> std::fmt::Debug for Around<A> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Around")
    }
}

struct AroundFile<A> {
    path: PathBuf,
    file: Box<dyn File>,
    around: Arc<A>,
}

impl<A: AroundSync> Disk for Around<A> {
    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn File>>> {
        let opening = self.disk.open(path, options);
        let (path, around) = (path.to_owned(), Arc::clone(&self.around));
        Box::pin(async move {
            let file = opening.await?;
            Ok(Box::new(AroundFile { path, file, around }) as Box<dyn File>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.remove_file(path)
    }

    fn create_directories(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.create_directories(path)
    }

    fn remove_directory(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.remove_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.sync_directory(path)
    }

    fn list(&self, path: &Path) -> BoxFuture<'static, io::Result<Vec<DirectoryEntry>>> {
        self.disk.list(path)
    }

    fn metadata(&self, path: &Path) -> BoxFuture<'static, io::Result<Metadata>> {
        self.disk.metadata(path)
    }

    fn symbolic_link(&self, target: &Path, link: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.symbolic_link(target, link)
    }

    fn set_owner(&self, path: &Path, user: &str) -> BoxFuture<'static, io::Result<()>> {
        self.disk.set_owner(path, user)
    }

    fn lock(&self, path: &Path) -> BoxFuture<'static, io::Result<DiskLock>> {
        self.disk.lock(path)
    }

    fn canonicalize(&self, path: &Path) -> BoxFuture<'static, io::Result<PathBuf>> {
        self.disk.canonicalize(path)
    }
}

impl<A: AroundSync> File for AroundFile<A> {
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        self.file.read_at(offset, length)
    }

    fn write_at(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.file.write_at(offset, data)
    }

    fn length(&self) -> BoxFuture<'_, io::Result<u64>> {
        self.file.length()
    }

    fn truncate(&self, length: u64) -> BoxFuture<'_, io::Result<()>> {
        self.file.truncate(length)
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        self.around.around(&self.path, None, self.file.sync())
    }

    fn write_and_sync(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let written = data.clone();
        let work = self.file.write_and_sync(offset, data);
        self.around.around(&self.path, Some(&written), work)
    }
}
