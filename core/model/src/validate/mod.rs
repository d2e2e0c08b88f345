//! Rules for messages from outside that can be checked by looking at the message alone.
//!
//! Checks run in the order in which Mesos runs them, and the first that fails gives the reason,
//! because frameworks show these texts to people. What depends on the state of the cluster (is
//! the id in use, is the offer large enough, does a running executor match) is the master's.

mod check;
mod command;
mod container;
mod executor;
mod framework;
mod group;
mod task;
#[cfg(test)]
mod tests;

pub use executor::executor;
pub use framework::{framework_info, suppressed_roles};
pub use group::task_group;
pub use task::task;

use std::fmt::Display;

use crate::resources::Resources;

/// The longest identifier in bytes. Identifiers become names of directories.
pub const ID_LENGTH_MAX: usize = 255;

/// Why a message was refused, in words for the one who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Invalid {
    reason: String,
}

impl Invalid {
    /// A refusal for `reason`.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }

    /// The same refusal with `context` before its reason.
    fn within(self, context: &str) -> Self {
        Self::new(format!("{context}: {}", self.reason))
    }
}

/// Fails with `reason` unless `holds`. The reason is put into words only when it is needed.
fn expect(holds: bool, reason: impl Display) -> Result<(), Invalid> {
    if holds { Ok(()) } else { Err(Invalid::new(reason.to_string())) }
}

/// Checks an identifier: 1 to 255 bytes, none of them a control character, `/` or `\`, and neither
/// `.` nor `..`, so that it can be the name of a directory.
pub fn id(id: &str) -> Result<(), Invalid> {
    expect(!id.is_empty(), "ID must not be empty")?;
    expect(id.len() <= ID_LENGTH_MAX, "ID must not be greater than 255 characters")?;
    let disallowed = matches!(id, "." | "..");
    expect(!disallowed, format_args!("'{id}' is disallowed"))?;
    let invalid = id.contains(|c: char| c.is_ascii_control() || c == '/' || c == '\\');
    expect(!invalid, format_args!("'{}' contains invalid characters", id.escape_default()))
}

/// Checks the name of a role; see [`crate::roles::validate`].
pub fn role(role: &str) -> Result<(), Invalid> {
    crate::roles::validate(role).map_err(|error| Invalid::new(error.to_string()))
}

/// Checks what a task or executor asks for: one allocation role at most, no name both revocable
/// and not, no volume twice.
fn consumed(resources: &Resources) -> Result<(), Invalid> {
    let roles = resources.allocations();
    if roles.len() > 1 {
        let roles: Vec<&str> = roles.keys().map(String::as_str).collect();
        let roles = roles.join(", ");
        return Err(Invalid::new(format!(
            "The resources have multiple allocation roles ({roles}) but only one allocation role \
             is allowed"
        )));
    }
    let (revocable, firm) = (resources.revocable(), resources.non_revocable());
    for entry in revocable.iter() {
        if firm.iter().any(|other| other.name() == entry.name()) {
            let name = entry.name();
            return Err(Invalid::new(format!(
                "Cannot use both revocable and non-revocable '{name}'"
            )));
        }
    }
    unique_persistence_ids(resources)
}

fn unique_persistence_ids(resources: &Resources) -> Result<(), Invalid> {
    let mut seen = std::collections::BTreeSet::new();
    for entry in resources.non_shared().iter() {
        let Some(persistence) = entry.disk().and_then(|disk| disk.persistence.as_ref()) else {
            continue;
        };
        let role = entry.reservations().last().map(|reservation| reservation.role.clone());
        if !seen.insert((role, persistence.id.clone())) {
            let id = &persistence.id;
            return Err(Invalid::new(format!("Persistence ID '{id}' is not unique")));
        }
    }
    Ok(())
}
