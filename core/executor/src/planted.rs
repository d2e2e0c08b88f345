//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// MESOS-8537: the executor leaves as soon as its task has ended, acknowledged or not.
    LeavesUnacknowledged,
    /// MESOS-9131: a task that ignores SIGTERM is not sent SIGKILL, and is being killed for ever.
    KillNeverEscalates,
    /// MESOS-7783: a kill that comes while the task's process is being started is forgotten.
    KillDuringStartIsLost,
    /// MESOS-9965: TASK_KILLING is told to frameworks that do not understand it.
    TellsKillingToAll,
    /// MESOS-9847: how the task's process ended is lost, and taken for success.
    ExitStatusIsLost,
    /// As in MESOS-10018 a task runs twice: one that the agent may not know of yet is started again
    /// when its executor has subscribed again.
    StartsAgainWhenBack,
    /// An update that was sent on a connection which broke is not sent again.
    BrokenConnectionLosesUpdates,
}
