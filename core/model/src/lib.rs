//! What the whole cluster talks about, with its arithmetic and its rules: resources, roles,
//! identifiers, task states, durations, sizes and attributes.
//!
//! - [`Resources`] is an exact algebra: scalars count thousandths, ranges are sorted and merged,
//!   and every amount keeps its reservations, disk, provider and allocation role.
//! - [`validate`] checks messages from outside; an [`validate::Invalid`] says what was wrong in
//!   words that a framework's author can act on.
//! - [`duration`], [`bytes_size`] and [`attributes`] read the text forms that flags have.
//!
//! The crate is pure: it has no state, no clock and no input or output. Whatever it is given, it
//! answers with a value or a typed error and does not panic.

#![warn(missing_docs)]

pub mod attributes;
pub mod bytes_size;
pub mod duration;
pub mod framework;
mod planted;
mod quantities;
mod ranges;
pub mod resources;
pub mod roles;
mod scalar;
pub mod task_state;
pub mod validate;
mod value;

pub use planted::PlantedBug;
pub use quantities::Quantities;
pub use ranges::{Range, Ranges};
pub use resources::{ResourceError, Resources, endpoint_object};
pub use scalar::Scalar;
