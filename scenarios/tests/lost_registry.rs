//! Disks that lose the masters' copies of the registry: a majority of them is an excuse, with a
//! proof; a minority is none.
#![cfg(feature = "sim")]

use orrery_scenarios::plan::Plan;
use orrery_scenarios::runner::{self, Run, Settings};

/// Five minutes of a cluster with three masters, to which `faults` happen.
fn play(seed: u64, elections: &str, faults: &str) -> Run {
    let text = format!(
        "seed {seed}\nmasters 3\n{elections}agents 2\nframework launcher\n\
         at 500ms framework 0 launch 2 long\n{faults}at 290s framework 0 launch 1 nothing\n"
    );
    let plan: Plan = text.parse().expect("a plan");
    runner::run_plan(plan, &Settings { trace: true, ..Settings::default() })
}

/// Whether the run was excused; it must not have failed. A majority of masters is in each core.
fn is_excused(run: &Run) -> bool {
    match &run.outcome {
        Ok(Ok(summary)) => summary.excused,
        other => panic!("{}\n{other:?}", run.plan),
    }
}

fn proof(run: &Run) -> &str {
    let line = run.lines.iter().find(|line| line.contains(" excused: "));
    line.map_or("no proof", String::as_str)
}

/// Voting among themselves, and through ZooKeeper.
const ELECTIONS: [&str; 2] = ["", "elections zookeeper\n"];

#[test]
fn two_of_three_copies_lost_at_one_time_are_too_many_and_that_is_proved() {
    for (seed, elections) in (0..4).zip(ELECTIONS.iter().cycle()) {
        // Whoever leads is stopped, for a leader that has nothing to write needs no registry.
        let faults = "at 20s wipe master-0 for 3s\nat 21s wipe master-2 for 5s\n\
                      at 30s crash master-1 for 1s\n";
        let run = play(seed, elections, faults);
        assert!(is_excused(&run), "seed {seed}");
        let expected = "the copies of the registry on master-0, master-2 were lost before any of \
                        these had caught up, and 1 of 3 masters are no majority";
        assert!(proof(&run).contains(expected), "seed {seed}: {}", proof(&run));
    }
}

#[test]
fn masters_that_have_all_lost_their_copies_begin_anew() {
    for (seed, elections) in (0..4).zip(ELECTIONS.iter().cycle()) {
        let wipe = |number| format!("at 20s wipe master-{number} for 3s\n");
        let faults: String = (0..3).map(wipe).collect();
        let run = play(seed, elections, &faults);
        assert!(!is_excused(&run), "seed {seed}: {}", proof(&run));
    }
}

#[test]
fn one_after_the_other_excuses_nothing_when_each_has_caught_up() {
    for (seed, elections) in (0..4).zip(ELECTIONS.iter().cycle()) {
        let wipe =
            |number: usize| format!("at {}s wipe master-{number} for 3s\n", 20 + 80 * number);
        let faults: String = (0..3).map(wipe).collect();
        let run = play(seed, elections, &faults);
        assert!(!is_excused(&run), "seed {seed}: {}", proof(&run));
    }
}

#[test]
fn rot_in_a_majority_is_an_excuse_only_when_it_cannot_be_read_over() {
    for seed in 0..4 {
        let rot = |number| {
            format!(
                "at 20s bit-rot master-{number} /var/lib/master/replicated_log/*\n\
                 at 21s crash master-{number} for 2s\n"
            )
        };
        let faults: String = (0..2).map(rot).collect();
        let run = play(seed, "", &faults);
        if is_excused(&run) {
            assert!(proof(&run).contains("master-0, master-1 were lost"), "{}", proof(&run));
        }
    }
}
