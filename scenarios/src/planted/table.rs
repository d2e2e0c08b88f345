//! The table of planted bugs in `docs/simulation.md`: measured, and written by the simulator.

use super::{Bugs, CASES, Case, ELSEWHERE, Elsewhere, SEEDS};
use crate::checks::Invariant;
use crate::plan::Plan;
use crate::runner::{self, Failed, Settings};
use crate::shrink;

/// What stands before and after the table.
pub const MARKERS: (&str, &str) = ("<!-- planted bugs -->\n", "<!-- end of planted bugs -->\n");

const HEAD: &str = "\
| bug | in | found by | seeds it takes | steps of the smallest plan |
|---|---|---|---|---|
";

/// The seeds with which the search is begun; the median of what they take is told.
const STARTS: [u64; 3] = [0, 10_000, 20_000];

/// How many plans are tried to make one smaller.
const SHRINKING_RUNS: usize = 100;

/// What one bug came to.
#[derive(Clone, Debug)]
pub struct Row {
    /// The bug.
    pub case: Case,
    /// How many seeds it took, from each start; [`SEEDS`] where it was not found.
    pub seeds: Vec<u64>,
    /// The rule that found it first, and how many steps are left of the plan; `None` when nothing
    /// did.
    pub found: Option<(Invariant, usize)>,
}

/// The first failure from `start` on with the bug of `case`, and how many seeds it took.
pub fn find(case: &Case, start: u64) -> Option<(Failed, u64)> {
    let failed = runner::first_failure(start..start + SEEDS, &settings(case))?;
    let took = failed.plan.seed - start + 1;
    Some((failed, took))
}

fn settings(case: &Case) -> Settings {
    Settings { bugs: Bugs::of(case), ..Settings::default() }
}

/// How many steps are left of a plan that fails when all is dropped that it does not take.
fn smallest(case: &Case, failed: &Failed) -> usize {
    let settings = settings(case);
    let fails = |plan: &Plan| {
        let found = runner::failure(&runner::run_plan(plan.clone(), &settings));
        found.is_some_and(|found| found.kind() == failed.kind())
    };
    shrink::shrink(&failed.plan, SHRINKING_RUNS, fails).plan.steps.len()
}

impl Row {
    /// Looks for the bug from several seeds on, and shrinks what is found first.
    pub fn measure(case: &Case) -> Self {
        let found = STARTS.map(|start| find(case, start));
        let seeds = found.iter().map(|found| found.as_ref().map_or(SEEDS, |(_, took)| *took));
        let seeds = seeds.collect();
        let first = found.iter().flatten().next();
        let found = first.map(|(failed, _)| (failed.violation.invariant, smallest(case, failed)));
        Self { case: *case, seeds, found }
    }

    /// How many seeds it takes in the middle.
    pub fn median(&self) -> u64 {
        let mut seeds = self.seeds.clone();
        seeds.sort_unstable();
        seeds.get(seeds.len() / 2).copied().unwrap_or_default()
    }
}

/// The line of a bug in the table begins with this.
fn beginning(case: &Case) -> String {
    format!("| `{}`: {} |", case.bug.name, case.bug.what.trim())
}

impl std::fmt::Display for Row {
    /// A line of the table.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let package = self.case.bug.package.trim_start_matches("orrery-");
        let (beginning, median) = (beginning(&self.case), self.median());
        match self.found {
            Some((rule, steps)) => {
                write!(formatter, "{beginning} {package} | {rule} | {median} | {steps} |")
            }
            None => write!(formatter, "{beginning} {package} | nothing yet | > {SEEDS} | |"),
        }
    }
}

/// A document with the lines of `rows` in its table. The lines of other bugs stay, and those of
/// bugs that there are no more go.
///
/// # Errors
/// The document lacks one of [`MARKERS`].
pub fn update(document: &str, rows: &[Row]) -> Result<String, String> {
    let (first, last) = MARKERS;
    let missing = |marker: &str| format!("the document has no line '{}'", marker.trim());
    let (before, rest) = document.split_once(first).ok_or_else(|| missing(first))?;
    let (old, after) = rest.split_once(last).ok_or_else(|| missing(last))?;
    let line = |case: &Case| {
        let measured = rows.iter().find(|row| row.case.bug == case.bug).map(Row::to_string);
        let kept = || old.lines().find(|line| line.starts_with(&beginning(case)));
        measured.or_else(|| kept().map(str::to_owned))
    };
    let elsewhere = ELSEWHERE.iter().map(ToString::to_string);
    let lines: Vec<String> = CASES.iter().filter_map(line).chain(elsewhere).collect();
    Ok(format!("{before}{first}{HEAD}{}\n{last}{after}", lines.join("\n")))
}

/// The bugs that a document does not list as they are declared now.
pub fn missing_from(document: &str) -> Vec<&'static str> {
    let is_missing = |case: &&Case| !document.contains(&beginning(case));
    let missing = CASES.iter().filter(is_missing).map(|case| case.bug.name);
    let is_missing = |one: &&Elsewhere| !document.contains(&one.to_string());
    missing.chain(ELSEWHERE.iter().filter(is_missing).map(|one| one.bug.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_that_were_measured_change() {
        let (first, last) = MARKERS;
        let [one, two] = [&CASES[0], &CASES[1]];
        let kept = format!("{} kept |", beginning(one));
        let document = format!("a\n{first}{kept}\n{} old |\n| gone |\n{last}z\n", beginning(two));
        let row = Row { case: *two, seeds: vec![9, 1, 3], found: Some((two.invariant, 4)) };
        let changed = update(&document, &[row]).expect("it has markers");
        let package = two.bug.package.trim_start_matches("orrery-");
        let new = format!("{} {package} | {} | 3 | 4 |", beginning(two), two.invariant);
        let elsewhere: Vec<String> = ELSEWHERE.iter().map(ToString::to_string).collect();
        let table = format!("{HEAD}{kept}\n{new}\n{}\n", elsewhere.join("\n"));
        assert_eq!(changed, format!("a\n{first}{table}{last}z\n"));
        let error = update("a\n", &[]).expect_err("no marker");
        assert_eq!(error, "the document has no line '<!-- planted bugs -->'");
    }
}
