//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// A vote is answered before it is durable, so a restarted member can vote twice in a term.
    VoteIsNotDurable,
    /// A member votes although it hears a leader.
    VotesDespiteLeader,
    /// The lease is counted from the answer to a heartbeat instead of from its sending.
    LeaseFromAnswer,
    /// A member that was restarted votes at once, although it may have promised not to.
    VotesAfterRestart,
}
