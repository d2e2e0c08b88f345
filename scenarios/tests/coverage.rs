//! Coverage points of the whole product: that they are listed, counted for each run alone, and that
//! promises and goals make a run fail.
#![cfg(feature = "sim")]

use std::collections::BTreeSet;

use orrery_coverage::{Coverage, Kind, always, catalogue, reachable, unreachable};
use orrery_runtime_sim::{Config, simulate};
use orrery_scenarios::checks::{Checks, Invariant, Violation};
use orrery_scenarios::goals::Goals;
use orrery_scenarios::plan::Shape;
use orrery_scenarios::runner::{self, Settings};
use orrery_scenarios::scenario::watched;

#[test]
fn every_part_of_the_product_has_points_and_each_has_a_name_of_its_own() {
    let catalogue = catalogue();
    assert!(catalogue.len() >= 150, "only {} points", catalogue.len());
    let names: BTreeSet<&str> = catalogue.iter().map(|point| point.name).collect();
    let mut seen = BTreeSet::new();
    for point in &catalogue {
        assert!(seen.insert(point.name), "{point} is not the only one of its name");
        assert!(!point.name.ends_with('.') && point.name.len() >= 12, "{point} is no sentence");
    }
    assert_eq!(names.len(), catalogue.len());
    let crates: BTreeSet<&str> =
        catalogue.iter().filter_map(|point| point.module.split("::").next()).collect();
    for part in [
        "orrery_master",
        "orrery_agent",
        "orrery_allocator",
        "orrery_executor",
        "orrery_scheduler",
        "orrery_http",
        "orrery_link",
        "orrery_net_master",
        "orrery_net_agent",
        "orrery_net_executor",
        "orrery_net_scheduler",
    ] {
        assert!(crates.contains(part), "{part} has no points, only {crates:?}");
    }
    for kind in [Kind::Always, Kind::Sometimes, Kind::Reachable, Kind::Unreachable] {
        assert!(catalogue.iter().any(|point| point.kind == kind), "there is no {kind}! point");
    }
}

#[test]
fn a_run_has_the_same_coverage_whatever_runs_beside_it() {
    let alone = runner::run_seed(7, &Settings::default()).coverage;
    let beside = std::thread::scope(|scope| {
        let other = scope.spawn(|| runner::run_seed(8, &Settings::default()).coverage);
        let same = scope.spawn(|| runner::run_seed(7, &Settings::default()).coverage);
        let (same, other) = (same.join().expect("ends"), other.join().expect("ends"));
        assert_ne!(same, other, "two seeds that do the same are bad luck or no luck");
        same
    });
    assert_eq!(alone, beside);
    assert_eq!(alone.runs(), 1);
    let launched = alone.tally_of("a task is booked once").expect("is a point");
    assert!(launched.times > 0, "no task was launched: {alone:#}");
}

/// A run in a small cluster in which `act` happens on the run's thread.
fn run_with(act: fn()) -> Result<(), Box<Violation>> {
    let scenario = move |world| async move {
        let shape = Shape::default();
        watched(world, &shape, &Default::default(), Checks::all(), async |cluster| {
            cluster.world().sleep(std::time::Duration::from_secs(1)).await;
            act();
        })
        .await
    };
    simulate(1, Config::default(), scenario).outcome.expect("nobody panics")
}

#[test]
fn a_broken_promise_ends_the_run() {
    assert_eq!(run_with(|| reachable!("a test acts in the middle of a run")), Ok(()));

    let broken = run_with(|| always!(1 + 1 == 3, "sums are as in the test", 1 + 1)).unwrap_err();
    assert_eq!(broken.invariant, Invariant::Always);
    assert!(broken.message.contains("sums are as in the test"), "{broken}");
    assert!(broken.message.ends_with(": 1 + 1 = 2"), "{broken}");

    let broken = run_with(|| unreachable!("a test goes where nobody goes")).unwrap_err();
    assert_eq!(broken.invariant, Invariant::Always);
    assert!(broken.message.contains("a test goes where nobody goes"), "{broken}");
}

#[test]
fn the_listed_goals_are_points_and_not_met_without_a_run() {
    let goals = Goals::standard().unwrap_or_else(|error| panic!("{error}"));
    let names: BTreeSet<&str> = catalogue().iter().map(|point| point.name).collect();
    let mut listed = BTreeSet::new();
    for goal in goals.iter() {
        assert!(names.contains(goal.name.as_str()), "no point is called '{}'", goal.name);
        assert!(listed.insert(&goal.name), "'{}' is listed twice", goal.name);
    }
    let must = goals.iter().filter(|goal| goal.must).count();
    assert!(must >= 20, "only {must} goals must be met");
    let unmet = goals.check(&Coverage::default()).expect_err("nothing ran");
    assert_eq!(unmet.goals.len(), must);
}

#[test]
fn a_goal_that_is_never_met_fails() {
    let run = runner::run_seed(7, &Settings::default()).coverage;
    let goals = |text: &str| Goals::parse(text).unwrap_or_else(|error| panic!("{error}"));

    assert_eq!(goals("- must a task is booked once").check(&run), Ok(()));
    let unmet = goals("- must a cluster reaches the moon").check(&run).unwrap_err();
    assert!(unmet.to_string().contains("no point has this name"), "{unmet}");
    // A wish for a point that is gone is a mistake too.
    assert!(goals("- may a cluster reaches the moon").check(&run).is_err());

    // Nothing in the simulator sends an agent's description that is missing.
    let never = "a registration lacks the agent's description";
    let unmet = goals(&format!("G25 must {never}")).check(&run).unwrap_err();
    assert_eq!(unmet.goals, [format!(" G25 must not met                {never}")]);
    assert_eq!(goals(&format!("G25 may {never}")).check(&run), Ok(()));
    let report = goals(&format!("- must a task is booked once\nG25 may {never}")).report(&run);
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines[0], "goals: 1 of 2 met in 1 runs");
    assert!(lines[1].ends_with(never) && lines[2].contains("met by 1 runs"), "{report}");
}

#[test]
fn a_line_that_is_no_goal_is_named() {
    for (text, line) in [("# fine\n\nG1 maybe it works", 3), ("G1", 1), ("G1 must", 1)] {
        let error = Goals::parse(text).unwrap_err();
        assert_eq!(error.line, line, "{error}");
    }
}
