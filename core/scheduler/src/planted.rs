//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// An update that an agent repeats is delivered again.
    DeliversRepeatedUpdates,
    /// MESOS-302: an update that an agent repeats is not acknowledged again.
    AcknowledgesOnce,
    /// Kills are not said again to a master that took over, or came back.
    KillsAreSaidOnce,
    /// MESOS-637: after a new subscription nobody asks what became of the tasks.
    NeverReconciles,
    /// What settles nothing is taken for an answer, and a task that returns is never heard of.
    UnknownIsAnAnswer,
    /// MESOS-8703: a master that says nothing any more is believed to be there.
    SilenceIsBelieved,
}
