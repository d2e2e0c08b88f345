//! Opening the folder of a replica.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use orrery_runtime::disk::{create_durable_directories, read_file};
use orrery_runtime::{Disk, OpenOptions};

use super::format::{SegmentHeader, VERSION, check_segment_header};
use super::scan::{Contents, scan};
use super::{Current, Location, SEGMENT_BYTES, Storage, create_segment, segment_path};
use crate::record::{Metadata, Record};
use crate::{Damage, PlantedBug, Position, StartError};

/// What opening a folder brings.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The open folder.
    pub(crate) storage: Storage,
    /// What it holds, in order.
    pub(crate) records: Vec<Record>,
    /// What was durable and cannot be read any more.
    pub(crate) damage: Vec<Damage>,
}

/// A segment as it was found.
struct Segment {
    sequence: u64,
    contents: Contents,
}

/// What stands in a folder.
struct Examined {
    segments: Vec<Segment>,
    /// A segment that was being made when its process ended.
    torn: Option<u64>,
    damage: Vec<Damage>,
}

/// Opens the folder of a replica, or makes it.
///
/// # Errors
/// [`StartError::Disk`] and [`StartError::Version`]. Damage is no error.
pub(crate) async fn open(disk: Arc<dyn Disk>, folder: &Path) -> Result<Opened, StartError> {
    let failed = |source| StartError::Disk { folder: folder.to_owned(), source };
    create_durable_directories(&*disk, folder).await.map_err(failed)?;
    let examined = examine(&*disk, folder).await?;
    finish(disk, folder, examined).await.map_err(failed)
}

/// What the folder of a replica holds, which is not changed.
///
/// # Errors
/// As [`open`], also when there is no folder.
pub(crate) async fn look(
    disk: &dyn Disk,
    folder: &Path,
) -> Result<(Vec<Record>, Vec<Damage>), StartError> {
    let examined = examine(disk, folder).await?;
    let records = examined.segments.into_iter().flat_map(|segment| segment.contents.records);
    Ok((records.map(|placed| placed.record).collect(), examined.damage))
}

async fn examine(disk: &dyn Disk, folder: &Path) -> Result<Examined, StartError> {
    let failed = |source| StartError::Disk { folder: folder.to_owned(), source };
    let sequences = sequences(disk, folder).await.map_err(failed)?;
    let (mut segments, mut damage) = (Vec::new(), Vec::new());
    let mut torn = None;
    for (index, sequence) in sequences.iter().copied().enumerate() {
        let last = index + 1 == sequences.len();
        let path = segment_path(folder, sequence);
        let bytes = read_file(disk, &path).await.map_err(failed)?;
        let contents = scan(&bytes, sequence, last);
        match check_segment_header(&bytes, sequence) {
            SegmentHeader::Valid => {}
            SegmentHeader::Version(version) => {
                return Err(StartError::Version { file: path, version, expected: VERSION });
            }
            // The process ended while it made the segment.
            SegmentHeader::Invalid if last && contents.records.is_empty() => {
                torn = Some(sequence);
                continue;
            }
            SegmentHeader::Invalid => {
                damage.push(Damage { file: path.clone(), offset: 0, position: None });
            }
        }
        let expected = segments.last().map(|before: &Segment| before.sequence + 1);
        if expected.is_some_and(|expected| expected != sequence) {
            let file = segment_path(folder, sequence - 1);
            damage.push(Damage { file, offset: 0, position: None });
        }
        for (offset, position) in &contents.damage {
            damage.push(Damage { file: path.clone(), offset: *offset, position: *position });
        }
        segments.push(Segment { sequence, contents });
    }
    Ok(Examined { segments, torn, damage })
}

async fn sequences(disk: &dyn Disk, folder: &Path) -> std::io::Result<Vec<u64>> {
    let names = disk.list(folder).await?;
    let mut sequences: Vec<u64> = names
        .iter()
        .filter_map(|entry| entry.name.strip_prefix("segment-")?.strip_suffix(".log"))
        .filter_map(|text| u64::from_str_radix(text, 16).ok())
        .collect();
    sequences.sort_unstable();
    Ok(sequences)
}

