//! How far a hunt or the shrinking of a plan is: a line that is written over on a terminal, a line
//! now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use orrery_scenarios::goals::Goals;
use orrery_scenarios::runner::{Batch, Failed, Totals};

use crate::invocation::say;

/// How often progress is told where it cannot be written over, as in a log.
const LOG_INTERVAL: Duration = Duration::from_secs(30);
/// How often it is told on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);
/// The bar's length in characters.
const BAR: usize = 24;

/// Tells how far a batch is. Failures are printed as they come.
pub struct Meter<'a> {
    batch: &'a Batch,
    goals: &'a Goals,
    is_terminal: bool,
    told: Instant,
}

impl<'a> Meter<'a> {
    /// Nothing has happened yet.
    pub fn new(batch: &'a Batch, goals: &'a Goals) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { batch, goals, is_terminal, told: Instant::now() }
    }

    /// Tells of a failure in full when it is the first of its kind, in a line when it is only the
    /// fastest so far.
    pub fn fail(&self, totals: &Totals, failed: &Failed) {
        self.clear();
        let kind = failed.kind();
        if totals.failures.get(&kind).is_some_and(|group| group.count > 1) {
            say(&format!("seed {} failed faster: {kind}", failed.seed));
        } else {
            say(&format!("{failed}\n"));
        }
    }

    /// Tells how far it is, if it is time to.
    pub fn tell(&mut self, totals: &Totals) {
        let interval = if self.is_terminal { TERMINAL_INTERVAL } else { LOG_INTERVAL };
        if self.told.elapsed() < interval {
            return;
        }
        self.told = Instant::now();
        let line = line(self.batch, self.goals, totals);
        if self.is_terminal {
            // A line that is too long for the terminal is cut and not wrapped.
            eprint!("\r\x1b[K\x1b[?7l{line}\x1b[?7h");
        } else {
            eprintln!("{line}");
        }
    }

    /// Takes the line away from a terminal.
    pub fn clear(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }
}

/// Tells how far the shrinking of a plan is.
pub struct Shrinking {
    steps: usize,
    is_terminal: bool,
    told: Instant,
}

impl Shrinking {
    /// The plan has so many steps.
    pub fn new(steps: usize) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { steps, is_terminal, told: Instant::now() }
    }

    /// After so many runs so many steps are left.
    pub fn tell(&mut self, runs: usize, left: usize) {
        let interval = if self.is_terminal { TERMINAL_INTERVAL } else { LOG_INTERVAL };
        if self.told.elapsed() < interval {
            return;
        }
        self.told = Instant::now();
        self.write(runs, left);
        if !self.is_terminal {
            eprintln!();
        }
    }

    /// That is all.
    pub fn end(&self, runs: usize, left: usize) {
        self.write(runs, left);
        eprintln!();
    }

    fn write(&self, runs: usize, left: usize) {
        let start = if self.is_terminal { "\r\x1b[K" } else { "" };
        eprint!("{start}{left} of {} steps are left after {runs} runs", self.steps);
    }
}

fn line(batch: &Batch, goals: &Goals, totals: &Totals) -> String {
    let is_met = |name: &str| totals.coverage.tally_of(name).is_some_and(|tally| tally.runs > 0);
    let met = goals.iter().filter(|goal| is_met(&goal.name)).count();
    let news = totals.runs_since_news();
    let mut line = String::new();
    if let Some(done) = fraction(batch, totals) {
        let full = ((done * BAR as f64) as usize).min(BAR);
        line = format!("[{}{}] {:.0} % ", "#".repeat(full), "-".repeat(BAR - full), done * 100.0);
    }
    let goals = goals.iter().count();
    line + &format!("{}, {met} of {goals} goals, nothing new for {news} runs", totals.brief())
}

/// How much of the batch is done; `None` when it has no end that one can foresee.
fn fraction(batch: &Batch, totals: &Totals) -> Option<f64> {
    let seeds = batch.seeds.end.saturating_sub(batch.seeds.start);
    let seeds = (batch.seeds.end < u64::MAX).then(|| totals.seeds as f64 / seeds.max(1) as f64);
    let time = batch.time.map(|time| totals.real.as_secs_f64() / time.as_secs_f64().max(1e-9));
    let done = seeds.into_iter().chain(time).reduce(f64::max)?;
    Some(done.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_what_ends_first() {
        let mut batch = Batch::of(10..20);
        let mut totals = Totals::default();
        (totals.seeds, totals.real) = (5, Duration::from_secs(3));
        assert_eq!(fraction(&batch, &totals), Some(0.5));
        batch.time = Some(Duration::from_secs(4));
        assert_eq!(fraction(&batch, &totals), Some(0.75));
        let goals = Goals::parse("- must nothing has this name").expect("goals");
        let text = line(&batch, &goals, &totals);
        assert!(text.starts_with(&format!("[{}{}] 75 % 5 seeds", "#".repeat(18), "-".repeat(6))));
        assert!(text.ends_with("0 of 1 goals, nothing new for 0 runs"), "{text}");
        let endless = Batch::of(0..u64::MAX);
        assert!(line(&endless, &goals, &totals).starts_with("5 seeds, "));
    }
}
