//! Opening the folder of a replica, and what is done about what is found there.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use orrery_runtime::disk::{create_durable_directories, read_file};
use orrery_runtime::{Disk, DiskLock, OpenOptions, Runtime};

use super::evidence;
use super::examine::{Catalogue, Examined, Newest, examine};
use super::manifest::{self, Keeper, Manifest};
use super::scan::{Expected, scan};
use super::{Current, Index, SEGMENT_BYTES, Storage, create_segment, segment_path};
use crate::record::{Metadata, Record};
use crate::{Damage, PlantedBug, ReplicaState, StartError};

/// The file in a replica's folder that its process holds locked.
const LOCK: &str = "LOCK";

/// How often a folder that is in use is tried again.
const LOCK_TRIES: u32 = 20;

/// Pause before a folder that is in use is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// Whether a file of this name is one of a replica's, of which a folder without a log has none.
fn is_ours(name: &str) -> bool {
    super::sequence(name).is_some() || manifest::is_named(name)
}

/// What in a folder says that it is none of a replica, if it holds something, but no log.
///
/// # Errors
/// Of the disk.
pub(crate) async fn stranger(disk: &dyn Disk, folder: &Path) -> io::Result<Option<String>> {
    let names = match disk.list(folder).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        listed => listed?.into_iter().map(|entry| entry.name),
    };
    let names: Vec<String> = names.filter(|name| name != LOCK).collect();
    if names.iter().any(|name| is_ours(name)) {
        return Ok(None);
    }
    Ok(names.into_iter().next())
}

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
    /// What was found damaged at earlier starts and is not healed yet.
    pub(crate) earlier: Vec<String>,
    /// Whether a replica has changed the folder meanwhile, so that damage may be none.
    pub(crate) changed: bool,
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
    let examined = examine(disk, folder, restore).await?;
    finish(runtime, folder, lock, examined).await.map_err(failed)
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
/// As [`open`], and [`StartError::Absent`].
pub(crate) async fn look(
    disk: &dyn Disk,
    folder: &Path,
    restore: &mut (dyn FnMut(Record) + Send),
) -> Result<Looked, StartError> {
    let failed = |source| StartError::Disk { folder: folder.to_owned(), source };
    let examined = examine(disk, folder, restore).await?;
    if examined.is_empty() {
        return Err(StartError::Absent { folder: folder.to_owned() });
    }
    let earlier = match examined.catalogue.metadata.damaged {
        true => evidence::read(disk, folder).await.map_err(failed)?,
        false => Vec::new(),
    };
    let changed = manifest::read(disk, folder).await.map_err(failed)? != examined.found;
    Ok(Looked { index: examined.catalogue.index, damage: examined.damage, earlier, changed })
}

