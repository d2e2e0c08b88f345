//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// A record is held back until something comes after it.
    RecordWaitsForTheNext,
}
