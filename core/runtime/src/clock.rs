//! Time, in two kinds: monotonic for deciding how long, wall for telling people when.

use std::ops::{Add, AddAssign, Sub};
use std::time::Duration;

use crate::BoxFuture;

/// A point on a clock that never goes back. Meaningful only within one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The point `nanoseconds` after the clock's own zero.
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since the clock's own zero.
    pub const fn as_nanoseconds(self) -> u64 {
        self.0
    }

    /// How long `earlier` lies before this point; zero when it lies after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates: a deadline too far away to count is never reached.
    fn add(self, duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanoseconds))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Instant> for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

/// A point in civil time. May jump in either direction between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallTime(i64);

impl WallTime {
    /// The point `nanoseconds` after 1970-01-01T00:00:00Z.
    pub const fn from_nanoseconds(nanoseconds: i64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub const fn as_nanoseconds(self) -> i64 {
        self.0
    }

    /// Seconds since 1970-01-01T00:00:00Z, the form that Mesos' timestamps have.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// One reading of both clocks: what every step of a state machine is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines and durations.
    pub instant: Instant,
    /// For timestamps.
    pub wall: WallTime,
}

/// The port to time.
pub trait Clock: Send + Sync {
    /// Reads the monotonic clock.
    fn now(&self) -> Instant;

    /// Reads the wall clock.
    fn wall(&self) -> WallTime;

    /// Completes once [`Clock::now`] has reached `deadline`.
    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()>;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn instants_saturate_at_both_ends() {
        let zero = Instant::default();
        let last = Instant::from_nanoseconds(u64::MAX);
        assert_eq!(zero + Duration::MAX, last);
        assert_eq!(last + SECOND, last);
        assert_eq!(zero + SECOND, Instant::from_nanoseconds(1_000_000_000));
        assert_eq!(zero - last, Duration::ZERO);
        assert_eq!(last - zero, Duration::from_nanos(u64::MAX));
        let mut moving = zero;
        moving += SECOND;
        assert_eq!(moving.since(zero), SECOND);
        assert_eq!(zero.since(moving), Duration::ZERO);
    }

    #[test]
    fn wall_time_is_told_in_seconds() {
        assert_eq!(WallTime::from_nanoseconds(1_500_000_000).as_seconds(), 1.5);
        assert_eq!(WallTime::from_nanoseconds(-500_000_000).as_seconds(), -0.5);
    }
}
