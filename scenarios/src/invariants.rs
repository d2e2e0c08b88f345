//! One file for each rule, with its number in the catalogue and the bugs of Apache Mesos that it
//! would have found.

pub mod acknowledgements;
pub mod answers;
pub mod conservation;
pub mod executors;
pub mod identity;
pub mod kills;
pub mod leaks;
pub mod losses;
pub mod membership;
pub mod offers;
pub mod order;
pub mod progress;
pub mod reconciliation;
pub mod records;
pub mod registry;
pub mod returns;
pub mod roles;
pub mod runs;
pub mod states;
pub mod streams;
pub mod tasks;
pub mod truth;
pub mod written;

/// One process of a framework: the framework's number in the plan, and how many there were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Whose.
    pub framework: usize,
    /// Counted from 0.
    pub number: u32,
}
