//! Killing and shutting down.

use std::time::Duration;

use orrery_api::link::{self, from_agent, from_master};
use orrery_api::v1;
use orrery_api::v1::TaskState::{TaskFailed, TaskKilled, TaskRunning};
use orrery_api::v1::task_status::Reason;
use orrery_runtime::ExitStatus;

use crate::testing::{Bench, custom, framework_id, reason, state, uuid};
use crate::{Input, Output};

const GRACE: Duration = Duration::from_secs(5);

fn shutdown_executor(bench: &mut Bench, id: &str) {
    bench.master(from_master::Body::ShutdownExecutor(link::ShutdownExecutor {
        framework_id: Some(framework_id()),
        executor_id: Some(v1::ExecutorId { value: id.into() }),
    }));
}

fn shutdown_framework(bench: &mut Bench) {
    let framework_id = Some(framework_id());
    bench.master(from_master::Body::ShutdownFramework(link::ShutdownFramework { framework_id }));
}

#[test]
fn a_task_killed_before_delivery_never_runs() {
    // MESOS-7744, and MESOS-8411 for the executor that is left without work.
    let mut bench = Bench::registered();
    bench.run("t");
    bench.kill("t");
    let update = bench.only_update();
    assert_eq!((state(&update), reason(&update)), (TaskKilled, Reason::TaskKilledDuringLaunch));
    let container = bench.start(100);
    assert!(bench.has_destroyed(100));
    bench.subscribe("t", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "SHUTDOWN"]);
    bench.exited(&container, ExitStatus::Signaled(9));
    assert_eq!(bench.updates(), []);
}

#[test]
fn killing_one_queued_task_of_a_group_kills_all() {
    let mut bench = Bench::registered();
    bench.run_group(&["a", "b"], custom("e"));
    bench.kill("b");
    let updates = bench.updates();
    assert_eq!(updates.iter().map(state).collect::<Vec<_>>(), [TaskKilled, TaskKilled]);
}

#[test]
fn the_other_queued_tasks_still_run() {
    let mut bench = Bench::registered();
    bench.run_custom("a", "e");
    bench.run_custom("b", "e");
    bench.kill("a");
    bench.start(100);
    assert!(!bench.has_destroyed(100));
    bench.subscribe("e", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH"]);
}

#[test]
fn each_kill_of_a_delivered_task_reaches_the_executor() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.kill("t");
    bench.kill("t");
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH", "KILL", "KILL"]);
}

#[test]
fn a_kill_survives_a_broken_connection_of_the_executor() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskRunning, 1);
    bench.feed(Input::ExecutorDisconnected { connection: 1 });
    bench.kill("t");
    bench.subscribe("t", 2);
    assert_eq!(bench.events(2), ["SUBSCRIBED", "KILL"]);
}

#[test]
fn an_executor_that_ignores_shutdown_is_destroyed_after_its_grace() {
    let mut bench = Bench::registered();
    let container = bench.run_and_subscribe("t", 1);
    shutdown_executor(&mut bench, "t");
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH", "SHUTDOWN"]);
    bench.pass(GRACE - Duration::from_millis(1));
    assert!(!bench.has_destroyed(100));
    bench.pass(Duration::from_millis(2));
    assert!(bench.has_destroyed(100));
    bench.exited(&container, ExitStatus::Signaled(9));
    let update = bench.only_update();
    assert_eq!((state(&update), reason(&update)), (TaskFailed, Reason::ExecutorTerminated));
}

#[test]
fn a_removed_framework_gets_no_updates_and_leaves_nothing() {
    let mut bench = Bench::registered();
    let container = bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskRunning, 1);
    bench.updates();
    shutdown_framework(&mut bench);
    assert_eq!(bench.update("t", "t", TaskKilled, 2).0, 202);
    bench.exited(&container, ExitStatus::Exited(0));
    bench.pass(Duration::from_secs(30));
    assert_eq!(bench.updates(), []);
    let snapshot = bench.agent.snapshot();
    assert_eq!((snapshot.frameworks.len(), snapshot.completed_frameworks.len()), (0, 1));
}

#[test]
fn an_end_that_a_removed_framework_never_acknowledged_is_shown_as_such() {
    let mut bench = Bench::registered();
    let container = bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskKilled, 1);
    shutdown_framework(&mut bench);
    bench.exited(&container, ExitStatus::Exited(0));
    let snapshot = bench.agent.snapshot();
    let executor = &snapshot.completed_frameworks[0].completed_executors[0];
    assert_eq!(executor.terminated_tasks.len(), 1);
    assert!(executor.completed_tasks.is_empty() && executor.queued_tasks.is_empty());
}

#[test]
fn a_removed_framework_that_has_no_executor_is_not_told_again() {
    let mut bench = Bench::registered();
    bench.run("../bad");
    assert_eq!(bench.updates().len(), 1);
    shutdown_framework(&mut bench);
    bench.pass(Duration::from_secs(30));
    assert_eq!(bench.updates(), []);
}

#[test]
fn stopping_ends_executors_then_the_agent() {
    let mut bench = Bench::registered();
    let container = bench.run_and_subscribe("t", 1);
    bench.feed(Input::Leave);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH", "SHUTDOWN"]);
    bench.update("t", "t", TaskKilled, 1);
    assert_eq!(state(&bench.only_update()), TaskKilled);
    bench.exited(&container, ExitStatus::Exited(0));
    let unregister = Output::ToMaster(Box::new(from_agent::Body::Unregister(link::Unregister {})));
    assert!(!bench.outputs.contains(&unregister), "the last update is not acknowledged yet");
    bench.acknowledge("t", &uuid(1));
    assert_eq!(bench.outputs.last(), Some(&unregister));
    bench.feed(Input::LinkDown { link: 1 });
    assert_eq!(bench.outputs.last(), Some(&Output::Stop { error: None }));
}

#[test]
fn a_stopping_agent_waits_for_the_master_only_so_long_and_an_ordered_stop_says_why() {
    let mut bench = Bench::registered();
    bench.feed(Input::Leave);
    let unregister = Output::ToMaster(Box::new(from_agent::Body::Unregister(link::Unregister {})));
    assert_eq!(bench.outputs.last(), Some(&unregister));
    bench.pass(Duration::from_secs(2));
    assert_eq!(bench.outputs.last(), Some(&Output::Stop { error: None }));
    let mut bench = Bench::registered();
    bench.master(from_master::Body::Shutdown(link::Shutdown {
        message: "gone".into(),
        keeps_identity: false,
    }));
    let Some(Output::Stop { error: Some(error) }) = bench.outputs.last() else { panic!() };
    assert!(error.contains("gone"));
    assert!(bench.outputs.contains(&Output::Forget));
}
