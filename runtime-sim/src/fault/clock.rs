//! Faults of a host's clocks.

use std::time::Duration;

use super::InjectError;
use super::table::faults;
use super::values::Ahead;
use crate::world::World;

faults! {
    /// Something about the clocks of a host.
    ClockFault {
        /// Both clocks run fast, or slow.
        Drift("C1", "drift") {
            /// Where.
            host: String,
            /// Parts per million by which they run too fast.
            drift: i64,
        }
        /// The wall clock is stepped, forwards or backwards; the monotonic clock goes on.
        Step("C2 C3", "clock") {
            /// Where.
            host: String,
            /// How far it then is ahead of the true time.
            ahead: Ahead,
        }
        /// Timers ring together, late by up to `slack`.
        Coalesce("C4", "timer-slack") {
            /// Where.
            host: String,
            /// The most that a timer is late.
            slack: Duration,
        }
    }
}

impl ClockFault {
    pub(super) fn apply(&self, world: &World) -> Result<(), InjectError> {
        match self {
            Self::Drift { host, drift } => world.known(host)?.set_clock_drift(*drift),
            Self::Step { host, ahead } => {
                let distance = Duration::from_nanos(ahead.0.unsigned_abs());
                let host = world.known(host)?;
                match ahead.0 < 0 {
                    true => host.set_clock_behind(distance),
                    false => host.set_clock_offset(distance),
                }
            }
            Self::Coalesce { host, slack } => world.known(host)?.set_timer_slack(*slack),
        }
        Ok(())
    }
}
