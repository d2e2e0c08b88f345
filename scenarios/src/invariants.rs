//! One file for each rule.

pub mod conservation;
pub mod offers;
pub mod records;
pub mod runs;
pub mod tasks;

/// One process of a framework: the framework's number in the plan, and how many there were before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Session {
    /// Whose.
    pub framework: usize,
    /// Counted from 0.
    pub number: u32,
}
