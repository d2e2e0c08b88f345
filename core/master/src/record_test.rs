use bytes::Bytes;
use orrery_allocator::AgentKey;
use orrery_api::v1::{self, TaskState};

use super::{LEAST_ENTRIES, Records};

fn id(text: &str) -> v1::TaskId {
    v1::TaskId { value: text.to_owned() }
}

fn resource(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    }
}

/// A status that says all that agents say.
fn status(state: TaskState, agent: &str, executor: Option<&str>) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: id("task"),
        state: state as i32,
        agent_id: Some(v1::AgentId { value: agent.to_owned() }),
        executor_id: executor.map(|id| v1::ExecutorId { value: id.to_owned() }),
        timestamp: Some(1.5),
        uuid: Some(Bytes::from_static(&[7; 16])),
        healthy: Some(true),
        ..Default::default()
    }
}

fn message() -> v1::Task {
    v1::Task {
        name: "a name".to_owned(),
        task_id: id("task"),
        framework_id: v1::FrameworkId { value: "framework".to_owned() },
        executor_id: Some(v1::ExecutorId { value: "executor".to_owned() }),
        agent_id: v1::AgentId { value: "agent".to_owned() },
        state: TaskState::TaskRunning as i32,
        resources: vec![resource("cpus", 0.5), resource("mem", 32.0)],
        statuses: vec![
            status(TaskState::TaskStarting, "agent", Some("executor")),
            status(TaskState::TaskRunning, "another agent", Some("another executor")),
        ],
        status_update_state: Some(TaskState::TaskStarting as i32),
        status_update_uuid: Some(Bytes::from_static(&[9; 16])),
        labels: Some(v1::Labels { labels: vec![v1::Label::default()] }),
        user: Some("root".to_owned()),
        ..Default::default()
    }
}

#[test]
fn a_record_tells_all_that_its_message_told() {
    let mut records = Records::default();
    let plain = v1::Task { executor_id: None, statuses: Vec::new(), ..message() };
    let without_executor = v1::Task {
        executor_id: None,
        statuses: vec![status(TaskState::TaskFailed, "agent", None)],
        ..message()
    };
    let bare = v1::Task { task_id: id("task"), ..Default::default() };
    for message in [message(), plain, without_executor, bare] {
        let task = records.record(message.clone(), AgentKey(3)).unwrap();
        assert_eq!(task.message(), message);
        assert_eq!(task.statuses(), message.statuses);
        assert_eq!(task.executor_id(), message.executor_id);
        assert_eq!(task.resources().to_messages(), message.resources);
        assert_eq!((task.id().as_ref(), task.agent), ("task", AgentKey(3)));
    }
}

#[test]
fn statuses_are_added_as_the_message_would_have_them() {
    let mut expected = message();
    let mut task = Records::default().record(expected.clone(), AgentKey(3)).unwrap();
    let again = v1::TaskStatus {
        message: Some("again".to_owned()),
        ..status(TaskState::TaskRunning, "agent", Some("executor"))
    };
    task.add_status(&v1::TaskStatus { data: Some(Bytes::from_static(b"data")), ..again.clone() });
    expected.statuses[1] = again;
    assert_eq!(task.message(), expected, "one of the same state replaces the last one");

    let last = status(TaskState::TaskFinished, "agent", Some("executor"));
    task.add_status(&last);
    expected.statuses.push(last);
    assert_eq!(task.message(), expected);

    let mut first = v1::Task { statuses: Vec::new(), ..message() };
    let mut task = Records::default().record(first.clone(), AgentKey(3)).unwrap();
    // A state that looks like that of no status at all.
    first.statuses.push(v1::TaskStatus { state: 0, ..status(TaskState::TaskKilled, "a", None) });
    task.add_status(&first.statuses[0]);
    assert_eq!(task.message(), first);
}

#[test]
fn equal_shapes_are_kept_once_and_unused_ones_not_for_ever() {
    let mut records = Records::default();
    let mut of = |number: usize, cpus: f64| {
        let mut message = message();
        message.task_id = id(&format!("task-{number}"));
        message.agent_id.value = format!("agent-{number}");
        message.resources[0].scalar = Some(v1::value::Scalar { value: cpus });
        records.record(message, AgentKey(0)).unwrap()
    };
    let same: Vec<_> = (0..10 * LEAST_ENTRIES).map(|number| of(number, 1.0)).collect();
    assert!(same.iter().all(|task| std::sync::Arc::ptr_eq(&task.shape, &same[0].shape)));
    drop(same);
    for number in 0..10 * LEAST_ENTRIES {
        drop(of(number, number as f64 + 2.0));
    }
    assert!(records.shapes.len() + records.texts.len() <= 2 * LEAST_ENTRIES);
}
