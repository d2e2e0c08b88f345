//! Executors, and tasks that wait for theirs.

use orrery_api::json::to_value;
use orrery_api::v1;
use orrery_model::Resources;
use serde_json::{Value, json};

use super::{Object, insert_some, labels, resources, resources_of, role_of};

/// The executor object of the master's `/state` and `/frameworks`, with the agent it runs on.
pub fn executor(info: &v1::ExecutorInfo, agent_id: &str) -> Object {
    let framework_id = info.framework_id.as_ref().map_or("", |id| id.value.as_str());
    let no_command = v1::CommandInfo::default();
    let mut object = Object::new();
    object.insert("executor_id".into(), info.executor_id.value.as_str().into());
    object.insert("name".into(), info.name().into());
    object.insert("framework_id".into(), framework_id.into());
    object.insert("command".into(), command(info.command.as_ref().unwrap_or(&no_command)));
    object.insert("resources".into(), resources_of(&info.resources));
    if !info.resources.is_empty() {
        object.insert("role".into(), role_of(&info.resources).into());
    }
    insert_some(&mut object, "labels", info.labels.as_ref().map(labels));
    insert_some(&mut object, "type", kind(info));
    object.insert("slave_id".into(), agent_id.into());
    object
}

/// A command in its older form: `argv` and `uris` are always there.
fn command(command: &v1::CommandInfo) -> Value {
    let uri =
        |uri: &v1::command_info::Uri| json!({ "value": uri.value, "executable": uri.executable() });
    let mut object = Object::new();
    insert_some(&mut object, "shell", command.shell.map(Value::from));
    insert_some(&mut object, "value", command.value.as_deref().map(Value::from));
    object.insert("argv".into(), command.arguments.iter().map(String::as_str).collect());
    insert_some(&mut object, "environment", command.environment.as_ref().map(to_value));
    object.insert("uris".into(), command.uris.iter().map(uri).collect());
    Value::Object(object)
}

/// `DEFAULT` or `CUSTOM`, if the executor says which it is.
fn kind(info: &v1::ExecutorInfo) -> Option<Value> {
    info.r#type.map(|_| info.r#type().as_str_name().into())
}

/// What an agent shows of an executor in its `/state`.
#[derive(Debug)]
pub struct AgentExecutor<'a> {
    /// The executor as it was launched.
    pub info: &'a v1::ExecutorInfo,
    /// Its container.
    pub container_id: &'a str,
    /// Its sandbox: the path of the run itself, not of the link to the latest.
    pub directory: &'a str,
    /// What the executor and its tasks hold together.
    pub resources: &'a Resources,
    /// Tasks that were handed to it, as [`super::task`] shows them.
    pub tasks: Vec<Value>,
    /// Tasks that wait for it, as [`queued_task`] shows them.
    pub queued_tasks: Vec<Value>,
    /// Tasks that ended, as [`super::task`] shows them.
    pub completed_tasks: Vec<Value>,
}

impl AgentExecutor<'_> {
    /// The object.
    pub fn object(self) -> Object {
        let mut object = Object::new();
        object.insert("id".into(), self.info.executor_id.value.as_str().into());
        object.insert("name".into(), self.info.name().into());
        object.insert("source".into(), self.info.source().into());
        object.insert("container".into(), self.container_id.into());
        object.insert("directory".into(), self.directory.into());
        object.insert("resources".into(), resources(self.resources));
        if !self.info.resources.is_empty() {
            object.insert("role".into(), role_of(&self.info.resources).into());
        }
        insert_some(&mut object, "labels", self.info.labels.as_ref().map(labels));
        insert_some(&mut object, "type", kind(self.info));
        object.insert("tasks".into(), self.tasks.into());
        object.insert("queued_tasks".into(), self.queued_tasks.into());
        object.insert("completed_tasks".into(), self.completed_tasks.into());
        object
    }
}

