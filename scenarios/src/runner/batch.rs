//! The engine: runs many seeds on several threads, for tests and for hunts.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::goals::Goals;

use super::failed::Failed;
use super::repeat::OtherProcess;
use super::totals::Totals;
use super::{Settings, run_seed};

/// One run of so many is repeated in another process.
pub const REPEATED: u64 = 20;

/// Which seeds to run, how, and when to stop.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The seeds, taken in order.
    pub seeds: Range<u64>,
    /// How many runs go on at once, at least 1.
    pub jobs: usize,
    /// Real time after which no run is started any more.
    pub time: Option<Duration>,
    /// When enough was seen.
    pub stable: Option<Stable>,
    /// Stops at a failure, when all lower seeds have run.
    pub until_failure: bool,
    /// Where every 20th run is repeated.
    pub other_process: Option<OtherProcess>,
}

/// Stops a batch once all goals were met and so many runs in a row have brought nothing new: no
/// other kind of failure, and no other point of coverage.
#[derive(Clone, Debug)]
pub struct Stable {
    /// How many runs in a row.
    pub runs: u64,
    /// What must have been met.
    pub goals: Goals,
}

impl Stable {
    /// Whether enough was seen.
    pub fn is_reached(&self, totals: &Totals) -> bool {
        totals.runs_since_news() >= self.runs && self.goals.check(&totals.coverage).is_ok()
    }
}

impl Batch {
    /// All seeds of a range, one run for each processor at a time, none repeated.
    pub fn of(seeds: Range<u64>) -> Self {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let (time, stable, until_failure, other_process) = (None, None, false, None);
        Self { seeds, jobs, time, stable, until_failure, other_process }
    }
}

/// What the threads of a batch share.
struct Shared<'a, W> {
    batch: &'a Batch,
    settings: &'a Settings,
    start: Instant,
    next: AtomicU64,
    /// The lowest seed that failed.
    lowest_failure: AtomicU64,
    is_stable: AtomicBool,
    told: Mutex<(Totals, W)>,
}

/// Runs a batch. `watch` is told after each run how far it is, and of a failure when that is the
/// first or the fastest of its kind, one call at a time.
#[allow(clippy::disallowed_methods, reason = "how long runs take in real time is printed")]
pub fn run<W>(batch: &Batch, settings: &Settings, watch: W) -> Totals
where
    W: FnMut(&Totals, Option<&Failed>) + Send,
{
    let shared = Shared {
        batch,
        settings,
        start: Instant::now(),
        next: AtomicU64::new(batch.seeds.start),
        lowest_failure: AtomicU64::new(u64::MAX),
        is_stable: AtomicBool::new(false),
        told: Mutex::new((Totals::default(), watch)),
    };
    std::thread::scope(|scope| {
        for _ in 0..batch.jobs.max(1) {
            scope.spawn(|| while shared.next_seed().is_some_and(|seed| shared.run(seed)) {});
        }
    });
    let start = shared.start;
    let (mut totals, _) = shared.told.into_inner().unwrap_or_else(PoisonError::into_inner);
    totals.measure(start.elapsed());
    totals
}

impl<W: FnMut(&Totals, Option<&Failed>)> Shared<'_, W> {
    /// The seed to run next; `None` when it is time to stop.
    fn next_seed(&self) -> Option<u64> {
        let Batch { seeds, time, until_failure, .. } = self.batch;
        if time.is_some_and(|time| self.start.elapsed() >= time)
            || self.is_stable.load(Ordering::Relaxed)
        {
            return None;
        }
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        let is_wanted = seed < seeds.end
            && (!until_failure || seed < self.lowest_failure.load(Ordering::Relaxed));
        is_wanted.then_some(seed)
    }

    /// Runs a seed and tells of it. Always true: the next one may follow.
    fn run(&self, seed: u64) -> bool {
        let run = run_seed(seed, self.settings);
        let other = self.batch.other_process.as_ref().filter(|_| seed.is_multiple_of(REPEATED));
        let repeat = other.map(|other| other.repeat(&run, self.settings));
        if run.is_failure() {
            self.lowest_failure.fetch_min(seed, Ordering::Relaxed);
        }
        let mut told = self.told();
        let mut failed = told.0.add(run);
        drop(told);
        if !self.batch.until_failure {
            failed = failed.map(|failed| failed.with_trace(self.settings));
        }
        let mut told = self.told();
        let (totals, watch) = &mut *told;
        repeat.into_iter().for_each(|repeat| totals.add_repeat(repeat));
        failed.iter().for_each(|failed| totals.explain(failed));
        totals.measure(self.start.elapsed());
        if self.batch.stable.as_ref().is_some_and(|stable| stable.is_reached(totals)) {
            self.is_stable.store(true, Ordering::Relaxed);
        }
        watch(totals, failed.as_ref());
        true
    }

    fn told(&self) -> MutexGuard<'_, (Totals, W)> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs seeds in order until one fails, and returns that one.
pub fn first_failure(seeds: Range<u64>, settings: &Settings) -> Option<Failed> {
    let batch = Batch { until_failure: true, ..Batch::of(seeds) };
    let totals = run(&batch, settings, |_, _| ());
    let firsts = totals.failures.into_values().map(|group| group.first);
    firsts.min_by_key(|failed| failed.seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_run_once_and_told() {
        let mut told = Vec::new();
        let batch = Batch { jobs: 2, ..Batch::of(5..8) };
        let totals = run(&batch, &Settings::default(), |totals, failed| {
            assert!(failed.is_none(), "{failed:?}");
            told.push(totals.seeds);
        });
        assert_eq!(told, [1, 2, 3]);
        assert!(totals.events > 0 && totals.simulated > Duration::ZERO);
        assert!(totals.is_good() && totals.repeats == 0);
    }

    #[test]
    fn without_time_nothing_is_run() {
        let batch = Batch { time: Some(Duration::ZERO), ..Batch::of(0..u64::MAX) };
        assert_eq!(run(&batch, &Settings::default(), |_, _| ()).seeds, 0);
    }

    fn stable(runs: u64, goals: &str) -> Stable {
        Stable { runs, goals: Goals::parse(goals).expect("goals") }
    }

    #[test]
    fn a_batch_ends_when_all_goals_are_met_and_nothing_is_new() {
        let met = Some(stable(0, "- may nothing has this name"));
        let unmet = Some(stable(0, "- must nothing has this name"));
        for (stable, seeds) in [(Some(stable(0, "")), 1), (met, 2), (unmet, 2)] {
            let batch = Batch { jobs: 1, stable, ..Batch::of(0..2) };
            assert_eq!(run(&batch, &Settings::default(), |_, _| ()).seeds, seeds);
        }
    }

    #[test]
    fn another_kind_of_failure_is_news() {
        let mut totals = Totals::default();
        for seed in 0..3 {
            totals.coverage.merge(&orrery_coverage::Coverage::take());
            totals.seeds = seed + 1;
        }
        assert!(stable(3, "").is_reached(&totals) && !stable(4, "").is_reached(&totals));
        totals.count_failure(crate::runner::failed::sample());
        assert!(stable(0, "").is_reached(&totals) && !stable(1, "").is_reached(&totals));
    }
}
