//! A disk per host that forgets what was not synced when the power fails.

mod control;
mod durability;
mod names;
mod port;
mod tree;

pub use control::DiskControl;
pub(crate) use port::Handle;
pub(crate) use tree::Disk;
