//! Going on after a restart.

use std::time::Duration;

use orrery_api::link::{self, Register, from_agent, from_master};
use orrery_api::v1::TaskState::{
    TaskDropped, TaskFailed, TaskFinished, TaskGone, TaskKilled, TaskLost, TaskRunning,
    TaskStarting,
};
use orrery_api::v1::executor::call;
use orrery_api::v1::task_status::Reason;
use orrery_runtime::{ExitStatus, ProcessId};

use crate::testing::{Bench, custom, executor_status, options, reason, state, task, uuid};
use crate::{Input, Life, Options, Output};

const SECOND: Duration = Duration::from_secs(1);
const LIVES: Life = Life::Lives(ProcessId(100));

fn registers(bench: &Bench) -> Register {
    let register = bench.outputs.iter().rev().find_map(|output| match output {
        Output::ToMaster(body) => match &**body {
            from_agent::Body::Register(register) => Some(register.clone()),
            _ => None,
        },
        _ => None,
    });
    register.expect("a Register")
}

fn is_recovered(bench: &Bench) -> bool {
    !bench.agent.is_recovering()
}

/// How often it was to be written down what the agent is.
fn readmissions(bench: &Bench) -> usize {
    bench.outputs.iter().filter(|it| matches!(it, Output::Readmitted { .. })).count()
}

#[test]
fn an_agent_without_a_past_begins_at_once() {
    let mut bench = Bench::new();
    assert!(!bench.agent.is_recovering());
    assert_eq!(bench.wait_for_connect(), 1);
}

#[test]
fn a_running_task_goes_on_under_the_same_id() {
    let mut bench = Bench::running();
    bench.restart(&[("t", LIVES)]);
    assert!(!is_recovered(&bench));
    assert_eq!(bench.subscribe("t", 1), 200);
    assert!(is_recovered(&bench), "nobody else is awaited");
    assert_eq!(bench.events(1), ["SUBSCRIBED"]);
    bench.register();
    let register = registers(&bench);
    assert_eq!(register.agent_info.unwrap().id.unwrap().value, "S0");
    assert_eq!(register.tasks[0].state, TaskRunning as i32);
    assert_eq!(register.tasks[0].status_update_state, Some(TaskRunning as i32));
    let update = bench.only_update();
    assert_eq!((state(&update), update.uuid), (TaskRunning, Some(uuid(2))));
    bench.acknowledge("t", &uuid(1));
    bench.acknowledge("t", &uuid(2));
    bench.update("t", "t", TaskFinished, 3);
    assert_eq!(state(&bench.only_update()), TaskFinished);
    let container = bench.agent.snapshot().frameworks[0].executors[0].container.clone();
    bench.exited(&container, ExitStatus::Unknown);
    bench.acknowledge("t", &uuid(3));
    assert_eq!(bench.agent.snapshot().frameworks.len(), 0);
    assert!(bench.files.is_empty(), "{:?}", bench.files.keys());
}

#[test]
fn an_executor_that_stays_away_is_destroyed_and_its_task_fails() {
    let mut bench = Bench::running();
    bench.restart(&[("t", LIVES)]);
    bench.pass(SECOND);
    assert!(!is_recovered(&bench));
    bench.pass(SECOND);
    assert!(is_recovered(&bench));
    bench.pass(SECOND);
    assert!(!bench.has_destroyed(100), "no master says that the agent may run like this");
    bench.register();
    assert!(bench.has_destroyed(100));
    let container = bench.agent.snapshot().frameworks[0].executors[0].container.clone();
    bench.exited(&container, ExitStatus::Unknown);
    assert_eq!(state(&bench.only_update()), TaskRunning);
    bench.acknowledge("t", &uuid(2));
    let update = bench.only_update();
    assert_eq!(state(&update), TaskFailed);
    assert_eq!(reason(&update), Reason::ExecutorReregistrationTimeout);
    assert_eq!(update.message(), "Executor did not reregister within 2secs");
}

#[test]
fn an_agent_that_is_refused_leaves_all_as_it_was() {
    let mut bench = Bench::running();
    let files = bench.files.clone();
    // At another address, where its executors cannot find it.
    bench.restart(&[("t", LIVES)]);
    bench.pass(2 * SECOND);
    let link = bench.wait_for_connect();
    bench.feed(Input::LinkUp { link });
    let message = "registered elsewhere".to_owned();
    let refusal = link::Shutdown { message, keeps_identity: true };
    bench.master(from_master::Body::Shutdown(refusal));
    let Some(Output::Stop { error: Some(error) }) = bench.outputs.last() else { panic!() };
    assert_eq!(error, "the master refused it: registered elsewhere");
    assert!(!bench.has_destroyed(100) && !bench.outputs.contains(&Output::Forget));
    assert_eq!((readmissions(&bench), &bench.files), (0, &files));
    // And back.
    bench.restart(&[("t", LIVES)]);
    bench.subscribe("t", 1);
    bench.register();
    assert_eq!(readmissions(&bench), 1);
    assert_eq!(state(&bench.only_update()), TaskRunning);
    bench.feed(Input::LinkDown { link: 1 });
    bench.register();
    assert_eq!(readmissions(&bench), 1, "once in a run");
}

