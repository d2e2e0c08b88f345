//! Flags of the daemons and tools, by Mesos' rules.
//!
//! A program's flags are a table of [`FlagSpec`] (see [`tables`]); [`parse`] reads a command line
//! and an environment against it and is strict: an unknown flag, a flag given twice (also under two
//! of its names), a missing or ill-formed value each end with one clear line. Unknown `MESOS_*`
//! variables are ignored, since executors and tools leave many of them around.
//!
//! The crate reads no file and no environment itself: both are handed in, so a test can be exact.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod error;
mod flags;
mod help;
mod parse;
mod spec;
pub mod tables;
mod value;

pub use error::FlagError;
pub use flags::Flags;
pub use help::usage;
pub use parse::parse;
pub use spec::{FlagSpec, Kind, Support, flag};
pub use value::{FlagValue, Rate, Value};
