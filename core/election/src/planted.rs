//! Bugs that a test can switch on, to prove that the simulator would find them.

use std::collections::BTreeSet;

/// One known way to be wrong. Each is a single line at the place in production code where the
/// mistake would be made; without the feature `planted-bugs` the compiler removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlantedBug {
    /// A contender takes the node of its lost session for its own (MESOS-422, MESOS-1265).
    TrustsOldNode,
    /// A leader goes on leading when its session has expired.
    LeadsOnAfterExpiry,
    /// A node that may have been made is made once more (MESOS-1239).
    RepeatsUnknownJoin,
    /// A contender whose node was removed does not notice.
    OverlooksRemoval,
    /// A detector goes on naming the last leader when its session has expired.
    NamesLeaderAfterExpiry,
    /// A detector looks at a group that is not there once, and never again (MESOS-9426).
    WaitsForNoGroup,
}

impl PlantedBug {
    /// True when a test has switched it on.
    #[cfg(feature = "planted-bugs")]
    pub(crate) fn is_in(self, planted: &BTreeSet<Self>) -> bool {
        planted.contains(&self)
    }

    /// Never true outside tests.
    #[cfg(not(feature = "planted-bugs"))]
    pub(crate) const fn is_in(self, _planted: &BTreeSet<Self>) -> bool {
        false
    }
}
