//! What executors may say, and what they are told.

use bytes::Bytes;
use orrery_api::link::{self, from_agent, from_master};
use orrery_api::v1;
use orrery_api::v1::TaskState::{TaskDropped, TaskFinished, TaskRunning, TaskStaging};
use orrery_api::v1::executor::{Call, call};
use orrery_api::v1::task_status::Reason;

use crate::testing::{Bench, call_of, executor_status, framework_id, reason, state, task, uuid};
use crate::{Input, Output, validate};

fn update_call(status: v1::TaskStatus) -> Call {
    Call {
        r#type: Some(call::Type::Update as i32),
        update: Some(call::Update { status }),
        ..call_of("e")
    }
}

#[test]
fn malformed_calls_are_refused_with_a_reason() {
    let status = || executor_status("t", TaskRunning, 1);
    let of_type = |kind: call::Type| Call { r#type: Some(kind as i32), ..call_of("e") };
    let with = |change: fn(&mut v1::TaskStatus)| {
        let mut status = status();
        change(&mut status);
        update_call(status)
    };
    let cases = [
        (call_of("e"), 400, "'type'"),
        (of_type(call::Type::Unknown), 501, "UNKNOWN"),
        (of_type(call::Type::Subscribe), 400, "'subscribe'"),
        (of_type(call::Type::Update), 400, "'update'"),
        (of_type(call::Type::Message), 400, "'message'"),
        (with(|it| it.uuid = None), 400, "'uuid'"),
        (with(|it| it.uuid = Some(Bytes::from_static(&[0; 16]))), 400, "'uuid'"),
        (with(|it| it.uuid = Some(Bytes::from_static(&[1; 15]))), 400, "'uuid'"),
        (with(|it| it.source = None), 400, "'source'"),
        (with(|it| it.state = TaskStaging as i32), 400, "TASK_STAGING"),
        (
            with(|it| it.executor_id = Some(v1::ExecutorId { value: "x".into() })),
            400,
            "does not match",
        ),
    ];
    for (call, expected, mention) in cases {
        let (code, text) = validate(&call).unwrap_err();
        assert_eq!(code, expected, "{text}");
        assert!(text.contains(mention), "{text}");
    }
    assert_eq!(validate(&update_call(status())), Ok(call::Type::Update));
    assert_eq!(validate(&of_type(call::Type::Heartbeat)), Ok(call::Type::Heartbeat));
}

#[test]
fn strangers_are_refused() {
    let mut bench = Bench::registered();
    let (code, text) = bench.update("e", "t", TaskRunning, 1);
    assert_eq!((code, text.as_str()), (400, "Framework cannot be found"));
    bench.run_custom("t", "e");
    let (code, text) = bench.update("x", "t", TaskRunning, 1);
    assert_eq!((code, text.as_str()), (400, "Executor cannot be found"));
    let (code, text) = bench.update("e", "t", TaskRunning, 1);
    assert_eq!((code, text.as_str()), (403, "Executor is not subscribed"));
    bench.start(100);
    bench.subscribe("e", 1);
    let (code, text) = bench.update("e", "other", TaskRunning, 1);
    assert_eq!((code, text.as_str()), (400, "Task cannot be found"));
    let heartbeat = Call { r#type: Some(call::Type::Heartbeat as i32), ..call_of("nobody") };
    assert_eq!(bench.call(heartbeat).0, 202);
}

#[test]
fn messages_go_both_ways() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    let data = Bytes::from_static(b"up");
    let call = Call {
        r#type: Some(call::Type::Message as i32),
        message: Some(call::Message { data: data.clone() }),
        ..call_of("t")
    };
    assert_eq!(bench.call(call).0, 202);
    let up = bench.outputs.iter().any(|output| match output {
        Output::ToMaster(body) => {
            matches!(&**body, from_agent::Body::ExecutorMessage(it) if it.data == data)
        }
        _ => false,
    });
    assert!(up);
    bench.master(from_master::Body::FrameworkMessage(link::FrameworkMessage {
        framework_id: Some(framework_id()),
        executor_id: Some(v1::ExecutorId { value: "t".into() }),
        data: Bytes::from_static(b"down"),
    }));
    assert_eq!(bench.events(1), ["SUBSCRIBED", "LAUNCH", "MESSAGE"]);
}

#[test]
fn a_new_subscription_replaces_the_old_one() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    bench.update("t", "t", TaskRunning, 1);
    bench.subscribe("t", 2);
    assert!(bench.outputs.contains(&Output::CloseConnection { connection: 1 }));
    // The end of the old stream, noticed late, must not take the new one along.
    bench.feed(Input::ExecutorDisconnected { connection: 1 });
    bench.kill("t");
    assert_eq!(bench.events(2), ["SUBSCRIBED", "KILL"]);
}

#[test]
fn launches_lost_on_a_broken_stream_are_dropped_and_known_ones_stay() {
    let mut bench = Bench::registered();
    bench.run_custom("lost", "e");
    bench.run_custom("known", "e");
    bench.start(100);
    bench.subscribe("e", 1);
    bench.feed(Input::ExecutorDisconnected { connection: 1 });
    bench.run_custom("queued", "e");
    let unacknowledged_tasks = vec![task("known", None)];
    let subscribe = call::Subscribe { unacknowledged_tasks, ..Default::default() };
    bench.subscribe_with("e", 2, subscribe);
    let update = bench.only_update();
    assert_eq!(update.task_id.value, "lost");
    assert_eq!((state(&update), reason(&update)), (TaskDropped, Reason::AgentRestarted));
    assert_eq!(bench.events(2), ["SUBSCRIBED", "LAUNCH"]);
}

#[test]
fn unacknowledged_updates_are_taken_with_the_subscription() {
    let mut bench = Bench::registered();
    bench.run_and_subscribe("t", 1);
    let status = executor_status("t", TaskFinished, 1);
    let bad = v1::TaskStatus { uuid: None, ..status.clone() };
    let unacknowledged_updates = vec![call::Update { status: bad }, call::Update { status }];
    let subscribe = call::Subscribe { unacknowledged_updates, ..Default::default() };
    bench.subscribe_with("t", 2, subscribe);
    assert_eq!(state(&bench.only_update()), TaskFinished);
    assert_eq!(bench.events(2), ["SUBSCRIBED", "ACKNOWLEDGED"]);
    bench.acknowledge("t", &uuid(1));
    // Its acknowledgement was lost: the executor says it again after the task is completed.
    assert_eq!(bench.update("t", "t", TaskFinished, 1).0, 202);
    assert_eq!(bench.updates(), []);
}
