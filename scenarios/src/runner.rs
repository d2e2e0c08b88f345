//! Running seeds: many, one with its log, or as many as it takes to find a bug.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use orrery_runtime::Generator;
use orrery_runtime_sim::{Config, Failure, Report, simulate};

use crate::checks::{Checks, Invariant, Violation};
use crate::cluster::Bugs;
use crate::plan::Plan;
use crate::scenario::{self, Summary};

/// Virtual time after which a run counts as stuck.
const TIME_LIMIT: Duration = Duration::from_secs(4 * 3_600);

/// How many runs go on at once.
const THREADS: usize = 2;

/// What is the same for all runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Bugs to switch on.
    pub bugs: Bugs,
    /// Rules to check.
    pub checks: Checks,
    /// Whether the runs' lines are kept: one for each event, the daemons' logs and messages among
    /// them.
    pub trace: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { bugs: Bugs::default(), checks: Checks::all(), trace: false }
    }
}

/// A run that went wrong.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Its seed.
    pub seed: u64,
    /// What was played.
    pub plan: Plan,
    /// Which rule was broken, and how.
    pub violation: Violation,
}

impl std::fmt::Display for Failed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "seed {} failed. Its plan:\n{}", self.seed, self.plan)?;
        writeln!(formatter, "What happened last:\n{}", self.violation)?;
        write!(
            formatter,
            "Again, with its log: SIM_SEED={} cargo test -p orrery-scenarios --features sim \
             --test simulation seeds -- --nocapture",
            self.seed
        )
    }
}

/// A finished run: what the simulator says of it.
pub type Run = Report<Result<Summary, Box<Violation>>>;

/// The plan of a seed.
pub fn plan(seed: u64) -> Plan {
    Plan::draw(&mut Generator::from_number(seed))
}

/// Runs one seed.
pub fn run_seed(seed: u64, settings: &Settings) -> Run {
    run_plan(seed, plan(seed), settings)
}

/// Plays a plan; everything that the plan leaves open follows from `seed`.
pub fn run_plan(seed: u64, plan: Plan, settings: &Settings) -> Run {
    let config = Config { time_limit: TIME_LIMIT, trace: settings.trace, ..Config::default() };
    let Settings { bugs, checks, .. } = settings.clone();
    simulate(seed, config, move |world| scenario::play(world, plan, bugs, checks))
}

/// What was wrong with a run, if anything.
pub fn failure(run: &Run) -> Option<Failed> {
    let violation = match &run.outcome {
        Ok(Ok(_)) => return None,
        Ok(Err(violation)) => (**violation).clone(),
        Err(failure) => Violation {
            invariant: match failure {
                Failure::Panic(_) => Invariant::Daemons,
                Failure::TimeLimit(_) | Failure::Deadlock => Invariant::Convergence,
            },
            at: run.elapsed,
            message: failure.to_string(),
            before: Vec::new(),
        },
    };
    let seed = run.seed.0;
    Some(Failed { seed, plan: plan(seed), violation })
}

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// How many runs there were.
    pub seeds: u64,
    /// Virtual time of all runs.
    pub simulated: Duration,
    /// Real time that passed.
    pub real: Duration,
    /// Events of all runs.
    pub events: u64,
    /// Tasks launched, and how many of them started.
    pub tasks: (usize, usize),
    /// The runs that went wrong, by seed.
    pub failures: Vec<Failed>,
}

impl std::fmt::Display for Totals {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let real = self.real.as_secs_f64().max(1e-9);
        write!(
            formatter,
            "{} seeds in {real:.1} s: {:.0} simulated seconds a second, {:.0} events a second, \
             {} tasks launched, {} started, {} failures",
            self.seeds,
            self.simulated.as_secs_f64() / real,
            self.events as f64 / real,
            self.tasks.0,
            self.tasks.1,
            self.failures.len(),
        )
    }
}

impl Totals {
    fn add(&mut self, run: &Run) {
        self.seeds += 1;
        self.simulated += run.elapsed;
        self.events += run.events;
        if let Ok(Ok(summary)) = &run.outcome {
            self.tasks.0 += summary.launched;
            self.tasks.1 += summary.started;
        }
        self.failures.extend(failure(run));
    }
}

/// Runs all seeds of a range.
pub fn run_seeds(seeds: Range<u64>, settings: &Settings) -> Totals {
    run_while(seeds, settings, |_, _| true)
}

/// Runs seeds in order until one fails, and returns that one.
pub fn first_failure(seeds: Range<u64>, settings: &Settings) -> Option<Failed> {
    let first = AtomicU64::new(u64::MAX);
    let totals = run_while(seeds, settings, |seed, run| {
        if run.is_some_and(|run| failure(run).is_some()) {
            first.fetch_min(seed, Ordering::Relaxed);
        }
        seed < first.load(Ordering::Relaxed)
    });
    totals.failures.into_iter().min_by_key(|failed| failed.seed)
}

/// Runs seeds on several threads, each run on a thread of its own, while `go_on` agrees. It is
/// asked before each run, and told of each run afterwards.
#[allow(clippy::disallowed_methods, reason = "how long runs take in real time is printed")]
fn run_while(
    seeds: Range<u64>,
    settings: &Settings,
    go_on: impl Fn(u64, Option<&Run>) -> bool + Sync,
) -> Totals {
    let start = std::time::Instant::now();
    let next = AtomicU64::new(seeds.start);
    let totals = Mutex::new(Totals::default());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || !go_on(seed, None) {
                        return;
                    }
                    let run = run_seed(seed, settings);
                    go_on(seed, Some(&run));
                    totals.lock().unwrap_or_else(PoisonError::into_inner).add(&run);
                }
            });
        }
    });
    let mut totals = totals.into_inner().unwrap_or_else(PoisonError::into_inner);
    totals.real = start.elapsed();
    totals.failures.sort_by_key(|failed| failed.seed);
    totals
}
