//! Bugs that a test can switch on, to prove that the simulator would find them.

orrery_planted::bugs! {
    /// MESOS-9786: of the changes of the registry that come together, only the first is stored.
    StoresOneChangeOfABatch,
    /// A change of the registry is told to be stored before it is written.
    ToldBeforeItIsStored,
    /// MESOS-5576: the first message that a master sends on a new link is lost.
    FirstMessageIsLost,
    /// A master begins however many others have joined, so that its quorum may be no majority.
    QuorumIsNotChecked,
}
