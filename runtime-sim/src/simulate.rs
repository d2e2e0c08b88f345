//! Running one seed.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::time::Duration;

use madsim::time::TimeHandle;
use orrery_coverage::Coverage;

use crate::config::Config;
use crate::world::World;

/// What a run follows from, together with the program and its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seed(pub u64);

impl fmt::Display for Seed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for Seed {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().map(Self)
    }
}

impl From<u64> for Seed {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

/// Why a run did not end by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Some task panicked, or the scenario did.
    #[error("panicked: {0}")]
    Panic(String),
    /// Simulated time ran out.
    #[error("not finished after {0:?} of simulated time")]
    TimeLimit(Duration),
    /// Every task waits for something that cannot happen.
    #[error("all tasks wait and nothing is due")]
    Deadlock,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report<T> {
    /// The seed.
    pub seed: Seed,
    /// What the scenario returned, or why it did not.
    pub outcome: Result<T, Failure>,
    /// The chain of hashes over all recorded events and the scheduler's state at the end.
    pub hash: u64,
    /// How many events were recorded.
    pub events: u64,
    /// How much was done one after the other: events, timers that rang, and tasks that ran.
    pub steps: u64,
    /// Simulated time at the end.
    pub elapsed: Duration,
    /// One line an event; empty unless [`Config::trace`] is on.
    pub lines: Vec<String>,
    /// The points in the product's code that this run came by.
    pub coverage: Coverage,
}

/// Runs `scenario` in a new world that follows from `seed` alone, on a thread of its own, so that
/// nothing thread-local of an earlier run is seen. A panic of the scenario or of any task ends the
/// run and becomes the outcome.
///
/// # Panics
/// When the system cannot start a thread.
pub fn simulate<F, Fut, T>(seed: u64, config: Config, scenario: F) -> Report<T>
where
    F: FnOnce(World) -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
    T: Send + 'static,
{
    let thread = std::thread::Builder::new()
        .name(format!("seed-{seed}"))
        .stack_size(16 << 20)
        .spawn(move || run(seed, config, scenario))
        .unwrap_or_else(|error| panic!("no thread for seed {seed}: {error}"));
    match thread.join() {
        Ok(report) => report,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

fn run<F, Fut, T>(seed: u64, config: Config, scenario: F) -> Report<T>
where
    F: FnOnce(World) -> Fut,
    Fut: Future<Output = T> + 'static,
    T: 'static,
{
    let limit = config.time_limit;
    let mut runtime =
        madsim::runtime::Runtime::with_seed_and_config(seed, madsim::Config::default());
    runtime.set_time_limit(limit);
    let time = runtime.block_on(async { TimeHandle::current() });
    let world = World::new(seed, config, runtime.handle().clone(), time);
    let scene = world.clone();
    let logs = world.listen_to_logs();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async move {
            scene.run_timers();
            let value = scenario(scene.clone()).await;
            scene.record_end();
            value
        })
    }));
    drop(logs);
    let report = world.report(outcome.map_err(|payload| failure(payload.as_ref(), limit)));
    // Tasks hold the world and the world's queue holds the tasks: ending them all frees both. A
    // destructor that panics here can no longer change the report.
    let teardown = catch_unwind(AssertUnwindSafe(|| runtime.block_on(async { world.tear_down() })));
    if teardown.is_err() {
        tracing::warn!(seed, "a destructor panicked while the simulated world was torn down");
    }
    report
}

fn failure(payload: &(dyn std::any::Any + Send), limit: Duration) -> Failure {
    let message = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned());
    if message.starts_with("time limit exceeded") {
        Failure::TimeLimit(limit)
    } else if message.starts_with("no events, all tasks will block forever") {
        Failure::Deadlock
    } else {
        Failure::Panic(message)
    }
}