async fn finish(disk: Arc<dyn Disk>, folder: &Path, examined: Examined) -> std::io::Result<Opened> {
    let Examined { segments, torn, mut damage } = examined;
    let mut metadata = Metadata { begin: Position(1), ..Metadata::default() };
    let mut index = BTreeMap::new();
    let mut older = BTreeMap::new();
    let mut records = Vec::new();
    let last = segments
        .last()
        .map(|segment| (segment.sequence, segment.contents.durable, segment.contents.end));
    let numbers: Vec<u64> = segments.iter().map(|segment| segment.sequence).collect();
    for Segment { sequence, contents } in segments {
        let mut highest = Position::ZERO;
        for placed in contents.records {
            match &placed.record {
                Record::Metadata(found) => metadata = found.clone(),
                Record::Entry(entry) => {
                    highest = highest.max(entry.position);
                    let (offset, length) = (placed.offset, placed.length);
                    index.insert(entry.position, Location { sequence, offset, length });
                }
                Record::Learned { .. } => {}
            }
            records.push(placed.record);
        }
        older.insert(sequence, highest);
    }
    let index = index.split_off(&metadata.begin);
    if PlantedBug::VotesDespiteDamage.is_planted() {
        damage.clear();
    }
    let after = torn.or(last.map(|(sequence, ..)| sequence + 1)).unwrap_or(1);
    let current = match last {
        Some((sequence, durable, end)) if damage.is_empty() && torn.is_none() => {
            older.remove(&sequence);
            reopen(&*disk, folder, sequence, durable, end).await?
        }
        _ => create_segment(&*disk, folder, after, &metadata).await?,
    };
    let folder = folder.to_owned();
    let segment_bytes = SEGMENT_BYTES;
    let mut storage = Storage { disk, folder, current, index, older, metadata, segment_bytes };
    if !damage.is_empty() {
        storage.rewrite(records.clone(), &numbers).await?;
    }
    Ok(Opened { storage, records, damage })
}

/// Opens the last segment for writing, cuts off what is torn, and makes durable what an earlier
/// process may have left unsynced.
async fn reopen(
    disk: &dyn Disk,
    folder: &Path,
    sequence: u64,
    durable: u64,
    end: u64,
) -> std::io::Result<Current> {
    let file = disk.open(&segment_path(folder, sequence), OpenOptions::UPDATE).await?;
    if file.length().await? != end {
        tracing::info!(sequence, end, "cut off a torn end of the replicated log");
        file.truncate(end).await?;
    }
    // Where a sync has failed, the system may hold what the disk does not have, and sync it never.
    let length = usize::try_from(end.saturating_sub(durable)).map_err(std::io::Error::other)?;
    let unsure = file.read_at(durable, length).await?;
    file.write_at(durable, unsure).await?;
    file.sync().await?;
    disk.sync_directory(folder).await?;
    Ok(Current { sequence, file, length: end, synced: end, unmarked: true })
}

impl Storage {
    /// Writes what is left of damaged segments anew and removes them, so that the damage is met
    /// only once. What it means for this replica to have forgotten something is written first.
    async fn rewrite(&mut self, records: Vec<Record>, old: &[u64]) -> std::io::Result<()> {
        let mut metadata = self.metadata.clone();
        metadata.damaged = true;
        metadata.state = crate::ReplicaState::Recovering;
        let final_metadata = Record::Metadata(metadata);
        self.write(vec![final_metadata.clone()]).await?;
        self.sync().await?;
        for chunk in records.chunks(1024) {
            let entries = |record: &&Record| !matches!(record, Record::Metadata(_));
            self.write(chunk.iter().filter(entries).cloned().collect()).await?;
        }
        self.write(vec![final_metadata]).await?;
        self.sync().await?;
        for sequence in old {
            self.disk.remove_file(&segment_path(&self.folder, *sequence)).await?;
            self.older.remove(sequence);
        }
        self.disk.sync_directory(&self.folder).await
    }
}
