//! The disk port.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use orrery_runtime::{BoxFuture, DirectoryEntry, Disk, File, Metadata, OpenOptions, WallTime};

use super::errors::DiskOperation;
use super::tree::{self, Id};
use crate::crash_point::Deed;
use crate::host::Host;
use crate::ports::Ports;
use crate::timers::Sleep;
use crate::trace::Chain;

/// An open file.
pub(crate) struct Handle {
    host: Host,
    process: u32,
    path: PathBuf,
    id: Id,
    generation: u32,
    writable: bool,
}

impl Handle {
    /// Opens the file at `path`.
    pub(crate) fn open(host: &Host, path: &Path, options: OpenOptions) -> io::Result<Self> {
        Self::open_for(host, 0, path, options)
    }

    fn open_for(host: &Host, process: u32, path: &Path, options: OpenOptions) -> io::Result<Self> {
        let now = host.wall();
        let mut disk = host.files().lock();
        let id = disk.open(path, options, now)?;
        let generation = disk.generation;
        drop(disk);
        let (host, path) = (host.clone(), path.to_path_buf());
        Ok(Self { host, process, path, id, generation, writable: options.write })
    }

    /// The whole content of the file at `path`.
    pub(crate) fn read_all(host: &Host, path: &Path) -> io::Result<Bytes> {
        let file = Self::open(host, path, OpenOptions::READ)?;
        let length = host.files().lock().length(file.id);
        host.files().lock().read(file.id, 0, length)
    }

    /// Its length in bytes.
    pub(crate) fn length(&self) -> u64 {
        self.host.files().lock().length(self.id) as u64
    }

    /// Writes at `offset`.
    pub(crate) fn write(&self, offset: u64, data: Bytes) -> io::Result<()> {
        if !self.writable {
            return Err(bad_descriptor());
        }
        strike(&self.host, DiskOperation::Write)?;
        let mut content = Chain::new(self.id);
        content.bytes(&data);
        let numbers = [self.id, offset, data.len() as u64, content.value()];
        self.host.record(0, "write", &numbers, || {
            format!("file {} offset {offset} length {}", self.id, data.len())
        });
        let now = self.host.wall();
        let part = |length| self.host.random().lock().below(length);
        self.host.files().lock().write(self.id, offset, data, part, now)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let mut disk = self.host.files().lock();
        if disk.generation == self.generation {
            disk.release(self.id);
        }
    }
}

/// EBADF, for writing through a handle that was opened for reading.
fn bad_descriptor() -> io::Error {
    const EBADF: i32 = 9;
    io::Error::from_raw_os_error(EBADF)
}

/// Counts an operation, and fails if it is to fail.
fn strike(host: &Host, operation: DiskOperation) -> io::Result<()> {
    let fails = host.files().lock().faults.errors.strike(operation, &mut host.random().lock());
    if !fails {
        return Ok(());
    }
    host.record(0, "disk", &[operation as u64], || format!("{operation:?} fails"));
    Err(tree::input_output_error())
}

/// How often who waits for a stalled disk looks whether it still is, in nanoseconds.
const STALL_LOOK: u64 = 100_000_000;

/// Waits for as long as the disk is stalled or slow.
async fn respond(host: &Host) {
    let latency = host.files().lock().faults.latency;
    if let Some(latency) = latency {
        let delay = latency.draw(&mut host.random().lock());
        let deadline = host.world().now().saturating_add(delay);
        Sleep::until(host.world().clone(), deadline).await;
    }
    loop {
        let until = host.files().lock().faults.stalled_until;
        let now = host.world().now();
        if until <= now {
            return;
        }
        // The disk may be mended meanwhile.
        Sleep::until(host.world().clone(), until.min(now.saturating_add(STALL_LOOK))).await;
    }
}

/// Waits for as long as syncing takes, and returns up to which change it goes and whether it fails.
async fn flush(host: &Host) -> (u64, bool) {
    let sequence = host.files().lock().sequence;
    let delay = host.world().config.disk.sync.draw(&mut host.random().lock());
    let deadline = host.world().now().saturating_add(delay);
    Sleep::until(host.world().clone(), deadline).await;
    respond(host).await;
    let fails = host.files().lock().take_sync_fault();
    (sequence, strike(host, DiskOperation::Sync).is_err() || fails)
}

