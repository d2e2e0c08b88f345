//! Running plans: one with its trace, or many, until something is found.
//!
//! A run follows from a seed, which gives its plan and everything that the plan leaves open.
//! [`batch`] runs many of them for tests and hunts alike; [`repeat`] proves in another process that
//! a seed always gives the same run; what failed is a [`Failed`], grouped by [`Kind`].

mod again;
pub mod batch;
mod failed;
mod gist;
pub mod keep;
mod kind;
mod plant;
pub mod repeat;
mod seed;
mod totals;
pub mod usage;

use std::time::Duration;

use orrery_coverage::Coverage;
use orrery_runtime_sim::line::Line;
use orrery_runtime_sim::{Config, Failure, Report, Seed, World, simulate};

use crate::checks::{Checks, Invariant, Violation};
use crate::plan::Plan;
use crate::planted::Bugs;
use crate::scenario::{self, Summary};

pub use again::Again;
pub use batch::{Batch, first_failure};
pub use failed::Failed;
pub use kind::Kind;
pub use plant::{PlantError, plant};
pub use seed::{SeedError, parse_seed};
pub use totals::{Group, Totals};

/// Virtual time after which a run counts as stuck.
const TIME_LIMIT: Duration = Duration::from_secs(4 * 3_600);

/// When a planted run draws from the system's entropy.
const ENTROPY_AT: Duration = Duration::from_secs(2);

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
    /// Whether the world draws from the system's entropy once, so that no run can be repeated: the
    /// planted bug that the comparison with another process must find.
    pub entropy: bool,
    /// How those who read of a failure run it again.
    pub again: Again,
}

impl Default for Settings {
    fn default() -> Self {
        let (bugs, checks) = (Bugs::default(), Checks::all());
        Self { bugs, checks, trace: false, entropy: false, again: Again::default() }
    }
}

/// A finished run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The seed.
    pub seed: Seed,
    /// What was played.
    pub plan: Plan,
    /// What came of it: the first rule that was broken, or why it did not end by itself.
    pub outcome: Result<Result<Summary, Box<Violation>>, Failure>,
    /// The chain of hashes over all events.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// How much was done one after the other: events, timers that rang, and tasks that ran.
    pub steps: u64,
    /// Virtual time at the end.
    pub elapsed: Duration,
    /// Processor time that it took; zero where the system does not tell.
    pub processor: Duration,
    /// The points of the product's code that it came by.
    pub coverage: Coverage,
    /// One line an event; empty unless [`Settings::trace`] is on.
    pub lines: Vec<String>,
    again: Again,
}

impl Run {
    /// Whether it went wrong.
    pub fn is_failure(&self) -> bool {
        !matches!(self.outcome, Ok(Ok(_)))
    }
}

/// The plan of a seed.
pub fn plan(seed: u64) -> Plan {
    Plan::draw(seed)
}

/// Runs one seed.
pub fn run_seed(seed: u64, settings: &Settings) -> Run {
    run_plan(plan(seed), settings)
}

/// Plays a plan. Everything that it leaves open follows from its seed.
pub fn run_plan(plan: Plan, settings: &Settings) -> Run {
    let config = Config { time_limit: TIME_LIMIT, trace: settings.trace, ..Config::default() };
    let Settings { bugs, checks, again, .. } = settings.clone();
    // Inside the world all entropy follows from the seed.
    let entropy = settings.entropy.then(true_entropy);
    let meter = usage::Meter::default();
    let (counted, played) = (meter.clone(), plan.clone());
    let report = simulate(plan.seed, config, move |world| {
        let counting = counted.count();
        if let Some(number) = entropy {
            note_entropy(&world, number);
        }
        async move {
            let outcome = scenario::play(world, played, bugs, checks).await;
            drop(counting);
            outcome
        }
    });
    let Report { seed, outcome, hash, events, steps, elapsed, lines, coverage } = report;
    let processor = meter.total();
    let mut run = Run {
        seed,
        plan,
        outcome,
        hash,
        events,
        steps,
        elapsed,
        processor,
        lines,
        coverage,
        again,
    };
    if settings.trace {
        tell_violation(&mut run);
    }
    run
}

/// Ends the trace of a run that failed with the rule that was broken.
fn tell_violation(run: &mut Run) {
    let Some(Violation { invariant, at, message, .. }) = violation(run) else { return };
    let text = format!("{invariant}: {message}");
    let line = Line { time: at, host: "scenario", process: 0, kind: "violation", text: &text };
    run.lines.push(line.to_string());
}

/// A number that no seed gives: the key of a hash map's hasher.
fn true_entropy() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

fn note_entropy(world: &World, number: u64) {
    let noting = world.clone();
    world.spawn(async move {
        noting.sleep(ENTROPY_AT).await;
        noting.trace("world", "entropy", &number.to_string());
    });
}

/// The rule that a run broke; one that did not end by itself has broken one, too.
fn violation(run: &Run) -> Option<Violation> {
    match &run.outcome {
        Ok(Ok(_)) => None,
        Ok(Err(violation)) => Some((**violation).clone()),
        Err(failure) => Some(Violation {
            invariant: match failure {
                Failure::Panic(_) => Invariant::Daemons,
                Failure::TimeLimit(_) | Failure::Deadlock => Invariant::Convergence,
            },
            at: run.elapsed,
            message: failure.to_string(),
            before: Vec::new(),
        }),
    }
}

/// What was wrong with a run, if anything.
pub fn failure(run: &Run) -> Option<Failed> {
    let violation = violation(run)?;
    let seed = run.seed.0;
    Some(Failed {
        seed,
        is_drawn: plan(seed) == run.plan,
        plan: run.plan.clone(),
        file: None,
        violation,
        events: run.events,
        elapsed: run.elapsed,
        lines: run.lines.clone(),
        again: run.again.clone(),
    })
}

/// Runs all seeds of a range.
pub fn run_seeds(seeds: std::ops::Range<u64>, settings: &Settings) -> Totals {
    batch::run(&Batch::of(seeds), settings, |_, _| ())
}
