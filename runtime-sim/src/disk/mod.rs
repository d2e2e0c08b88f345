//! A disk per host that forgets what was not synced when the power fails.

mod control;
mod control_faults;
mod durability;
mod errors;
mod names;
mod port;
mod snapshot;
mod tearing;
mod tree;

pub use control::DiskControl;
pub use errors::DiskOperation;
pub(crate) use port::Handle;
pub use snapshot::DiskSnapshot;
pub use tearing::Tearing;
pub(crate) use tree::Disk;
