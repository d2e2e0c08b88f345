//! One of three masters that meet in ZooKeeper is started with another `--quorum` than the others.
#![cfg(feature = "sim")]

use orrery_net_master::PlantedBug;
use orrery_scenarios::checks::Invariant;
use orrery_scenarios::plan::Plan;
use orrery_scenarios::planted::Bugs;
use orrery_scenarios::runner::{self, Run, Settings};

const SEEDS: u64 = 8;

/// Comes to be the one that leads, alone with those that it cannot reach, and dies. What it did
/// meanwhile must be known to the next one.
const TROUBLE: &str = "\
    at 20s kill master-0 mesos-master for 1s
    at 32s kill master-1 mesos-master for 1s
    at 42s cut master-2 master-0 both-ways for 40s
    at 42s cut master-2 master-1 both-ways for 40s
    at 44s wipe agent-1 for 1s
    at 70s kill master-2 mesos-master for 12s
    at 90s framework 0 launch 1 nothing
";

fn play(seed: u64, mistake: &str, bugs: Bugs) -> Run {
    let text = format!(
        "seed {seed}\nmasters 3\nelections zookeeper\nagents 2\nframework launcher\n\
         at 1s framework 0 launch 1 long\n{mistake}{TROUBLE}"
    );
    let plan: Plan = text.parse().expect("a plan");
    runner::run_plan(plan, &Settings { bugs, trace: true, ..Settings::default() })
}

/// How the masters ended that did so by themselves.
fn ends(run: &Run) -> Vec<&str> {
    let ends = run.lines.iter().filter_map(|line| line.split_once(" ends: "));
    ends.map(|(_, why)| why).collect()
}

/// Nothing is lost, the others serve, and the run comes to its end without an excuse.
fn assert_good(run: &Run) {
    let summary = match &run.outcome {
        Ok(Ok(summary)) => summary,
        other => panic!("{}\n{other:?}", run.plan),
    };
    assert!(!summary.excused && summary.started >= 2, "{}\n{summary:?}", run.plan);
}

#[test]
fn a_quorum_that_is_too_small_ends_the_master_with_a_clear_error_and_nothing_is_lost() {
    for seed in 0..SEEDS {
        let run = play(seed, "at 10s change master-2 quorum 1 for 1s\n", Bugs::default());
        assert_good(&run);
        let error = "--quorum is 1, but 3 masters have joined in ZooKeeper (";
        let ends = ends(&run);
        assert!(!ends.is_empty() && ends[0].contains(error), "seed {seed}: {ends:?}");
        assert!(ends[0].ends_with("expected 2 on all of them, more than half"), "{ends:?}");
    }
}

#[test]
fn a_quorum_that_is_too_large_ends_the_master_with_a_clear_error_and_nothing_is_lost() {
    for seed in 0..SEEDS {
        let run = play(seed, "at 10s change master-2 quorum 3 for 1s\n", Bugs::default());
        assert_good(&run);
        let ends = ends(&run);
        let error = "this replica was started with --quorum=3, but ";
        assert!(!ends.is_empty() && ends[0].contains(error), "seed {seed}: {ends:?}");
        assert!(
            ends[0].ends_with(" with --quorum=2: expected the same on all of them"),
            "{ends:?}"
        );
    }
}

/// Without the check the master leads by its own voice alone, and what it lets in is lost with it.
#[test]
fn the_check_is_needed() {
    let bugs = || Bugs::from_iter([PlantedBug::QuorumIsNotChecked.bug()]);
    let mistake = "at 10s change master-2 quorum 1 for 1s\n";
    let failures = (0..SEEDS).filter_map(|seed| runner::failure(&play(seed, mistake, bugs())));
    let rules: Vec<Invariant> = failures.map(|failed| failed.violation.invariant).collect();
    println!("{rules:?}");
    assert!(rules.len() > SEEDS as usize / 2, "{rules:?}");
    assert!(rules.contains(&Invariant::Registry), "{rules:?}");
}
