//! What members tell each other.

/// A question to another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The term that it is about.
    pub term: u64,
    /// What is asked.
    pub kind: Kind,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whether a vote in this term, which is still to come, would be given. Asked first, so that a
    /// member which was cut off does not disturb a leader that all others hear.
    WouldVote,
    /// A vote.
    Vote,
    /// The leader lives; whoever accepts this votes for nobody else for a while.
    Heartbeat,
    /// The leader has stopped leading by its own wish, and need not be waited for.
    Resign,
}

/// The answer to a [`Request`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// The term of the member that answers.
    pub term: u64,
    /// Whether it agrees.
    pub granted: bool,
}
