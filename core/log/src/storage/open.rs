//! Opening the folder of a replica: one segment after the other is read and checked, and what it
//! says is told on, so that no more than one segment is in memory at a time.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orrery_runtime::disk::{create_durable_directories, read_file};
use orrery_runtime::{Disk, DiskLock, OpenOptions, Runtime};

use super::format::{SegmentHeader, VERSION, check_segment_header, is_zero};
use super::scan::{Contents, Placed, scan};
use super::{Current, Index, Location, SEGMENT_BYTES, Storage, create_segment, segment_path};
use crate::record::{Metadata, Record};
use crate::{Damage, PlantedBug, Position, StartError};

/// The file in a replica's folder that its process holds locked.
const LOCK: &str = "LOCK";

/// How often a folder that is in use is tried again.
const LOCK_TRIES: u32 = 20;

/// Pause before a folder that is in use is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// What opening a folder brings.
#[derive(Debug)]
pub(crate) struct Opened {
    /// The open folder.
    pub(crate) storage: Storage,
    /// What was durable and cannot be read any more.
    pub(crate) damage: Vec<Damage>,
}

/// What looking at a folder brings.
#[derive(Debug)]
pub(crate) struct Looked {
    /// Where its entries stand.
    pub(crate) index: Index,
    /// What was durable and cannot be read any more.
    pub(crate) damage: Vec<Damage>,
}

/// Opens the folder of a replica, or makes it. Each record that it holds is given to `restore`, in
/// order.
///
/// # Errors
/// [`StartError::Disk`] and [`StartError::Version`]. Damage is no error.
pub(crate) async fn open(
    runtime: &Runtime,
    folder: &Path,
    restore: &mut (dyn FnMut(Record) + Send),
) -> Result<Opened, StartError> {
    let failed = |source| StartError::Disk { folder: folder.to_owned(), source };
    let disk = &*runtime.disk;
    create_durable_directories(disk, folder).await.map_err(failed)?;
    let lock = lock(runtime, folder).await?;
    let mut catalogue = Catalogue::default();
    let examined = examine(disk, folder, &mut catalogue, restore).await?;
    finish(runtime, folder, lock, examined, catalogue).await.map_err(failed)
}

/// Two processes that write to one folder would destroy what stands in it. One that has just been
/// told to end is waited for.
async fn lock(runtime: &Runtime, folder: &Path) -> Result<DiskLock, StartError> {
    let path = folder.join(LOCK);
    let mut tries = LOCK_TRIES;
    loop {
        match runtime.disk.lock(&path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries > 0 => {
                tries -= 1;
                runtime.sleep(LOCK_PAUSE).await;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(StartError::InUse { folder: folder.to_owned() });
            }
            Err(source) => return Err(StartError::Disk { folder: folder.to_owned(), source }),
            Ok(lock) => return Ok(lock),
        }
    }
}

/// Reads the folder of a replica, which is not changed; as [`open`].
///
/// # Errors
/// As [`open`], also when there is no folder.
pub(crate) async fn look(
    disk: &dyn Disk,
    folder: &Path,
    restore: &mut (dyn FnMut(Record) + Send),
) -> Result<Looked, StartError> {
    let mut catalogue = Catalogue::default();
    let examined = examine(disk, folder, &mut catalogue, restore).await?;
    Ok(Looked { index: catalogue.index, damage: examined.damage })
}

/// What the records of a folder say of where things stand.
struct Catalogue {
    metadata: Metadata,
    index: Index,
    /// The highest position in each segment.
    highest: BTreeMap<u64, Position>,
}

impl Default for Catalogue {
    fn default() -> Self {
        let metadata = Metadata { begin: Position(1), ..Metadata::default() };
        Self { metadata, index: Index::default(), highest: BTreeMap::new() }
    }
}

