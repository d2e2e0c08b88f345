//! The task that writes to the disk: everything that waits becomes durable with one sync, and only
//! then does what depends on it go out.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use orrery_runtime::machine::Feeder;
use orrery_runtime::{Instant, Runtime};
use tokio::sync::oneshot;

use crate::backlog::Queue;
use crate::handle::Answer;
use crate::machine::{Input, LogMachine};
use crate::record::Record;
use crate::signal::Signal;
use crate::storage::{LoadError, Storage};
use crate::{KnownEntry, LogError, PlantedBug, Position, ReadError, Response, Value};

/// No more jobs are taken into a batch that has so many records.
const BATCH_RECORDS: usize = 16_384;

/// This long after the last sync, what is durable is written down.
const IDLE: Duration = Duration::from_millis(200);

/// A disk that takes longer than this to make something durable is told of.
const SLOW: Duration = Duration::from_secs(3);

/// What is to be done, in order.
pub(crate) enum Job {
    /// Keep these.
    Persist(Vec<Record>),
    /// Answer another replica once all before is durable.
    Answer { answer: Answer, response: Response, stored: Vec<Position> },
    /// Answer the own coordinator once all before is durable.
    Local(Response),
    /// Fill in the values at these positions.
    Load {
        entries: Vec<KnownEntry>,
        stored: Vec<Position>,
        respond: oneshot::Sender<Result<Vec<KnownEntry>, ReadError>>,
    },
    /// Let go of the folder, and say so.
    Stop(oneshot::Sender<()>),
}

/// What goes out once everything is durable.
enum Deferred {
    Answer(Answer, Response),
    Local(Response),
}

pub(crate) struct DiskTask {
    pub(crate) runtime: Runtime,
    pub(crate) folder: PathBuf,
    pub(crate) storage: Storage,
    /// When everything was made durable last.
    pub(crate) synced: Instant,
    pub(crate) jobs: Queue,
    pub(crate) feeder: Feeder<LogMachine>,
    pub(crate) address: orrery_runtime::Address,
    pub(crate) ended: Arc<Signal<LogError>>,
}

impl DiskTask {
    /// Works until nobody has jobs any more or the disk fails.
    pub(crate) async fn run(mut self) {
        match self.work().await {
            Ok(Some(stopped)) => {
                self.ended.set(LogError::Stopped);
                self.storage.close().await;
                // Who does not wait any more needs nothing.
                let _ = stopped.send(());
            }
            Ok(None) => {}
            Err(error) => {
                let folder = self.folder.display();
                tracing::error!(%folder, %error, "the replicated log's disk failed");
                self.ended.set(LogError::Disk(format!("{folder}: {error}")));
            }
        }
    }

    async fn work(&mut self) -> io::Result<Option<oneshot::Sender<()>>> {
        let (runtime, folder) = (self.runtime.clone(), self.folder.clone());
        loop {
            let Some(first) = self.next_job().await? else { return Ok(None) };
            let batch = watched(&runtime, &folder, self.make_durable(first)).await?;
            for deferred in batch.deferred {
                self.release(deferred).await;
            }
            self.jobs.done();
            if batch.stop.is_some() {
                return Ok(batch.stop);
            }
        }
    }

    /// The next job. Some time after the last sync, what is durable is written down first: jobs
    /// that write nothing come all the time.
    async fn next_job(&mut self) -> io::Result<Option<Job>> {
        if self.storage.is_unmarked() {
            let since = self.runtime.clock.now().since(self.synced);
            let rest = IDLE.saturating_sub(since);
            if let Some(job) = self.runtime.timeout(rest, self.jobs.recv()).await {
                return Ok(job);
            }
            watched(&self.runtime, &self.folder, self.storage.mark()).await?;
        }
        Ok(self.jobs.recv().await)
    }

