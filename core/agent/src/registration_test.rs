//! Finding a master, keeping it, losing it.

use std::time::Duration;

use orrery_api::link::{self, from_agent, from_master};
use orrery_api::v1;
use orrery_api::v1::TaskState::{TaskDropped, TaskFinished, TaskRunning, TaskStarting};
use orrery_api::v1::task_status::Reason;
use orrery_runtime::ExitStatus;

use crate::testing::{Bench, reason, state, task, uuid};
use crate::{Input, Output};

const SECOND: Duration = Duration::from_secs(1);

fn register_message(bench: &Bench) -> link::Register {
    let register = bench.outputs.iter().rev().find_map(|output| match output {
        Output::ToMaster(body) => match &**body {
            from_agent::Body::Register(register) => Some(register.clone()),
            _ => None,
        },
        _ => None,
    });
    register.expect("a Register")
}

#[test]
fn the_first_registration_has_no_id_and_asks_for_its_folder() {
    let mut bench = Bench::new();
    bench.pass(SECOND);
    bench.register();
    assert_eq!(register_message(&bench).agent_info.unwrap().id, None);
    let agent_info = Box::new(bench.agent.agent_info());
    assert_eq!(agent_info.id.as_ref().unwrap().value, "S0");
    assert!(bench.outputs.contains(&Output::Admitted { agent_info }));
    assert!(bench.agent.is_registered());
}

#[test]
fn failed_attempts_back_off_up_to_a_minute() {
    let mut bench = Bench::new();
    for attempt in 0..12 {
        let before = bench.now;
        let deadline = orrery_runtime::machine::Machine::deadline(&bench.agent).unwrap();
        let bound = SECOND * (1 << attempt.min(6));
        assert!(deadline.since(before) <= bound.min(Duration::from_secs(60)));
        bench.pass(deadline.since(before));
        let link = bench.wait_for_connect();
        bench.feed(Input::LinkDown { link });
    }
}

#[test]
fn tasks_outlive_the_link_and_are_reported_again() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskStarting, 1);
    assert_eq!(state(&bench.only_update()), TaskStarting);
    bench.feed(Input::LinkDown { link: 1 });
    bench.update("t", "t", TaskRunning, 2);
    assert_eq!(bench.updates(), []);
    bench.outputs.clear();
    bench.register();
    let register = register_message(&bench);
    assert_eq!(register.agent_info.unwrap().id.unwrap().value, "S0");
    assert_eq!(register.tasks[0].state, TaskRunning as i32);
    assert_eq!(register.tasks[0].status_update_state, Some(TaskStarting as i32));
    assert_eq!(register.frameworks.len(), 1);
    // The master knows nothing of generated executors.
    assert_eq!(register.executors, []);
    assert_eq!(state(&bench.only_update()), TaskStarting, "the head is sent again");
}

#[test]
fn tasks_that_have_ended_are_told_as_history() {
    let mut bench = Bench::registered();
    let container = bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskFinished, 1);
    bench.feed(Input::LinkDown { link: 1 });
    bench.register();
    let register = register_message(&bench);
    assert_eq!((register.tasks.len(), register.completed_tasks.len()), (1, 0), "not told yet");
    bench.acknowledge("t", &uuid(1));
    bench.exited(&container, ExitStatus::Exited(0));
    bench.feed(Input::LinkDown { link: 2 });
    bench.register();
    let register = register_message(&bench);
    assert_eq!((register.tasks.len(), register.completed_tasks.len()), (0, 1));
    assert_eq!(register.completed_tasks[0].state, TaskFinished as i32);
}

/// A message that does not fit on a link would never arrive.
#[test]
fn of_large_tasks_that_have_ended_only_the_last_are_told() {
    let mut bench = Bench::registered();
    for number in 1..=5_u8 {
        let id = format!("t{number}");
        let mut info = task(&id, None);
        let label = v1::Label { key: "notes".into(), value: Some("n".repeat(5 << 20)) };
        info.labels = Some(v1::Labels { labels: vec![label] });
        bench.run_info(info);
        let container = bench.start(100);
        bench.subscribe(&id, number.into());
        bench.update(&id, &id, TaskFinished, number);
        bench.acknowledge(&id, &uuid(number));
        bench.exited(&container, ExitStatus::Exited(0));
        bench.pass(SECOND);
    }
    bench.feed(Input::LinkDown { link: 1 });
    bench.register();
    let told = register_message(&bench).completed_tasks;
    let ids: Vec<&str> = told.iter().map(|task| task.task_id.value.as_str()).collect();
    assert_eq!(ids, ["t3", "t4", "t5"]);
}

#[test]
fn custom_executors_are_reported() {
    let mut bench = Bench::registered();
    bench.run_custom("t", "e");
    bench.feed(Input::LinkDown { link: 1 });
    bench.register();
    assert_eq!(register_message(&bench).executors[0].executor_id.value, "e");
}

#[test]
fn silence_and_a_negative_ping_lead_to_a_new_registration() {
    let mut bench = Bench::registered();
    bench.pass(74 * SECOND);
    bench.master(from_master::Body::Ping(link::Ping { connected: true }));
    bench.pass(74 * SECOND);
    assert!(bench.agent.is_registered());
    bench.pass(2 * SECOND);
    assert!(bench.outputs.contains(&Output::Disconnect { link: 1 }));
    bench.register();
    bench.master(from_master::Body::Ping(link::Ping { connected: false }));
    assert!(!bench.agent.is_registered());
    assert!(bench.outputs.contains(&Output::Disconnect { link: 2 }));
}

#[test]
fn a_master_that_never_answers_is_tried_again() {
    let mut bench = Bench::new();
    let link = bench.wait_for_connect();
    bench.feed(Input::LinkUp { link });
    bench.pass(21 * SECOND);
    assert!(bench.outputs.contains(&Output::Disconnect { link }));
    assert_eq!(bench.wait_for_connect(), link + 1);
}

#[test]
fn messages_of_an_old_link_are_ignored() {
    let mut bench = Bench::registered();
    bench.feed(Input::LinkDown { link: 1 });
    let shutdown = Box::new(from_master::Body::Shutdown(link::Shutdown::default()));
    bench.feed(Input::FromMaster { link: 1, body: shutdown });
    bench.feed(Input::LinkDown { link: 1 });
    bench.register();
    assert!(bench.agent.is_registered());
}

#[test]
fn missing_tasks_end_once() {
    let mut bench = Bench::registered();
    bench.run("known");
    bench.feed(Input::LinkDown { link: 1 });
    bench.register_missing(&["lost", "known"]);
    let update = bench.only_update();
    assert_eq!(
        (update.task_id.value.as_str(), state(&update), reason(&update)),
        ("lost", TaskDropped, Reason::Reconciliation)
    );
    let first = update.uuid;
    bench.feed(Input::LinkDown { link: 2 });
    bench.register_missing(&["lost"]);
    assert_eq!(bench.only_update().uuid, first, "the same update is sent again");
}

#[test]
fn another_id_than_ours_ends_the_agent_and_it_stays_what_it_is() {
    let mut bench = Bench::registered();
    bench.master(from_master::Body::Registered(link::Registered {
        agent_id: Some(orrery_api::v1::AgentId { value: "S1".into() }),
        ..Default::default()
    }));
    assert!(matches!(bench.outputs.last(), Some(Output::Stop { error: Some(_) })));
    assert!(!bench.outputs.contains(&Output::Forget));
}
