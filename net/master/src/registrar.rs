//! The registry's keeper: reads it from the replicated log when this master begins to lead, and
//! writes every change before anybody is told of it.
//!
//! The log holds changes. Once they have grown to a multiple of the whole content, the content is
//! written again, in parts, and all before it is cut off; so a change costs at most twice its size.

mod entries;
#[cfg(test)]
mod entries_test;
#[cfg(test)]
mod recovery_test;
mod statistics;

use std::sync::Arc;
use std::time::Duration;

use orrery_api::v1;
use orrery_coverage::{reachable, sometimes};
use orrery_log::{APPEND_MAX, Log, LogError, Position, ReadError, WriteError, Writer};
use orrery_master::{Registry, RegistryOperation, Ticket};
use orrery_runtime::Runtime;
use tokio::sync::mpsc;

use crate::planted::PlantedBug;
use entries::{EntryError, Replay};
pub(crate) use statistics::Statistics;

/// How many changes are written together at most.
const BATCH: usize = 4096;

/// Changes smaller than this, in bytes, are not worth a snapshot.
const LEAST_CHANGES: usize = 1 << 20;

/// Pause before an entry that is being fetched from other replicas is read again.
const HEALING_TIME: Duration = Duration::from_millis(100);

/// How long reading and writing may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Reading the registry when a master begins to lead.
    pub fetch: Duration,
    /// One write.
    pub store: Duration,
}

/// Why the registry cannot be used by this master at present.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No quorum answered in time.
    #[error(
        "the registry was not read within --registry_fetch_timeout={} s: a quorum of the masters \
         must run and reach each other", .0.as_secs_f64()
    )]
    FetchTimeout(Duration),
    /// The log does not serve.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log cannot be read.
    #[error("the registry cannot be read: {0}")]
    Read(#[from] ReadError),
    /// An entry of the log is none of a registry, or of a newer version.
    #[error(
        "the registry's entry at position {position} cannot be read: {text}. A quorum of the \
         masters has agreed on it, so it is none of a registry, or one of a newer version: start \
         that one"
    )]
    Entry {
        /// Where it stands.
        position: Position,
        /// What is wrong with it.
        text: String,
    },
    /// The registry holds what this program would not respect.
    #[error(
        "the registry needs a master that is capable of {}, which this one is not: start a version \
         that is, or undo with such a version what needs it", .0.join(", ")
    )]
    Capabilities(Vec<String>),
    /// A change was not written, or not in time: another master leads, or no quorum is there.
    #[error("the registry cannot be written: {0}")]
    Write(#[from] WriteError),
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is durable.
    Stored(Ticket),
    /// It never will be, and why.
    Refused(Ticket, String),
}

/// The registry and the right to change it. Without a log it is kept in memory only.
#[derive(Debug)]
pub struct Registrar {
    storage: Option<Arc<Writer>>,
    registry: Registry,
    limits: Limits,
    runtime: Runtime,
    statistics: Statistics,
    /// Bytes of changes since the last snapshot.
    changed: usize,
    /// Bytes of the last snapshot.
    whole: usize,
}

impl Registrar {
    /// Reads the registry and takes the right to write it, which makes every earlier master unable
    /// to. `leader` is written into it, which proves that a quorum takes our writes.
    pub async fn recover(
        runtime: &Runtime,
        log: Option<&Log>,
        leader: &v1::MasterInfo,
        limits: Limits,
    ) -> Result<Self, RegistryError> {
        let statistics = Statistics::default();
        let recovering = async {
            let start = runtime.clock.now();
            let (storage, replay) = match log {
                Some(log) => {
                    let writer = log.writer().await?;
                    let replay = read(runtime, log, &writer).await?;
                    (Some(Arc::new(writer)), replay)
                }
                None => (None, Replay::default()),
            };
            let (registry, changed, whole) = replay.finish();
            let missing = registry.missing_capabilities(&leader.capabilities);
            if !missing.is_empty() {
                return Err(RegistryError::Capabilities(missing));
            }
            statistics.fetched(runtime.clock.now().since(start));
            let runtime = runtime.clone();
            let mut registrar =
                Self { storage, registry, limits, runtime, statistics, changed, whole };
            registrar.write(&[RegistryOperation::Lead(Box::new(leader.clone()))]).await?;
            Ok(registrar)
        };
        let recovered = runtime.timeout(limits.fetch, recovering).await;
        recovered.unwrap_or_else(|| {
            reachable!("a leader cannot read the registry in time");
            Err(RegistryError::FetchTimeout(limits.fetch))
        })
    }

    /// The content.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// How long reading and writing take.
    pub(crate) fn statistics(&self) -> Statistics {
        self.statistics.clone()
    }

