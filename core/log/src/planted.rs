//! Bugs that a test can switch on, to prove that the tests would find them.

orrery_planted::bugs! {
    /// A promise is answered but not remembered on disk.
    PromiseIsNotDurable,
    /// An answer goes out before what it says is durable.
    AnswersBeforeSync,
    /// One replica less than a quorum is taken for enough.
    QuorumOffByOne,
    /// What a majority does not have is taken for agreed upon.
    LearnsWithoutQuorum,
    /// A coordinator tells others as agreed upon what its replica has learned from a later one.
    TellsForeignLearned,
    /// A replica that starts over votes as soon as one other replica has told what it knows.
    VotesBeforeRecovery,
    /// An empty replica votes at once.
    EmptyReplicaVotes,
    /// A position of which something is known is filled with nothing.
    FillsHoleWithNop,
    /// A coordinator takes the value of the lowest ballot instead of the highest.
    LowestBallotWins,
    /// A record is taken from the disk although its checksum does not fit.
    AcceptsTornRecord,
    /// A write of a lower ballot than the promised one is accepted.
    AcceptsStaleWrite,
    /// Answers of a replica's earlier life count for a quorum.
    CountsFormerLives,
    /// MESOS-3280: a promise that a recovering replica ignored is not asked for again, so that an
    /// election never ends.
    PromiseIsAskedOnce,
    /// Replicas that were told otherwise about the cluster are heeded and counted.
    HeedsStrangers,
    /// A rotten record is skipped and the replica goes on voting.
    VotesDespiteDamage,
}
