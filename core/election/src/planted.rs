//! Bugs that a test can switch on.

orrery_planted::bugs! {
    /// MESOS-422, MESOS-1265: a contender takes the node of its lost session for its own.
    TrustsOldNode,
    /// A leader goes on leading when its session has expired.
    LeadsOnAfterExpiry,
    /// A node that may have been made is made once more.
    RepeatsUnknownJoin,
    /// A contender whose node was removed does not notice.
    OverlooksRemoval,
    /// A detector goes on naming the last leader when its session has expired.
    NamesLeaderAfterExpiry,
    /// MESOS-9426: a detector looks once at a group that is not there, and never again.
    WaitsForNoGroup,
}
