//! The folder of a replica: segments to which records are appended.
//!
//! What was written and not synced may be torn by a crash and is cut; what was synced and is bad is
//! damage. Segments are removed, oldest first, once everything in them is truncated.

mod format;
mod index;
mod open;
mod scan;
#[cfg(test)]
mod scan_test;
mod spare;
#[cfg(test)]
mod spare_test;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use orrery_runtime::{Disk, DiskLock, File, OpenOptions, Runtime};

use format::{put_record, segment_header};
use index::Location;
pub(crate) use index::{Index, LoadError};
pub(crate) use open::{Looked, Opened, look, open};
use spare::{Progress, Spare};

use crate::record::{Metadata, Record};
use crate::{Position, Value};

/// A segment that is as long as this, in bytes, is followed by a new one, which is waited for.
const SEGMENT_BYTES: u64 = 64 << 20;

/// So many zeros are written ahead of the records, in bytes, where no spare segment is at hand. As
/// long as records replace zeros, the file's length and blocks stay as they are, and a sync has
/// only to write the records themselves.
const AHEAD: usize = 1 << 20;

/// From this length on, in bytes, a segment has its successor made. A log of which less is written
/// needs none.
const SPARE_FROM: u64 = AHEAD as u64 / 8;

/// Writes that are longer than this, in bytes, gain nothing by writing twice. Where less room is
/// left in a segment, the next one is begun.
const SMALL: usize = AHEAD / 16;

/// The segment that is written to.
struct Current {
    sequence: u64,
    file: Box<dyn File>,
    /// Where the next record goes.
    length: u64,
    /// How long the file is: what stands after `length` is zeros.
    allocated: u64,
    synced: u64,
    /// What is durable in it is said by no record yet.
    unmarked: bool,
}

/// The open folder of a replica.
pub(crate) struct Storage {
    runtime: Runtime,
    folder: PathBuf,
    current: Current,
    /// The segment after the current one.
    spare: Option<Spare>,
    index: Index,
    /// The highest position in each older segment.
    older: BTreeMap<u64, Position>,
    metadata: Metadata,
    segment_bytes: u64,
    /// Keeps other processes out of the folder.
    lock: Arc<DiskLock>,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Storage({})", self.folder.display())
    }
}

fn segment_path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(format!("segment-{sequence:016x}.log"))
}

/// What a segment begins with, which must be remembered beside entries.
fn begin_segment(buffer: &mut BytesMut, sequence: u64, metadata: &Metadata) {
    buffer.put(segment_header(sequence));
    put_record(buffer, sequence, 0, 0, Some(Record::Metadata(metadata.clone())));
}

/// Makes a segment that begins with what must be remembered beside entries, durably.
async fn create_segment(
    disk: &dyn Disk,
    folder: &Path,
    sequence: u64,
    metadata: &Metadata,
) -> io::Result<Current> {
    let file = disk.open(&segment_path(folder, sequence), OpenOptions::CREATE).await?;
    let mut buffer = BytesMut::new();
    begin_segment(&mut buffer, sequence, metadata);
    let length = buffer.len() as u64;
    buffer.put_bytes(0, AHEAD);
    let allocated = buffer.len() as u64;
    file.write_and_sync(0, buffer.freeze()).await?;
    disk.sync_directory(folder).await?;
    Ok(Current { sequence, file, length, allocated, synced: length, unmarked: true })
}

impl Storage {
    /// Writes records; they are durable after the next [`Storage::sync`].
    ///
    /// # Errors
    /// Of the disk; what is on it is then not known.
    pub(crate) async fn write(&mut self, records: Vec<Record>) -> io::Result<()> {
        self.make_room().await?;
        let (offset, data) = self.frame(records.into_iter().map(Some));
        self.current.file.write_at(offset, data).await
    }

