//! A clock per host, and the clock port of its processes.

use orrery_runtime::{BoxFuture, Clock, Instant, WallTime};

use crate::ports::Ports;
use crate::timers::Sleep;

const MILLION: i128 = 1_000_000;

/// Turns virtual time into what one host believes. Both of its clocks run fast or slow by the same
/// drift; only the wall clock can be set.
#[derive(Debug)]
pub(crate) struct HostClock {
    /// Virtual time at which the drift last changed.
    anchor: u64,
    /// What the host had counted by then.
    counted: u64,
    /// Parts per million by which it counts too fast.
    drift: i64,
    /// What was counted when the host came up.
    boot: u64,
    /// What its monotonic clock showed then.
    uptime: u64,
    start: i64,
    offset: i64,
    /// Timers ring when the monotonic clock shows a multiple of it, unless it is 0.
    slack: u64,
}

impl HostClock {
    /// A clock without drift that shows `start` at virtual time zero.
    pub(crate) const fn new(start: WallTime) -> Self {
        Self {
            anchor: 0,
            counted: 0,
            drift: 0,
            boot: 0,
            uptime: 0,
            start: start.as_nanoseconds(),
            offset: 0,
            slack: 0,
        }
    }

    fn counted(&self, now: u64) -> u64 {
        let passed = now.saturating_sub(self.anchor);
        if self.drift == 0 {
            return self.counted.saturating_add(passed);
        }
        let passed = i128::from(passed);
        let counted = i128::from(self.counted) + passed + passed * i128::from(self.drift) / MILLION;
        u64::try_from(counted).unwrap_or(u64::MAX)
    }

    /// The monotonic clock at virtual time `now`.
    pub(crate) fn monotonic(&self, now: u64) -> Instant {
        Instant::from_nanoseconds(self.uptime + (self.counted(now) - self.boot))
    }

    /// The wall clock at virtual time `now`.
    pub(crate) fn wall(&self, now: u64) -> WallTime {
        let counted = i64::try_from(self.counted(now)).unwrap_or(i64::MAX);
        let time = self.start.saturating_add(counted).saturating_add(self.offset);
        WallTime::from_nanoseconds(time)
    }

    /// The virtual time at which the monotonic clock will show `deadline` if the drift stays.
    pub(crate) fn when(&self, now: u64, deadline: Instant) -> u64 {
        if deadline.as_nanoseconds() == u64::MAX {
            return u64::MAX;
        }
        let missing =
            deadline.as_nanoseconds().saturating_sub(self.monotonic(now).as_nanoseconds());
        if self.drift == 0 {
            return now.saturating_add(missing);
        }
        let rate = MILLION + i128::from(self.drift);
        let wait = (i128::from(missing) * MILLION + rate - 1) / rate;
        now.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX))
    }

    /// The virtual time at which a timer for `deadline` rings; `None` when that is past.
    fn ring(&self, now: u64, deadline: Instant) -> Option<u64> {
        let passed = self.when(now, deadline) <= now;
        (!passed).then(|| self.when(now, self.coalesced(deadline)))
    }

    /// The deadline, moved to where timers ring together.
    fn coalesced(&self, deadline: Instant) -> Instant {
        match deadline.as_nanoseconds().checked_next_multiple_of(self.slack) {
            Some(late) => Instant::from_nanoseconds(late),
            None => deadline,
        }
    }

    /// From now on timers ring together, late by up to `slack` nanoseconds.
    pub(crate) fn set_slack(&mut self, slack: u64) {
        self.slack = slack;
    }

    /// Restarts the monotonic clock at `uptime` nanoseconds.
    pub(crate) fn reboot(&mut self, now: u64, uptime: u64) {
        self.boot = self.counted(now);
        self.uptime = uptime;
    }

    /// From now on counts too fast by `drift` parts per million.
    pub(crate) fn set_drift(&mut self, now: u64, drift: i64) {
        self.counted = self.counted(now);
        self.anchor = now;
        self.drift = drift.clamp(-500_000, 500_000);
    }

    /// Sets how far the wall clock is ahead of the true time (plus what drift has made of it).
    pub(crate) fn set_offset(&mut self, offset: i64) {
        self.offset = offset;
    }
}

impl Clock for Ports {
    fn now(&self) -> Instant {
        self.host().clock().lock().monotonic(self.world().now())
    }

    fn wall(&self) -> WallTime {
        self.host().clock().lock().wall(self.world().now())
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let host = self.host().clone();
        Box::pin(async move {
            loop {
                let now = host.world().now();
                let Some(when) = host.clock().lock().ring(now, deadline) else { return };
                // The drift may change meanwhile: then this wakes too early and waits again, or
                // wakes late, as timers do.
                Sleep::until(host.world().clone(), when).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_moves_both_clocks_and_when_inverts_it() {
        let mut clock = HostClock::new(WallTime::from_nanoseconds(5));
        clock.set_drift(0, 500);
        let second = 1_000_000_000;
        assert_eq!(clock.monotonic(second).as_nanoseconds(), 1_000_500_000);
        assert_eq!(clock.wall(second).as_nanoseconds(), 1_000_500_005);
        let deadline = Instant::from_nanoseconds(3 * second);
        let when = clock.when(second, deadline);
        assert!(clock.monotonic(when) >= deadline);
        assert!(clock.monotonic(when - 2) < deadline);
    }

    #[test]
    fn slack_moves_deadlines_to_its_multiples() {
        let mut clock = HostClock::new(WallTime::from_nanoseconds(0));
        let at = Instant::from_nanoseconds;
        assert_eq!(clock.coalesced(at(1_001)), at(1_001));
        clock.set_slack(1_000);
        assert_eq!(clock.coalesced(at(1_001)), at(2_000));
        assert_eq!(clock.coalesced(at(2_000)), at(2_000));
        assert_eq!(clock.coalesced(at(u64::MAX)), at(u64::MAX), "never stays never");
    }

    #[test]
    fn the_monotonic_clock_keeps_its_pace_when_the_wall_clock_is_set() {
        let mut clock = HostClock::new(WallTime::from_nanoseconds(0));
        clock.reboot(100, 7);
        clock.set_offset(-60);
        assert_eq!(clock.monotonic(150).as_nanoseconds(), 57);
        assert_eq!(clock.wall(150).as_nanoseconds(), 90);
    }
}
