//! Every planted bug is found, and what finds it is silent without it.
//!
//! `SIM_TABLE=1` measures all bugs and writes the table in `docs/simulation.md`, which takes a
//! while. `SIM_BUG=Name` leaves all bugs out but one, in either test.
#![cfg(feature = "sim")]

use std::path::PathBuf;

use orrery_scenarios::planted::table::{self, Row};
use orrery_scenarios::planted::{CASES, Case};
use orrery_scenarios::runner::{self, Settings};

#[allow(clippy::disallowed_methods, reason = "how a test run is told what to do")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Looks for a bug, and plays what found it once more without the bug.
fn assert_found(case: &Case) {
    let name = case.bug.name;
    let (failed, took) = table::find(case, 0).unwrap_or_else(|| {
        panic!("{name} is not found within {} seeds", orrery_scenarios::planted::SEEDS)
    });
    let invariant = failed.violation.invariant;
    println!("{took:>4} seeds  {name}: {invariant} ({})", failed.violation.message);
    if invariant != case.invariant {
        println!("      expected was {}", case.invariant);
    }
    let sane = runner::run_plan(failed.plan.clone(), &Settings::default());
    if let Some(failed) = runner::failure(&sane) {
        panic!("the plan that finds {name} fails without it as well: {failed}");
    }
}

/// All bugs, or the one that `SIM_BUG` names.
fn wanted() -> impl Iterator<Item = &'static Case> {
    let name = variable("SIM_BUG");
    CASES.iter().filter(move |case| name.as_ref().is_none_or(|name| case.bug.name == name))
}

#[test]
fn every_bug_is_found() {
    wanted().for_each(assert_found);
}

#[test]
fn the_table_lists_every_bug() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/simulation.md");
    if variable("SIM_TABLE").is_some() {
        for case in wanted() {
            let row = Row::measure(case);
            println!("{:?} seeds: {row}", row.seeds);
            let changed = table::update(&read(&path), &[row]);
            write(&path, &changed.expect("the document has markers"));
        }
    }
    assert_eq!(table::missing_from(&read(&path)), [""; 0], "run this test with SIM_TABLE=1");
}

#[allow(clippy::disallowed_methods, reason = "the document is a real file")]
fn read(path: &PathBuf) -> String {
    std::fs::read_to_string(path).expect("the document is there")
}

#[allow(clippy::disallowed_methods, reason = "the document is a real file")]
fn write(path: &PathBuf, document: &str) {
    std::fs::write(path, document).expect("the document can be written");
}
