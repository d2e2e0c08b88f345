//! The folder of a replica: segments to which records are appended.
//!
//! What was written and not synced may be torn by a crash and is cut; what was synced and is bad,
//! or gone, is damage. Segments are removed, oldest first, once everything in them is truncated.

#[cfg(test)]
mod damage_test;
mod evidence;
mod examine;
mod format;
mod index;
mod manifest;
mod open;
mod scan;
#[cfg(test)]
mod scan_test;
mod spare;
#[cfg(test)]
mod spare_test;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use orrery_runtime::{Disk, DiskLock, File, OpenOptions, Runtime};

use format::{put_record, segment_header};
use index::Location;
pub(crate) use index::{Index, LoadError};
use manifest::{Keeper, Manifest};
pub(crate) use open::{Looked, Opened, look, open, stranger};
use spare::{Progress, Spare};

use crate::limits::NUMBER_MAX;
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
    /// Where the records of the segment before it end; zero where it follows none.
    before: u64,
    file: Box<dyn File>,
    /// Where the next record goes.
    length: u64,
    /// How long the file is: what stands after `length` is zeros.
    allocated: u64,
    synced: u64,
    /// What is durable in it is not in the manifest yet.
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
    keeper: Keeper,
    /// What is durable, for the manifest.
    claim: Manifest,
    /// Keeps other processes out of the folder.
    lock: Arc<DiskLock>,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Storage({})", self.folder.display())
    }
}

fn segment_name(sequence: u64) -> String {
    format!("segment-{sequence:016x}.log")
}

fn segment_path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(segment_name(sequence))
}

/// The number of the segment that is called so. A file with a number to which no log comes is none
/// of ours, whatever its name.
fn sequence(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?.strip_suffix(".log")?;
    let sequence = u64::from_str_radix(digits, 16).ok()?;
    (sequence <= NUMBER_MAX && name == segment_name(sequence)).then_some(sequence)
}

/// What a segment begins with, which must be remembered beside entries.
fn begin_segment(buffer: &mut BytesMut, sequence: u64, before: u64, metadata: &Metadata) {
    buffer.put(segment_header(sequence, before));
    put_record(buffer, sequence, 0, 0, Record::Metadata(metadata.clone()));
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
    begin_segment(&mut buffer, sequence, 0, metadata);
    let length = buffer.len() as u64;
    buffer.put_bytes(0, AHEAD);
    let allocated = buffer.len() as u64;
    file.write_and_sync(0, buffer.freeze()).await?;
    disk.sync_directory(folder).await?;
    let (before, synced, unmarked) = (0, length, true);
    Ok(Current { sequence, before, file, length, allocated, synced, unmarked })
}

/// Does `work`, and states at the same time what was durable before, where that is due. Returns the
/// segments that are not needed any more.
async fn state_beside(
    keeper: &mut Keeper,
    claim: Manifest,
    work: impl Future<Output = io::Result<()>>,
) -> io::Result<Range<u64>> {
    if !keeper.is_due(&claim) {
        return work.await.map(|()| 0..0);
    }
    let (outdated, ()) = tokio::try_join!(keeper.state(claim), work)?;
    Ok(outdated)
}

impl Storage {
    /// Writes records; they are durable after the next [`Storage::sync`].
    ///
    /// # Errors
    /// Of the disk; what is on it is then not known.
    pub(crate) async fn write(&mut self, records: Vec<Record>) -> io::Result<()> {
        self.make_room().await?;
        let (offset, data) = self.frame(records);
        self.current.file.write_at(offset, data).await
    }

    /// Writes records and makes all that was written durable.
    ///
    /// # Errors
    /// Of the disk; what is on it is then not known.
    pub(crate) async fn write_durably(&mut self, records: Vec<Record>) -> io::Result<()> {
        self.make_room().await?;
        let (offset, data) = self.frame(records);
        let work = self.current.file.write_and_sync(offset, data);
        let outdated = state_beside(&mut self.keeper, self.claim, work).await?;
        self.synced();
        self.remove(outdated).await
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// Of the disk; what is on it is then not known.
    pub(crate) async fn sync(&mut self) -> io::Result<()> {
        let work = self.current.file.sync();
        let outdated = state_beside(&mut self.keeper, self.claim, work).await?;
        self.synced();
        self.remove(outdated).await
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
        let Current { file, synced, length, .. } = &self.current;
        let outdated = match synced == length {
            true => self.keeper.state(self.claim).await?,
            false => tokio::try_join!(self.keeper.state(self.claim), file.sync())?.0,
        };
        self.synced();
        self.current.unmarked = false;
        self.remove(outdated).await
    }

    /// Reads the values at these positions, which ascend. They may be fewer than asked for: at
    /// least the first.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) async fn load(&mut self, positions: &[Position]) -> Result<Vec<Value>, LoadError> {
        self.index.load(&*self.runtime.disk, &self.folder, positions).await
    }

    /// The first position that is not truncated, by what was written.
    pub(crate) fn beginning(&self) -> Position {
        self.metadata.begin
    }

    /// The records as they go to the end of the segment, and where that is.
    fn frame(&mut self, records: Vec<Record>) -> (u64, Bytes) {
        let Current { sequence, before, length: start, synced, allocated, .. } = self.current;
        let mut buffer = BytesMut::new();
        if start == 0 {
            begin_segment(&mut buffer, sequence, before, &self.metadata);
        }
        for record in records {
            let position = self.note(&record);
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
    fn synced(&mut self) {
        let Current { sequence, length, allocated, .. } = self.current;
        self.current.synced = length;
        self.current.unmarked = true;
        while let Some(highest) = self.older.get(&self.claim.first)
            && *highest < self.metadata.begin
        {
            self.older.remove(&self.claim.first);
            self.claim.first += 1;
        }
        let first = self.claim.first;
        self.claim = Manifest { first, last: sequence, durable: length, length: allocated };
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
        let (sequence, before, length, synced, unmarked) = (sequence + 1, length, 0, 0, true);
        self.current = Current { sequence, before, file, length, allocated, synced, unmarked };
        Ok(())
    }

    /// Returns once nothing touches the folder any more.
    pub(crate) async fn close(self) {
        if let Some(spare) = self.spare {
            spare.give_up().await;
        }
    }

    /// Removes segments that the manifest does not ask for any more. Should some of them come back
    /// after a loss of power, they are removed again.
    async fn remove(&mut self, sequences: impl IntoIterator<Item = u64>) -> io::Result<()> {
        for sequence in sequences {
            let path = segment_path(&self.folder, sequence);
            match self.runtime.disk.remove_file(&path).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
            self.index.close(sequence);
        }
        Ok(())
    }
}
