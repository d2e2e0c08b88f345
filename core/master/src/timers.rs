//! Deadlines in the order in which they fall due.

use std::collections::BTreeMap;

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_runtime::Instant;

use crate::ConnectionId;

/// What is to be done when its time has come. Each names what it is about so exactly that a timer
/// which is out of date finds nothing to do; timers are therefore never cancelled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// Send a heartbeat, as long as this is still the framework's stream.
    Heartbeat(FrameworkKey, ConnectionId),
    /// Remove a framework that has been away since the `n`th time it left.
    Failover(FrameworkKey, u64),
    /// Ping an agent, or give it up.
    Ping(AgentKey),
    /// Give up an agent that has been away since the `n`th time it left.
    Reregister(AgentKey, u64),
    /// Give up the agents that a previous master knew and that did not return.
    RecoveredAgents,
    /// Give up an agent whose turn has not come before.
    GiveUp,
    /// Forget agents that have been away for very long.
    Prune,
    /// Rescind an offer that nobody answered.
    Offer(u64),
}

/// All deadlines of a master.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeMap<(Instant, u64), Timer>,
    next: u64,
}

impl Timers {
    /// Remembers `timer` for `at`. Timers of one instant keep the order in which they were set.
    pub(crate) fn set(&mut self, at: Instant, timer: Timer) {
        self.due.insert((at, self.next), timer);
        self.next += 1;
    }

    /// The earliest deadline.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// Takes out the next timer that is due at `now`.
    pub(crate) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let entry = self.due.first_entry()?;
        (entry.key().0 <= now).then(|| entry.remove())
    }
}
