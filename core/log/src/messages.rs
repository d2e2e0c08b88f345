//! What replicas say to each other. One side asks, the other answers on the same connection; any
//! message may be lost, late, doubled or overtaken.

use std::collections::BTreeMap;

use orrery_runtime::Address;

use crate::{Ballot, Cluster, Position, ReplicaState, Value};

/// Who answered, and what it knows of the others' fate. A quorum is counted over these.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Voter {
    /// What the replica calls itself.
    pub address: Address,
    /// The replica's id, drawn when its folder was made.
    pub id: u64,
    /// How often the replica had to start over because it could not trust what it remembered.
    pub generation: u64,
    /// Of replicas that started over: the generation from which on their answers count.
    pub known: BTreeMap<Address, u64>,
}

/// What one replica asks another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Request {
    /// Promise to take nothing from lower ballots.
    Promise {
        /// Of the coordinator that wants to be elected.
        ballot: Ballot,
    },
    /// Accept these values at consecutive positions. Without values it shows that the coordinator
    /// is there.
    Write {
        /// Of the coordinator.
        ballot: Ballot,
        /// Where the first value goes.
        first: Position,
        /// The values.
        values: Vec<Value>,
        /// All positions up to this one are agreed upon.
        learned: Position,
    },
    /// Say in which state you are.
    Inquire {
        /// Comes back with the answer.
        nonce: u64,
    },
    /// The asking replica starts over: from now on count its answers from this generation on.
    Fence {
        /// The asking replica's new generation.
        generation: u64,
    },
    /// Tell the entries from one position to another.
    Read {
        /// Comes back with the answer.
        nonce: u64,
        /// First position wanted.
        from: Position,
        /// Last position wanted.
        to: Position,
        /// Only what is agreed upon, and from a replica in any state.
        learned_only: bool,
    },
}

/// What a replica makes of a request to promise or to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It does as asked.
    Accepted,
    /// It has promised this higher ballot.
    Rejected(Ballot),
    /// It does not vote, or does not know enough of what the request is about.
    Ignored,
}

/// An entry as one replica knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KnownEntry {
    /// Where it stands.
    pub position: Position,
    /// The ballot at which the replica accepted it.
    pub ballot: Ballot,
    /// Whether it is agreed upon.
    pub learned: bool,
    /// What stands there.
    pub value: Value,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Response {
    /// To [`Request::Promise`].
    Promised {
        /// Who answers.
        voter: Voter,
        /// The ballot of the request.
        ballot: Ballot,
        /// What came of it.
        verdict: Verdict,
        /// The highest position of which the replica knows anything.
        end: Position,
    },
    /// To [`Request::Write`].
    Written {
        /// Who answers.
        voter: Voter,
        /// The ballot of the request.
        ballot: Ballot,
        /// What came of it.
        verdict: Verdict,
        /// First position of the request.
        first: Position,
        /// How many values it had.
        count: u64,
    },
    /// To [`Request::Inquire`].
    State {
        /// Who answers.
        voter: Voter,
        /// The nonce of the request.
        nonce: u64,
        /// The state it is in.
        state: ReplicaState,
        /// Whether it left VOTING because its disk had rotted.
        damaged: bool,
    },
    /// To [`Request::Fence`].
    Fenced {
        /// Who answers.
        voter: Voter,
        /// The generation of the request.
        generation: u64,
        /// [`Verdict::Accepted`] when the generation is recorded.
        verdict: Verdict,
        /// The highest ballot that the replica had promised.
        promised: Ballot,
        /// The highest position of which the replica knows anything.
        end: Position,
    },
    /// To [`Request::Read`].
    Page {
        /// Who answers.
        voter: Voter,
        /// The nonce of the request.
        nonce: u64,
        /// False when the replica does not vote and was asked for more than what is agreed upon.
        valid: bool,
        /// The first position that is not truncated.
        begin: Position,
        /// What was asked for is told up to and without this position.
        next: Position,
        /// The entries.
        entries: Vec<KnownEntry>,
    },
    /// To any request of a replica that was told otherwise about the cluster. Nothing came of it.
    Refused {
        /// Who answers.
        voter: Voter,
        /// What it was told.
        cluster: Cluster,
        /// The state it is in.
        state: ReplicaState,
    },
}

impl Response {
    /// Who answers.
    pub fn voter(&self) -> &Voter {
        match self {
            Self::Promised { voter, .. }
            | Self::Written { voter, .. }
            | Self::State { voter, .. }
            | Self::Fenced { voter, .. }
            | Self::Page { voter, .. }
            | Self::Refused { voter, .. } => voter,
        }
    }
}
