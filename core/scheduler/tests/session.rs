//! Connecting, losing the connection, and ending.

mod common;

use std::time::Duration;

use common::*;
use orrery_api::v1;
use orrery_api::v1::scheduler::call::Type;
use orrery_runtime::machine::Machine;
use orrery_scheduler::{Delivery, Ending, Event, Input, Output, Stop, Subscription};

fn subscribe_call(outputs: &[Output]) -> &v1::scheduler::Call {
    match outputs {
        [.., Output::Connect { call, .. }] => call,
        other => panic!("no connection is made: {other:?}"),
    }
}

#[test]
fn the_first_subscription_carries_no_id_and_later_ones_do() {
    let mut play = Play::new(Recorder::default());
    let outputs = play.tick();
    assert_eq!(subscribe_call(&outputs).framework_id, None);
    assert!(kinds(&play.receive(subscribed())).is_empty(), "a new framework has nothing to ask");
    play.disconnect();
    let outputs = play.tick();
    let call = subscribe_call(&outputs);
    let id = Some(v1::FrameworkId { value: "F".to_owned() });
    assert_eq!(call.framework_id, id);
    assert_eq!(call.subscribe.as_ref().unwrap().framework_info.id, id);
    play.receive(subscribed());
    let resubscribed: Vec<bool> = play
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::Subscribed { resubscribed, .. } => Some(*resubscribed),
            _ => None,
        })
        .collect();
    assert_eq!(resubscribed, [false, true]);
}

#[test]
fn what_is_suppressed_or_revived_while_subscribe_is_under_way_is_said_after_it() {
    let mut play = Play::new(Recorder::default());
    play.tick();
    play.act(|_, context| {
        context.suppress(&[]);
    });
    assert_eq!(kinds(&play.receive(subscribed())), [Type::Suppress]);
    play.disconnect();
    let outputs = play.tick();
    assert_eq!(subscribe_call(&outputs).subscribe.as_ref().unwrap().suppressed_roles, ["*"]);
    play.act(|_, context| {
        context.revive(&[]);
    });
    assert!(kinds(&play.receive(subscribed())).contains(&Type::Revive));
}

#[test]
fn an_empty_framework_id_counts_as_none() {
    let mut subscription = Subscription::default();
    subscription.framework_info.id = Some(v1::FrameworkId::default());
    let mut play = Play::with(subscription, Recorder::default());
    assert_eq!(subscribe_call(&play.tick()).framework_id, None);
}

#[test]
fn failed_attempts_wait_longer_and_longer_and_the_framework_hears_nothing() {
    let mut play = Play::new(Recorder::default());
    let mut ceiling = Duration::from_secs(1);
    for _ in 0..12 {
        play.tick();
        play.disconnect();
        let delay = play.machine.deadline().unwrap().since(play.now);
        assert!(delay <= ceiling, "{delay:?} is more than {ceiling:?}");
        ceiling = (ceiling * 2).min(Duration::from_secs(60));
    }
    assert!(play.events().is_empty());
}

#[test]
fn a_success_starts_the_delays_again() {
    let mut play = Play::new(Recorder::default());
    for _ in 0..10 {
        play.tick();
        play.disconnect();
    }
    play.subscribe();
    play.disconnect();
    assert!(play.machine.deadline().unwrap().since(play.now) <= Duration::from_secs(1));
}

#[test]
fn five_missed_heartbeats_end_a_connection() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.pass(Duration::from_secs(74));
    assert!(play.step(Input::Tick).is_empty());
    play.receive(heartbeat());
    play.pass(Duration::from_secs(74));
    assert!(play.step(Input::Tick).is_empty());
    play.pass(Duration::from_secs(1));
    let connection = play.connection;
    assert_eq!(play.step(Input::Tick), [Output::Disconnect { connection }]);
    assert!(matches!(play.events().last(), Some(Event::Disconnected { .. })));
    assert!(matches!(play.tick()[..], [Output::Connect { connection: 2, .. }]));
}

#[test]
fn a_master_that_does_not_answer_subscribe_is_given_up() {
    let mut play = Play::new(Recorder::default());
    play.tick();
    play.pass(Duration::from_secs(30));
    assert_eq!(play.step(Input::Tick), [Output::Disconnect { connection: 1 }]);
    assert!(play.events().is_empty());
}

#[test]
fn news_of_an_older_connection_is_ignored() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.disconnect();
    play.subscribe();
    let before = play.events().len();
    let event = Box::new(error("Framework has been removed"));
    assert!(play.step(Input::Event { connection: 1, event }).is_empty());
    let reason = "late".to_owned();
    assert!(play.step(Input::Disconnected { connection: 1, reason }).is_empty());
    assert_eq!(play.events().len(), before);
    assert!(play.machine.is_subscribed());
}

