//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// MESOS-9975: what is given back stays on the accounts of its role.
    ReleaseForgetsRoles,
    /// MESOS-8470: a framework that has left a role and holds nothing in it stays there.
    UnusedClientsStay,
    /// MESOS-4302: what a framework refused for a while is never offered to it again.
    RefusalsNeverEnd,
    /// MESOS-8223: a framework that suppressed a role is offered what is free all the same.
    SuppressionIsIgnored,
    /// MESOS-2919: what was granted in a run is granted again in the next one.
    GrantsAreNotBooked,
}
