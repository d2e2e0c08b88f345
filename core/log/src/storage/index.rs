//! Where each entry stands on the disk, and reading it from there.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use orrery_runtime::{Disk, File, OpenOptions};

use super::format::{Found, get_record};
use super::segment_path;
use crate::record::Record;
use crate::{Damage, Defect, Position, Value};

/// Entries that stand behind each other are read together, up to so many bytes.
const RUN: u64 = 4 << 20;

/// Where an entry stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Location {
    pub(super) sequence: u64,
    pub(super) offset: u64,
    pub(super) length: usize,
}

impl Location {
    fn end(&self) -> u64 {
        self.offset + self.length as u64
    }
}

/// Why an entry cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// There is none.
    #[error("position {0} is not on the disk")]
    Absent(Position),
    /// Its checksum does not fit.
    #[error("{1} is damaged")]
    Damaged(Position, Damage),
    /// The disk refuses.
    #[error(transparent)]
    Disk(#[from] io::Error),
}

/// Where each entry stands.
#[derive(Default)]
pub(crate) struct Index {
    locations: BTreeMap<Position, Location>,
    /// The segment that was read from last.
    open: Option<(u64, Box<dyn File>)>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Index of {} entries", self.locations.len())
    }
}

impl Index {
    pub(super) fn insert(&mut self, position: Position, location: Location) {
        self.locations.insert(position, location);
    }

    /// Forgets what stands before `begin`.
    pub(super) fn cut(&mut self, begin: Position) {
        while self.locations.first_key_value().is_some_and(|(position, _)| *position < begin) {
            self.locations.pop_first();
        }
    }

    /// The highest position in a segment.
    pub(super) fn highest(&self, sequence: u64) -> Position {
        let in_segment = |(_, location): &(&Position, &Location)| location.sequence == sequence;
        let last = self.locations.iter().rev().find(in_segment);
        last.map_or(Position::ZERO, |(position, _)| *position)
    }

    /// The file of this segment is no more.
    pub(super) fn close(&mut self, sequence: u64) {
        self.open.take_if(|(open, _)| *open == sequence);
    }

    /// Reads the values at these positions, which ascend. They may be fewer than asked for: at
    /// least the first.
    ///
    /// # Errors
    /// [`LoadError`].
    pub(crate) async fn load(
        &mut self,
        disk: &dyn Disk,
        folder: &Path,
        positions: &[Position],
    ) -> Result<Vec<Value>, LoadError> {
        let run = self.run(positions)?;
        let (Some((_, first)), Some((_, last))) = (run.first(), run.last()) else {
            return Ok(Vec::new());
        };
        let (sequence, start) = (first.sequence, first.offset);
        let length = usize::try_from(last.end() - start).map_err(io::Error::other)?;
        let path = segment_path(folder, sequence);
        let file = match self.open.take() {
            Some((open, file)) if open == sequence => file,
            _ => disk.open(&path, OpenOptions::READ).await?,
        };
        let bytes = file.read_at(start, length).await?;
        self.open = Some((sequence, file));
        let value = |(position, location): &(Position, Location)| {
            value_at(&bytes, start, *position, location).ok_or_else(|| {
                let (file, offset) = (path.clone(), location.offset);
                let (position, defect) = (*position, Defect::Record);
                let damage = Damage { file, offset, position: Some(position), defect };
                LoadError::Damaged(position, damage)
            })
        };
        run.iter().map(value).collect()
    }

    /// The first of the positions that can be read together.
    fn run(&self, positions: &[Position]) -> Result<Vec<(Position, Location)>, LoadError> {
        let mut run: Vec<(Position, Location)> = Vec::new();
        for position in positions {
            let location = self.locations.get(position).ok_or(LoadError::Absent(*position))?;
            let together = run.first().zip(run.last()).is_none_or(|((_, first), (_, last))| {
                location.sequence == first.sequence
                    && location.offset >= last.end()
                    && location.end() - first.offset <= RUN
            });
            if !together {
                break;
            }
            run.push((*position, *location));
        }
        Ok(run)
    }
}

/// The value of the entry at `location`, from bytes that stand at `start` in its segment.
fn value_at(bytes: &Bytes, start: u64, position: Position, location: &Location) -> Option<Value> {
    let at = usize::try_from(location.offset - start).ok()?;
    match get_record(bytes, location.sequence, start, at) {
        Found::Record { record: Record::Entry(entry), .. } if entry.position == position => {
            Some(entry.value)
        }
        _ => None,
    }
}
