//! Bugs that other cluster managers once had, to be switched on by tests which must find them.

use std::collections::BTreeSet;

/// One known way to be wrong. Each is a single line at the place in production code where the
/// mistake would be made; without the feature `planted-bugs` the compiler removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlantedBug {
    /// MESOS-7744: a task killed before delivery is reported killed and is launched all the same.
    KillDuringLaunchStillLaunches,
    /// MESOS-4671: a new update overtakes the ones that wait for their acknowledgement.
    ForwardsUpdatesOutOfOrder,
    /// MESOS-482: an acknowledged update stays in its stream and is sent again.
    ResendsAcknowledgedUpdate,
    /// MESOS-9887: a second terminal update follows the first one.
    UpdateAfterTerminal,
}

/// True when a test has switched `bug` on.
#[cfg(feature = "planted-bugs")]
pub(crate) fn is_planted(planted: &BTreeSet<PlantedBug>, bug: PlantedBug) -> bool {
    planted.contains(&bug)
}

/// Never true outside tests.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is_planted(_planted: &BTreeSet<PlantedBug>, _bug: PlantedBug) -> bool {
    false
}
