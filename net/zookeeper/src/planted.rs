//! Bugs that a test can switch on, to prove that the simulator would find them.

use std::collections::BTreeSet;

/// One known way to be wrong. Each is a single line at the place in production code where the
/// mistake would be made; without the feature `planted-bugs` the compiler removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlantedBug {
    /// A session that is cut off lives until a server says otherwise.
    WaitsForVerdict,
    /// Watches are not renewed at another server.
    ForgetsWatches,
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
