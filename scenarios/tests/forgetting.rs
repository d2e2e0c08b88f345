//! Masters that forget agents, or are slow or unwilling to give them up, and agents that clean up
//! what they have left or have moved: with plans of their own, as few random ones come by that.
#![cfg(feature = "sim")]

use std::collections::BTreeSet;

use orrery_agent::PlantedBug as InAgent;
use orrery_coverage::Coverage;
use orrery_master::PlantedBug as InMaster;
use orrery_planted::Bug;
use orrery_scenarios::plan::Plan;
use orrery_scenarios::runner::{self, Run, Settings};

const SEEDS: u64 = 6;

/// The only master dies and knows nobody; one agent is cut off meanwhile, the other one dies.
const IN_MEMORY: &str = "\
registry in-memory
ping-timeout 1s
framework launcher checkpoint on
framework careful partition-aware off
at 1s framework 0 launch 2 long
at 1s framework 1 launch 2 long
at 5s cut master-0 agent-0 both-ways for 12s
at 5s kill agent-1 mesos-agent for 12s
at 6s kill master-0 mesos-master for 500ms
at 30s framework 0 launch 1 nothing
";

/// Agents are away for long, and forgotten by the one master or the next one.
const FORGOTTEN: &str = "\
agents 2
ping-timeout 1s
reregister-timeout 4s
registry-gc-interval 1s
registry-max-agent-age 1s
framework launcher checkpoint on
framework careful partition-aware off
at 1s framework 0 launch 2 long
at 1s framework 1 launch 2 long
at 5s cut master-0 agent-0 both-ways for 25s
at 5s cut master-0 agent-1 both-ways for 30s
at 18s kill master-0 mesos-master for 500ms
at 40s framework 0 launch 1 nothing
";

/// Four agents fall silent at once; two of them are back before their turn has come.
const ONE_BY_ONE: &str = "\
agents 4
ping-timeout 1s
removal-interval 6s
framework launcher
at 1s framework 0 launch 4 long
at 5s cut master-0 agent-0 both-ways for 40s
at 5s cut master-0 agent-1 both-ways for 40s
at 5s cut master-0 agent-2 both-ways for 8s
at 5s cut master-0 agent-3 both-ways for 14s
at 50s framework 0 launch 1 nothing
";

/// Two of four agents do not return to a new master, which may give up one.
const TOO_MANY: &str = "\
agents 4
reregister-timeout 4s
recovery-removal-limit 25%
framework launcher
at 1s framework 0 launch 4 long
at 5s cut master-0 agent-0 both-ways for 20s
at 5s cut master-0 agent-1 both-ways for 20s
at 6s kill master-0 mesos-master for 500ms
at 30s framework 0 launch 1 nothing
";

/// One agent cleans up for a moment, the other one until long after it was given up.
const CLEAN_UP: &str = "\
ping-timeout 1s
reregister-timeout 4s
framework launcher checkpoint on
framework careful
at 1s framework 0 launch 3 long
at 1s framework 0 launch 2 stubborn
at 1s framework 1 launch 3 long
at 5s clean-up agent-0 for 2s
at 5s clean-up agent-1 for 30s
at 40s framework 0 launch 1 nothing
";

/// The only agent boots at another address while the master takes it for running at the old one.
const MOVED: &str = "\
agents 1
ping-timeout 2s
framework launcher checkpoint on
framework careful partition-aware off
at 1s framework 0 launch 2 long
at 1s framework 1 launch 2 long
at 5s change-address agent-0 for 100ms
at 30s framework 0 launch 1 nothing
";

fn run(text: &str, seed: u64, bug: Option<&Bug>) -> Run {
    let plan: Plan = text.parse().unwrap_or_else(|error| panic!("{error}"));
    let settings = Settings { bugs: bug.into_iter().collect(), ..Settings::default() };
    runner::run_plan(Plan { seed, ..plan }, &settings)
}