async fn finish(
    runtime: &Runtime,
    folder: &Path,
    lock: DiskLock,
    mut examined: Examined,
) -> io::Result<Opened> {
    if PlantedBug::VotesDespiteDamage.is_planted() {
        examined.damage.clear();
    }
    let disk = &*runtime.disk;
    let Examined { found, mut files, read, first, last, newest, damage, catalogue } = examined;
    let Catalogue { mut metadata, index, highest: mut older } = catalogue;
    let (current, first, keeper) = match newest {
        Some(newest) if damage.is_empty() => {
            older.remove(&newest.sequence);
            let keeper = Keeper::open(disk, folder, found, Manifest::of(first, last)).await?;
            (reopen(disk, folder, newest).await?, first, keeper)
        }
        _ if damage.is_empty() => {
            let after = last + 1;
            let keeper = Keeper::open(disk, folder, found, Manifest::of(after, last)).await?;
            (create_segment(disk, folder, after, &metadata).await?, after, keeper)
        }
        _ => {
            evidence::add(disk, folder, &damage).await?;
            // That something is forgotten is durable before anything is changed that shows it, and
            // what is written now could make an old segment count as outdated and be removed
            // before it was read: one of which nothing can be read, for example.
            older.clear();
            (metadata.damaged, metadata.state) = (true, ReplicaState::Recovering);
            // What stands there that is no segment stays until its number is reached.
            let mut after = last + 1;
            while files.contains(&after) {
                after += 1;
            }
            files.retain(|sequence| *sequence < after);
            let first = first.min(after);
            let current = create_segment(disk, folder, after, &metadata).await?;
            let keeper = Keeper::open(disk, folder, found, Manifest::of(first, after)).await?;
            (current, first, keeper)
        }
    };
    if damage.is_empty() {
        tell_earlier_damage(disk, folder, &metadata).await?;
    }
    let claim = Manifest::of(first, current.sequence);
    let (runtime, folder) = (runtime.clone(), folder.to_owned());
    let (segment_bytes, lock, spare) = (SEGMENT_BYTES, Arc::new(lock), None);
    let mut storage = Storage {
        runtime,
        folder,
        current,
        spare,
        index,
        older,
        metadata,
        segment_bytes,
        keeper,
        claim,
        lock,
    };
    storage.synced();
    storage.mark().await?;
    match damage.is_empty() {
        true => storage.remove(files.into_iter().filter(|sequence| *sequence < first)).await?,
        false => storage.rewrite(&read, files).await?,
    }
    Ok(Opened { storage, damage })
}

/// Says again what was found damaged at an earlier start, unless it is healed.
async fn tell_earlier_damage(
    disk: &dyn Disk,
    folder: &Path,
    metadata: &Metadata,
) -> io::Result<()> {
    if !metadata.damaged {
        return evidence::remove(disk, folder).await;
    }
    for damage in evidence::read(disk, folder).await? {
        tracing::error!(%damage, "the replicated log was found damaged, and is not healed yet");
    }
    Ok(())
}

/// Opens the newest segment for writing and overwrites what is torn.
async fn reopen(disk: &dyn Disk, folder: &Path, newest: Newest) -> io::Result<Current> {
    let Newest { sequence, durable, end, ragged } = newest;
    let file = disk.open(&segment_path(folder, sequence), OpenOptions::UPDATE).await?;
    if ragged {
        tracing::info!(sequence, end, "cut off a torn end of the replicated log");
    }
    let allocated = file.length().await?.max(end);
    // Where a sync has failed, the system may hold what the disk does not have, and sync it never.
    let length = |from: u64, to: u64| usize::try_from(to - from).map_err(io::Error::other);
    let unsure = file.read_at(durable, length(durable, end)?).await?;
    let mut rest = BytesMut::from(&unsure[..]);
    rest.put_bytes(0, length(end, allocated)?);
    file.write_and_sync(durable, rest.freeze()).await?;
    disk.sync_directory(folder).await?;
    Ok(Current { sequence, before: 0, file, length: end, allocated, synced: end, unmarked: true })
}

impl Storage {
    /// Writes what is left of damaged segments anew and removes them, so that the damage is met
    /// only once.
    async fn rewrite(&mut self, old: &BTreeMap<u64, Expected>, files: Vec<u64>) -> io::Result<()> {
        let begun = self.current.sequence;
        for (sequence, expected) in old {
            let path = segment_path(&self.folder, *sequence);
            let bytes = read_file(&*self.runtime.disk, &path).await?;
            let contents = scan(&bytes, *sequence, *expected);
            let records = contents.records.into_iter().map(|placed| placed.record);
            let entries = |record: &Record| !matches!(record, Record::Metadata(_));
            let records: Vec<Record> = records.filter(entries).collect();
            for chunk in records.chunks(1024) {
                self.write(chunk.to_vec()).await?;
            }
        }
        let metadata = Record::Metadata(self.metadata.clone());
        self.write_durably(vec![metadata]).await?;
        self.claim.first = begun;
        self.mark().await?;
        self.remove(files).await
    }
}