impl File for Handle {
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        Box::pin(async move {
            respond(&self.host).await;
            strike(&self.host, DiskOperation::Read)?;
            self.host.files().lock().read(self.id, offset, length)
        })
    }

    fn write_at(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        let writing = async move {
            respond(&self.host).await;
            self.write(offset, data)
        };
        Box::pin(self.host.undertake(self.process, Deed::Write(&self.path), writing))
    }

    fn length(&self) -> BoxFuture<'_, io::Result<u64>> {
        Box::pin(async move { Ok(Handle::length(self)) })
    }

    fn truncate(&self, length: u64) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            respond(&self.host).await;
            if !self.writable {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let now = self.host.wall();
            self.host.files().lock().truncate(self.id, length, now)
        })
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        let syncing = async move {
            let (sequence, fails) = flush(&self.host).await;
            let numbers = [self.id, sequence, u64::from(fails)];
            self.host.record(0, "sync", &numbers, || {
                format!("file {}{}", self.id, if fails { " fails" } else { "" })
            });
            self.host.files().lock().sync_file(self.id, sequence, fails)
        };
        Box::pin(self.host.undertake(self.process, Deed::Sync(&self.path), syncing))
    }
}

/// Runs `operation` on the disk once it responds.
async fn on_disk<T>(
    host: &Host,
    operation: impl FnOnce(&mut tree::Disk, WallTime) -> io::Result<T>,
) -> io::Result<T> {
    respond(host).await;
    let now = host.wall();
    operation(&mut host.files().lock(), now)
}

/// Makes the names in a folder durable.
async fn sync_directory(host: &Host, path: &Path) -> io::Result<()> {
    let place = host.files().lock().find(path, true)?;
    let id = place.id.ok_or(io::ErrorKind::NotFound)?;
    host.files().lock().folder(id)?;
    let (sequence, fails) = flush(host).await;
    host.record(0, "sync", &[id, sequence, u64::from(fails)], || {
        format!("folder {}{}", path.display(), if fails { " fails" } else { "" })
    });
    host.files().lock().sync_names_until(Some(id), sequence, fails);
    if fails { Err(tree::input_output_error()) } else { Ok(()) }
}

impl Ports {
    /// Runs `operation` on the disk once it responds.
    fn on_disk<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&mut tree::Disk, WallTime) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<'static, io::Result<T>> {
        let host = self.host().clone();
        Box::pin(async move { on_disk(&host, operation).await })
    }
}

impl Disk for Ports {
    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn File>>> {
        let host = self.host().clone();
        let (process, path) = (self.process(), path.to_path_buf());
        Box::pin(async move {
            let opening = async {
                respond(&host).await;
                let file = Handle::open_for(&host, process, &path, options)?;
                let file: Box<dyn File> = Box::new(file);
                Ok(file)
            };
            host.undertake(process, Deed::Open(&path), opening).await
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'static, io::Result<()>> {
        let (from, to) = (from.to_path_buf(), to.to_path_buf());
        let (host, process) = (self.host().clone(), self.process());
        Box::pin(async move {
            let renaming = on_disk(&host, |disk, now| disk.rename(&from, &to, now));
            host.undertake(process, Deed::Rename(&from, &to), renaming).await
        })
    }

    fn remove_file(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        let path = path.to_path_buf();
        let (host, process) = (self.host().clone(), self.process());
        Box::pin(async move {
            let removing = on_disk(&host, |disk, now| disk.remove_file(&path, now));
            host.undertake(process, Deed::Remove(&path), removing).await
        })
    }

    fn create_directories(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        let path = path.to_path_buf();
        self.on_disk(move |disk, now| disk.create_directories(&path, now))
    }

    fn remove_directory(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        let path = path.to_path_buf();
        let (host, process) = (self.host().clone(), self.process());
        Box::pin(async move {
            let removing = on_disk(&host, |disk, now| disk.remove_directory(&path, now));
            host.undertake(process, Deed::Remove(&path), removing).await
        })
    }

    fn sync_directory(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        let (process, path) = (self.process(), path.to_path_buf());
        let host = self.host().clone();
        Box::pin(async move {
            let syncing = sync_directory(&host, &path);
            host.undertake(process, Deed::Sync(&path), syncing).await
        })
    }

    fn list(&self, path: &Path) -> BoxFuture<'static, io::Result<Vec<DirectoryEntry>>> {
        let path = path.to_path_buf();
        self.on_disk(move |disk, _| disk.list(&path))
    }

    fn metadata(&self, path: &Path) -> BoxFuture<'static, io::Result<Metadata>> {
        let path = path.to_path_buf();
        self.on_disk(move |disk, _| disk.metadata(&path))
    }

    fn symbolic_link(&self, target: &Path, link: &Path) -> BoxFuture<'static, io::Result<()>> {
        let (target, link) = (target.to_path_buf(), link.to_path_buf());
        self.on_disk(move |disk, now| disk.symbolic_link(&target, &link, now))
    }

    fn canonicalize(&self, path: &Path) -> BoxFuture<'static, io::Result<PathBuf>> {
        let path = path.to_path_buf();
        self.on_disk(move |disk, _| disk.canonicalize(&path))
    }
}
