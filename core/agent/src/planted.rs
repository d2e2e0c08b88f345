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
}
