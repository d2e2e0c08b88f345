//! Whole clusters under faults: see `docs/simulation.md`.
//!
//! `SIM_SEED=N` runs one seed and prints its log, `SIM_SEEDS=N` changes how many are run.
#![cfg(feature = "sim")]

use orrery_scenarios::runner::{self, Settings};

/// How many seeds are run when nobody says otherwise.
const SEEDS: u64 = 300;

#[allow(clippy::disallowed_methods, reason = "how a test run is told its seeds")]
fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.trim().parse().unwrap_or_else(|_| panic!("{name} is '{text}': expected a number")))
}

#[test]
fn seeds() {
    if let Some(seed) = variable("SIM_SEED") {
        let run = runner::run_seed(seed, &Settings { log: true, ..Settings::default() });
        for line in &run.lines {
            println!("{line}");
        }
        println!("plan:\n{}", runner::plan(seed));
        println!("hash {:016x}, {} events, {:?}", run.hash, run.events, run.elapsed);
        if let Some(failed) = runner::failure(&run) {
            panic!("{failed}");
        }
        return;
    }
    let totals = runner::run_seeds(0..variable("SIM_SEEDS").unwrap_or(SEEDS), &Settings::default());
    println!("{totals}");
    for failed in &totals.failures {
        println!("\n{failed}");
    }
    assert!(totals.failures.is_empty(), "{totals}");
}
