//! The journal: committing batches, and beginning anew once it is long.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use orrery_coverage::reachable;
use orrery_runtime::disk::{create_durable_directories, read_file};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Disk, File, OpenOptions, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::home::{Home, Pending};
use crate::{Change, DiskError, JournalError, PlantedBug, change, frames};

/// Begins the names of the journal's own files.
pub(crate) const PREFIX: &str = "journal.";
/// Length in bytes at which a journal gives way to the next one.
const LONG: u64 = 8 << 20;
/// How long a change waits for others before it is written to its file.
const DELAY: Duration = Duration::from_millis(200);

/// A journal and the files that it keeps. Only one may be open for a folder.
pub struct Journal {
    runtime: Runtime,
    root: PathBuf,
    number: u64,
    file: Box<dyn File>,
    /// Where the next batch will stand.
    end: u64,
    contents: BTreeMap<String, Bytes>,
    damages: usize,
    shared: Arc<Shared>,
    wake: mpsc::Sender<()>,
    /// Ends when the files are not written any more.
    failed: oneshot::Receiver<()>,
    _applier: AbortOnDrop,
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Journal({}, {PREFIX}{})", self.root.display(), self.number)
    }
}

/// What waits to be written to the files.
#[derive(Default)]
struct Waiting {
    changes: Pending,
    /// A journal that is over once all of this is written and synced.
    closed: Option<PathBuf>,
    /// Why nothing is written any more.
    failure: Option<DiskError>,
}

#[derive(Default)]
struct Shared(Mutex<Waiting>);

impl Shared {
    /// Holds plain data, which a panic elsewhere cannot leave half changed.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Adds changes; whether the journal may give way to the next one.
    fn add(&self, changes: Vec<Change>) -> bool {
        let mut waiting = self.lock();
        changes.into_iter().for_each(|change| waiting.changes.add(change));
        waiting.closed.is_none()
    }
}

impl Journal {
    /// Opens the journal of a folder, which is made if it is missing, and brings the files to the
    /// last batch. With `tolerant` what is damaged is left out; [`Journal::damages`] counts it.
    ///
    /// # Errors
    /// The disk's; or a batch is damaged.
    pub async fn open(
        runtime: &Runtime,
        root: &Path,
        tolerant: bool,
    ) -> Result<Self, JournalError> {
        let disk = &*runtime.disk;
        create_durable_directories(disk, root).await.map_err(DiskError::at(root))?;
        let old = journals(runtime, root).await?;
        let (pending, damages) = replay(runtime, root, &old, tolerant).await?;
        let mut home = Home::open(Arc::clone(&runtime.disk), root).await?;
        home.distrust(&pending);
        home.apply(pending).await?;
        home.sync().await?;
        let number = old.last().map_or(1, |last| last + 1);
        let file = create(runtime, root, number).await?;
        for number in old {
            remove(runtime, &path_of(root, number)).await?;
        }
        let contents = home.read().await?;
        let shared = Arc::new(Shared::default());
        let (wake, woken) = mpsc::channel(1);
        let applier = apply_all(runtime.clone(), home, Arc::clone(&shared), woken);
        let (end, failed) = oneshot::channel::<()>();
        let applier = async move {
            applier.await;
            drop(end);
        };
        let applier = runtime.spawn("journalled files", applier).abort_on_drop();
        let (runtime, root) = (runtime.clone(), root.to_owned());
        let end = 0;
        let _applier = applier;
        Ok(Self {
            runtime,
            root,
            number,
            file,
            end,
            contents,
            damages,
            shared,
            wake,
            failed,
            _applier,
        })
    }

    /// Takes the content of every file, by path, as it was when the journal was opened.
    pub fn take_contents(&mut self) -> BTreeMap<String, Bytes> {
        std::mem::take(&mut self.contents)
    }

    /// How many batches were left out because they are damaged.
    pub fn damages(&self) -> usize {
        self.damages
    }

    /// Completes once the files cannot be written any more, with the reason: whoever holds the
    /// journal should not wait for the next commit to learn of it.
    pub async fn failed(&mut self) -> DiskError {
        // Its other end is dropped when the writing has ended, and nothing is ever sent.
        let _ = (&mut self.failed).await;
        let failure = self.shared.lock().failure.as_ref().map(DiskError::again);
        failure.unwrap_or_else(|| {
            DiskError::at(&self.root)(io::Error::other("the journal is being closed"))
        })
    }

    /// Makes changes durable: after a crash they are found all or, unless this has returned, none.
    ///
    /// # Errors
    /// The disk's. What is on it is then unknown, and nothing more may be committed: the journal is
    /// to be opened anew.
    pub async fn commit(&mut self, changes: Vec<Change>) -> Result<(), DiskError> {
        if let Some(failure) = &self.shared.lock().failure {
            return Err(failure.again());
        }
        let appended = async {
            let frame = frames::encode(self.end, &change::encode(&changes))?;
            let length = frame.len() as u64;
            self.file.write_at(self.end, frame).await?;
            self.file.sync().await?;
            Ok(length)
        };
        let path = path_of(&self.root, self.number);
        self.end += appended.await.map_err(DiskError::at(&path))?;
        if self.shared.add(changes) && self.end >= LONG {
            self.file = create(&self.runtime, &self.root, self.number + 1).await?;
            self.shared.lock().closed = Some(path);
            self.number += 1;
            self.end = 0;
        }
        // It is full when the applier is about to look anyway.
        let _ = self.wake.try_send(());
        Ok(())
    }
}