    /// Writes records and makes all that was written durable.
    ///
    /// # Errors
    /// Of the disk; what is on it is then not known.
    pub(crate) async fn write_durably(&mut self, records: Vec<Record>) -> io::Result<()> {
        self.make_room().await?;
        let (offset, data) = self.frame(records.into_iter().map(Some));
        self.current.file.write_and_sync(offset, data).await?;
        self.synced().await
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// Of the disk; what is on it is then not known.
    pub(crate) async fn sync(&mut self) -> io::Result<()> {
        self.current.file.sync().await?;
        self.synced().await
    }

    /// Whether [`Storage::mark`] has something to do.
    pub(crate) fn is_unmarked(&self) -> bool {
        self.current.unmarked
    }

    /// Writes down what is durable, durably, so that rot in what was written last is told from a
    /// torn end. For times in which nothing else is to be written.
    ///
    /// # Errors
    /// Of the disk; what is on it is then not known.
    pub(crate) async fn mark(&mut self) -> io::Result<()> {
        let (offset, data) = self.frame([None]);
        self.current.file.write_and_sync(offset, data).await?;
        self.synced().await?;
        self.current.unmarked = false;
        Ok(())
    }

    /// Reads the values at these positions, which ascend. They may be fewer than asked for: at
    /// least the first.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) async fn load(&mut self, positions: &[Position]) -> Result<Vec<Value>, LoadError> {
        self.index.load(&*self.runtime.disk, &self.folder, positions).await
    }

    /// The records, without one a marker, as they go to the end of the segment, and where that is.
    fn frame(&mut self, records: impl IntoIterator<Item = Option<Record>>) -> (u64, Bytes) {
        let Current { sequence, length: start, synced, allocated, .. } = self.current;
        let mut buffer = BytesMut::new();
        if start == 0 {
            begin_segment(&mut buffer, sequence, &self.metadata);
        }
        for record in records {
            let position = record.as_ref().and_then(|record| self.note(record));
            let (offset, length) = put_record(&mut buffer, sequence, start, synced, record);
            if let Some(position) = position {
                self.index.insert(position, Location { sequence, offset, length });
            }
        }
        let end = start + buffer.len() as u64;
        if end > allocated {
            let zeros = if buffer.len() <= SMALL { AHEAD } else { 0 };
            buffer.put_bytes(0, zeros);
            self.current.allocated = end + zeros as u64;
        }
        self.current.length = end;
        (start, buffer.freeze())
    }

    fn note(&mut self, record: &Record) -> Option<Position> {
        match record {
            Record::Metadata(metadata) => {
                self.metadata = metadata.clone();
                self.index.cut(metadata.begin);
                None
            }
            Record::Entry(entry) => Some(entry.position),
            Record::Learned { .. } => None,
        }
    }

    /// All that was written is durable now.
    async fn synced(&mut self) -> io::Result<()> {
        self.current.synced = self.current.length;
        self.current.unmarked = true;
        self.remove_truncated().await
    }

    /// Begins a new segment where the last one is full, and has one made before it is.
    async fn make_room(&mut self) -> io::Result<()> {
        let Current { sequence, length, allocated, .. } = self.current;
        if length < SPARE_FROM {
            return Ok(());
        }
        let progress = Progress { length, allocated };
        let mut spare = self.spare.take().unwrap_or_else(|| {
            let lock = Arc::clone(&self.lock);
            Spare::begin(&self.runtime, &self.folder, sequence + 1, progress, lock)
        });
        spare.keep_up(progress);
        let has_room = length + SMALL as u64 <= allocated || !spare.is_made();
        if has_room && length < self.segment_bytes {
            self.spare = Some(spare);
            return Ok(());
        }
        let allocated = spare.length;
        let file = spare.wait().await?;
        if self.current.synced < length {
            // What an older segment holds is durable.
            self.current.file.sync().await?;
        }
        self.older.insert(sequence, self.index.highest(sequence));
        let sequence = sequence + 1;
        self.current = Current { sequence, file, length: 0, allocated, synced: 0, unmarked: true };
        Ok(())
    }

    /// Returns once nothing touches the folder any more.
    pub(crate) async fn close(self) {
        if let Some(spare) = self.spare {
            spare.give_up().await;
        }
    }

    async fn remove_truncated(&mut self) -> io::Result<()> {
        let mut removed = false;
        while let Some((sequence, highest)) = self.older.first_key_value()
            && *highest < self.metadata.begin
        {
            let path = segment_path(&self.folder, *sequence);
            self.runtime.disk.remove_file(&path).await?;
            self.index.close(*sequence);
            self.older.pop_first();
            removed = true;
        }
        if removed {
            self.runtime.disk.sync_directory(&self.folder).await?;
        }
        Ok(())
    }
}