#[test]
fn an_agent_that_is_refused_while_it_runs_leaves_what_its_next_run_can_go_on_with() {
    for checkpoint in [true, false] {
        let mut bench = Bench::registered();
        bench.checkpoint = checkpoint;
        let container = bench.run_and_subscribe("t", 1);
        let refusal = link::Shutdown { message: "too large".into(), keeps_identity: true };
        bench.master(from_master::Body::Shutdown(refusal));
        let stop = Output::Stop { error: Some("the master refused it: too large".into()) };
        assert_eq!(bench.outputs.last() == Some(&stop), checkpoint);
        if !checkpoint {
            assert_eq!(bench.events(1).last(), Some(&"SHUTDOWN"));
            bench.exited(&container, ExitStatus::Exited(0));
        }
        assert_eq!(bench.outputs.last(), Some(&stop));
        assert!(!bench.outputs.contains(&Output::Forget));
    }
}

#[test]
fn calls_are_refused_until_the_executor_has_subscribed_again() {
    let mut bench = Bench::running();
    bench.restart(&[("t", LIVES)]);
    let (status, text) = bench.update("t", "t", TaskFinished, 3);
    assert_eq!((status, text.as_str()), (503, "Agent has not finished recovery"));
    bench.subscribe("t", 1);
    assert_eq!(bench.update("t", "t", TaskFinished, 3).0, 202);
}

#[test]
fn what_happened_while_the_agent_was_down_arrives_once_and_in_order() {
    let mut bench = Bench::running();
    bench.restart(&[("t", LIVES)]);
    let update = |state, uuid| call::Update { status: executor_status("t", state, uuid) };
    let subscribe = call::Subscribe {
        unacknowledged_updates: vec![update(TaskRunning, 2), update(TaskFinished, 3)],
        ..Default::default()
    };
    bench.subscribe_with("t", 1, subscribe.clone());
    assert_eq!(bench.events(1), ["SUBSCRIBED", "ACKNOWLEDGED", "ACKNOWLEDGED"]);
    // Down once more, before any master was found.
    bench.restart(&[("t", LIVES)]);
    bench.subscribe_with("t", 1, subscribe);
    bench.register();
    assert_eq!(state(&bench.only_update()), TaskRunning);
    bench.acknowledge("t", &uuid(2));
    assert_eq!(bench.only_update().uuid, Some(uuid(3)));
    bench.acknowledge("t", &uuid(3));
    assert_eq!(bench.updates(), []);
}

#[test]
fn a_task_whose_executor_has_ended_meanwhile_fails_once() {
    let mut bench = Bench::running();
    for _ in 0..2 {
        bench.restart(&[]);
        assert!(is_recovered(&bench), "nobody is awaited");
    }
    bench.register();
    assert_eq!(state(&bench.only_update()), TaskRunning);
    bench.acknowledge("t", &uuid(2));
    let update = bench.only_update();
    assert_eq!((state(&update), reason(&update)), (TaskFailed, Reason::ExecutorTerminated));
    bench.acknowledge("t", &update.uuid.unwrap());
    assert!(bench.files.is_empty());
}

#[test]
fn an_end_that_was_reported_before_the_restart_is_the_only_one() {
    let mut bench = Bench::running();
    bench.update("t", "t", TaskFinished, 3);
    bench.restart(&[]);
    bench.register();
    bench.acknowledge("t", &uuid(2));
    bench.acknowledge("t", &uuid(3));
    let states: Vec<_> = bench.updates().iter().map(state).collect();
    assert_eq!(states, [TaskRunning, TaskFinished]);
}

