//! Bugs that other cluster managers once had, to be switched on by tests which must find them.

orrery_planted::bugs! {
    /// MESOS-7744: a task killed before delivery is reported killed and is launched all the same.
    KillDuringLaunchStillLaunches,
    /// MESOS-4671: a new update overtakes the ones that wait for their acknowledgement.
    ForwardsUpdatesOutOfOrder,
    /// MESOS-482: an acknowledged update stays in its stream and is sent again.
    ResendsAcknowledgedUpdate,
    /// MESOS-9887: a second terminal update follows the first one.
    UpdateAfterTerminal,
    /// What was sent in vain waits for its next turn although its framework is back.
    PendingUpdatesWaitForRetry,
    /// MESOS-648: updates that were not acknowledged are forgotten when the agent restarts.
    ForgetsUpdatesAtRestart,
    /// MESOS-482, through a restart: what was acknowledged is forgotten, and is sent again.
    ForgetsAcknowledgementsAtRestart,
    /// A launch that its executor has got goes to it once more after a restart.
    DeliversAgainAfterRestart,
    /// MESOS-5930: executors that do not come back after a restart are forgotten, and not ended.
    ForgetsLateExecutors,
    /// A reboot goes unnoticed, and its tasks are held for running.
    OverlooksReboot,
    /// An executor that has no process yet at a restart is never started.
    ForgetsExecutorsToStart,
    /// An agent that died before it had started an executor refuses to go on.
    UnstartedExecutorIsDamage,
    /// An agent that its master refuses for its address forgets who it was.
    RefusalForgetsIdentity,
    /// An agent that only cleans up forgets who it was, and nobody hears how its tasks ended.
    CleanUpForgetsIdentity,
}
