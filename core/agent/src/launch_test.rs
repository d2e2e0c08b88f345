//! From RunTask to an executor that has its task, and the ways in which that fails.

use std::path::Path;
use std::time::Duration;

use orrery_api::link::from_agent;
use orrery_api::v1;
use orrery_api::v1::TaskState::{TaskDropped, TaskError, TaskFailed, TaskFinished, TaskLost};
use orrery_api::v1::task_status::Reason;
use orrery_runtime::ExitStatus;

use crate::testing::{Bench, custom, options, reason, state, task};
use crate::{Input, Output};

#[test]
fn a_command_task_gets_an_executor_of_its_own() {
    let mut bench = Bench::registered();
    bench.run("t");
    let launch = bench.launches().remove(0);
    let command = &launch.command;
    assert_eq!(command.program, Path::new("/opt/mesos-executor"));
    assert_eq!(command.arguments, ["mesos-executor"]);
    assert_eq!(command.user.as_deref(), Some("nobody"));
    let runs = "/agent/slaves/S0/frameworks/F/executors/t/runs";
    assert_eq!(launch.latest, Path::new(runs).join("latest"));
    assert_eq!(launch.directory, Path::new(runs).join(&launch.container.container_id));
    assert_eq!(command.stdout, Some(launch.directory.join("stdout")));
    bench.start(100);
    assert_eq!(bench.subscribe("t", 1), 200);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH"]);
}

#[test]
fn executors_get_the_environment_that_mesos_gives() {
    let mut bench = Bench::registered();
    let mut executor = custom("e");
    let variable = |name: &str, value: &str| v1::environment::Variable {
        name: name.into(),
        value: Some(value.into()),
        ..Default::default()
    };
    let variables = vec![variable("PATH", "/mine"), variable("A", "b")];
    executor.command.as_mut().unwrap().environment = Some(v1::Environment { variables });
    bench.run_info(task("t", Some(executor)));
    let launch = bench.launches().remove(0);
    let environment: std::collections::BTreeMap<_, _> =
        launch.command.environment.iter().cloned().collect();
    let expected = [
        ("LIBPROCESS_PORT", "0"),
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
        ("MESOS_CHECKPOINT", "0"),
        ("MESOS_EXECUTOR_ID", "e"),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "5secs"),
        ("MESOS_FRAMEWORK_ID", "F"),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0"),
        ("MESOS_SLAVE_ID", "S0"),
        ("MESOS_SLAVE_PID", "slave(1)@127.0.0.1:5051"),
        ("PATH", "/mine"),
        ("A", "b"),
    ];
    for (name, value) in expected {
        assert_eq!(environment[name], value, "{name}");
    }
    assert_eq!(environment["MESOS_SANDBOX"], launch.directory.to_str().unwrap());
    assert_eq!(launch.command.arguments, ["sh", "-c", "exec"]);
}

#[test]
fn without_switch_user_the_user_stays() {
    let mut bench = Bench::with(crate::Options { switch_user: false, ..options() });
    bench.register();
    bench.run("t");
    assert_eq!(bench.launches()[0].command.user, None);
}

#[test]
fn tasks_share_a_custom_executor_and_outlive_none_of_its_life() {
    let mut bench = Bench::registered();
    bench.run_custom("a", "e");
    bench.run_custom("b", "e");
    assert_eq!(bench.launches().len(), 1);
    let container = bench.start(100);
    bench.subscribe("e", 1);
    bench.run_custom("c", "e");
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH", "LAUNCH", "LAUNCH"]);
    bench.update("e", "a", TaskFinished, 1);
    bench.updates();
    bench.exited(&container, ExitStatus::Exited(3));
    let updates = bench.updates();
    assert_eq!(updates.len(), 2);
    for update in updates {
        assert_eq!((state(&update), reason(&update)), (TaskFailed, Reason::ExecutorTerminated));
        assert_eq!(update.message.as_deref(), Some("Executor exited with status 3"));
    }
    let exited = bench.outputs.iter().any(|output| match output {
        Output::ToMaster(body) => {
            matches!(&**body, from_agent::Body::ExecutorExited(it) if it.status == 3 << 8)
        }
        _ => false,
    });
    assert!(exited);
}

/// The end that the master hears of is that of the executor which it knows.
#[test]
fn a_launch_for_an_executor_that_has_ended_meanwhile_is_dropped() {
    let mut bench = Bench::registered();
    bench.run_at(task("a", Some(custom("e"))), true);
    let container = bench.start(100);
    bench.subscribe("e", 1);
    bench.update("e", "a", TaskFinished, 1);
    let end = bench.only_update();
    bench.acknowledge("a", &end.uuid.unwrap_or_default());
    bench.exited(&container, ExitStatus::Exited(0));
    bench.run_at(task("b", Some(custom("e"))), false);
    let dropped = bench.only_update();
    assert_eq!((state(&dropped), reason(&dropped)), (TaskDropped, Reason::ExecutorTerminated));
    assert_eq!(bench.launches().len(), 1);
    bench.run_at(task("c", Some(custom("e"))), true);
    assert_eq!(bench.launches().len(), 2, "the master has heard of the end");
}

#[test]
fn the_master_hears_that_an_executor_was_not_started() {
    let mut bench = Bench::registered();
    let mut executor = custom("e");
    executor.container = Some(v1::ContainerInfo {
        r#type: v1::container_info::Type::Docker as i32,
        ..Default::default()
    });
    bench.run_at(task("a", Some(executor)), true);
    assert_eq!(state(&bench.updates()[0]), TaskFailed);
    let exited = bench.outputs.iter().any(|output| match output {
        Output::ToMaster(body) => {
            matches!(&**body, from_agent::Body::ExecutorExited(it) if it.status == -1)
        }
        _ => false,
    });
    assert!(exited);
}

