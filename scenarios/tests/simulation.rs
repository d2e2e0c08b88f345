//! Whole clusters under faults: see `docs/simulation.md`.
//!
//! `SIM_SEED=N` runs one seed and prints its trace, or writes it to the file that `SIM_TRACE`
//! names; `SIM_SEEDS=N` changes how many are run.
#![cfg(feature = "sim")]

use orrery_scenarios::runner::{self, Settings};
use orrery_scenarios::trace_file;

/// How many seeds are run when nobody says otherwise.
const SEEDS: u64 = 300;

/// Has the test `print_hash` print the hash of this seed.
const HASH_VARIABLE: &str = "SIM_PRINT_HASH_OF";

#[allow(clippy::disallowed_methods, reason = "how a test run is told its seeds")]
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.trim().parse().unwrap_or_else(|_| panic!("{name} is '{text}': expected a number")))
}

fn run_one(seed: u64) {
    let run = runner::run_seed(seed, &Settings { trace: true, ..Settings::default() });
    match trace_file::wanted() {
        Some(path) => trace_file::write(&run.lines, &path).expect("the trace can be written"),
        None => run.lines.iter().for_each(|line| println!("{line}")),
    }
    println!("seed {seed}, hash {:016x}, {} events, {:?}", run.hash, run.events, run.elapsed);
    if let Some(failed) = runner::failure(&run) {
        panic!("{failed}");
    }
}

#[test]
fn seeds() {
    if let Some(seed) = variable("SIM_SEED") {
        return run_one(seed);
    }
    let totals = runner::run_seeds(0..variable("SIM_SEEDS").unwrap_or(SEEDS), &Settings::default());
    println!("{totals}");
    for failed in &totals.failures {
        println!("\n{failed}");
    }
    assert!(totals.failures.is_empty(), "{totals}");
    assert!(totals.tasks.1 * 2 > totals.tasks.0, "most tasks never start: {totals}");
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

/// Not a check of its own: the other process of the next test.
#[test]
fn print_hash() {
    if let Some(seed) = variable(HASH_VARIABLE) {
        println!("hash={:016x}", runner::run_seed(seed, &Settings::default()).hash);
    }
}

#[allow(clippy::disallowed_methods, reason = "another process of the real system is needed")]
#[test]
fn a_seed_gives_the_same_run_in_another_process() {
    let program = std::env::current_exe().expect("this test is a program");
    for seed in [2_000, 2_001] {
        let output = std::process::Command::new(&program)
            .args(["--exact", "print_hash", "--nocapture"])
            .env(HASH_VARIABLE, seed.to_string())
            .output()
            .expect("runs");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let run = runner::run_seed(seed, &Settings::default());
        let expected = format!("hash={:016x}", run.hash);
        assert!(text.contains(&expected), "seed {seed}: expected {expected} in {text}");
    }
}
