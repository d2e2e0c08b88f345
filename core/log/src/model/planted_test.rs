//! Each planted bug is found by the random faults or by the search of all orders. Those of the disk
//! and of the driver are found in the simulator.

use proptest::strategy::Strategy;
use proptest::test_runner::TestRunner;

use super::exhaustive_test::{Budget, RIVALS, WITNESS, search};
use super::random_test::{actions, play};
use crate::PlantedBug;

/// Runs that a bug may take to be found.
const RUNS: usize = 600;

/// Plants a bug and plays random faults until something is wrong.
fn find(bug: Option<PlantedBug>, nodes: usize, voting: bool) -> Option<(usize, String)> {
    orrery_planted::plant(bug.map(|bug| *bug.bug()));
    let mut runner = TestRunner::deterministic();
    let strategy = actions(500);
    let found = (0..RUNS).find_map(|run| {
        let tree = strategy.new_tree(&mut runner).expect("a list of actions");
        let violation = play(nodes, voting, &proptest::strategy::ValueTree::current(&tree))?;
        Some((run + 1, violation))
    });
    orrery_planted::plant([]);
    found
}

fn is_found(bug: PlantedBug, voting: bool) {
    let found = find(Some(bug), 3, voting);
    println!("{bug:?}: {found:?}");
    assert!(found.is_some(), "{bug:?} was not found in {RUNS} runs");
}

/// The same runs find nothing where nothing is planted.
#[test]
fn nothing_is_found_without_a_bug() {
    assert_eq!(find(None, 3, true), None);
}

#[test]
fn quorum_off_by_one() {
    is_found(PlantedBug::QuorumOffByOne, true);
}

#[test]
fn learns_without_quorum() {
    is_found(PlantedBug::LearnsWithoutQuorum, true);
}

#[test]
fn votes_before_recovery() {
    is_found(PlantedBug::VotesBeforeRecovery, true);
}

#[test]
fn empty_replica_votes() {
    is_found(PlantedBug::EmptyReplicaVotes, true);
}

#[test]
fn fills_hole_with_nop() {
    is_found(PlantedBug::FillsHoleWithNop, true);
}

#[test]
fn accepts_stale_write() {
    is_found(PlantedBug::AcceptsStaleWrite, true);
}

/// A search of all orders of a case finds the bug.
fn is_met(bug: PlantedBug, case: Budget) {
    orrery_planted::plant([*bug.bug()]);
    let found = search(case, usize::MAX);
    orrery_planted::plant([]);
    println!("{bug:?}: {found:?}");
    assert!(found.violation.is_some(), "{bug:?}: {found:?}");
}

#[test]
fn two_coordinators_suffice_for_four_bugs() {
    is_met(PlantedBug::QuorumOffByOne, RIVALS);
    is_met(PlantedBug::LearnsWithoutQuorum, RIVALS);
    is_met(PlantedBug::FillsHoleWithNop, RIVALS);
    is_met(PlantedBug::AcceptsStaleWrite, RIVALS);
}

#[test]
fn a_restarted_replica_shows_a_promise_that_is_not_durable() {
    is_met(PlantedBug::PromiseIsNotDurable, WITNESS);
}
