//! What frameworks do.

use std::time::Duration;

use super::table::variants;

/// What a framework does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Wants so many more tasks.
    Launch {
        /// How many.
        count: usize,
        /// What each does.
        script: Script,
    },
    /// Kills so many of its tasks.
    Kill {
        /// How many.
        count: usize,
    },
    /// Launches a task on an offer that it must not use, or in a way that it must not.
    Abuse(Abuse),
    /// Makes a call that makes no sense (L7, G4).
    Blunder(Blunder),
    /// Wants no offers.
    Suppress,
    /// Wants offers again.
    Revive,
    /// Asks for the state of all its tasks.
    Reconcile,
    /// A second process takes over under the same framework id; the first ends after `overlap`.
    FailOver {
        /// How long both live.
        overlap: Duration,
    },
}

variants! {
    Operation,
    "launch" => Launch { count: count, script: script },
    "kill" => Kill { count: count },
    "abuse" => Abuse { 0: abuse },
    "blunder" => Blunder { 0: blunder },
    "suppress" => Suppress {},
    "revive" => Revive {},
    "reconcile" => Reconcile {},
    "fail-over" => FailOver { overlap: overlap },
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Ends at once with code 0.
    Nothing,
    /// Ends with this code after some time.
    Short(Duration, u8),
    /// Runs until it is killed.
    Long,
    /// Runs until it is killed with SIGKILL.
    Stubborn,
    /// Leaves a child behind and ends.
    Parent,
}

variants! {
    Script,
    "nothing" => Nothing {},
    "short" => Short { 0: time, 1: code },
    "long" => Long {},
    "stubborn" => Stubborn {},
    "parent" => Parent {},
}

/// A launch that must come to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abuse {
    /// On an offer that was accepted before.
    Used,
    /// On an offer that was rescinded, or is void because the subscription it came with is over.
    Withdrawn,
    /// On an offer of another framework.
    Foreign,
    /// On an offer that never was.
    Invented,
    /// With more than the offer holds.
    TooLarge,
}

variants! {
    Abuse,
    "used" => Used {},
    "withdrawn" => Withdrawn {},
    "foreign" => Foreign {},
    "invented" => Invented {},
    "too-large" => TooLarge {},
}

/// A call that makes no sense, and must change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blunder {
    /// Kills a task that nobody has launched.
    KillUnknown,
    /// Kills a task twice in the same breath.
    KillTwice,
    /// Kills a task that has ended.
    KillEnded,
    /// Acknowledges an update that never was.
    AcknowledgeInvented,
    /// Accepts no offer at all.
    AcceptNothing,
    /// Declines an offer that never was, twice.
    DeclineInvented,
    /// Asks for a task that nobody has launched.
    ReconcileUnknown,
    /// Sends something to an executor that is not there.
    MessageNobody,
    /// Ends an executor that is not there.
    ShutdownNobody,
    /// Says nothing: a call without a type.
    Nothing,
    /// Names a kind of call without saying more.
    Incomplete,
}

impl Blunder {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::KillUnknown,
        Self::KillTwice,
        Self::KillEnded,
        Self::AcknowledgeInvented,
        Self::AcceptNothing,
        Self::DeclineInvented,
        Self::ReconcileUnknown,
        Self::MessageNobody,
        Self::ShutdownNobody,
        Self::Nothing,
        Self::Incomplete,
    ];
}

variants! {
    Blunder,
    "kill-unknown" => KillUnknown {},
    "kill-twice" => KillTwice {},
    "kill-ended" => KillEnded {},
    "acknowledge-invented" => AcknowledgeInvented {},
    "accept-nothing" => AcceptNothing {},
    "decline-invented" => DeclineInvented {},
    "reconcile-unknown" => ReconcileUnknown {},
    "message-nobody" => MessageNobody {},
    "shutdown-nobody" => ShutdownNobody {},
    "nothing" => Nothing {},
    "incomplete" => Incomplete {},
}