    /// Takes this job and those that are at hand behind it.
    async fn make_durable(&mut self, first: Job) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let mut next = Some(first);
        while let Some(job) = next {
            self.take(job, &mut batch).await?;
            next = match batch.records.len() < BATCH_RECORDS && batch.stop.is_none() {
                true => self.jobs.try_recv(),
                false => None,
            };
        }
        self.finish(&mut batch).await?;
        Ok(batch)
    }

    async fn take(&mut self, job: Job, batch: &mut Batch) -> io::Result<()> {
        match job {
            Job::Persist(records) => {
                // What is agreed upon can be learned again, so it waits for the next sync.
                let waits = |record: &Record| matches!(record, Record::Learned { .. });
                batch.unsynced |= !records.iter().all(waits);
                batch.records.extend(records);
            }
            Job::Answer { answer, response, .. } if PlantedBug::AnswersBeforeSync.is_planted() => {
                answer.give(response);
            }
            Job::Answer { answer, mut response, stored } => {
                if !stored.is_empty() && !self.complete(&mut response, &stored, batch).await? {
                    return Ok(());
                }
                batch.deferred.push(Deferred::Answer(answer, response));
            }
            Job::Local(response) => batch.deferred.push(Deferred::Local(response)),
            Job::Load { mut entries, stored, respond } => {
                self.flush(batch).await?;
                let loaded = self.load(&mut entries, &stored).await?;
                // Who does not wait any more needs nothing.
                let _ = respond.send(loaded.map(|()| entries));
            }
            Job::Stop(stopped) => batch.stop = Some(stopped),
        }
        Ok(())
    }

    /// Writes what waits, and makes it durable where something depends on that.
    async fn finish(&mut self, batch: &mut Batch) -> io::Result<()> {
        if !batch.unsynced {
            return self.flush(batch).await;
        }
        match std::mem::take(&mut batch.records) {
            records if records.is_empty() => self.storage.sync().await?,
            records => self.storage.write_durably(records).await?,
        }
        self.synced = self.runtime.clock.now();
        Ok(())
    }

    async fn flush(&mut self, batch: &mut Batch) -> io::Result<()> {
        let records = std::mem::take(&mut batch.records);
        match records.is_empty() {
            true => Ok(()),
            false => self.storage.write(records).await,
        }
    }

    /// Puts the values that are on disk alone into a page. False when one is damaged, or truncated
    /// meanwhile: then the page is not sent, and will be asked for again.
    async fn complete(
        &mut self,
        response: &mut Response,
        stored: &[Position],
        batch: &mut Batch,
    ) -> io::Result<bool> {
        let Response::Page { entries, .. } = response else { return Ok(true) };
        self.flush(batch).await?;
        Ok(self.load(entries, stored).await?.is_ok())
    }

    async fn load(
        &mut self,
        entries: &mut [KnownEntry],
        stored: &[Position],
    ) -> io::Result<Result<(), ReadError>> {
        let mut rest = stored;
        while !rest.is_empty() {
            let values = match self.storage.load(rest).await {
                Ok(values) => values,
                Err(LoadError::Disk(error)) => return Err(error),
                Err(LoadError::Damaged(position, damage)) => {
                    // The driver ends before this task does.
                    let _ = self.feeder.feed(Input::Damaged(position, damage.clone())).await;
                    return Ok(Err(ReadError::Damaged(damage)));
                }
                // A truncation came in between.
                Err(LoadError::Absent(position)) if position < self.storage.beginning() => {
                    let beginning = self.storage.beginning();
                    return Ok(Err(ReadError::Truncated { position, beginning }));
                }
                Err(error @ LoadError::Absent(_)) => return Err(io::Error::other(error)),
            };
            rest = fill_in(entries, rest, values);
        }
        Ok(Ok(()))
    }

    async fn release(&self, deferred: Deferred) {
        match deferred {
            Deferred::Answer(answer, response) => answer.give(response),
            Deferred::Local(response) => {
                let from = self.address.clone();
                // The driver ends before this task does.
                let _ = self.feeder.feed(Input::Response { from, response }).await;
            }
        }
    }
}

/// Puts the values at the first of these positions into the entries. Returns the other positions.
pub(crate) fn fill_in<'a>(
    entries: &mut [KnownEntry],
    positions: &'a [Position],
    values: Vec<Value>,
) -> &'a [Position] {
    let (loaded, rest) = positions.split_at(values.len().min(positions.len()));
    for (position, value) in loaded.iter().zip(values) {
        if let Ok(index) = entries.binary_search_by_key(position, |entry| entry.position) {
            entries[index].value = value;
        }
    }
    rest
}

/// What is written together, and what waits for it.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    unsynced: bool,
    deferred: Vec<Deferred>,
    /// Nothing more is to be done, which is to be said there.
    stop: Option<oneshot::Sender<()>>,
}

/// Does work of the disk, and says so if that takes long: nothing is answered meanwhile.
async fn watched<T>(runtime: &Runtime, folder: &Path, work: impl Future<Output = T>) -> T {
    let begun = runtime.clock.now();
    let mut work = pin!(work);
    if let Some(done) = runtime.timeout(SLOW, work.as_mut()).await {
        return done;
    }
    let folder = folder.display();
    let waited = SLOW.as_secs();
    tracing::warn!(
        %folder, waited,
        "the replicated log's disk has made nothing durable for seconds; until it does, this \
         replica answers nobody"
    );
    let done = work.await;
    let waited = runtime.clock.now().since(begun).as_secs();
    tracing::warn!(%folder, waited, "the replicated log's disk goes on");
    done
}
