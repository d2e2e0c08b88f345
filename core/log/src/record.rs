//! What a replica keeps on its disk.

use std::collections::BTreeMap;

use orrery_runtime::Address;

use crate::{Ballot, KnownEntry, Position, ReplicaState};

/// One record. The state of a replica is what its records say, in order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Record {
    /// Replaces what earlier ones said.
    Metadata(Metadata),
    /// What was accepted at a position, or learned there.
    Entry(KnownEntry),
    /// What was accepted at this ballot at these positions is agreed upon.
    Learned {
        /// First position.
        from: Position,
        /// Last position.
        to: Position,
        /// Entries of other ballots are not meant.
        ballot: Ballot,
    },
}

/// What a replica must remember beside entries.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Metadata {
    /// Drawn when the folder was made.
    pub id: u64,
    /// What the replica may do.
    pub state: ReplicaState,
    /// Whether it left VOTING because records were damaged.
    pub damaged: bool,
    /// How often it had to start over.
    pub generation: u64,
    /// It takes nothing from lower ballots.
    pub promised: Ballot,
    /// The first position that is not truncated.
    pub begin: Position,
    /// Of replicas that started over: the generation from which on their answers count.
    pub known: BTreeMap<Address, u64>,
}
