//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// MESOS-648: a file takes another one's place before its content is durable.
    RenamesBeforeSync,
    /// MESOS-8481: a file takes another one's place, and that it does is never made durable.
    FolderIsNotSynced,
}