#[test]
fn a_group_is_delivered_as_one() {
    let mut bench = Bench::registered();
    bench.run_group(&["a", "b"], custom("e"));
    bench.start(100);
    bench.subscribe("e", 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH_GROUP"]);
}

#[test]
fn the_default_executor_is_refused() {
    let mut bench = Bench::registered();
    let mut executor = custom("e");
    executor.r#type = Some(v1::executor_info::Type::Default as i32);
    executor.command = None;
    bench.run_group(&["a", "b"], executor);
    let updates = bench.updates();
    assert_eq!(updates.len(), 2);
    for update in updates {
        assert_eq!((state(&update), reason(&update)), (TaskFailed, Reason::ContainerLaunchFailed));
    }
    assert_eq!(bench.launches(), []);
}

#[test]
fn what_would_be_ignored_is_refused() {
    let mut with_uri = task("u", None);
    let uri = v1::command_info::Uri { value: "http://x/y".into(), ..Default::default() };
    with_uri.command.as_mut().unwrap().uris = vec![uri];
    let mut with_container = task("c", None);
    with_container.container = Some(v1::ContainerInfo {
        r#type: v1::container_info::Type::Docker as i32,
        ..Default::default()
    });
    for info in [with_uri, with_container] {
        let mut bench = Bench::registered();
        bench.run_info(info);
        assert_eq!(reason(&bench.only_update()), Reason::ContainerLaunchFailed);
    }
}

#[test]
fn an_id_that_would_leave_the_work_directory_is_refused() {
    let mut bench = Bench::registered();
    bench.run("../../etc");
    assert_eq!(state(&bench.only_update()), TaskError);
    assert_eq!(bench.launches(), []);
}

#[test]
fn a_failed_launch_fails_the_tasks() {
    let mut bench = Bench::registered();
    bench.run("t");
    let container = bench.launches().remove(0).container;
    bench.feed(Input::ContainerLaunchFailed { container, message: "no such user".into() });
    let update = bench.only_update();
    assert_eq!((state(&update), reason(&update)), (TaskFailed, Reason::ContainerLaunchFailed));
    assert_eq!(update.message.as_deref(), Some("Failed to launch container: no such user"));
    bench.acknowledge("t", &update.uuid.unwrap());
    assert_eq!(bench.agent.snapshot().frameworks.len(), 0);
    assert_eq!(bench.agent.snapshot().completed_frameworks.len(), 1);
}

#[test]
fn an_executor_that_never_subscribes_is_destroyed() {
    let mut bench = Bench::registered();
    bench.run("t");
    let container = bench.start(100);
    bench.pass(Duration::from_secs(59));
    assert!(!bench.has_destroyed(100));
    bench.pass(Duration::from_secs(2));
    assert!(bench.has_destroyed(100));
    bench.exited(&container, ExitStatus::Signaled(9));
    let update = bench.only_update();
    assert_eq!(
        (state(&update), reason(&update)),
        (TaskFailed, Reason::ExecutorRegistrationTimeout)
    );
}

#[test]
fn a_container_that_starts_too_late_is_destroyed_at_once() {
    let mut bench = Bench::registered();
    bench.run("t");
    bench.pass(Duration::from_secs(61));
    bench.start(100);
    assert!(bench.has_destroyed(100));
}

#[test]
fn a_launch_on_a_terminating_executor_is_dropped() {
    for (aware, expected) in [(true, TaskDropped), (false, TaskLost)] {
        let mut bench = Bench::registered();
        bench.partition_aware = aware;
        let container = bench.run_and_subscribe("t", 1);
        bench.update("t", "t", TaskFinished, 1);
        let uuid = bench.only_update().uuid.unwrap();
        bench.acknowledge("t", &uuid);
        // The task is gone, so its id may be used again, while its executor still lingers.
        bench.run("t");
        let update = bench.only_update();
        assert_eq!((state(&update), reason(&update)), (expected, Reason::ExecutorTerminated));
        bench.exited(&container, ExitStatus::Exited(0));
        assert_eq!(bench.updates(), []);
    }
}

#[test]
fn the_same_launch_twice_runs_once() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.run("t");
    assert_eq!(bench.launches().len(), 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH"]);
    assert_eq!(bench.updates(), []);
}

#[test]
fn a_framework_that_returns_keeps_its_history() {
    let mut bench = Bench::registered();
    for (id, process) in [("a", 100), ("b", 101)] {
        bench.run(id);
        let container = bench.start(process);
        bench.subscribe(id, u64::from(process));
        bench.update(id, id, TaskFinished, process as u8);
        let uuid = bench.only_update().uuid.unwrap();
        bench.exited(&container, ExitStatus::Exited(0));
        bench.acknowledge(id, &uuid);
    }
    let snapshot = bench.agent.snapshot();
    assert_eq!(snapshot.completed_frameworks.len(), 1);
    let completed = &snapshot.completed_frameworks[0].completed_executors;
    let ids: Vec<_> = completed.iter().map(|it| it.container.executor_id.as_str()).collect();
    assert_eq!(ids, ["a", "b"]);
    assert_eq!(completed[0].completed_tasks[0].state, TaskFinished as i32);
    assert!(snapshot.allocated.is_empty());
}
