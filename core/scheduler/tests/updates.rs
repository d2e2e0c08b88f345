//! Updates, acknowledgements, reconciliation and kills.

mod common;

use std::time::Duration;

use common::*;
use orrery_api::v1;
use orrery_api::v1::TaskState::{
    TaskFinished, TaskLost, TaskRunning, TaskStarting, TaskUnreachable,
};
use orrery_api::v1::scheduler::call::Type;
use orrery_runtime::machine::Machine;
use orrery_scheduler::{Delivery, Input};

#[test]
fn an_update_is_delivered_and_acknowledged_once_it_was_seen() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    let outputs = play.update(status("a", TaskStarting, Some(1)));
    let calls = sent(&outputs);
    assert_eq!(kinds(&outputs), [Type::Acknowledge]);
    let acknowledge = calls[0].acknowledge.as_ref().unwrap();
    assert_eq!(acknowledge.task_id, task_id("a"));
    assert_eq!(acknowledge.agent_id, agent_id("S"));
    assert_eq!(acknowledge.uuid, vec![1; 16]);
    assert_eq!(calls[0].framework_id.as_ref().map(|id| id.value.as_str()), Some("F"));
    assert_eq!(play.updates().len(), 1);
}

#[test]
fn a_repeated_update_is_acknowledged_again_and_not_delivered_again() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.update(status("a", TaskStarting, Some(1)));
    let outputs = play.update(status("a", TaskStarting, Some(1)));
    assert_eq!(kinds(&outputs), [Type::Acknowledge]);
    play.disconnect();
    play.subscribe();
    let outputs = play.update(status("a", TaskStarting, Some(1)));
    assert_eq!(kinds(&outputs), [Type::Acknowledge]);
    assert_eq!(play.updates().len(), 1);
}

#[test]
fn updates_without_uuid_are_never_acknowledged() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    assert!(play.update(status("a", TaskLost, None)).is_empty());
    let mut empty = status("b", TaskLost, None);
    empty.uuid = Some(bytes::Bytes::new());
    assert!(play.update(empty).is_empty());
    assert_eq!(play.updates().len(), 2);
}

#[test]
fn explicit_acknowledgements_are_left_to_the_framework() {
    let mut play = Play::new(Recorder { explicit: true, ..Recorder::default() });
    play.subscribe();
    let update = status("a", TaskRunning, Some(1));
    assert!(play.update(update.clone()).is_empty());
    assert!(play.update(update.clone()).is_empty(), "repeated before the framework was done");
    let acknowledged = update.clone();
    let outputs = play.act(move |_, context| {
        assert_eq!(context.acknowledge(&acknowledged), Delivery::Sent);
        assert_eq!(context.acknowledge(&acknowledged), Delivery::Dropped);
    });
    assert_eq!(kinds(&outputs), [Type::Acknowledge]);
    assert_eq!(kinds(&play.update(update)), [Type::Acknowledge]);
    assert_eq!(play.updates().len(), 1);
}

#[test]
fn an_acknowledgement_made_without_a_subscription_comes_up_again_with_the_update() {
    let mut play = Play::new(Recorder { explicit: true, ..Recorder::default() });
    play.subscribe();
    let update = status("a", TaskRunning, Some(1));
    play.update(update.clone());
    play.disconnect();
    let acknowledged = update.clone();
    let outputs = play.act(move |_, context| {
        assert_eq!(context.acknowledge(&acknowledged), Delivery::Dropped);
    });
    assert!(outputs.is_empty());
    let outputs = play.subscribe();
    assert!(!kinds(&outputs).contains(&Type::Acknowledge));
    assert_eq!(kinds(&play.update(update)), [Type::Acknowledge]);
}

#[test]
fn a_new_subscription_asks_for_everything_and_by_name_for_what_is_not_terminal() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.act(|_, context| {
        let tasks = ["launched", "running", "done"].map(task).to_vec();
        context.launch(&[offer_id("O")], tasks, None);
    });
    play.update(status("running", TaskRunning, Some(1)));
    play.update(status("done", TaskFinished, Some(2)));
    play.disconnect();
    let outputs = play.subscribe();
    assert_eq!(kinds(&outputs), [Type::Reconcile, Type::Reconcile]);
    let calls = sent(&outputs);
    assert!(calls[0].reconcile.as_ref().unwrap().tasks.is_empty());
    let named = &calls[1].reconcile.as_ref().unwrap().tasks;
    let ids: Vec<&str> = named.iter().map(|task| task.task_id.value.as_str()).collect();
    assert_eq!(ids, ["launched", "running"]);
    assert!(named.iter().all(|task| task.agent_id == Some(agent_id("S"))));
}

