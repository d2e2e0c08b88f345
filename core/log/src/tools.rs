//! What can be done to a replica that does not run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use orrery_runtime::{Address, Disk, Runtime};

use crate::disk_task::fill_in;
use crate::limits::Limits;
use crate::log::Status;
use crate::replica::{Page, Replica};
use crate::storage::{self, Index, Looked, Opened};
use crate::{Damage, KnownEntry, Metadata, Position, Record, ReplicaState, StartError};

/// Why a replica is not initialised.
#[derive(Debug, thiserror::Error)]
pub enum InitializeError {
    /// The folder cannot be used.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It has a log already.
    #[error("the replica is {0}, expected EMPTY; --accept_loss makes it vote all the same")]
    State(ReplicaState),
    /// Something else is kept there.
    #[error(
        "{} holds '{name}' and no replicated log: expected a replica's folder, or an empty or new \
         one", .folder.display()
    )]
    Stranger {
        /// The folder.
        folder: PathBuf,
        /// What stands in it.
        name: String,
    },
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
    if let Some(name) = storage::stranger(&*runtime.disk, folder).await? {
        return Err(InitializeError::Stranger { folder: folder.to_owned(), name });
    }
    let mut before = Metadata { begin: Position(1), ..Metadata::default() };
    let mut find = |record| {
        if let Record::Metadata(found) = record {
            before = found;
        }
    };
    let Opened { mut storage, damage } = storage::open(runtime, folder, &mut find).await?;
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
    storage.write_durably(vec![Record::Metadata(metadata)]).await?;
    storage.mark().await?;
    Ok(())
}

/// How often a folder is read that changes meanwhile.
const LOOKS: u32 = 5;

/// What a replica holds, as it was found on its disk.
pub struct Inspection {
    replica: Replica,
    index: Index,
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    damage: Vec<Damage>,
    earlier: Vec<String>,
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Inspection of {}", self.folder.display())
    }
}

/// Looks at the replica in `folder` without changing anything. It may even run meanwhile.
///
/// # Errors
/// [`StartError`].
pub async fn inspect(runtime: &Runtime, folder: &Path) -> Result<Inspection, StartError> {
    let mut looks = 0;
    loop {
        // It answers nobody, so its address does not matter.
        let mut replica = Replica::new(Address::new("localhost", 0), Limits::default());
        let mut restore = |record| replica.restore(record);
        let looked = storage::look(&*runtime.disk, folder, &mut restore).await?;
        let Looked { index, damage, earlier, changed } = looked;
        looks += 1;
        if damage.is_empty() || !changed || looks == LOOKS {
            let (disk, folder) = (Arc::clone(&runtime.disk), folder.to_owned());
            return Ok(Inspection { replica, index, disk, folder, damage, earlier });
        }
    }
}

impl Inspection {
    /// What the replica would know of itself.
    pub fn status(&self) -> Status {
        self.replica.status()
    }

    /// What was durable and cannot be read any more.
    pub fn damage(&self) -> &[Damage] {
        &self.damage
    }

    /// What was found damaged when the replica started, and is not healed yet.
    pub fn earlier_damage(&self) -> &[String] {
        &self.earlier
    }

    /// The highest position of which it holds anything.
    pub fn end(&self) -> Position {
        self.replica.end()
    }

    /// What it has accepted or learned from `from` to `to`, or the first part of it, and the
    /// position at which the next part begins, if there is any.
    ///
    /// # Errors
    /// What is on the disk cannot be read any more.
    pub async fn entries(
        &mut self,
        from: Position,
        to: Position,
    ) -> std::io::Result<(Vec<KnownEntry>, Option<Position>)> {
        let (from, to) = (from.max(self.replica.begin()), to.min(self.replica.end()));
        let Page { next, mut entries, stored } = self.replica.page(from, to, false);
        let mut rest = &stored[..];
        while !rest.is_empty() {
            let values = self.index.load(&*self.disk, &self.folder, rest).await;
            rest = fill_in(&mut entries, rest, values.map_err(std::io::Error::other)?);
        }
        Ok((entries, (next <= to).then_some(next)))
    }
}
