//! The task that writes to the disk: everything that waits becomes durable with one sync, and only
//! then does what depends on it go out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use orrery_runtime::machine::Feeder;
use orrery_runtime::{Instant, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::handle::Answer;
use crate::machine::{Input, LogMachine};
use crate::record::Record;
use crate::signal::Signal;
use crate::storage::{LoadError, Storage};
use crate::{Damage, KnownEntry, LogError, PlantedBug, Position, Response, Value};

/// No more jobs are taken into a batch that has so many records.
const BATCH_RECORDS: usize = 16_384;

/// This long after the last sync, what is durable is written down.
const IDLE: Duration = Duration::from_millis(200);

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
        respond: oneshot::Sender<Result<Vec<KnownEntry>, Damage>>,
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
    pub(crate) storage: Storage,
    /// When everything was made durable last.
    pub(crate) synced: Instant,
    pub(crate) jobs: mpsc::UnboundedReceiver<Job>,
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
                tracing::error!(%error, "the replicated log's disk failed");
                self.ended.set(LogError::Disk(error.to_string()));
            }
        }
    }

    async fn work(&mut self) -> io::Result<Option<oneshot::Sender<()>>> {
        loop {
            let first = match self.next_job().await? {
                None => return Ok(None),
                Some(Job::Stop(stopped)) => return Ok(Some(stopped)),
                Some(first) => first,
            };
            let mut batch = Batch::default();
            let mut next = Some(first);
            while let Some(job) = next {
                if let Job::Stop(stopped) = job {
                    self.finish(&mut batch).await?;
                    return Ok(Some(stopped));
                }
                self.take(job, &mut batch).await?;
                next = match batch.records.len() < BATCH_RECORDS {
                    true => self.jobs.try_recv().ok(),
                    false => None,
                };
            }
            self.finish(&mut batch).await?;
            for deferred in batch.deferred {
                self.release(deferred).await;
            }
        }
    }

    /// The next job. Some time after the last sync, what is durable is written down first: jobs
    /// that write nothing come all the time.
    async fn next_job(&mut self) -> io::Result<Option<Job>> {
        if self.storage.is_unmarked() {
            let since = self.runtime.clock.now().since(self.synced);
            let rest = IDLE.saturating_sub(since);
            let runtime = self.runtime.clone();
            if let Some(job) = runtime.timeout(rest, self.jobs.recv()).await {
                return Ok(job);
            }
            self.storage.mark().await?;
        }
        Ok(self.jobs.recv().await)
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
            Job::Stop(_) => {}
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

    /// Puts the values that are on disk alone into a page. False when one is damaged: then the page
    /// is not sent, and will be asked for again.
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
    ) -> io::Result<Result<(), Damage>> {
        let mut rest = stored;
        while !rest.is_empty() {
            let values = match self.storage.load(rest).await {
                Ok(values) => values,
                Err(LoadError::Disk(error)) => return Err(error),
                Err(LoadError::Damaged(position, damage)) => {
                    // The driver ends before this task does.
                    let _ = self.feeder.feed(Input::Damaged(position, damage.clone())).await;
                    return Ok(Err(damage));
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
}