#[test]
fn unanswered_questions_are_asked_again_until_each_was_answered() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.act(|_, context| {
        context.launch(&[offer_id("O")], ["a", "b"].map(task).to_vec(), None);
    });
    play.disconnect();
    play.subscribe();
    play.update(answer("a", TaskRunning));
    let outputs = play.tick();
    let calls = sent(&outputs);
    assert_eq!(calls.len(), 1);
    let tasks = &calls[0].reconcile.as_ref().unwrap().tasks;
    assert_eq!(tasks.iter().map(|task| &task.task_id).collect::<Vec<_>>(), [&task_id("b")]);
    play.update(answer("b", TaskLost));
    let next = play.machine.deadline().unwrap().since(play.now);
    assert!(next > Duration::from_secs(60), "only the heartbeat is waited for");
    assert_eq!(play.updates().len(), 2);
}

/// The agent of an unreachable task returns to a master that took over, and repeats an update that
/// the framework knows: that tells nothing of what is the case now.
#[test]
fn a_repeated_update_is_no_answer_for_an_unreachable_task() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.act(|_, context| {
        context.launch(&[offer_id("O")], [task("a")].to_vec(), None);
    });
    play.update(status("a", TaskRunning, Some(1)));
    play.update(answer("a", TaskUnreachable));
    play.disconnect();
    play.subscribe();
    let outputs = play.update(status("a", TaskRunning, Some(1)));
    assert_eq!(kinds(&outputs), [Type::Acknowledge]);
    assert_eq!(kinds(&play.tick()), [Type::Reconcile]);
    play.update(answer("a", TaskRunning));
    assert_eq!(play.updates().len(), 3);
    let next = play.machine.deadline().unwrap().since(play.now);
    assert!(next > Duration::from_secs(60), "only the heartbeat is waited for");
}

#[test]
fn many_tasks_are_asked_for_in_several_calls() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.act(|_, context| {
        let tasks = (0..2500).map(|number| task(&number.to_string())).collect();
        context.launch(&[offer_id("O")], tasks, None);
    });
    play.disconnect();
    let outputs = play.subscribe();
    let sizes: Vec<usize> = sent(&outputs)
        .iter()
        .filter_map(|call| call.reconcile.as_ref().map(|call| call.tasks.len()))
        .collect();
    assert_eq!(sizes, [0, 1000, 1000, 500]);
}

#[test]
fn a_successor_of_another_process_asks_for_all_tasks() {
    let mut subscription = orrery_scheduler::Subscription::default();
    subscription.framework_info.id = Some(v1::FrameworkId { value: "F".to_owned() });
    let mut play = Play::with(subscription, Recorder::default());
    assert_eq!(kinds(&play.subscribe()), [Type::Reconcile]);
    play.update(answer("unheard", TaskRunning));
    assert_eq!(play.updates().len(), 1);
}

#[test]
fn what_the_framework_asks_itself_is_answered_to_it_even_without_news() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.update(status("a", TaskRunning, Some(1)));
    play.update(answer("a", TaskRunning));
    assert_eq!(play.updates().len(), 1);
    let outputs = play.act(|_, context| {
        let task = v1::scheduler::call::reconcile::Task { task_id: task_id("a"), agent_id: None };
        context.reconcile(vec![task]);
    });
    assert_eq!(kinds(&outputs), [Type::Reconcile]);
    play.update(answer("a", TaskRunning));
    assert_eq!(play.updates().len(), 2);
}

#[test]
fn kills_are_repeated_with_every_subscription_until_the_task_is_terminal() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.update(status("a", TaskRunning, Some(1)));
    let outputs = play.act(|_, context| {
        assert_eq!(context.kill(&task_id("a"), None), Delivery::Sent);
    });
    let kill = sent(&outputs)[0].kill.clone().unwrap();
    assert_eq!(kill.agent_id, Some(agent_id("S")));
    for _ in 0..2 {
        play.disconnect();
        assert_eq!(kinds(&play.subscribe())[0], Type::Kill);
    }
    play.update(status("a", TaskFinished, Some(2)));
    play.disconnect();
    assert!(!kinds(&play.subscribe()).contains(&Type::Kill));
}

#[test]
fn a_forgotten_task_is_neither_killed_nor_asked_for() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.act(|_, context| {
        context.kill(&task_id("a"), None);
        context.forget(&task_id("a"));
    });
    play.disconnect();
    assert_eq!(kinds(&play.subscribe()), [Type::Reconcile]);
}

#[test]
fn a_late_tick_changes_nothing_for_an_ended_machine() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.act(|_, context| context.stop());
    assert!(play.update(status("a", TaskRunning, Some(1))).is_empty());
    assert!(play.step(Input::Tick).is_empty());
    assert!(play.updates().is_empty());
}