fn path_of(root: &Path, number: u64) -> PathBuf {
    root.join(format!("{PREFIX}{number}"))
}

/// Numbers of the journals in a folder, oldest first.
async fn journals(runtime: &Runtime, root: &Path) -> Result<Vec<u64>, DiskError> {
    let entries = runtime.disk.list(root).await.map_err(DiskError::at(root))?;
    let number = |name: &str| name.strip_prefix(PREFIX)?.parse().ok();
    let mut numbers: Vec<u64> = entries.iter().filter_map(|entry| number(&entry.name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

async fn create(runtime: &Runtime, root: &Path, number: u64) -> Result<Box<dyn File>, DiskError> {
    let path = path_of(root, number);
    let created = async {
        let file = runtime.disk.open(&path, OpenOptions::CREATE).await?;
        file.sync().await?;
        Ok(file)
    };
    let file = created.await.map_err(DiskError::at(&path))?;
    runtime.disk.sync_directory(root).await.map_err(DiskError::at(root))?;
    Ok(file)
}

/// Removes a journal durably: were it found again without the next one, it would bring back what
/// that one has overwritten.
async fn remove(runtime: &Runtime, path: &Path) -> Result<(), DiskError> {
    runtime.disk.remove_file(path).await.map_err(DiskError::at(path))?;
    match path.parent() {
        Some(root) => runtime.disk.sync_directory(root).await.map_err(DiskError::at(root)),
        None => Ok(()),
    }
}

/// Everything that the journals hold, and how many of their batches are damaged.
async fn replay(
    runtime: &Runtime,
    root: &Path,
    numbers: &[u64],
    tolerant: bool,
) -> Result<(Pending, usize), JournalError> {
    let (mut pending, mut damages) = (Pending::default(), 0);
    let mut journals = Vec::new();
    for number in numbers {
        let path = path_of(root, *number);
        let content = read_durable(&*runtime.disk, &path).await.map_err(DiskError::at(&path))?;
        journals.push((path, content));
    }
    // Only the newest journal that was written to can have been torn. Those after it were made by
    // processes that ended before they had removed it.
    let written = journals.iter().rposition(|(_, content)| !content.is_empty());
    for (index, (path, content)) in journals.into_iter().enumerate() {
        let frames = frames::decode(&content);
        let mut damaged: Vec<u64> = frames.damages.iter().map(|damage| damage.offset).collect();
        if frames.end < content.len() as u64 {
            if Some(index) == written && !PlantedBug::TornBatchIsDamage.is_planted() {
                reachable!("a journal's last batch is torn");
            } else {
                damaged.push(frames.end);
            }
        }
        for payload in frames.payloads {
            match change::decode(payload) {
                Some(changes) => changes.into_iter().for_each(|change| pending.add(change)),
                None => damaged.push(0),
            }
        }
        for offset in &damaged {
            tracing::error!(path = %path.display(), offset, tolerant, "damaged journal");
        }
        if let Some(offset) = damaged.first().copied().filter(|_| !tolerant) {
            return Err(JournalError::Damaged { path, offset });
        }
        damages += damaged.len();
    }
    Ok((pending, damages))
}

/// What a file holds, once it is sure to hold it after a crash as well: a process that was killed
/// may not have come to syncing its last batch, and half of it could be in the files by then. It is
/// written once more, for where a sync has failed the system may never write it by itself.
async fn read_durable(disk: &dyn Disk, path: &Path) -> io::Result<Bytes> {
    let content = read_file(disk, path).await?;
    let file = disk.open(path, OpenOptions::UPDATE).await?;
    file.write_at(0, content.clone()).await?;
    file.sync().await?;
    Ok(content)
}

/// Writes what waits to the files, again and again.
async fn apply_all(
    runtime: Runtime,
    mut home: Home,
    shared: Arc<Shared>,
    mut woken: mpsc::Receiver<()>,
) {
    while woken.recv().await.is_some() {
        runtime.sleep(DELAY).await;
        if let Err(error) = apply(&runtime, &mut home, &shared).await {
            tracing::error!(%error, "cannot write journalled files");
            shared.lock().failure = Some(error);
            // The end of this task is what tells whoever waits for it.
            return;
        }
    }
}

async fn apply(runtime: &Runtime, home: &mut Home, shared: &Shared) -> Result<(), DiskError> {
    let (changes, closed) = {
        let mut waiting = shared.lock();
        (std::mem::take(&mut waiting.changes), waiting.closed.clone())
    };
    if !changes.is_empty() {
        home.apply(changes).await?;
    }
    if let Some(closed) = closed {
        home.sync().await?;
        remove(runtime, &closed).await?;
        shared.lock().closed = None;
    }
    Ok(())
}
