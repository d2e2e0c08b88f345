//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// What an executor leaves behind when it ends is not killed.
    LeftoversStay,
    /// That an executor has ended is noticed, and told to nobody.
    ExitIsNotTold,
    /// What an earlier run of the agent has left behind lives on.
    OrphansStay,
    /// What is done does not wait until it is written down.
    ActsBeforeItIsWritten,
}
