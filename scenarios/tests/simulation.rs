//! Whole clusters under faults: see `docs/simulation.md`.
//!
//! `SIM_SEED=SEED` runs one seed, `SIM_PLAN=FILE` one plan, and prints the trace, or writes it to
//! the file that `SIM_TRACE` names. `SIM_SEEDS=N` changes how many seeds are run, from `SIM_SEED`
//! on when that is given too. `SIM_SHRINK=1` makes the plans of failures as small as they can be,
//! and writes them to `scenarios/regressions/`. `SIM_BUG=NAME` plants a bug in all of these runs.
#![cfg(feature = "sim")]

use std::path::{Path, PathBuf};

use orrery_scenarios::goals::Goals;
use orrery_scenarios::plan::Plan;
use orrery_scenarios::runner::batch;
use orrery_scenarios::runner::repeat::{self, Found, OtherProcess};
use orrery_scenarios::runner::{self, Batch, Failed, Run, Settings, Totals, parse_seed};
use orrery_scenarios::{shrink, trace_file};

/// How many seeds are run when nobody says otherwise.
const SEEDS: u64 = 1_000;

/// Where plans that failed once are kept.
const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/regressions");

#[allow(clippy::disallowed_methods, reason = "how a test run is told what to run")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// What the environment asks for: a planted bug, or nothing.
fn settings() -> Settings {
    let mut settings = Settings::default();
    if let Some(name) = variable("SIM_BUG") {
        runner::plant(&name, &mut settings).unwrap_or_else(|error| panic!("SIM_BUG: {error}"));
    }
    settings
}

fn entropy() -> Settings {
    Settings { entropy: true, ..Settings::default() }
}

#[test]
fn seeds() {
    let seed_of = |text: String| parse_seed(&text).unwrap_or_else(|e| panic!("SIM_SEED: {e}"));
    let first = variable("SIM_SEED").map(seed_of);
    let count = variable("SIM_SEEDS").map(|text| {
        text.trim().parse().unwrap_or_else(|_| panic!("SIM_SEEDS is '{text}': expected a number"))
    });
    let traced = Settings { trace: true, ..settings() };
    if let Some(path) = trace_file::named_by("SIM_PLAN") {
        assert!(first.is_none(), "SIM_PLAN and SIM_SEED are set: expected one of them");
        let plan = Plan::read(&path).unwrap_or_else(|error| panic!("SIM_PLAN: {error}"));
        return show(runner::run_plan(plan, &traced), Some(path));
    }
    match (first, count) {
        (Some(seed), None) => show(runner::run_seed(seed, &traced), None),
        (first, count) => {
            let first = first.unwrap_or_default();
            let totals = run_many(first, count.unwrap_or(SEEDS));
            if count.is_none() && variable("SIM_BUG").is_none() {
                assert_standard(&totals);
            }
        }
    }
}

/// Shows one run.
fn show(run: Run, file: Option<PathBuf>) {
    match trace_file::wanted() {
        Some(path) => trace_file::write(&run.lines, &path).unwrap_or_else(|e| panic!("{e}")),
        None => run.lines.iter().for_each(|line| println!("{line}")),
    }
    let failed = runner::failure(&run);
    println!("{}", Totals::of(run));
    if let Some(mut failed) = failed {
        failed.file = file;
        shrink_if_wanted(&failed);
        panic!("{failed}");
    }
}

fn shrink_if_wanted(failed: &Failed) {
    if variable("SIM_SHRINK").is_none_or(|value| value == "0") {
        return;
    }
    let (smallest, runs) = shrink::shrink_failure(failed, &settings());
    let steps = (failed.plan.steps.len(), smallest.plan.steps.len());
    println!("{} of {} steps are left after {runs} runs:", steps.1, steps.0);
    println!("{}", smallest.plan_file());
    if let Some(bug) = variable("SIM_BUG") {
        return println!("It is not kept, for it takes the planted bug {bug} to fail.");
    }
    let written = shrink::write(Path::new(REGRESSIONS), &smallest, failed.seed);
    let path = written.unwrap_or_else(|error| panic!("SIM_SHRINK: {error}"));
    println!("It was written to {}", path.display());
}

/// Runs seeds, and every 20th once more in another process.
fn run_many(first: u64, count: u64) -> Totals {
    let range = first..first.saturating_add(count);
    let repeated = range.clone().filter(|seed| seed.is_multiple_of(batch::REPEATED)).count();
    let other_process = Some(OtherProcess::test("repeated").expect("this test is a program"));
    let batch = Batch { other_process, ..Batch::of(range) };
    let totals = batch::run(&batch, &settings(), |_, _| ());
    println!("{totals}");
    for group in totals.failures.values() {
        println!("\n{}", group.fastest);
        shrink_if_wanted(&group.fastest);
    }
    for difference in &totals.differences {
        println!("\n{difference}");
    }
    assert!(totals.is_good(), "{totals}");
    assert_eq!(totals.repeats, repeated as u64);
    totals
}

