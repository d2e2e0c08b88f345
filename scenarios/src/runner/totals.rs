//! What many runs came to: figures, and failures by kind.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use orrery_coverage::Coverage;

use super::failed::Failed;
use super::kind::Kind;
use super::repeat::{Difference, Repeated};
use super::{Run, failure, usage};

/// Failures of one kind.
#[derive(Clone, Debug)]
pub struct Group {
    /// How many runs failed so.
    pub count: u64,
    /// The one with the lowest seed.
    pub first: Failed,
    /// The one of them with the fewest events, which is the quickest to look at.
    pub fastest: Failed,
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
    /// Processor time of all runs; zero where the system does not tell.
    pub processor: Duration,
    /// Events of all runs.
    pub events: u64,
    /// What was done one after the other in all runs: events, timers that rang, tasks that ran.
    pub steps: u64,
    /// Tasks launched, and how many of them started.
    pub tasks: (usize, usize),
    /// The runs that went wrong.
    pub failures: BTreeMap<Kind, Group>,
    /// How many runs were repeated in another process.
    pub repeats: u64,
    /// Those that were another run there.
    pub differences: Vec<Difference>,
    /// The most memory that a repeated run took, alone in its process, in bytes.
    pub run_memory: Option<u64>,
    /// The most memory that this process had so far, in bytes.
    pub peak_memory: Option<u64>,
    /// The points of the product's code that the runs came by.
    pub coverage: Coverage,
    /// After how many runs a new kind of failure was seen last.
    last_kind: u64,
}

impl Totals {
    /// Those of one run by itself.
    pub fn of(run: Run) -> Self {
        let (mut totals, real) = (Self::default(), run.processor);
        totals.add(run);
        totals.measure(real);
        totals
    }

    /// Adds a run, and says how it went wrong if it did and is the fastest of its kind.
    pub fn add(&mut self, run: Run) -> Option<Failed> {
        self.seeds += 1;
        self.simulated += run.elapsed;
        self.processor += run.processor;
        self.events += run.events;
        self.steps += run.steps;
        self.coverage.merge(&run.coverage);
        if let Ok(Ok(summary)) = &run.outcome {
            self.tasks.0 += summary.launched;
            self.tasks.1 += summary.started;
        }
        self.count_failure(failure(&run)?)
    }

    /// Adds the failure of the newest run.
    pub(super) fn count_failure(&mut self, failed: Failed) -> Option<Failed> {
        let Some(group) = self.failures.get_mut(&failed.kind()) else {
            self.last_kind = self.seeds;
            let group = Group { count: 1, first: failed.clone(), fastest: failed.clone() };
            self.failures.insert(failed.kind(), group);
            return Some(failed);
        };
        group.count += 1;
        if failed.seed < group.first.seed {
            group.first = failed.clone();
        }
        let is_faster = failed.events < group.fastest.events;
        is_faster.then(|| {
            group.fastest = failed.clone();
            failed
        })
    }

    /// Keeps what was found out about a failure since it was added.
    pub(super) fn explain(&mut self, failed: &Failed) {
        let Some(group) = self.failures.get_mut(&failed.kind()) else { return };
        for known in [&mut group.first, &mut group.fastest] {
            if known.seed == failed.seed {
                known.clone_from(failed);
            }
        }
    }

    /// Adds a repetition.
    pub(super) fn add_repeat(&mut self, repeat: Result<Repeated, Box<Difference>>) {
        self.repeats += 1;
        match repeat {
            Ok(repeated) => self.run_memory = self.run_memory.max(repeated.peak_memory),
            Err(difference) => self.differences.push(*difference),
        }
    }

    /// Takes what the system knows.
    pub(super) fn measure(&mut self, real: Duration) {
        self.real = real;
        self.peak_memory = usage::peak_memory();
    }

    /// How many runs have ended since one showed something new: another kind of failure, or a point
    /// of the code that none had come by.
    pub fn runs_since_news(&self) -> u64 {
        self.coverage.runs_since_news().min(self.seeds - self.last_kind)
    }

    /// How many runs failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().map(|group| group.count).sum()
    }

    /// Whether no run failed and none was another one in another process.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && self.differences.is_empty()
    }

    /// One line while runs go on.
    pub fn brief(&self) -> String {
        let real = self.real.as_secs_f64().max(1e-9);
        let mut line = format!(
            "{}, {:.1} a second, {:.0} simulated s/s, {} failed",
            seeds(self.seeds),
            self.seeds as f64 / real,
            self.simulated.as_secs_f64() / real,
            self.failed(),
        );
        if self.failures.len() > 1 {
            line += &format!(" in {} ways", self.failures.len());
        }
        if !self.differences.is_empty() {
            line += &format!(", {} not repeatable", self.differences.len());
        }
        line
    }
}

/// The figures, and a line for each kind of failure.
impl fmt::Display for Totals {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let real = self.real.as_secs_f64().max(1e-9);
        let simulated = self.simulated.as_secs_f64();
        // Where the system does not tell, all that is known is what real time allowed.
        let processor = match self.processor.as_secs_f64() {
            0.0 => real,
            seconds => seconds,
        };
        writeln!(
            formatter,
            "{} in {real:.1} s ({:.1} a second), {simulated:.0} simulated seconds, {} events",
            seeds(self.seeds),
            self.seeds as f64 / real,
            self.events
        )?;
        writeln!(
            formatter,
            "on one core: {:.0} simulated seconds a second, {:.0} events a second with timers and \
             tasks",
            simulated / processor,
            self.steps as f64 / processor,
        )?;
        write!(formatter, "memory: {} at most", Megabytes(self.peak_memory))?;
        if self.run_memory.is_some() {
            write!(formatter, ", {} for one run alone", Megabytes(self.run_memory))?;
        }
        if self.repeats > 0 {
            let (repeats, differences) = (self.repeats, self.differences.len());
            write!(
                formatter,
                "\nrepeated in another process: {repeats}, of which {differences} differed"
            )?;
        }
        write!(
            formatter,
            "\ntasks: {} launched, {} started\nfailed: {}",
            self.tasks.0,
            self.tasks.1,
            self.failed()
        )?;
        for (kind, group) in &self.failures {
            let Group { count, first, fastest } = group;
            write!(
                formatter,
                "\n{count:>7} × {kind} (first seed {}, fastest {})",
                first.seed, fastest.seed
            )?;
        }
        Ok(())
    }
}

fn seeds(count: u64) -> String {
    format!("{count} seed{}", if count == 1 { "" } else { "s" })
}

struct Megabytes(Option<u64>);

impl fmt::Display for Megabytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(formatter, "{:.0} MB", bytes as f64 / 1e6),
            None => formatter.write_str("unknown"),
        }
    }
}
