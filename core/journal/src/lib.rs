//! A folder of small files that change often and must not be lost, at the cost of one sync for many
//! changes.
//!
//! [`Journal::commit`] appends a batch of [`Change`]s to one file, the journal, and syncs that. The
//! files themselves are written later, in the background and unsynced; what is removed before its
//! turn has come is never written. Once the journal is long the files are synced, and it begins
//! anew.
//!
//! ```text
//! commit ──▶ journal.<n>: frame, frame, frame …        synced before `commit` returns
//!               │
//!               └──▶ home: the files themselves         written soon, synced before n is removed
//! ```
//!
//! What it promises, whenever the process is killed or the host loses power:
//! - after [`Journal::open`] the files are as some prefix of the committed batches has left them,
//!   with every batch whose `commit` had returned and no part of a batch;
//! - a file that a crash tore or emptied is whole again, since the journal still holds its content;
//! - a batch that has rotted is found by its checksum, and told with its position.
//!
//! It reaches the disk through its port alone, and knows nothing of what the files mean.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod change;
mod error;
mod frames;
mod home;
mod journal;
mod planted;

pub use change::Change;
pub use error::{DiskError, JournalError};
pub use journal::Journal;
pub use planted::PlantedBug;
