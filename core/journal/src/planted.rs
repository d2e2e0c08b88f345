//! A bug that a test can switch on, to prove that the simulator would find it.

orrery_planted::bugs! {
    /// A batch that a crash has torn is taken for one that has rotted.
    TornBatchIsDamage,
}