#[test]
fn a_launch_that_was_not_delivered_is_delivered_after_the_restart() {
    let mut bench = Bench::checkpointing();
    bench.run_custom("one", "shared");
    bench.start(100);
    bench.run_custom("two", "shared");
    bench.run_group(&["three", "four"], custom("shared"));
    bench.restart(&[("shared", LIVES)]);
    assert!(is_recovered(&bench), "it may take its time to subscribe for the first time");
    assert_eq!(bench.launches().len(), 0);
    bench.register();
    bench.subscribe("shared", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH", "LAUNCH", "LAUNCH_GROUP"]);
    // Now they are delivered, and the executor knows them.
    bench.restart(&[("shared", LIVES)]);
    let unacknowledged_tasks = ["one", "two", "three", "four"].map(|id| task(id, None)).to_vec();
    let subscribe = call::Subscribe { unacknowledged_tasks, ..Default::default() };
    bench.subscribe_with("shared", 1, subscribe);
    assert_eq!(bench.events(1), ["SUBSCRIBED"]);
    bench.register();
    assert_eq!(bench.updates(), []);
}

#[test]
fn a_launch_that_was_lost_on_its_way_to_an_executor_is_dropped() {
    let mut bench = Bench::checkpointing();
    bench.run_custom("t", "shared");
    bench.start(100);
    bench.subscribe("shared", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH"]);
    bench.restart(&[("shared", LIVES)]);
    bench.subscribe("shared", 2);
    bench.register();
    let update = bench.only_update();
    assert_eq!((state(&update), reason(&update)), (TaskDropped, Reason::AgentRestarted));
}

#[test]
fn a_launch_that_was_lost_on_its_way_to_an_executor_of_ours_is_repeated() {
    let mut bench = Bench::checkpointing();
    bench.run_and_subscribe("t", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH"]);
    for restarts in [true, false] {
        if restarts {
            bench.restart(&[("t", LIVES)]);
        }
        bench.subscribe("t", 2);
        assert_eq!(bench.events(2), ["SUBSCRIBED", "LAUNCH"]);
        bench.outputs.clear();
    }
    // One that has got it says so.
    bench.restart(&[("t", LIVES)]);
    let unacknowledged_tasks = vec![task("t", None)];
    let subscribe = call::Subscribe { unacknowledged_tasks, ..Default::default() };
    bench.subscribe_with("t", 3, subscribe);
    assert_eq!(bench.events(3), ["SUBSCRIBED"]);
    bench.update("t", "t", TaskStarting, 1);
    assert!(!bench.files.keys().any(|path| path.ends_with("launch.info")));
    bench.restart(&[("t", LIVES)]);
    bench.subscribe("t", 4);
    assert_eq!(bench.events(4), ["SUBSCRIBED"]);
}

#[test]
fn an_executor_that_was_never_started_is_started_once() {
    let mut bench = Bench::checkpointing();
    bench.run("t");
    let before = bench.launches().pop().unwrap();
    bench.restart(&[("t", Life::NeverStarted)]);
    let after = bench.launches().pop().expect("a launch");
    assert_eq!(before, after, "the very same run");
    bench.start(100);
    bench.restart(&[("t", LIVES)]);
    assert_eq!(bench.launches().len(), 0);
    bench.register();
    bench.subscribe("t", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH"]);
}

#[test]
fn a_kill_is_not_forgotten() {
    let mut bench = Bench::running();
    bench.kill("t");
    bench.restart(&[("t", LIVES)]);
    bench.subscribe("t", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "KILL"]);
}

#[test]
fn a_task_that_was_killed_before_its_delivery_never_starts() {
    let mut bench = Bench::checkpointing();
    bench.run("t");
    bench.start(100);
    bench.kill("t");
    bench.restart(&[("t", LIVES)]);
    assert!(bench.has_destroyed(100), "its executor is of no use");
    bench.subscribe("t", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "SHUTDOWN"]);
    bench.register();
    assert_eq!(state(&bench.only_update()), TaskKilled);
}

#[test]
fn after_a_reboot_every_task_is_lost_once_and_the_agent_is_the_same() {
    for (aware, delivered, waiting) in [(true, TaskGone, TaskDropped), (false, TaskLost, TaskLost)]
    {
        let mut bench = Bench::checkpointing();
        bench.partition_aware = aware;
        bench.run_and_subscribe("delivered", 1);
        bench.run("waiting");
        for _ in 0..2 {
            bench.restart_with(options(), true, &[("delivered", LIVES)]);
            assert!(is_recovered(&bench), "nobody is awaited");
        }
        bench.register();
        let updates = bench.updates();
        let states: Vec<_> = updates.iter().map(state).collect();
        assert_eq!(states, [delivered, waiting]);
        assert!(updates.iter().all(|update| reason(update) == Reason::AgentRestarted));
        for update in updates {
            bench.acknowledge(&update.task_id.value, &update.uuid.unwrap());
        }
        assert!(bench.files.is_empty());
    }
}

#[test]
fn nothing_is_kept_for_frameworks_that_do_not_checkpoint() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskRunning, 1);
    assert!(bench.files.is_empty());
    let environment = |bench: &Bench, name: &str| {
        let launch = bench.launches().pop().unwrap();
        launch.command.environment.into_iter().find(|(it, _)| it == name).map(|(_, value)| value)
    };
    assert_eq!(environment(&bench, "MESOS_CHECKPOINT").unwrap(), "0");
    assert_eq!(environment(&bench, "MESOS_RECOVERY_TIMEOUT"), None);
    bench.checkpoint = true;
    let mut bench = Bench::checkpointing();
    bench.run("t");
    assert_eq!(environment(&bench, "MESOS_CHECKPOINT").unwrap(), "1");
    assert_eq!(environment(&bench, "MESOS_RECOVERY_TIMEOUT").unwrap(), "15mins");
    assert_eq!(environment(&bench, "MESOS_SUBSCRIPTION_BACKOFF_MAX").unwrap(), "2secs");
}