/// A task that waits for its executor.
pub fn queued_task(task: &v1::TaskInfo) -> Object {
    let executor_id = task.executor.as_ref().map(|info| info.executor_id.value.as_str());
    let mut object = Object::new();
    object.insert("id".into(), task.task_id.value.as_str().into());
    object.insert("name".into(), task.name.as_str().into());
    object.insert("slave_id".into(), task.agent_id.value.as_str().into());
    object.insert("resources".into(), resources_of(&task.resources));
    object.insert("role".into(), role_of(&task.resources).into());
    insert_some(&mut object, "command", task.command.as_ref().map(command));
    insert_some(&mut object, "executor_id", executor_id.map(Value::from));
    insert_some(&mut object, "discovery", task.discovery.as_ref().map(to_value));
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn default_executor() -> v1::ExecutorInfo {
        orrery_api::json::from_value(&json!({
            "type": "DEFAULT",
            "executor_id": {"value": "default"},
            "framework_id": {"value": "f-0011"},
            "resources": [{"name": "cpus", "type": "SCALAR", "scalar": {"value": 0.1},
                           "allocation_info": {"role": "eng/web"}}]
        }))
        .expect("an executor")
    }

    #[test]
    fn a_default_executor_has_the_recorded_shape() {
        assert_eq!(
            Value::Object(executor(&default_executor(), "f-S0")),
            json!({
                "executor_id": "default", "name": "", "framework_id": "f-0011",
                "command": {"argv": [], "uris": []},
                "resources": {"disk": 0.0, "mem": 0.0, "gpus": 0.0, "cpus": 0.1},
                "role": "eng/web", "type": "DEFAULT", "slave_id": "f-S0"
            })
        );
    }

    #[test]
    fn a_command_is_shown_in_its_older_form() {
        let info: v1::CommandInfo = orrery_api::json::from_value(&json!({
            "value": "./run", "shell": false, "arguments": ["run", "-v"],
            "environment": {"variables": [{"name": "A", "value": "1"}]},
            "uris": [{"value": "http://x/run", "executable": true}, {"value": "http://x/data"}]
        }))
        .expect("a command");
        assert_eq!(
            command(&info),
            json!({
                "shell": false, "value": "./run", "argv": ["run", "-v"],
                "environment": {"variables": [{"name": "A", "type": "VALUE", "value": "1"}]},
                "uris": [{"value": "http://x/run", "executable": true},
                         {"value": "http://x/data", "executable": false}]
            })
        );
    }

    #[test]
    fn an_agent_shows_sandbox_and_tasks() {
        let info = default_executor();
        let resources = Resources::parse("cpus:0.3;mem:96", "*").expect("resources");
        let executor = AgentExecutor {
            info: &info,
            container_id: "c",
            directory: "/agent/runs/c",
            resources: &resources,
            tasks: vec![json!({"id": "t"})],
            queued_tasks: Vec::new(),
            completed_tasks: Vec::new(),
        };
        assert_eq!(
            Value::Object(executor.object()),
            json!({
                "id": "default", "name": "", "source": "", "container": "c",
                "directory": "/agent/runs/c",
                "resources": {"disk": 0.0, "mem": 96.0, "gpus": 0.0, "cpus": 0.3},
                "role": "eng/web", "type": "DEFAULT",
                "tasks": [{"id": "t"}], "queued_tasks": [], "completed_tasks": []
            })
        );
    }

    #[test]
    fn a_queued_task_names_its_executor() {
        let task = v1::TaskInfo {
            name: "n".into(),
            task_id: v1::TaskId { value: "t".into() },
            agent_id: v1::AgentId { value: "a".into() },
            executor: Some(default_executor()),
            ..Default::default()
        };
        assert_eq!(
            Value::Object(queued_task(&task)),
            json!({
                "id": "t", "name": "n", "slave_id": "a", "executor_id": "default", "role": "*",
                "resources": {"disk": 0.0, "mem": 0.0, "gpus": 0.0, "cpus": 0.0}
            })
        );
    }
}
