//! Tasks.

use orrery_api::json::to_value;
use orrery_api::v1;
use serde_json::Value;

use super::{Object, insert_some, labels, limits, number, resources_of, role_of};

/// The task object of `/state`, `/tasks`, `/frameworks` and the agent's `/state`.
pub fn task(task: &v1::Task) -> Object {
    let executor_id = task.executor_id.as_ref().map_or("", |id| id.value.as_str());
    let mut object = Object::new();
    object.insert("id".into(), task.task_id.value.as_str().into());
    object.insert("name".into(), task.name.as_str().into());
    object.insert("framework_id".into(), task.framework_id.value.as_str().into());
    object.insert("executor_id".into(), executor_id.into());
    object.insert("slave_id".into(), task.agent_id.value.as_str().into());
    object.insert("state".into(), task.state().as_str_name().into());
    object.insert("resources".into(), resources_of(&task.resources));
    insert_some(&mut object, "limits", limits(&task.limits));
    object.insert("role".into(), role_of(&task.resources).into());
    let statuses = task.statuses.iter().map(|status| Value::Object(task_status(status)));
    object.insert("statuses".into(), statuses.collect());
    insert_some(&mut object, "user", task.user.as_deref().map(Value::from));
    insert_some(&mut object, "labels", task.labels.as_ref().map(labels));
    insert_some(&mut object, "discovery", task.discovery.as_ref().map(to_value));
    insert_some(&mut object, "container", task.container.as_ref().map(to_value));
    insert_some(&mut object, "health_check", task.health_check.as_ref().map(to_value));
    object
}

/// One entry of a task's `statuses`. An update without a time has the time 0.
pub fn task_status(status: &v1::TaskStatus) -> Object {
    let mut object = Object::new();
    object.insert("state".into(), status.state().as_str_name().into());
    object.insert("timestamp".into(), number(status.timestamp.unwrap_or_default()));
    insert_some(&mut object, "labels", status.labels.as_ref().map(labels));
    let container = status.container_status.as_ref().map(container_status);
    insert_some(&mut object, "container_status", container);
    insert_some(&mut object, "healthy", status.healthy.map(Value::from));
    object
}

/// A container without its process id, which these endpoints do not show.
fn container_status(status: &v1::ContainerStatus) -> Value {
    to_value(&v1::ContainerStatus { executor_pid: None, ..status.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A task as a `v1` API shows it.
    fn recorded() -> v1::Task {
        let text = json!({
            "name": "g1",
            "task_id": {"value": "grp-1"},
            "framework_id": {"value": "f-0011"},
            "executor_id": {"value": "default"},
            "agent_id": {"value": "f-S0"},
            "state": "TASK_RUNNING",
            "resources": [
                {"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1},
                 "allocation_info": {"role": "eng/web"}},
                {"name": "mem", "type": "SCALAR", "scalar": {"value": 32.0},
                 "allocation_info": {"role": "eng/web"}}],
            "statuses": [
                {"task_id": {"value": "grp-1"}, "state": "TASK_STARTING", "timestamp": 12.5,
                 "source": "SOURCE_EXECUTOR", "uuid": "1kVm2ADaSwa+rQX0bNsVQg==",
                 "container_status": {"container_id": {"value": "c", "parent": {"value": "p"}},
                                      "executor_pid": 26528}},
                {"task_id": {"value": "grp-1"}, "state": "TASK_RUNNING", "healthy": true}],
            "labels": {"labels": [{"key": "a", "value": "b"}]},
            "health_check": {"type": "COMMAND", "command": {"value": "true"}},
            "limits": {"mem": {"value": "Infinity"}},
            "kill_policy": {"grace_period": {"nanoseconds": 1}}
        });
        orrery_api::json::from_value(&text).expect("a task")
    }

    #[test]
    fn a_task_has_the_recorded_shape() {
        assert_eq!(
            Value::Object(task(&recorded())),
            json!({
                "id": "grp-1", "name": "g1", "framework_id": "f-0011", "executor_id": "default",
                "slave_id": "f-S0", "state": "TASK_RUNNING",
                "resources": {"disk": 0.0, "mem": 32.0, "gpus": 0.0, "cpus": 0.1},
                "limits": {"mem": "Infinity"},
                "role": "eng/web",
                "statuses": [
                    {"state": "TASK_STARTING", "timestamp": 12.5, "container_status":
                        {"container_id": {"value": "c", "parent": {"value": "p"}}}},
                    {"state": "TASK_RUNNING", "timestamp": 0.0, "healthy": true}],
                "labels": [{"key": "a", "value": "b"}],
                "health_check": {
                    "delay_seconds": 15.0, "interval_seconds": 10.0, "timeout_seconds": 20.0,
                    "consecutive_failures": 3, "grace_period_seconds": 10.0, "type": "COMMAND",
                    "command": {"shell": true, "value": "true"}}
            })
        );
    }

    #[test]
    fn a_command_task_has_an_empty_executor_id() {
        let plain = v1::Task { executor_id: None, resources: Vec::new(), ..recorded() };
        let object = task(&plain);
        assert_eq!(object.get("executor_id"), Some(&json!("")));
        assert_eq!(object.get("role"), Some(&json!("*")));
        let plain = v1::Task { limits: Default::default(), labels: None, ..recorded() };
        assert!(!task(&plain).contains_key("limits"));
        assert!(!task(&plain).contains_key("labels"));
    }
}