#[test]
fn an_answer_for_a_lost_launch_outlives_the_agent() {
    let mut bench = Bench::new();
    bench.register_missing(&["lost"]);
    let update = bench.only_update();
    bench.restart(&[]);
    bench.register_missing(&["lost"]);
    assert_eq!(bench.only_update().uuid, update.uuid);
    bench.acknowledge("lost", &update.uuid.unwrap());
    assert!(bench.files.is_empty());
}

#[test]
fn an_agent_that_comes_back_leaves_only_those_executors_that_checkpoint() {
    let mut bench = Bench::running();
    bench.outputs.clear();
    bench.feed(Input::Stop);
    assert_eq!(bench.outputs.last(), Some(&Output::Stop { error: None }));
    assert_eq!(bench.events(1), Vec::<&str>::new());
    assert!(!bench.outputs.contains(&Output::Forget));

    let mut bench = Bench::registered();
    let container = bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskRunning, 1);
    bench.outputs.clear();
    bench.feed(Input::Stop);
    assert_eq!(bench.events(1), ["SHUTDOWN"]);
    bench.update("t", "t", TaskKilled, 2);
    bench.exited(&container, ExitStatus::Exited(0));
    assert!(!bench.outputs.contains(&Output::Stop { error: None }), "updates are on their way");
    bench.acknowledge("t", &uuid(1));
    bench.acknowledge("t", &uuid(2));
    assert_eq!(bench.outputs.last(), Some(&Output::Stop { error: None }));
    assert!(!bench.outputs.contains(&Output::Forget));
}

/// An agent that cleans up after `bench` until it has ended.
fn clean_up(bench: &mut Bench, life: &[(&str, Life)], how: impl FnOnce(&mut Bench)) {
    let cleaning = Options { cleans_up: true, ..options() };
    bench.restart_with(cleaning, false, life);
    how(bench);
    assert_eq!(bench.outputs.last(), Some(&Output::Stop { error: None }));
    let forbidden = |output: &Output| {
        matches!(output, Output::Connect { .. } | Output::Forget | Output::Readmitted { .. })
    };
    assert!(!bench.outputs.iter().any(forbidden), "it finds no master, and stays what it was");
}

#[test]
fn cleaning_up_ends_every_executor_and_the_next_run_tells_it() {
    let mut bench = Bench::running();
    clean_up(&mut bench, &[("t", LIVES)], |bench| {
        bench.subscribe("t", 1);
        assert_eq!(bench.events(1), ["SUBSCRIBED", "SHUTDOWN"]);
        assert_eq!(bench.update("t", "t", TaskKilled, 3).0, 202);
        let container = bench.agent.snapshot().frameworks[0].executors[0].container.clone();
        bench.exited(&container, ExitStatus::Exited(0));
    });
    bench.restart(&[]);
    bench.register();
    assert_eq!(registers(&bench).agent_info.unwrap().id.unwrap().value, "S0");
    assert_eq!(state(&bench.only_update()), TaskRunning);
    bench.acknowledge("t", &uuid(2));
    assert_eq!(bench.only_update().uuid, Some(uuid(3)));
    bench.acknowledge("t", &uuid(3));
    assert!(bench.files.is_empty(), "{:?}", bench.files.keys());
}

#[test]
fn cleaning_up_destroys_an_executor_that_does_not_end_by_itself() {
    let mut bench = Bench::running();
    bench.acknowledge("t", &uuid(2));
    clean_up(&mut bench, &[("t", LIVES)], |bench| {
        bench.pass(5 * SECOND);
        assert!(bench.has_destroyed(100));
        let container = bench.agent.snapshot().frameworks[0].executors[0].container.clone();
        bench.exited(&container, ExitStatus::Unknown);
    });
    bench.restart(&[]);
    bench.register();
    assert_eq!(state(&bench.only_update()), TaskFailed);
}

#[test]
fn cleaning_up_starts_nothing() {
    let mut bench = Bench::checkpointing();
    bench.run("t");
    clean_up(&mut bench, &[("t", Life::NeverStarted)], |bench| {
        assert_eq!(bench.launches().len(), 0);
    });
    bench.restart(&[]);
    bench.register();
    assert_eq!(state(&bench.only_update()), TaskFailed);
    clean_up(&mut Bench::new(), &[], |_| ());
}
