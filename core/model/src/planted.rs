//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// MESOS-7197: a difference of two amounts loses what is smaller than a hundredth.
    DifferencesAreRounded,
}
