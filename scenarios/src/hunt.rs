//! Running seeds for a long time, with somebody watching.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::runner::{self, Failed, Settings};

/// What to run.
#[derive(Clone, Debug)]
pub struct Hunt {
    /// The seeds, taken in order.
    pub seeds: Range<u64>,
    /// How many runs go on at once, at least 1.
    pub jobs: usize,
    /// Real time after which no run is started any more.
    pub time: Option<Duration>,
}

/// How far a hunt is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Runs that are over.
    pub runs: u64,
    /// Events of all of them.
    pub events: u64,
    /// Virtual time of all of them.
    pub simulated: Duration,
    /// Real time since the start.
    pub real: Duration,
    /// Runs that went wrong, in the order in which they ended.
    pub failures: Vec<Failed>,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let real = self.real.as_secs_f64().max(1e-9);
        write!(
            formatter,
            "{} seeds in {real:.0} s, {:.1} seeds/s, {:.0} simulated s/s, {:.0} events/s, \
             {} failures",
            self.runs,
            self.runs as f64 / real,
            self.simulated.as_secs_f64() / real,
            self.events as f64 / real,
            self.failures.len(),
        )
    }
}

/// Runs the seeds of `hunt` and tells `watch` after each one how far it is, one call at a time.
#[allow(clippy::disallowed_methods, reason = "a hunt lasts for real time, on real threads")]
#[allow(clippy::disallowed_types, reason = "a hunt lasts for real time, on real threads")]
pub fn run(hunt: &Hunt, settings: &Settings, watch: impl FnMut(&Progress) + Send) -> Progress {
    let start = Instant::now();
    let next = AtomicU64::new(hunt.seeds.start);
    let shared = Mutex::new((Progress::default(), watch));
    let work = || {
        while hunt.time.is_none_or(|time| start.elapsed() < time) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= hunt.seeds.end {
                return;
            }
            let run = runner::run_seed(seed, settings);
            let mut shared = lock(&shared);
            let (progress, watch) = &mut *shared;
            progress.runs += 1;
            progress.events += run.events;
            progress.simulated += run.elapsed;
            progress.real = start.elapsed();
            progress.failures.extend(runner::failure(&run));
            watch(progress);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..hunt.jobs.max(1) {
            scope.spawn(work);
        }
    });
    let (mut progress, _) = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    progress.real = start.elapsed();
    progress
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_run_once_and_told() {
        let mut told = Vec::new();
        let hunt = Hunt { seeds: 5..8, jobs: 2, time: None };
        let progress = run(&hunt, &Settings::default(), |progress| told.push(progress.runs));
        assert_eq!(told, [1, 2, 3]);
        assert!(progress.events > 0 && progress.simulated > Duration::ZERO);
    }

    #[test]
    fn without_time_nothing_is_run() {
        let hunt = Hunt { seeds: 0..u64::MAX, jobs: 1, time: Some(Duration::ZERO) };
        assert_eq!(run(&hunt, &Settings::default(), |_| ()).runs, 0);
    }
}