#[test]
fn a_removed_framework_does_not_come_back() {
    for text in ["Framework has been removed", "Framework failed over"] {
        let mut play = Play::new(Recorder::default());
        play.tick();
        let outputs = play.receive(error(text));
        assert_eq!(outputs, [Output::Finished(Ending::Refused(text.to_owned()))]);
        assert_eq!(play.events(), [Event::Error(text.to_owned())]);
        assert_eq!(play.machine.deadline(), None);
        assert!(play.step(Input::Tick).is_empty());
    }
}

#[test]
fn other_errors_are_told_and_tried_again() {
    let mut play = Play::new(Recorder::default());
    play.tick();
    assert!(play.receive(error("Role 'x' is not allowed")).is_empty());
    play.disconnect();
    assert!(matches!(play.tick()[..], [Output::Connect { connection: 2, .. }]));
}

#[test]
fn events_before_subscribed_are_ignored() {
    let mut play = Play::new(Recorder::default());
    play.tick();
    assert!(play.update(status("a", v1::TaskState::TaskRunning, Some(1))).is_empty());
    assert!(play.events().is_empty());
}

#[test]
fn stopping_ends_without_a_call_and_tearing_down_with_the_last_one() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    assert_eq!(play.step(Input::Stop(Stop::Disconnect)), [Output::Finished(Ending::Stopped)]);

    let mut play = Play::new(Recorder::default());
    play.subscribe();
    let outputs = play.act(|_, context| {
        context.teardown();
        context.revive(&[]);
    });
    assert_eq!(kinds(&outputs), [Type::Revive, Type::Teardown]);
    assert_eq!(outputs.last(), Some(&Output::Finished(Ending::TornDown)));
}

#[test]
fn a_teardown_waits_for_a_subscription() {
    let mut play = Play::new(Recorder::default());
    assert!(play.step(Input::Stop(Stop::Teardown)).is_empty());
    let outputs = play.subscribe();
    assert_eq!(kinds(&outputs), [Type::Teardown]);
    assert_eq!(outputs.last(), Some(&Output::Finished(Ending::TornDown)));
}

#[test]
fn calls_without_a_subscription_are_kept_or_dropped_as_their_meaning_allows() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    play.disconnect();
    let outputs = play.act(|_, context| {
        let dropped = [
            context.launch(&[offer_id("O")], vec![task("t")], None),
            context.decline(&[offer_id("O")], None),
            context.reconcile(Vec::new()),
            context.shutdown_executor(v1::ExecutorId::default(), agent_id("S")),
        ];
        assert_eq!(dropped, [Delivery::Dropped; 4]);
        assert_eq!(context.suppress(&["x".to_owned()]), Delivery::Kept);
        assert_eq!(context.kill(&task_id("k"), None), Delivery::Kept);
    });
    assert!(outputs.is_empty());
    let outputs = play.tick();
    let subscribe = subscribe_call(&outputs).subscribe.clone().unwrap();
    assert_eq!(subscribe.suppressed_roles, ["x"]);
    let outputs = play.receive(subscribed());
    let calls = sent(&outputs);
    assert_eq!(calls[0].kill.as_ref().map(|kill| &kill.task_id), Some(&task_id("k")));
    let asked: Vec<_> = calls.iter().filter_map(|call| call.reconcile.as_ref()).collect();
    assert!(asked.iter().flat_map(|call| &call.tasks).all(|task| task.task_id.value == "k"));
}

#[test]
fn suppressing_everything_names_every_role_in_the_next_subscription() {
    let mut subscription = Subscription::default();
    subscription.framework_info.roles = vec!["a".to_owned(), "b".to_owned()];
    let mut play = Play::with(subscription, Recorder::default());
    play.subscribe();
    play.act(|_, context| {
        context.suppress(&[]);
        context.revive(&["a".to_owned()]);
    });
    play.disconnect();
    let subscribe = subscribe_call(&play.tick()).subscribe.clone().unwrap();
    assert_eq!(subscribe.suppressed_roles, ["b"]);
}

#[test]
fn refused_calls_are_told() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    let text = "no".to_owned();
    play.step(Input::Refused { connection: 1, call: Type::Accept, status: 400, text });
    let refused = Event::CallRefused { call: Type::Accept, status: 400, text: "no".to_owned() };
    assert_eq!(play.events().last(), Some(&refused));
}

#[test]
fn alarms_ring_once_each_and_in_order() {
    let mut play = Play::new(Recorder::default());
    play.subscribe();
    let start = play.now;
    play.act(move |_, context| {
        context.wake_at(start + Duration::from_secs(2));
        context.wake_at(start + Duration::from_secs(1));
        context.wake_at(start + Duration::from_secs(2));
    });
    play.tick();
    assert_eq!(play.now.since(start), Duration::from_secs(1));
    play.tick();
    assert_eq!(play.now.since(start), Duration::from_secs(2));
    let ticks = play.events().iter().filter(|event| **event == Event::Tick).count();
    assert_eq!(ticks, 2);
    assert!(play.machine.deadline().unwrap() > start + Duration::from_secs(60));
}
