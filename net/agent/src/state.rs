//! `/state`: everything the agent knows, in the older JSON form.

use orrery_agent::{ExecutorSnapshot, FrameworkSnapshot, Snapshot};
use orrery_endpoints::{objects, system};
use orrery_model::Resources;
use serde_json::{Map, Value, json};

use crate::Options;

/// The object of `/state`.
pub(crate) fn state(snapshot: &Snapshot, options: &Options) -> Value {
    let info = &snapshot.agent_info;
    let capabilities = snapshot.capabilities.iter().map(|it| it.r#type().as_str_name());
    let mut state = system::version(&options.version);
    let identity = objects::agent_identity(info);
    let shown = ["id", "hostname", "attributes", "domain"];
    state.extend(identity.into_iter().filter(|(key, _)| shown.contains(&key.as_str())));
    state.insert("start_time".into(), objects::number(snapshot.started.wall.as_seconds()));
    state.insert("pid".into(), snapshot.pid.as_str().into());
    state.insert("capabilities".into(), capabilities.collect());
    add_resources(&mut state, snapshot);
    state.insert("resource_providers".into(), json!([]));
    if let Some(hostname) = snapshot.master.as_ref().and_then(|master| master.hostname.as_ref()) {
        state.insert("master_hostname".into(), hostname.as_str().into());
    }
    if let Some(log_dir) = options.flags.get("log_dir") {
        state.insert("log_dir".into(), log_dir.as_str().into());
    }
    state.insert("flags".into(), json!(options.flags));
    state.insert("frameworks".into(), snapshot.frameworks.iter().map(framework).collect());
    let completed = snapshot.completed_frameworks.iter().map(framework);
    state.insert("completed_frameworks".into(), completed.collect());
    Value::Object(state)
}

fn add_resources(state: &mut Map<String, Value>, snapshot: &Snapshot) {
    let total = &snapshot.resources;
    let allocated = snapshot.allocated.unallocated();
    let unreserved = total.unreserved();
    let parts = [
        ("resources", objects::resources(total)),
        ("reserved_resources", by_role(total, objects::resources)),
        ("unreserved_resources", objects::resources(&unreserved)),
        ("reserved_resources_full", by_role(total, objects::resources_in_full)),
        ("unreserved_resources_full", objects::resources_in_full(&unreserved)),
        ("reserved_resources_allocated", by_role(&allocated, objects::resources)),
        ("unreserved_resources_allocated", objects::resources(&allocated.unreserved())),
    ];
    state.extend(parts.map(|(key, value)| (key.to_owned(), value)));
}

/// What is reserved, by the role that it is reserved for.
fn by_role(resources: &Resources, show: impl Fn(&Resources) -> Value) -> Value {
    let roles = resources.reservations();
    Value::Object(roles.iter().map(|(role, reserved)| (role.clone(), show(reserved))).collect())
}

fn framework(framework: &FrameworkSnapshot) -> Value {
    let mut object = objects::framework_identity(&framework.info);
    object.insert("executors".into(), framework.executors.iter().map(executor).collect());
    let completed = framework.completed_executors.iter().map(executor);
    object.insert("completed_executors".into(), completed.collect());
    Value::Object(object)
}

fn executor(executor: &ExecutorSnapshot) -> Value {
    let tasks = executor.launched_tasks.iter().map(objects::task);
    let queued = executor.queued_tasks.iter().map(|task| objects::queued_task(&task.info));
    let ended = executor.completed_tasks.iter().chain(&executor.terminated_tasks);
    let object = objects::AgentExecutor {
        info: &executor.info,
        container_id: &executor.container.container_id,
        directory: &executor.directory.to_string_lossy(),
        resources: &executor.resources,
        tasks: tasks.map(Value::Object).collect(),
        queued_tasks: queued.map(Value::Object).collect(),
        completed_tasks: ended.map(objects::task).map(Value::Object).collect(),
    };
    Value::Object(object.object())
}
