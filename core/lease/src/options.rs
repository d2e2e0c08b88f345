//! How a member behaves.

use std::time::Duration;

/// The times of an election. All members must have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Pause between two heartbeats.
    pub heartbeat: Duration,
    /// How long a leader leads after it sent a heartbeat that a majority accepted.
    pub lease: Duration,
    /// How long a member that heard of a leader votes for no other. More than `lease` by what the
    /// members' clocks may differ in speed.
    pub patience: Duration,
    /// A member that misses its leader waits for up to this long beyond its patience before it
    /// stands for election, so that not all do at once.
    pub spread: Duration,
}

impl Default for Timing {
    /// Times for machines in one place: a leader that dies is replaced in well under a second.
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(80),
            lease: Duration::from_millis(400),
            patience: Duration::from_millis(450),
            spread: Duration::from_millis(200),
        }
    }
}

/// Settings of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// This member's number, from 0.
    pub me: usize,
    /// How many members there are, this one among them.
    pub members: usize,
    /// The times.
    pub timing: Timing,
}

impl Options {
    /// Member `me` of `members` with the usual times.
    pub fn new(me: usize, members: usize) -> Self {
        Self { me, members, timing: Timing::default() }
    }

    /// How many members are more than half of all.
    pub fn majority(&self) -> usize {
        self.members / 2 + 1
    }

    /// All members but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let me = self.me;
        (0..self.members).filter(move |member| *member != me)
    }
}
