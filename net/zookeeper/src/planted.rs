//! Bugs that a test can switch on.

orrery_planted::bugs! {
    /// A session that is cut off lives until a server says otherwise.
    WaitsForVerdict,
    /// Watches are not renewed at another server.
    ForgetsWatches,
}