/// What the standard run must have come by.
fn assert_standard(totals: &Totals) {
    assert!(totals.tasks.1 * 2 > totals.tasks.0, "most tasks never start: {totals}");
    let goals = Goals::standard().unwrap_or_else(|error| panic!("{error}"));
    println!("{}", goals.report(&totals.coverage));
    goals.check(&totals.coverage).unwrap_or_else(|unmet| panic!("{unmet}"));
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 1_000..1_006 {
        let quiet = runner::run_seed(seed, &Settings::default());
        let traced = runner::run_seed(seed, &Settings { trace: true, ..Settings::default() });
        assert_eq!((quiet.hash, quiet.events), (traced.hash, traced.events), "seed {seed}");
        assert_eq!(quiet.elapsed, traced.elapsed, "seed {seed}");
        assert!(quiet.events > 300, "seed {seed} has only {} events", quiet.events);
    }
}

/// Not a check of its own: the other process of the runs that are repeated.
#[test]
fn repeated() {
    repeat::answer(&settings());
}

/// The other process of the next test.
#[test]
fn repeated_with_entropy() {
    repeat::answer(&entropy());
}

/// A run that does not follow from its seed is found out by the comparison with another process,
/// which shows the first event that differs and those before it.
#[test]
fn entropy_from_outside_is_found_and_shown() {
    let other_process = OtherProcess::test("repeated_with_entropy").expect("this is a program");
    let batch = Batch { other_process: Some(other_process), ..Batch::of(40..41) };
    let totals = batch::run(&batch, &entropy(), |_, _| ());
    assert!(totals.failures.is_empty() && !totals.is_good(), "{totals}");
    let [difference] = totals.differences.as_slice() else { panic!("{totals}") };
    let Found::Line { before, here: Some(here), there: Some(there), .. } = &difference.found else {
        panic!("{difference}")
    };
    assert!(here != there && !before.is_empty(), "{difference}");
    for line in [here, there] {
        assert!(line.contains("world") && line.contains(" entropy "), "{difference}");
    }
}

/// A process that does not answer is no run that was the same.
#[test]
fn a_repetition_without_an_answer_is_told() {
    let other_process = OtherProcess::test("no test has this name").expect("this is a program");
    let batch = Batch { other_process: Some(other_process), ..Batch::of(0..1) };
    let totals = batch::run(&batch, &Settings::default(), |_, _| ());
    let [difference] = totals.differences.as_slice() else { panic!("{totals}") };
    assert!(matches!(difference.found, Found::NoAnswer(_)), "{difference}");
}

/// Failing works: what is planted is found, told with one command, and found again by its seed and
/// by its plan.
#[test]
fn a_failure_is_found_again_by_its_seed_and_by_its_plan() {
    let mut settings = Settings::default();
    runner::plant("AcceptRecoversWholeOffer", &mut settings).expect("there is such a bug");
    let failed = runner::first_failure(0..SEEDS, &settings).expect("a seed finds it");
    let (bug, seed) = ("AcceptRecoversWholeOffer", failed.seed);
    let command = format!("SIM_BUG={bug} SIM_SEED={seed} cargo test -p orrery-scenarios");
    assert!(failed.to_string().contains(&command), "{failed}");
    let again = runner::failure(&runner::run_seed(failed.seed, &settings)).expect("it fails");
    assert_eq!(again.violation, failed.violation);
    let plan: Plan = failed.plan.to_string().parse().expect("a plan is read back");
    assert_eq!(plan, failed.plan);
    let again = runner::failure(&runner::run_plan(plan, &settings)).expect("it fails");
    assert_eq!((again.violation, again.events), (failed.violation, failed.events));
    assert!(runner::failure(&runner::run_seed(failed.seed, &Settings::default())).is_none());
}

/// A plan that was changed is shown as it was run, and no seed is said to give it.
#[test]
fn a_failed_plan_is_told_as_that_plan() {
    let mut settings = Settings::default();
    runner::plant("AcceptRecoversWholeOffer", &mut settings).expect("there is such a bug");
    let mut plan = runner::first_failure(0..SEEDS, &settings).expect("a seed finds it").plan;
    plan.shape.agents += 1;
    let failed = runner::failure(&runner::run_plan(plan.clone(), &settings)).expect("it fails");
    assert_eq!(failed.plan, plan);
    assert!(!failed.is_drawn && failed.command().contains(" SIM_PLAN="), "{failed}");
}