impl Catalogue {
    fn take(&mut self, sequence: u64, placed: &Placed) {
        match &placed.record {
            Record::Metadata(found) => {
                self.metadata = found.clone();
                self.index.cut(found.begin);
            }
            Record::Entry(entry) => {
                let highest = self.highest.entry(sequence).or_default();
                *highest = entry.position.max(*highest);
                let Placed { offset, length, .. } = *placed;
                self.index.insert(entry.position, Location { sequence, offset, length });
            }
            Record::Learned { .. } => {}
        }
    }
}

/// The last segment as it was found.
struct Last {
    sequence: u64,
    durable: u64,
    end: u64,
    /// Something other than zeros stands after the end.
    ragged: bool,
}

/// What stands in a folder.
#[derive(Default)]
struct Examined {
    sequences: Vec<u64>,
    last: Option<Last>,
    damage: Vec<Damage>,
}

impl Examined {
    /// Takes what a segment holds.
    fn take(
        &mut self,
        folder: &Path,
        sequence: u64,
        bytes: &Bytes,
        contents: &Contents,
    ) -> Result<(), StartError> {
        let file = segment_path(folder, sequence);
        match check_segment_header(bytes, sequence) {
            SegmentHeader::Valid => {}
            SegmentHeader::Version(version) => {
                return Err(StartError::Version { file, version, expected: VERSION });
            }
            SegmentHeader::Invalid => {
                self.damage.push(Damage { file: file.clone(), offset: 0, position: None });
            }
        }
        let expected = self.sequences.last().map(|before| before + 1);
        if expected.is_some_and(|expected| expected != sequence) {
            let file = segment_path(folder, sequence - 1);
            self.damage.push(Damage { file, offset: 0, position: None });
        }
        for (offset, position) in &contents.damage {
            let (file, offset, position) = (file.clone(), *offset, *position);
            self.damage.push(Damage { file, offset, position });
        }
        self.sequences.push(sequence);
        let rest = usize::try_from(contents.end).ok().and_then(|end| bytes.get(end..));
        let ragged = rest.is_some_and(|rest| !is_zero(rest));
        let Contents { durable, end, .. } = *contents;
        self.last = Some(Last { sequence, durable, end, ragged });
        Ok(())
    }
}

async fn examine(
    disk: &dyn Disk,
    folder: &Path,
    catalogue: &mut Catalogue,
    restore: &mut (dyn FnMut(Record) + Send),
) -> Result<Examined, StartError> {
    let failed = |source| StartError::Disk { folder: folder.to_owned(), source };
    let mut sequences = sequences(disk, folder).await.map_err(failed)?;
    let mut examined = Examined::default();
    while let Some(last) = sequences.last()
        && is_blank(disk, folder, *last).await.map_err(failed)?
    {
        sequences.pop();
    }
    for sequence in sequences.iter().copied() {
        let last = sequences.last() == Some(&sequence);
        let bytes = read_file(disk, &segment_path(folder, sequence)).await.map_err(failed)?;
        let contents = scan(&bytes, sequence, last);
        examined.take(folder, sequence, &bytes, &contents)?;
        for placed in contents.records {
            catalogue.take(sequence, &placed);
            restore(placed.record);
        }
    }
    Ok(examined)
}

/// Whether nothing in a segment was ever durable: it was made for records that did not come.
async fn is_blank(disk: &dyn Disk, folder: &Path, sequence: u64) -> io::Result<bool> {
    let bytes = read_file(disk, &segment_path(folder, sequence)).await?;
    let version = check_segment_header(&bytes, sequence);
    let Contents { records, damage, durable, .. } = scan(&bytes, sequence, true);
    let other = matches!(version, SegmentHeader::Version(_));
    Ok(!other && records.is_empty() && damage.is_empty() && durable == 0)
}

