//! The messages that Orrery speaks, in both of their encodings.
//!
//! | module | what |
//! |---|---|
//! | [`v1`] | the public messages, with Mesos' names and numbers: `mesos.v1` and its sub-packages |
//! | [`lease`] | how masters elect their leader among themselves |
//! | [`link`] | the private connection between an agent and its master |
//! | [`log`] | what the replicas of the replicated log say to each other and keep |
//! | [`registry`] | what a master must still know after a restart |
//! | [`protobuf`] | the binary encoding, with the check for required fields that prost leaves out |
//! | [`json`] | Mesos' JSON form of the `v1` messages, which is not the one of proto3 |
//!
//! The Rust types are made by the build script from the texts under `proto/`. An optional field is
//! an `Option`, a required one stands plain, an enum is an `i32` (`TaskState::try_from(number)`
//! tells its value), bytes are [`bytes::Bytes`] and maps are ordered.
//!
//! This crate promises that no input, however malformed or deeply nested, makes it panic or
//! exhaust the stack, and that what it decodes has every required field.

#[allow(clippy::all, clippy::pedantic, missing_docs)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/messages.rs"));
}

pub mod json;
pub mod protobuf;

pub use generated::mesos::v1;
pub use generated::orrery::lease::v1 as lease;
pub use generated::orrery::link::v1 as link;
pub use generated::orrery::log::v1 as log;
pub use generated::orrery::registry::v1 as registry;

/// The compiled descriptors of everything under `proto/`: a serialised
/// `google.protobuf.FileDescriptorSet`. For tools that explore the messages at run time.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
