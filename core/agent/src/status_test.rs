//! The way of a status update: order, retries, acknowledgements, terminal states.

use std::time::Duration;

use orrery_api::link::{self, from_master};
use orrery_api::v1;
use orrery_api::v1::TaskState::{TaskFailed, TaskFinished, TaskRunning, TaskStarting};
use orrery_runtime::ExitStatus;

use crate::Input;
use crate::testing::{Bench, state, uuid};

#[test]
fn one_update_at_a_time_in_order() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskStarting, 1);
    bench.update("t", "t", TaskRunning, 2);
    bench.update("t", "t", TaskFinished, 3);
    assert_eq!(state(&bench.only_update()), TaskStarting);
    bench.acknowledge("t", &uuid(2));
    assert_eq!(bench.updates(), [], "only the head can be acknowledged");
    bench.acknowledge("t", &uuid(1));
    assert_eq!(state(&bench.only_update()), TaskRunning);
    bench.acknowledge("t", &uuid(1));
    assert_eq!(bench.updates(), []);
    bench.acknowledge("t", &uuid(2));
    assert_eq!(state(&bench.only_update()), TaskFinished);
    bench.acknowledge("t", &uuid(3));
    assert_eq!(bench.updates(), []);
    bench.pass(Duration::from_secs(3600));
    assert_eq!(bench.updates(), [], "nothing is sent after the end");
}

#[test]
fn retries_double_from_ten_seconds_to_ten_minutes() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskRunning, 1);
    bench.updates();
    for seconds in [10, 20, 40, 80, 160, 320, 600, 600] {
        // Pings are not what this test is about.
        bench.agent.registration.keep_alive(bench.now + Duration::from_secs(10_000));
        bench.pass(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert_eq!(bench.updates(), [], "before {seconds} s");
        bench.pass(Duration::from_millis(1));
        assert_eq!(state(&bench.only_update()), TaskRunning);
    }
    bench.acknowledge("t", &uuid(1));
    bench.update("t", "t", TaskFinished, 2);
    bench.updates();
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.updates().len(), 1, "a new head starts at 10 s again");
}

#[test]
fn what_was_sent_in_vain_goes_out_as_soon_as_its_framework_is_back() {
    let mut bench = Bench::registered();
    let container = bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskFinished, 1);
    bench.exited(&container, ExitStatus::Exited(0));
    bench.pass(Duration::from_secs(35));
    assert_eq!(bench.updates().len(), 3, "at 0 s, 10 s and 30 s");
    bench.update_framework();
    assert_eq!(state(&bench.only_update()), TaskFinished);
    bench.update_framework();
    assert_eq!(bench.updates(), [], "once in an instant");
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.updates().len(), 1, "the pauses begin anew");
    bench.pass(Duration::from_secs(19));
    assert_eq!(bench.updates(), []);
    bench.acknowledge("t", &uuid(1));
    bench.update_framework();
    assert_eq!(bench.updates(), [], "nothing is left to tell");
}

#[test]
fn a_head_is_sent_once_when_its_agent_registers_and_its_framework_subscribes() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskRunning, 1);
    bench.feed(Input::LinkDown { link: 1 });
    bench.updates();
    bench.register();
    bench.update_framework();
    bench.only_update();
    bench.pass(Duration::from_millis(1));
    bench.update_framework();
    bench.only_update();
}

#[test]
fn only_what_is_of_the_framework_goes_out_even_if_nothing_of_it_ever_ran() {
    let mut bench = Bench::registered();
    bench.feed(Input::LinkDown { link: 1 });
    bench.register_missing(&["lost"]);
    bench.pass(Duration::from_secs(1));
    bench.updates();
    let mut other = bench.framework_info();
    other.id = Some(v1::FrameworkId { value: "F0".into() });
    let framework_info = Some(other);
    let update = link::UpdateFramework { framework_info };
    bench.master(from_master::Body::UpdateFramework(update));
    assert_eq!(bench.updates(), [], "another framework whose id begins alike");
    assert!(bench.agent.frameworks.is_empty());
    bench.update_framework();
    assert_eq!(bench.only_update().task_id.value, "lost");
}

#[test]
fn a_repeated_uuid_is_acknowledged_but_not_sent_again() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskRunning, 1);
    bench.update("t", "t", TaskRunning, 1);
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH", "ACKNOWLEDGED", "ACKNOWLEDGED"]);
    bench.only_update();
    bench.acknowledge("t", &uuid(1));
    bench.update("t", "t", TaskRunning, 1);
    assert_eq!(bench.updates(), []);
}

#[test]
fn the_first_terminal_state_stays() {
    let mut bench = Bench::registered();
    let container = bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskFinished, 1);
    bench.update("t", "t", TaskFailed, 2);
    bench.exited(&container, ExitStatus::Exited(1));
    assert_eq!(state(&bench.only_update()), TaskFinished);
    bench.acknowledge("t", &uuid(1));
    assert_eq!(bench.updates(), []);
    let snapshot = bench.agent.snapshot();
    let executor = &snapshot.completed_frameworks[0].completed_executors[0];
    assert_eq!(executor.completed_tasks[0].state, TaskFinished as i32);
    assert_eq!(executor.completed_tasks[0].statuses.len(), 1);
}

#[test]
fn the_latest_state_runs_ahead_of_the_update_in_flight() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskStarting, 1);
    bench.update("t", "t", TaskRunning, 2);
    bench.feed(Input::LinkDown { link: 1 });
    bench.register();
    let snapshot = bench.agent.snapshot();
    let task = &snapshot.frameworks[0].executors[0].launched_tasks[0];
    assert_eq!(task.state, TaskRunning as i32);
    assert_eq!(task.status_update_state, Some(TaskStarting as i32));
}

#[test]
fn updates_carry_what_the_agent_knows() {
    let mut bench = Bench::registered();
    let container = bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskRunning, 1);
    let update = bench.only_update();
    assert_eq!(update.agent_id.unwrap().value, "S0");
    assert!(update.timestamp.unwrap() > 1.6e9);
    let status = update.container_status.unwrap();
    assert_eq!(status.container_id.unwrap().value, container.container_id);
    assert_eq!(status.executor_pid, Some(100));
    let address = &status.network_infos[0].ip_addresses[0];
    assert_eq!(address.ip_address.as_deref(), Some("127.0.0.1"));
}

#[test]
fn ended_tasks_hold_nothing() {
    let mut bench = Bench::registered();
    bench.run_custom("a", "e");
    bench.start(100);
    bench.subscribe("e", 1);
    let cpus = |bench: &Bench| bench.agent.snapshot().allocated.scalar("cpus").as_f64();
    assert_eq!(cpus(&bench), 1.5);
    bench.update("e", "a", TaskFinished, 1);
    assert_eq!(cpus(&bench), 0.5, "before the acknowledgement too");
}
