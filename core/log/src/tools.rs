//! What can be done to a replica that does not run.

use std::path::Path;
use std::sync::Arc;

use orrery_runtime::Runtime;

use crate::log::Status;
use crate::replica::Replica;
use crate::storage::{self, Opened};
use crate::{Damage, KnownEntry, Metadata, Position, Record, ReplicaState, StartError};

/// Why a replica is not initialised.
#[derive(Debug, thiserror::Error)]
pub enum InitializeError {
    /// The folder cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It has a log already.
    #[error("the replica is {0}, expected EMPTY; --accept-loss makes it vote all the same")]
    State(ReplicaState),
    /// The disk refuses.
    #[error("the replicated log: {0}")]
    Disk(#[from] std::io::Error),
}

/// Lets the replica in `folder`, which must not run, vote from now on. With `accept_loss` also one
/// that has a log or had one: what it and the other replicas have forgotten is then given up.
///
/// # Errors
/// [`InitializeError`].
pub async fn initialize(
    runtime: &Runtime,
    folder: &Path,
    accept_loss: bool,
) -> Result<(), InitializeError> {
    let Opened { mut storage, records, damage } =
        storage::open(Arc::clone(&runtime.disk), folder).await?;
    let before = metadata(&records);
    let state = match damage.is_empty() {
        true => before.state,
        false => ReplicaState::Recovering,
    };
    if state != ReplicaState::Empty && !accept_loss {
        return Err(InitializeError::State(state));
    }
    let id = runtime.random.generator().next_u64().max(1);
    let metadata = Metadata {
        id: if before.id == 0 { id } else { before.id },
        state: ReplicaState::Voting,
        damaged: false,
        ..before
    };
    storage.write(vec![Record::Metadata(metadata)]).await?;
    storage.sync().await?;
    storage.mark().await?;
    Ok(())
}

/// What a replica that does not run holds.
#[derive(Debug)]
pub struct Inspection {
    /// What it would know of itself.
    pub status: Status,
    /// What it has accepted or learned, by position.
    pub entries: Vec<KnownEntry>,
    /// Records that cannot be read.
    pub damage: Vec<Damage>,
}

/// Looks at the replica in `folder` without changing anything. It may even run meanwhile.
///
/// # Errors
/// [`StartError`].
pub async fn inspect(
    runtime: &Runtime,
    folder: &Path,
    from: Position,
    to: Position,
) -> Result<Inspection, StartError> {
    let (records, damage) = storage::look(&*runtime.disk, folder).await?;
    // It answers nobody, so its address does not matter.
    let address = orrery_runtime::Address::new("localhost", 0);
    let replica = Replica::restore(address, records);
    let (mut from, mut entries) = (from.max(replica.begin()), Vec::new());
    let to = to.min(replica.end());
    while from <= to {
        let page = replica.page(from, to, false);
        entries.extend(page.entries);
        from = page.next;
    }
    Ok(Inspection { status: replica.status(), entries, damage })
}

fn metadata(records: &[Record]) -> Metadata {
    let last = records.iter().rev().find_map(|record| match record {
        Record::Metadata(metadata) => Some(metadata.clone()),
        Record::Entry(_) | Record::Learned { .. } => None,
    });
    last.unwrap_or(Metadata { begin: Position(1), ..Metadata::default() })
}
