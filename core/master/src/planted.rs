//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// MESOS-749: an accepted offer stays open, so it can be used again.
    AcceptKeepsOffer,
    /// MESOS-1418: the offers of a disconnected agent stay open.
    DisconnectKeepsOffers,
    /// MESOS-1718: what was launched on an offer is given back with the rest of it.
    AcceptRecoversWholeOffer,
    /// MESOS-711: resources of a task that ended are never given back.
    TerminalTaskKeepsResources,
    /// MESOS-5930: a state after a terminal one is taken over.
    TerminalStateIsOverwritten,
    /// MESOS-217: tasks of an agent that registered anew are forgotten without a word.
    ReplacedAgentForgetsTasks,
}
