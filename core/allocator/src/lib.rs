//! Decides which framework is offered what: dominant resource fairness over a tree of roles and,
//! inside a role, over its frameworks.
//!
//! The master tells the [`Allocator`] about frameworks, agents and everything that is given back;
//! [`Allocator::run`] answers with [`Grant`]s, which the master turns into offers. Whatever was
//! granted counts as allocated until [`Allocator::recover`] is told otherwise, no matter whether it
//! is still on offer or a task runs on it.
//!
//! # How a run goes
//!
//! The agents that have something to give and about which something changed take turns in random
//! order. On its turn an agent walks the roles from the lowest share upwards, and in each role the
//! frameworks from the lowest share upwards; the first that may and wants to have the agent's free
//! resources gets all of them (reservations go to their role and the roles below only). Shares are
//! updated after every turn.
//!
//! The share of a role is the largest fraction, over all scalar resources, of the cluster that its
//! frameworks and the roles below it hold, divided by its weight. Ties go to whoever was granted
//! something less often, then to the smaller name.
//!
//! # When runs are due
//!
//! A framework that arrives, wakes up or revives, and an agent that arrives or changes, cause a run
//! at once. Resources that were given back and filters that ran out wait for the next periodic
//! run, so that they can be granted together. [`Allocator::deadline`] says when a run is due; with
//! nobody to offer to or nothing to offer there is none. A run looks only at agents that changed.
//!
//! # Promises
//!
//! - On each agent, what is granted never exceeds what is free ([`Allocator::check_conservation`]).
//! - The same calls in the same order with the same generator give the same grants.
//! - The cost of a grant grows with the logarithm of the number of roles and frameworks.
//!
//! Not part of this crate yet: quota guarantees and limits, offer constraints, inverse offers,
//! regions, and shared volumes for several users at once (one is offered to one framework at a
//! time).

#![warn(missing_docs)]

mod agent;
mod allocator;
mod filters;
mod framework;
mod inspect;
mod options;
mod pending;
mod planted;
mod roles;
mod run;
mod share;
mod slab;

pub use allocator::Allocator;
pub use options::{AgentKey, FrameworkKey, FrameworkOptions, Grant, Options};
pub use planted::PlantedBug;
