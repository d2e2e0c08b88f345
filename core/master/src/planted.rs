//! Bugs that a test can switch on, to prove that the simulator would find them.

/// One known way to be wrong. Each is a single line at the place in production code where the
/// mistake would be made; without the feature `planted-bugs` the compiler removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlantedBug {
    /// An accepted offer stays open, so it can be used again.
    AcceptKeepsOffer,
    /// The offers of a disconnected agent stay open.
    DisconnectKeepsOffers,
    /// The remainder of an accepted offer is given back as if nothing had been launched.
    AcceptRecoversWholeOffer,
    /// Resources of a task that ended are never given back.
    TerminalTaskKeepsResources,
    /// A state after a terminal one is taken over.
    TerminalStateIsOverwritten,
    /// Tasks of an agent that registered anew are forgotten without a word to their framework.
    ReplacedAgentForgetsTasks,
}

/// True when a test has switched `bug` on.
#[cfg(feature = "planted-bugs")]
pub(crate) fn is_planted(options: &crate::Options, bug: PlantedBug) -> bool {
    options.planted.contains(&bug)
}

/// Never true outside tests.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn is_planted(_options: &crate::Options, _bug: PlantedBug) -> bool {
    false
}