/// Plays a plan with several seeds, all of which must come by `points` together.
#[track_caller]
fn play(text: &str, points: &[&str]) {
    let mut coverage = Coverage::default();
    for seed in 0..SEEDS {
        let run = run(text, seed, None);
        if let Some(failed) = runner::failure(&run) {
            panic!("seed {seed}: {failed}");
        }
        coverage.merge(&run.coverage);
    }
    for point in points {
        let tally = coverage.tally_of(point).unwrap_or_else(|| panic!("no point is '{point}'"));
        assert!(tally.times > 0, "'{point}' was not met");
    }
}

#[test]
fn tasks_outlive_a_registry_that_was_in_memory() {
    play(IN_MEMORY, &["an agent comes back that the registry does not have"]);
}

#[test]
fn tasks_outlive_that_their_agents_are_forgotten() {
    play(
        FORGOTTEN,
        &[
            "agents that were away for very long are forgotten",
            "an agent comes back that the registry does not have",
        ],
    );
}

#[test]
fn agents_are_given_up_one_by_one() {
    play(
        ONE_BY_ONE,
        &[
            "an agent is given up later, to keep to the rate limit",
            "an agent answers before its turn to be given up has come",
        ],
    );
}

#[test]
fn a_master_ends_rather_than_give_up_too_many_agents() {
    play(TOO_MANY, &[]);
    let plan: Plan = TOO_MANY.parse().expect("a plan");
    let traced = runner::run_plan(plan, &Settings { trace: true, ..Settings::default() });
    let ends = |line: &&String| line.contains(" note ") && line.contains("recovery_agent_removal");
    let ends: Vec<&String> = traced.lines.iter().filter(ends).collect();
    assert!(matches!(ends[..], [end] if end.contains("2 of 4 agents did not return")), "{ends:?}");
}

#[test]
fn an_agent_that_has_cleaned_up_tells_how_its_tasks_ended() {
    play(CLEAN_UP, &["an agent only cleans up what an earlier one has left"]);
}

#[test]
fn an_agent_that_has_moved_is_the_same_once_it_is_let_in() {
    play(
        MOVED,
        &["the master refuses the agent as it is", "an agent comes back that was unreachable"],
    );
    let ids = |bug: Option<&Bug>| {
        let plan: Plan = MOVED.parse().expect("a plan");
        let settings =
            Settings { bugs: bug.into_iter().collect(), trace: true, ..Settings::default() };
        let lines = runner::run_plan(plan, &settings).lines;
        let ids =
            lines.iter().filter_map(|line| line.split_once("registered with the master agent_id="));
        ids.map(|(_, id)| id.trim().to_owned()).collect::<BTreeSet<String>>()
    };
    assert_eq!(ids(None).len(), 1);
    assert_eq!(ids(Some(InAgent::RefusalForgetsIdentity.bug())).len(), 2);
}

#[test]
fn planted_bugs_of_forgetting_are_found() {
    let cases = [
        (InMaster::UnknownReturnIsNotTold.bug(), IN_MEMORY),
        (InMaster::UnknownReturnIsNotTold.bug(), FORGOTTEN),
        (InMaster::PruneLeavesTasks.bug(), FORGOTTEN),
        (InMaster::RemovalRateIsIgnored.bug(), ONE_BY_ONE),
        (InMaster::RemovalLimitIsIgnored.bug(), TOO_MANY),
        (InAgent::CleanUpForgetsIdentity.bug(), CLEAN_UP),
    ];
    let is_missed = |(bug, plan): &(&Bug, &str)| {
        !(0..2 * SEEDS).any(|seed| runner::failure(&run(plan, seed, Some(bug))).is_some())
    };
    let missed: Vec<&str> =
        cases.iter().filter(|case| is_missed(case)).map(|(bug, _)| bug.name).collect();
    assert_eq!(missed, [""; 0]);
}
