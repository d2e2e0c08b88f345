//! Several masters under faults: whichever leads, nobody notices.
#![cfg(feature = "sim")]

use std::time::Duration;

use orrery_runtime::Generator;
use orrery_scenarios::plan::{Action, Elections, Fault, Place, Plan, RegistryKind, Step};
use orrery_scenarios::runner::{self, Settings};

/// The plan of a seed, played with several masters, of which some die or are cut off besides.
fn plan(seed: u64, elections: Elections) -> Plan {
    let mut plan = Plan::draw(seed);
    let mut random = Generator::from_number(!seed);
    plan.shape.masters = if random.below(4) == 0 { 5 } else { 3 };
    plan.shape.elections = elections;
    plan.shape.registry = RegistryKind::ReplicatedLog;
    plan.shape.agents = plan.shape.agents.min(6);
    let masters = plan.shape.masters as u64;
    for _ in 0..random.below(5) {
        let mut any = || Place::Master(random.below(masters) as usize);
        let (one, other) = (any(), any());
        let lasting = Duration::from_millis(200 + random.below(12_000));
        let fault = match random.below(5) {
            0 | 1 => format!("kill {one} mesos-master"),
            2 => format!("crash {one}"),
            3 => format!("pause {one} mesos-master"),
            _ if one == other => format!("isolate {one}"),
            _ => format!("cut {one} {other} both-ways"),
        };
        let fault: Fault = fault.parse().expect("the line of a fault");
        let at = Duration::from_millis(random.below(30_000));
        plan.steps.push(Step { at, action: Action::Fail(fault, lasting) });
    }
    plan.steps.sort_by_key(|step| step.at);
    plan
}

#[allow(clippy::disallowed_methods, reason = "which seeds are played is said by the environment")]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Plays `SIM_SEED`, or as many as `SIM_SEEDS` says from there on, 40 without either.
fn play(elections: Elections) {
    let (seeds, first) = (number("SIM_SEEDS"), number("SIM_SEED"));
    let seeds = seeds.unwrap_or(if first.is_some() { 1 } else { 40 });
    let first = first.unwrap_or_default();
    let mut failed = Vec::new();
    for seed in first..first + seeds {
        let run = runner::run_plan(plan(seed, elections), &Settings::default());
        if let Some(failure) = runner::failure(&run) {
            println!("seed {seed}: {failure}");
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "failed: {failed:?}");
}

/// The plan that real daemons play as well.
#[test]
fn a_plan_for_real_masters_and_servers_as_well() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../ci/chaos/election.plan");
    let plan = Plan::read(path.as_ref()).expect("a plan");
    for seed in 0..20 {
        let run = runner::run_plan(Plan { seed, ..plan.clone() }, &Settings::default());
        if let Some(failure) = runner::failure(&run) {
            panic!("seed {seed}: {failure}");
        }
    }
}

#[test]
fn masters_that_elect_among_themselves() {
    play(Elections::Peers);
}

#[test]
fn masters_that_meet_in_zookeeper() {
    play(Elections::ZooKeeper);
}
