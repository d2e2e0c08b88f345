//! Every planted bug is found by the rule that it breaks, within as many seeds as a usual run has.
#![cfg(feature = "sim")]

use orrery_agent::PlantedBug as InAgent;
use orrery_master::PlantedBug as InMaster;
use orrery_scenarios::checks::{Checks, Invariant};
use orrery_scenarios::planted::Bugs;
use orrery_scenarios::runner::{self, Settings};

const SEEDS: u64 = 300;

/// Looks for bugs with one rule alone, and prints which seed finds them.
fn assert_found(invariant: Invariant, master: &[InMaster], agent: &[InAgent]) {
    let master_bugs = master.iter().map(|bug| bug.bug());
    let bugs: Bugs = master_bugs.chain(agent.iter().map(|bug| bug.bug())).collect();
    let name = format!("{master:?} {agent:?}");
    let settings = Settings { bugs, checks: Checks::only(invariant), ..Settings::default() };
    let failed = runner::first_failure(0..SEEDS, &settings)
        .unwrap_or_else(|| panic!("{name} is not found by {invariant} within {SEEDS} seeds"));
    println!("| {name} | {invariant} | {} | {} |", failed.seed, failed.violation.message);
    assert_eq!(failed.violation.invariant, invariant, "{failed}");
}

#[test]
fn accept_keeps_offer() {
    assert_found(Invariant::Offers, &[InMaster::AcceptKeepsOffer], &[]);
}

#[test]
fn disconnect_keeps_offers() {
    assert_found(Invariant::Offers, &[InMaster::DisconnectKeepsOffers], &[]);
}

#[test]
fn accept_recovers_whole_offer() {
    assert_found(Invariant::Conservation, &[InMaster::AcceptRecoversWholeOffer], &[]);
}

#[test]
fn terminal_task_keeps_resources() {
    assert_found(Invariant::Conservation, &[InMaster::TerminalTaskKeepsResources], &[]);
}

/// A second terminal state reaches the master only from an agent that has a bug of its own.
#[test]
fn terminal_state_is_overwritten() {
    let agent = [InAgent::UpdateAfterTerminal];
    assert_found(Invariant::Records, &[InMaster::TerminalStateIsOverwritten], &agent);
}

#[test]
fn replaced_agent_forgets_tasks() {
    assert_found(Invariant::Tasks, &[InMaster::ReplacedAgentForgetsTasks], &[]);
}

#[test]
fn kill_during_launch_still_launches() {
    assert_found(Invariant::Runs, &[], &[InAgent::KillDuringLaunchStillLaunches]);
}

#[test]
fn forwards_updates_out_of_order() {
    assert_found(Invariant::Tasks, &[], &[InAgent::ForwardsUpdatesOutOfOrder]);
}

#[test]
fn resends_acknowledged_update() {
    assert_found(Invariant::Tasks, &[], &[InAgent::ResendsAcknowledgedUpdate]);
}

#[test]
fn update_after_terminal() {
    assert_found(Invariant::Tasks, &[], &[InAgent::UpdateAfterTerminal]);
}
