//! How long things took.

use std::time::Duration;

/// Durations, to be asked for percentiles once all are there.
#[derive(Clone, Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// One more.
    pub fn add(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    /// Takes over those of another.
    pub fn merge(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// The durations that 50, 90, 99 and 100 of 100 do not exceed, by nearest rank; zeros when
    /// there are none.
    pub fn percentiles(mut self) -> [(u8, Duration); 4] {
        self.0.sort_unstable();
        [50, 90, 99, 100].map(|percent| {
            let rank = (self.0.len() * usize::from(percent)).div_ceil(100);
            (percent, self.0.get(rank.saturating_sub(1)).copied().unwrap_or_default())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut latencies = Latencies::default();
        for milliseconds in (1..=200).rev() {
            latencies.add(Duration::from_millis(milliseconds));
        }
        let expected = [(50, 100), (90, 180), (99, 198), (100, 200)]
            .map(|(p, ms)| (p, Duration::from_millis(ms)));
        assert_eq!(latencies.percentiles(), expected);
    }

    #[test]
    fn one_value_is_every_percentile_and_none_is_zero() {
        let mut one = Latencies::default();
        one.add(Duration::from_secs(3));
        let mut merged = Latencies::default();
        merged.merge(&one);
        assert!(merged.percentiles().iter().all(|(_, value)| *value == Duration::from_secs(3)));
        assert!(Latencies::default().percentiles().iter().all(|(_, value)| value.is_zero()));
    }
}
