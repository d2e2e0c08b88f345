//! The folder of a replica: segments to which records are appended.
//!
//! What was written and not synced may be torn by a crash and is cut; what was synced and is bad is
//! damage. Segments are removed, oldest first, once everything in them is truncated.

mod format;
mod open;
mod scan;
#[cfg(test)]
mod scan_test;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use orrery_runtime::{Disk, File, OpenOptions};

use format::{Found, get_record, put_record, segment_header};
pub(crate) use open::{Opened, look, open};

use crate::record::{Metadata, Record};
use crate::{Damage, Position, Value};

/// A segment that is as long as this, in bytes, is followed by a new one.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
struct Location {
    sequence: u64,
    offset: u64,
    length: usize,
}

/// The segment that is written to.
struct Current {
    sequence: u64,
    file: Box<dyn File>,
    length: u64,
    synced: u64,
    /// What is durable in it is said by no record yet.
    unmarked: bool,
}

/// The open folder of a replica.
pub(crate) struct Storage {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    current: Current,
    index: BTreeMap<Position, Location>,
    /// The highest position in each older segment.
    older: BTreeMap<u64, Position>,
    metadata: Metadata,
    segment_bytes: u64,
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Storage({})", self.folder.display())
    }
}

/// Why an entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// There is none.
    #[error("position {0} is not on the disk")]
    Absent(Position),
    /// Its checksum does not fit.
    #[error("{0} is damaged")]
    Damaged(Damage),
    /// The disk refuses.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

fn segment_path(folder: &Path, sequence: u64) -> PathBuf {
    folder.join(format!("segment-{sequence:016x}.log"))
}

/// Makes a segment that begins with what must be remembered beside entries, durably.
async fn create_segment(
    disk: &dyn Disk,
    folder: &Path,
    sequence: u64,
    metadata: &Metadata,
) -> io::Result<Current> {
    let file = disk.open(&segment_path(folder, sequence), OpenOptions::CREATE).await?;
    let mut buffer = BytesMut::from(&segment_header(sequence)[..]);
    put_record(&mut buffer, sequence, 0, 0, Some(Record::Metadata(metadata.clone())));
    let length = buffer.len() as u64;
    file.write_at(0, buffer.freeze()).await?;
    file.sync().await?;
    disk.sync_directory(folder).await?;
    Ok(Current { sequence, file, length, synced: length, unmarked: true })
}

impl Storage {
    /// Writes records; they are durable after the next [`Storage::sync`].
    ///
    /// # Errors
    /// Of the disk; what is on it is then not known.
    pub(crate) async fn write(&mut self, records: Vec<Record>) -> io::Result<()> {
        if self.current.length >= self.segment_bytes {
            self.begin_segment().await?;
        }
        let Current { sequence, length, synced, .. } = self.current;
        let mut buffer = BytesMut::new();
        for record in records {
            let position = self.note(&record);
            let (offset, length) = put_record(&mut buffer, sequence, length, synced, Some(record));
            if let Some(position) = position {
                self.index.insert(position, Location { sequence, offset, length });
            }
        }
        self.append(buffer).await
    }

    fn note(&mut self, record: &Record) -> Option<Position> {
        match record {
            Record::Metadata(metadata) => {
                self.metadata = metadata.clone();
                self.index = self.index.split_off(&metadata.begin);
                None
            }
            Record::Entry(entry) => Some(entry.position),
            Record::Learned { .. } => None,
        }
    }

    async fn append(&mut self, buffer: BytesMut) -> io::Result<()> {
        let length = buffer.len() as u64;
        self.current.file.write_at(self.current.length, buffer.freeze()).await?;
        self.current.length += length;
        Ok(())
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// Of the disk; what is on it is then not known.
    pub(crate) async fn sync(&mut self) -> io::Result<()> {
        let length = self.current.length;
        self.current.file.sync().await?;
        self.current.synced = length;
        self.current.unmarked = true;
        self.remove_truncated().await
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
        let Current { sequence, length, synced, .. } = self.current;
        let mut buffer = BytesMut::new();
        put_record(&mut buffer, sequence, length, synced, None);
        self.append(buffer).await?;
        self.sync().await?;
        self.current.unmarked = false;
        Ok(())
    }

    async fn begin_segment(&mut self) -> io::Result<()> {
        self.current.file.sync().await?;
        let highest = self.highest(self.current.sequence);
        let next = self.current.sequence + 1;
        let next = create_segment(&*self.disk, &self.folder, next, &self.metadata).await?;
        self.older.insert(self.current.sequence, highest);
        self.current = next;
        Ok(())
    }

    fn highest(&self, sequence: u64) -> Position {
        let in_segment = |(_, location): &(&Position, &Location)| location.sequence == sequence;
        let last = self.index.iter().rev().find(in_segment);
        last.map_or(Position::ZERO, |(position, _)| *position)
    }

    async fn remove_truncated(&mut self) -> io::Result<()> {
        let mut removed = false;
        while let Some((sequence, highest)) = self.older.first_key_value()
            && *highest < self.metadata.begin
        {
            self.disk.remove_file(&segment_path(&self.folder, *sequence)).await?;
            self.older.pop_first();
            removed = true;
        }
        if removed {
            self.disk.sync_directory(&self.folder).await?;
        }
        Ok(())
    }

    /// Reads the value at `position`.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) async fn load(&self, position: Position) -> Result<Value, LoadError> {
        let location = self.index.get(&position).ok_or(LoadError::Absent(position))?;
        let Location { sequence, offset, length } = *location;
        let path = segment_path(&self.folder, sequence);
        let bytes = if sequence == self.current.sequence {
            self.current.file.read_at(offset, length).await?
        } else {
            let file = self.disk.open(&path, OpenOptions::READ).await?;
            file.read_at(offset, length).await?
        };
        match get_record(&bytes, sequence, offset, 0) {
            Found::Record { record: Some(Record::Entry(entry)), .. }
                if entry.position == position =>
            {
                Ok(entry.value)
            }
            _ => {
                let position = Some(position);
                Err(LoadError::Damaged(Damage { file: path, offset, position }))
            }
        }
    }
}
