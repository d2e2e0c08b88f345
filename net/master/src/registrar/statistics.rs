//! How long the registry's reading and writing take, for `/metrics/snapshot`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Of so many writes percentiles are told. Mesos remembers as many.
const WINDOW: usize = 1000;

/// What has been measured. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statistics(Arc<Mutex<Measured>>);

#[derive(Debug, Default)]
struct Measured {
    fetch: Duration,
    /// The last writes, oldest first.
    stores: VecDeque<Duration>,
    /// Bytes in the log: the last snapshot and the changes since.
    size: usize,
}

impl Statistics {
    /// The registry was read.
    pub(crate) fn fetched(&self, time: Duration) {
        self.change(|measured| measured.fetch = time);
    }

    /// Changes were written; what is in the log now has `size` bytes.
    pub(crate) fn stored(&self, time: Duration, size: usize) {
        self.change(|measured| {
            measured.size = size;
            if measured.stores.len() == WINDOW {
                measured.stores.pop_front();
            }
            measured.stores.push_back(time);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Measured)) {
        // Plain data, which a panic elsewhere cannot leave half changed.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Adds the metrics under Mesos' names.
    pub(crate) fn add_metrics(&self, all: &mut BTreeMap<String, f64>) {
        let measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert("registrar/state_fetch_ms".to_owned(), milliseconds(measured.fetch));
        all.insert("registrar/registry_size_bytes".to_owned(), measured.size as f64);
        let name = "registrar/state_store_ms";
        let Some(last) = measured.stores.back() else { return };
        all.insert(name.to_owned(), milliseconds(*last));
        let mut sorted: Vec<f64> = measured.stores.iter().copied().map(milliseconds).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        all.insert(format!("{name}/count"), sorted.len() as f64);
        for (label, share) in [
            ("min", 0.0),
            ("max", 1.0),
            ("p50", 0.5),
            ("p90", 0.9),
            ("p95", 0.95),
            ("p99", 0.99),
            ("p999", 0.999),
            ("p9999", 0.9999),
        ] {
            all.insert(format!("{name}/{label}"), percentile(&sorted, share));
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The value below which `share` of the values stand, between the two that are nearest to it, as
/// Mesos reckons it. `sorted` is not empty.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let position = share * sorted.len().saturating_sub(1) as f64;
    let (below, part) = (position.floor() as usize, position.fract());
    let value = |index: usize| sorted.get(index).or(sorted.last()).copied().unwrap_or_default();
    value(below) + part * (value(below + 1) - value(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_last_writes() {
        let statistics = Statistics::default();
        let metrics = |statistics: &Statistics| {
            let mut all = BTreeMap::new();
            statistics.add_metrics(&mut all);
            all
        };
        assert_eq!(metrics(&statistics).len(), 2, "nothing was written yet");
        statistics.fetched(Duration::from_micros(1500));
        for time in 0..5000_u64 {
            statistics.stored(Duration::from_secs(time), 7);
        }
        for milliseconds in (0..=999).rev() {
            statistics.stored(Duration::from_millis(milliseconds), 351);
        }
        let all = metrics(&statistics);
        let of = |name: &str| all[&format!("registrar/{name}")];
        assert_eq!((of("state_fetch_ms"), of("registry_size_bytes")), (1.5, 351.0));
        assert_eq!((of("state_store_ms"), of("state_store_ms/count")), (0.0, 1000.0));
        assert_eq!((of("state_store_ms/min"), of("state_store_ms/max")), (0.0, 999.0));
        assert_eq!((of("state_store_ms/p50"), of("state_store_ms/p90")), (499.5, 899.1));
    }
}
