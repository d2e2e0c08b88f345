//! How long to wait before trying again.

use std::time::Duration;

use orrery_coverage::sometimes;
use orrery_runtime::Generator;

/// The most that a first retry waits.
pub const FIRST_DELAY: Duration = Duration::from_secs(1);

/// The most that any retry waits. A framework whose master was away for an hour comes back within
/// this time once there is a master again.
pub const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// Delays drawn from `[0, 1 s · 2^n]`, where `n` counts the retries since the last success and the
/// upper end stays at one minute. The draw covers the whole interval so that the frameworks of a
/// cluster do not all come back at the same moment after their master changed.
#[derive(Clone, Debug, Default)]
pub struct Backoff {
    retries: u32,
}

impl Backoff {
    /// How long to wait before the next try.
    pub fn next(&mut self, generator: &mut Generator) -> Duration {
        let longest = self.ceiling();
        self.retries = self.retries.saturating_add(1);
        sometimes!(
            longest == LONGEST_DELAY,
            "a framework waits for the longest time between two tries"
        );
        let nanoseconds = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(generator.below(nanoseconds.saturating_add(1)))
    }

    /// The same steps without the draw, for retries that nobody else makes at the same time.
    pub fn next_fixed(&mut self) -> Duration {
        let longest = self.ceiling();
        self.retries = self.retries.saturating_add(1);
        longest
    }

    /// Starts again from the shortest delay: the last try succeeded.
    pub fn reset(&mut self) {
        self.retries = 0;
    }

    /// Whether the longest delay is reached.
    pub(crate) fn is_longest(&self) -> bool {
        self.ceiling() == LONGEST_DELAY
    }

    fn ceiling(&self) -> Duration {
        let factor = 1u32.checked_shl(self.retries).unwrap_or(u32::MAX);
        FIRST_DELAY.saturating_mul(factor).min(LONGEST_DELAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_up_to_a_minute_and_start_again_after_a_success() {
        let mut backoff = Backoff::default();
        let seconds: Vec<u64> = (0..8).map(|_| backoff.next_fixed().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        backoff.reset();
        assert_eq!(backoff.next_fixed().as_secs(), 1);
    }

    #[test]
    fn draws_stay_inside_their_interval_and_use_all_of_it() {
        let mut generator = Generator::from_number(7);
        let draws: Vec<Duration> =
            (0..1000).map(|_| Backoff { retries: 2 }.next(&mut generator)).collect();
        assert!(draws.iter().all(|delay| *delay <= Duration::from_secs(4)));
        assert!(draws.iter().any(|delay| *delay < Duration::from_millis(400)));
        assert!(draws.iter().any(|delay| *delay > Duration::from_millis(3600)));
    }

    #[test]
    fn endless_retries_do_not_overflow() {
        let mut backoff = Backoff { retries: u32::MAX };
        assert_eq!(backoff.next_fixed(), LONGEST_DELAY);
        assert_eq!(backoff.next_fixed(), LONGEST_DELAY);
    }
}
