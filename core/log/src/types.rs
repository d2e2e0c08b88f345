//! What a log consists of.

use std::fmt;

use bytes::Bytes;

/// A place in the log. The first entry has position 1; 0 stands before all entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// The position before all entries.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The position before this one; [`Position::ZERO`] has none before it.
    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The number under which a coordinator asks for promises and writes. No two elections share one:
/// rounds differ within a replica, and no two replicas share an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ballot {
    /// Counts elections, over all replicas.
    pub round: u64,
    /// The id of the replica beside the coordinator.
    pub proposer: u64,
}

impl fmt::Display for Ballot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:x}", self.round, self.proposer)
    }
}

/// What a position can hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Nothing: a coordinator filled a position of which nothing was known.
    Nop,
    /// What a writer appended.
    Append(Bytes),
    /// All positions before this one are gone.
    Truncate(Position),
}

impl Value {
    /// How many bytes of payload it carries.
    pub fn length(&self) -> usize {
        match self {
            Self::Append(data) => data.len(),
            Self::Nop | Self::Truncate(_) => 0,
        }
    }
}

/// An entry of the log on which all replicas agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Where it stands.
    pub position: Position,
    /// What stands there.
    pub value: Value,
}

/// What a replica may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplicaState {
    /// It has no log: a new replica, or one that lost its disk.
    #[default]
    Empty,
    /// It has no log and has seen that nobody has one.
    Starting,
    /// It promises and accepts.
    Voting,
    /// It learns from the others what it must know before it may vote.
    Recovering,
}

impl fmt::Display for ReplicaState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Empty => "EMPTY",
            Self::Starting => "STARTING",
            Self::Voting => "VOTING",
            Self::Recovering => "RECOVERING",
        })
    }
}
