//! What can be wrong with resources from outside.

use crate::roles::RoleError;
use crate::scalar::Scalar;
use crate::value::ValueError;

/// A resource that was refused, by name.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("resource '{name}' is invalid: {problem}")]
pub struct ResourceError {
    /// The name of the resource, or the text that should have held one.
    pub name: String,
    /// What is wrong with it.
    pub problem: Problem,
}

/// The ways in which a resource can be wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The name is empty.
    #[error("'name' is empty; expected a name such as cpus")]
    EmptyName,
    /// The text is not `name:value`.
    #[error("expected name:value or name(role):value")]
    Pair,
    /// The text is not a JSON list of resources.
    #[error("not a JSON list of resources: {0}")]
    Json(String),
    /// The text of the value cannot be read.
    #[error("{0}")]
    Value(#[from] ValueError),
    /// A text value, which attributes may have but resources may not.
    #[error("value '{0}' is text; expected a number, [begin-end, ...] or {{item, ...}}")]
    Text(String),
    /// `type` does not name exactly the value that is set.
    #[error("'type' is {kind}; expected exactly the value '{field}' to be set")]
    Type {
        /// The type.
        kind: &'static str,
        /// The only field that may be set with it.
        field: &'static str,
    },
    /// The type is TEXT or no type at all.
    #[error("'type' is {0}; expected SCALAR, RANGES or SET")]
    UnknownType(i32),
    /// The amount is negative, not a number or beyond the limit.
    #[error("scalar is {0}; expected a number from 0 to {max}", max = Scalar::MAX_INPUT)]
    Amount(f64),
    /// A part of a unit that has no parts.
    #[error("scalar is {0}; expected a whole number")]
    Fraction(f64),
    /// A range's end lies before its begin.
    #[error("range [{0}-{1}] ends before it begins")]
    Range(u64, u64),
    /// Two ranges have numbers in common.
    #[error("ranges overlap; expected separate ones")]
    Overlap,
    /// An item stands twice in a set.
    #[error("item '{0}' stands more than once in the set")]
    Duplicate(String),
    /// A role's name is invalid.
    #[error("{0}")]
    Role(#[from] RoleError),
    /// Fields of the older and the newer format together.
    #[error("'{0}' is set together with 'reservations'; expected only one of the two formats")]
    MixedFormats(&'static str),
    /// A reservation lacks something or has what it must not have.
    #[error("{0}")]
    Reservation(&'static str),
    /// A refinement for a role that is not below the refined one.
    #[error("reservation for role '{role}' refines one for '{above}'; expected a role below it")]
    Refinement {
        /// The role of the refining reservation.
        role: String,
        /// The role of the refined one.
        above: String,
    },
    /// `disk` is set or described wrongly.
    #[error("{0}")]
    Disk(&'static str),
    /// `shared` is set for something that cannot be shared.
    #[error("'shared' is set; expected it on persistent volumes only")]
    Shared,
    /// Revocable and dynamically reserved at once.
    #[error("'revocable' is set on a dynamic reservation; expected at most one of the two")]
    RevocableReservation,
}

impl ResourceError {
    pub(super) fn new(name: &str, problem: impl Into<Problem>) -> Self {
        Self { name: name.to_owned(), problem: problem.into() }
    }
}