async fn sequences(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<u64>> {
    let names = disk.list(folder).await?;
    let mut sequences: Vec<u64> = names
        .iter()
        .filter_map(|entry| entry.name.strip_prefix("segment-")?.strip_suffix(".log"))
        .filter_map(|text| u64::from_str_radix(text, 16).ok())
        .collect();
    sequences.sort_unstable();
    Ok(sequences)
}

async fn finish(
    runtime: &Runtime,
    folder: &Path,
    lock: DiskLock,
    examined: Examined,
    catalogue: Catalogue,
) -> io::Result<Opened> {
    let Examined { sequences, last, mut damage } = examined;
    let Catalogue { metadata, index, highest: mut older } = catalogue;
    if PlantedBug::VotesDespiteDamage.is_planted() {
        damage.clear();
    }
    for sequence in &sequences {
        older.entry(*sequence).or_default();
    }
    let after = last.as_ref().map_or(1, |last| last.sequence + 1);
    let disk = &*runtime.disk;
    let current = match last {
        Some(last) if damage.is_empty() => {
            older.remove(&last.sequence);
            reopen(disk, folder, last).await?
        }
        _ => create_segment(disk, folder, after, &metadata).await?,
    };
    let (runtime, folder) = (runtime.clone(), folder.to_owned());
    let (segment_bytes, lock, spare) = (SEGMENT_BYTES, Arc::new(lock), None);
    let mut storage =
        Storage { runtime, folder, current, spare, index, older, metadata, segment_bytes, lock };
    if !damage.is_empty() {
        storage.rewrite(&sequences).await?;
    }
    Ok(Opened { storage, damage })
}

/// Opens the last segment for writing, cuts off what is torn, and makes durable what an earlier
/// process may have left unsynced.
async fn reopen(disk: &dyn Disk, folder: &Path, last: Last) -> io::Result<Current> {
    let Last { sequence, durable, end, ragged } = last;
    let file = disk.open(&segment_path(folder, sequence), OpenOptions::UPDATE).await?;
    if ragged {
        tracing::info!(sequence, end, "cut off a torn end of the replicated log");
        file.truncate(end).await?;
    }
    let allocated = file.length().await?.max(end);
    // Where a sync has failed, the system may hold what the disk does not have, and sync it never.
    let length = usize::try_from(end.saturating_sub(durable)).map_err(io::Error::other)?;
    let unsure = file.read_at(durable, length).await?;
    file.write_and_sync(durable, unsure).await?;
    disk.sync_directory(folder).await?;
    Ok(Current { sequence, file, length: end, allocated, synced: end, unmarked: true })
}

impl Storage {
    /// Writes what is left of damaged segments anew and removes them, so that the damage is met
    /// only once. What it means for this replica to have forgotten something is written first.
    async fn rewrite(&mut self, old: &[u64]) -> io::Result<()> {
        // What is written now could make one of them count as outdated and be removed before it
        // was read: one of which nothing can be read, for example.
        for sequence in old {
            self.older.remove(sequence);
        }
        let mut metadata = self.metadata.clone();
        metadata.damaged = true;
        metadata.state = crate::ReplicaState::Recovering;
        let final_metadata = Record::Metadata(metadata);
        self.write_durably(vec![final_metadata.clone()]).await?;
        for sequence in old {
            let path = segment_path(&self.folder, *sequence);
            let bytes = read_file(&*self.runtime.disk, &path).await?;
            let contents = scan(&bytes, *sequence, old.last() == Some(sequence));
            let records = contents.records.into_iter().map(|placed| placed.record);
            let entries = |record: &Record| !matches!(record, Record::Metadata(_));
            let records: Vec<Record> = records.filter(entries).collect();
            for chunk in records.chunks(1024) {
                self.write(chunk.to_vec()).await?;
            }
        }
        self.write_durably(vec![final_metadata]).await?;
        for sequence in old {
            let path = segment_path(&self.folder, *sequence);
            self.runtime.disk.remove_file(&path).await?;
            self.index.close(*sequence);
        }
        self.runtime.disk.sync_directory(&self.folder).await
    }
}
