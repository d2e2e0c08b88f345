//! Plans that once broke a rule, cut down to what it took. Each is played with a few seeds, because
//! what a plan leaves open (delays, the order of steps) follows from the seed.
#![cfg(feature = "sim")]

use std::time::Duration;

use orrery_runtime_sim::{Config, simulate};
use orrery_scenarios::checks::Checks;
use orrery_scenarios::cluster::{Bugs, Cluster};
use orrery_scenarios::plan::{Action, Fault, Operation, Place, Plan, Script, Shape, Step, Temper};
use orrery_scenarios::runner::{self, Settings};
use orrery_scenarios::scenario::watched;

const SEEDS: u64 = 8;

fn milliseconds(number: u64) -> Duration {
    Duration::from_millis(number)
}

fn launch(at: u64, count: usize, script: Script) -> Step {
    let action = Action::Operate(0, Operation::Launch { count, script });
    Step { at: milliseconds(at), action }
}

fn fail(at: u64, fault: Fault) -> Step {
    Step { at: milliseconds(at), action: Action::Fail(fault) }
}

/// One agent and one framework. A hoarder launches at once, on the offer that it keeps. Faults that
/// still last a second after the last step are mended then.
fn play(temper: Temper, steps: &[Step]) {
    let shape = Shape {
        agents: 1,
        frameworks: vec![temper],
        ping_timeout: milliseconds(1_000),
        reregister_timeout: milliseconds(4_000),
        ..Shape::default()
    };
    let plan = Plan { shape, steps: steps.to_vec() };
    for seed in 0..SEEDS {
        match runner::run_plan(seed, plan.clone(), &Settings::default()).outcome {
            Ok(Ok(_)) => {}
            Ok(Err(violation)) => panic!("seed {seed}: {violation}"),
            Err(failure) => panic!("seed {seed}: {failure}"),
        }
    }
}

/// The registry's folder was made but its own name was not synced: after a power cut the master
/// knew none of its agents, and called their tasks unknown.
#[test]
fn the_registry_survives_a_power_cut() {
    for seed in 0..SEEDS {
        let report = simulate(seed, Config::default(), |world| async move {
            let shape = Shape::default();
            watched(world, &shape, &Bugs::default(), Checks::all(), cut_the_masters_power).await
        });
        match report.outcome {
            Ok(Ok(())) => {}
            other => panic!("seed {seed}: {other:?}"),
        }
    }
}

async fn cut_the_masters_power(cluster: Cluster) {
    let admitted = |master: &orrery_master::Master| -> Vec<String> {
        let connected = master.agents().map(|(_, agent)| agent.id().to_owned());
        let id = |info: &orrery_api::v1::AgentInfo| Some(info.id.as_ref()?.value.clone());
        let mut ids: Vec<String> =
            connected.chain(master.recovered_agents().filter_map(id)).collect();
        ids.sort();
        ids
    };
    cluster.world().sleep(milliseconds(10_000)).await;
    let before = cluster.inspect_master(0, admitted).await.expect("it runs");
    assert_eq!(before.len(), 2);
    cluster.crash(Place::Master(0));
    cluster.host(Place::Master(0)).expect("there is one").boot();
    cluster.start_missing();
    assert_eq!(cluster.inspect_master(0, admitted).await.expect("it runs"), before);
}

/// When an unreachable agent returned, the framework was told the newest state of a task, and then
/// the updates before it.
#[test]
fn a_returned_task_is_told_in_order() {
    let cut = Fault::CutOneWay(Place::Agent(0), Place::Master(0), milliseconds(6_000));
    let steps =
        [launch(3_000, 3, Script::Long), fail(3_001, cut), launch(15_000, 1, Script::Nothing)];
    play(Temper::Hoarder, &steps);
}

/// A launch was lost on its way to an agent that then became unreachable; when the agent returned
/// without the task, nobody told its end.
#[test]
fn a_launch_that_was_lost_before_its_agent_became_unreachable_ends() {
    let cut = Fault::CutOneWay(Place::Master(0), Place::Agent(0), milliseconds(9_000));
    let steps =
        [fail(2_999, cut), launch(3_000, 3, Script::Long), launch(20_000, 1, Script::Nothing)];
    play(Temper::Hoarder, &steps);
}

/// A new master answered that a task is unreachable; when its agent returned with it, the framework
/// was not told, because that master had never had the task on record.
#[test]
fn a_task_that_returns_to_another_master_is_told() {
    let cut = Fault::Cut(Place::Master(0), Place::Agent(0), milliseconds(40_000));
    let steps = [
        launch(1_000, 2, Script::Long),
        fail(5_000, cut),
        fail(5_500, Fault::Kill(Place::Master(0), milliseconds(300))),
        launch(50_000, 1, Script::Nothing),
    ];
    play(Temper::Launcher, &steps);
}

/// As above, but the launch had been lost and the agent returned without the task: only another
/// question of the framework can tell. The library asked once and took TASK_UNREACHABLE for it.
#[test]
fn a_launch_that_was_lost_before_the_master_was_replaced_ends() {
    let cut = Fault::Cut(Place::Master(0), Place::Agent(0), milliseconds(30_000));
    let steps = [
        fail(2_999, cut),
        launch(3_000, 2, Script::Long),
        fail(9_000, Fault::Kill(Place::Master(0), milliseconds(100))),
        launch(40_000, 1, Script::Nothing),
    ];
    play(Temper::Hoarder, &steps);
}

/// The end of a task was told, but not acknowledged yet, when its agent was replaced: the master
/// told it once more, and the library passed it on.
#[test]
fn an_end_is_told_once_although_its_agent_is_replaced() {
    let kill = |at| fail(at, Fault::Kill(Place::Agent(0), milliseconds(10)));
    let steps = [launch(1_000, 8, Script::Short(100, 0)), kill(7_000)];
    play(Temper::Careful, &steps);
}

/// A task had ended, and only its first update was told, when its agent became unreachable and
/// never returned: the master counted the task as over and said nothing.
#[test]
fn an_end_that_was_never_told_does_not_leave_its_task_behind() {
    let steps = [
        launch(1_000, 8, Script::Nothing),
        fail(2_000, Fault::Crash(Place::Agent(0), milliseconds(9_000))),
        launch(20_000, 1, Script::Nothing),
    ];
    play(Temper::Careful, &steps);
}
