//! The bugs that can be planted in the product, and what is expected of each.

mod cases;
mod elsewhere;
pub mod table;

use std::collections::BTreeSet;

use orrery_planted::Bug;

use crate::checks::Invariant;

pub use cases::CASES;
pub use elsewhere::{ELSEWHERE, Elsewhere};

/// Within so many seeds every bug must be found. One that is not shows that a plan or a rule lacks
/// something.
pub const SEEDS: u64 = 1_000;

/// Bugs to switch on in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bugs(BTreeSet<Bug>);

/// A bug with what is expected of it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// The bug.
    pub bug: &'static Bug,
    /// The rule that is expected to find it. Others may be faster.
    pub invariant: Invariant,
    /// Bugs of other machines without which it has no occasion to show.
    pub with: &'static [&'static Bug],
}

impl Bugs {
    /// One bug and those that it needs to show.
    pub fn of(case: &Case) -> Self {
        std::iter::once(case.bug).chain(case.with.iter().copied()).collect()
    }

    /// Switches exactly these bugs on for everything that runs on this thread.
    pub(crate) fn plant(&self) {
        orrery_planted::plant(self.0.iter().copied());
    }
}

impl<'a> std::iter::FromIterator<&'a Bug> for Bugs {
    fn from_iter<T: IntoIterator<Item = &'a Bug>>(bugs: T) -> Self {
        Self(bugs.into_iter().copied().collect())
    }
}
