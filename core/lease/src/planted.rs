//! Bugs that a test can switch on, to prove that the simulator would find them.

use crate::Options;

/// One known way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlantedBug {
    /// A vote is answered before it is durable, so a restarted member can vote twice in a term.
    VoteIsNotDurable,
    /// A member votes although it hears a leader.
    VotesDespiteLeader,
    /// The lease is counted from the answer to a heartbeat instead of from its sending.
    LeaseFromAnswer,
    /// A member that was restarted votes at once, although it may have promised not to.
    VotesAfterRestart,
}

/// True when a test has switched `bug` on.
#[cfg(feature = "planted-bugs")]
pub(crate) fn is_planted(options: &Options, bug: PlantedBug) -> bool {
    options.planted.contains(&bug)
}

/// Never true outside tests.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is_planted(_options: &Options, _bug: PlantedBug) -> bool {
    false
}
