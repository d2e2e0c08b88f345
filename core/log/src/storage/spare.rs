//! The next segment, made ahead of time: zeros to be overwritten by records.
//!
//! To make a file longer, the file system writes to its journal, which takes as long as many syncs.
//! What a replica waits for must therefore only ever replace what is there. So a task of its own
//! fills the file to come with zeros, as the one in use fills with records, and in pieces so small
//! that they hold up the syncs of others as little as can be. The file begins to be a segment when
//! the first records are written to it, with its header.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use orrery_runtime::{Disk, DiskLock, File, OpenOptions, Runtime};
use tokio::sync::{mpsc, oneshot};

use super::segment_path;

/// Longest that one is made, in bytes. The first ones of a log are shorter.
const LENGTH_MAX: u64 = 8 << 20;

/// Zeros that are written at a time, in bytes. Shorter pieces are in the way of more syncs, longer
/// ones for a longer time.
const PIECE: u64 = 1 << 20;

type Made = io::Result<Box<dyn File>>;

/// How far the segment in use is, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    /// Where the next record goes.
    pub(super) length: u64,
    /// Where the file ends.
    pub(super) allocated: u64,
}

/// A segment in the making, or made.
pub(super) struct Spare {
    /// How long it will be, in bytes.
    pub(super) length: u64,
    /// How far the segment before it was when this was begun.
    begun: Progress,
    /// How many pieces it was told to write.
    told: u64,
    pieces: mpsc::UnboundedSender<()>,
    making: oneshot::Receiver<Made>,
}

impl Spare {
    /// Begins to make the segment with this number. The folder stays locked until that ends.
    pub(super) fn begin(
        runtime: &Runtime,
        folder: &Path,
        sequence: u64,
        begun: Progress,
        lock: Arc<DiskLock>,
    ) -> Self {
        let length = (2 * begun.allocated / PIECE * PIECE).clamp(PIECE, LENGTH_MAX);
        let (mut sender, making) = oneshot::channel();
        let (pieces, due) = mpsc::unbounded_channel();
        let (disk, folder) = (Arc::clone(&runtime.disk), folder.to_owned());
        runtime.spawn("replicated log segment", async move {
            let made = make(&*disk, &folder, sequence, length, due, &mut sender).await;
            drop(lock);
            // Where nobody wants it any more, it is found blank at the next start.
            let _ = sender.send(made);
        });
        Self { length, begun, told: 0, pieces, making }
    }

    /// Has as much of it made as it takes to be ready when three quarters of the room in the
    /// segment before it are used up.
    pub(super) fn keep_up(&mut self, now: Progress) {
        let Progress { length, allocated } = self.begun;
        let room = (allocated.saturating_sub(length) / 4 * 3).max(1);
        let used = now.length.saturating_sub(length).min(room);
        let due = self.length / PIECE * used / room;
        while self.told < due {
            self.told += 1;
            // It has ended where it failed, and says so when it is waited for.
            let _ = self.pieces.send(());
        }
    }

    /// Whether [`Spare::wait`] returns at once.
    pub(super) fn is_made(&self) -> bool {
        !self.making.is_empty()
    }

    /// Has all of it made, and waits until it is.
    ///
    /// # Errors
    /// Of the disk.
    pub(super) async fn wait(self) -> Made {
        drop(self.pieces);
        self.making.await.unwrap_or_else(|_| Err(gone()))
    }

    /// Has it made no further, and waits until nobody writes to it any more.
    pub(super) async fn give_up(mut self) {
        self.making.close();
        drop(self.pieces);
        // Made or not, it is not wanted.
        let _ = self.making.await;
    }
}

fn gone() -> io::Error {
    io::Error::other("the task that makes the log's next segment has ended")
}

/// Writes a piece whenever one is `due`, and the rest once none will be any more.
async fn make(
    disk: &dyn Disk,
    folder: &Path,
    sequence: u64,
    length: u64,
    mut due: mpsc::UnboundedReceiver<()>,
    wanted: &mut oneshot::Sender<Made>,
) -> Made {
    let file = disk.open(&segment_path(folder, sequence), OpenOptions::CREATE).await?;
    let zeros = Bytes::from(vec![0; PIECE as usize]);
    for offset in (0..length).step_by(PIECE as usize) {
        // All that follow are due where none will be any more.
        let _ = due.recv().await;
        if wanted.is_closed() {
            return Err(gone());
        }
        file.write_and_sync(offset, zeros.clone()).await?;
    }
    disk.sync_directory(folder).await?;
    Ok(file)
}
