//! What can go wrong.

use std::path::PathBuf;

use orrery_runtime::Address;

use crate::{Disagreement, Position};

/// Something on the disk that was durable and cannot be read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// The position in the log whose entry it holds, where that can still be told.
    pub position: Option<Position>,
    /// What is wrong there.
    pub defect: Defect,
}

/// What can be wrong with a replica's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// The checksum of a record does not fit.
    Record,
    /// A segment does not begin with its header.
    Header,
    /// A segment holds less than it did.
    Cut,
    /// A segment is gone.
    Missing,
    /// What says which segments there are is gone or cannot be read.
    Manifest,
}

impl std::fmt::Display for Defect {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Record => "no record with a checksum that fits",
            Self::Header => "no header of this segment",
            Self::Cut => "the segment held more than this",
            Self::Missing => "the segment is gone",
            Self::Manifest => "nothing says which segments there were",
        })
    }
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} at byte {}", self.file.display(), self.offset)?;
        match self.position {
            Some(position) => write!(formatter, " (log position {position})")?,
            None => write!(formatter, " (log position unknown)")?,
        }
        write!(formatter, ": {}", self.defect)
    }
}

/// Why a log cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The quorum is no majority that the members can form.
    #[error("quorum is {quorum}, expected {expected} for {members} replicas")]
    Quorum {
        /// What was asked for.
        quorum: usize,
        /// What would be right.
        expected: usize,
        /// How many replicas there are.
        members: usize,
    },
    /// The disk refuses.
    #[error("the replicated log in {}: {source}", .folder.display())]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// What the disk says.
        source: std::io::Error,
    },
    /// Nothing was ever kept there.
    #[error("{} holds no replicated log: expected the folder of a replica", .folder.display())]
    Absent {
        /// The folder.
        folder: PathBuf,
    },
    /// Another process uses the folder.
    #[error(
        "the replicated log in {} is in use by another process: give each master a folder of its \
         own, or stop the other one", .folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A file is of a version that this program does not know.
    #[error("{}: format version {version}, expected {expected}", .file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        version: u32,
        /// What this program writes.
        expected: u32,
    },
}

/// Why a replica does not serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Too many replicas cannot trust what they remember.
    #[error("{0}")]
    Damaged(String),
    /// Another replica is reached where this one says that it is.
    #[error(
        "another replica answers at {0}, where this one is to be reached: two masters have one \
         address. Give each of them its own (--advertise_ip and --advertise_port, or --ip and \
         --port)"
    )]
    Conflict(Address),
    /// Two addresses of the list lead to this replica, or to it and to a copy of it.
    #[error(
        "{own} and {other} of --peers are both this replica, or its folder was copied: expected \
         another replica at each address, with a folder replicated_log of its own"
    )]
    Twice {
        /// The one by which it knows itself.
        own: Address,
        /// Another one.
        other: Address,
    },
    /// Others that vote were told otherwise about the cluster.
    #[error(transparent)]
    Disagreement(Disagreement),
    /// The disk failed; what is on it is not known any more.
    #[error("the replicated log has ended: {0}")]
    Disk(String),
    /// The log was stopped.
    #[error("the replicated log has ended")]
    Stopped,
}

/// Why a write was not confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum WriteError {
    /// The writer was deposed before anything was sent: the entry is not in the log and never will
    /// be.
    #[error("the log has another writer; the entry was not written")]
    Lost,
    /// It is too large to be written.
    #[error("the entry has {length} bytes, expected at most {limit}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The longest one, [`crate::APPEND_MAX`].
        limit: usize,
    },
    /// The writer was deposed, or time ran out, after the entry was sent.
    #[error("the entry may or may not be in the log: {0}")]
    Unknown(&'static str),
}

/// Why entries cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// They are truncated.
    #[error("position {position} is truncated: the log begins at {beginning}")]
    Truncated {
        /// What was asked for.
        position: Position,
        /// Where the log begins.
        beginning: Position,
    },
    /// This replica does not know them.
    #[error("position {position} is not known to this replica: it knows all up to {ending}")]
    Unknown {
        /// What was asked for.
        position: Position,
        /// What can be read.
        ending: Position,
    },
    /// The disk has rotted.
    #[error("the entry is damaged on disk: {0}; it is being fetched from other replicas")]
    Damaged(Damage),
    /// The replica has ended.
    #[error(transparent)]
    Ended(#[from] LogError),
}