    /// Writes changes as they come, all that wait together, and tells of each once it is durable.
    /// Ends when `tell` says that nobody is interested any more, and with the first change that is
    /// not written: whether it was then is unknown, so this master must not go on. One that is too
    /// large for the log does not even go there: no other master could write it, so it is nothing
    /// to give up the lead for.
    pub async fn run(
        mut self,
        mut changes: mpsc::UnboundedReceiver<(Ticket, RegistryOperation)>,
        tell: impl AsyncFn(Fate) -> bool,
    ) -> Result<(), RegistryError> {
        let mut batch = Vec::new();
        while changes.recv_many(&mut batch, BATCH).await > 0 {
            if !self.refuse_oversized(&mut batch, &tell).await {
                return Ok(());
            }
            let (tickets, mut operations): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
            sometimes!(tickets.len() > 1, "several changes of the registry are stored together");
            if PlantedBug::StoresOneChangeOfABatch.is_planted() {
                operations.truncate(1);
            }
            let early = PlantedBug::ToldBeforeItIsStored.is_planted();
            if early && !tell_stored(&tickets, &tell).await {
                return Ok(());
            }
            self.write(&operations).await?;
            if !early && !tell_stored(&tickets, &tell).await {
                return Ok(());
            }
            self.snapshot_if_due().await?;
        }
        Ok(())
    }

    /// Takes out of a batch what no log can take; false when nobody is interested any more. The
    /// registry in memory is bounded alike, so that a master without a log behaves as any other.
    async fn refuse_oversized(
        &self,
        batch: &mut Vec<(Ticket, RegistryOperation)>,
        tell: &impl AsyncFn(Fate) -> bool,
    ) -> bool {
        let refused = |(_, operation): &mut (Ticket, RegistryOperation)| {
            entries::oversized(operation).is_some()
        };
        for (ticket, operation) in batch.extract_if(.., refused).collect::<Vec<_>>() {
            let reason = entries::oversized(&operation).unwrap_or_default();
            tracing::error!(%reason, "a change of the registry is refused");
            if !tell(Fate::Refused(ticket, reason)).await {
                return false;
            }
        }
        true
    }

    /// Completes when another master has taken the right to write.
    pub(crate) fn deposed(&self) -> impl Future<Output = ()> + Send + use<> {
        let storage = self.storage.clone();
        async move {
            match storage {
                Some(writer) => writer.lost().await,
                None => std::future::pending().await,
            }
        }
    }

    async fn write(&mut self, operations: &[RegistryOperation]) -> Result<(), RegistryError> {
        for operation in operations {
            self.registry.apply(operation);
        }
        let start = self.runtime.clock.now();
        let Some(writer) = &self.storage else { return Ok(()) };
        for entry in entries::operations(operations) {
            self.changed += entry.len();
            let appended = writer.append(entry, self.limits.store).await;
            sometimes!(appended.is_err(), "whether a change of the registry is stored is unknown");
            appended?;
        }
        let time = self.runtime.clock.now().since(start);
        self.statistics.stored(time, self.whole + self.changed);
        Ok(())
    }

    async fn snapshot_if_due(&mut self) -> Result<(), RegistryError> {
        let Some(writer) = &self.storage else { return Ok(()) };
        if self.changed < LEAST_CHANGES.max(2 * self.whole) {
            return Ok(());
        }
        reachable!("the registry is written anew and the log cut off");
        let mut first = None;
        let parts = entries::snapshot(&self.registry);
        if let Some(part) = parts.iter().find(|part| part.len() > APPEND_MAX) {
            // The changes that it came of are stored and stay; a master may lead without snapshots.
            let bytes = part.len();
            tracing::error!(
                bytes,
                APPEND_MAX,
                "the registry is not written anew: a part is too large"
            );
            self.changed = 0;
            return Ok(());
        }
        self.whole = 0;
        for part in parts {
            self.whole += part.len();
            let position = writer.append(part, self.limits.store).await?;
            first = first.or(Some(position));
        }
        if let Some(first) = first {
            writer.truncate(first, self.limits.store).await?;
        }
        self.changed = 0;
        Ok(())
    }
}

/// Reports that changes are stored; false when nobody is interested any more.
async fn tell_stored(tickets: &[Ticket], tell: &impl AsyncFn(Fate) -> bool) -> bool {
    for ticket in tickets {
        if !tell(Fate::Stored(*ticket)).await {
            return false;
        }
    }
    true
}

/// Reads everything that stood in the log when `writer` was elected.
async fn read(runtime: &Runtime, log: &Log, writer: &Writer) -> Result<Replay, RegistryError> {
    let reader = log.reader();
    let (mut from, to) = (reader.beginning().await?, writer.position());
    let mut replay = Replay::default();
    while from <= to {
        let entries = match reader.read(from, to).await {
            Err(ReadError::Damaged(damage)) => {
                reachable!("a leader reads what is damaged on its own disk");
                tracing::warn!(%damage, "the registry is being healed from other replicas");
                runtime.sleep(HEALING_TIME).await;
                continue;
            }
            entries => entries?,
        };
        let Some(last) = entries.last() else { break };
        from = last.position.next();
        for entry in &entries {
            let position = entry.position;
            replay
                .take(&entry.value)
                .map_err(|EntryError(text)| RegistryError::Entry { position, text })?;
        }
    }
    Ok(replay)
}
