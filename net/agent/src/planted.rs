//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// What an executor leaves behind when it ends is not killed.
    LeftoversStay,
    /// That an executor has ended is noticed, and told to nobody.
    ExitIsNotTold,
}
