//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// MESOS-749: an accepted offer stays open, so it can be used again.
    AcceptKeepsOffer,
    /// MESOS-1418: the offers of a disconnected agent stay open.
    DisconnectKeepsOffers,
    /// MESOS-1718: what was launched on an offer is given back with the rest of it.
    AcceptRecoversWholeOffer,
    /// MESOS-3522: a declined offer is closed as an accepted one is, and what it held stays taken.
    DeclineKeepsResources,
    /// An offer is rescinded, but can still be used.
    RescindedOfferStaysOpen,
    /// Offers are taken back without a word to the framework that they were made to.
    RescindsInSilence,
    /// Offers of an earlier subscription survive a failover of their framework.
    FailoverKeepsOffers,
    /// MESOS-711: resources of a task that ended are never given back.
    TerminalTaskKeepsResources,
    /// MESOS-6026: a state after a terminal one is taken over.
    TerminalStateIsOverwritten,
    /// MESOS-217: tasks of an agent that registered anew are forgotten without a word.
    ReplacedAgentForgetsTasks,
    /// MESOS-9545: a task that ended, untold, counts as over when its agent becomes unreachable.
    UnreachableEndIsNeverTold,
    /// MESOS-447: nobody asks an agent that returned for tasks whose launch it never got.
    LostLaunchIsForgotten,
    /// MESOS-8624: a launch that is refused is not answered.
    RefusedLaunchIsDropped,
    /// MESOS-1799: reconciliation tells the newest state, ahead of the updates before it.
    ReconciliationOvertakes,
    /// MESOS-1389: a new master answers for tasks of agents that have not come back to it yet.
    ReconciliationInvents,
    /// MESOS-1715: a task on an unreachable agent is answered for as gone.
    UnreachableIsCalledGone,
    /// MESOS-6445: a framework is not told that its unreachable task is back.
    ReturnIsNotTold,
    /// A framework is not told that a task is back whose agent nobody remembered.
    UnknownReturnIsNotTold,
    /// Tasks of agents that are forgotten after a long absence stay on record as unreachable.
    PruneLeavesTasks,
    /// A master that has lost many agents gives them all up.
    RemovalLimitIsIgnored,
    /// MESOS-7215: a framework that knows no partitions is told the states that need them.
    PartitionStatesForAll,
    /// MESOS-9609: an agent that comes back stays among the unreachable ones.
    ReturnedAgentStaysUnreachable,
    /// MESOS-3351: two agents get the same id.
    AgentIdIsUsedTwice,
    /// MESOS-714: an agent whose place another one took at its address stays registered.
    ReplacedAgentStays,
    /// An agent whose address another one has taken may come back with tasks that were lost.
    ReplacedAgentMayReturn,
    /// MESOS-107: the acknowledgement of a task's end is not passed on.
    LastAcknowledgementIsKept,
    /// An agent's answers to pings do not count, so every agent is given up again and again.
    PongIsNotCounted,
    /// MESOS-8171: no heartbeats are sent, so every framework subscribes again and again.
    NoHeartbeats,
    /// MESOS-9870: the roles that a framework subscribes as suppressed are not.
    SubscribesUnsuppressed,
    /// MESOS-9180: a kill is forgotten when the agent is not there to hear it.
    KillIsNotRepeated,
    /// A kill of a task that is not on record is taken and not answered.
    KillOfUnknownIsDropped,
    /// An agent that did not return counts as unreachable before the registry has stored it.
    AbsenceIsToldBeforeStored,
    /// MESOS-6285: an offer that is not there any more is declined, and the master dies of it.
    DeclineOfNothingPanics,
    /// Agents are given up all at once, however much time is to lie between two.
    RemovalRateIsIgnored,
}
