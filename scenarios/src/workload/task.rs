//! What tasks look like.

use orrery_api::v1;
use orrery_model::Resources;

use crate::custom_executor;
use crate::invariants::runs::start_marker;
use crate::plan::Script;

/// An odd amount, with which arithmetic that is not exact shows.
const CPUS: f64 = 0.307;
const MEGABYTES: f64 = 64.0;
/// What an executor needs, in tasks.
const EXECUTOR_NEEDS: f64 = 0.5;

/// What each task needs.
pub fn needed() -> Resources {
    Resources::from_messages(&resources(1.0)).unwrap_or_default()
}

/// How many times as long as a task's id its labels are.
const LABELS: usize = 64;

/// A task on `agent`, with labels that are many times as long as `padding`.
pub fn task_info(id: &str, agent: &v1::AgentId, script: Script, padding: usize) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.to_owned(),
        task_id: v1::TaskId { value: id.to_owned() },
        agent_id: agent.clone(),
        resources: resources(1.0),
        command: Some(v1::CommandInfo {
            value: Some(start_marker(id) + &line(script)),
            ..Default::default()
        }),
        labels: (padding > 0).then(|| labels(padding)),
        ..Default::default()
    }
}

/// What a framework's own executor needs.
pub(crate) fn executor_needs() -> Resources {
    Resources::from_messages(&resources(EXECUTOR_NEEDS)).unwrap_or_default()
}

/// Puts a task into the hands of the executor that its framework has for a role on each agent.
pub(crate) fn give_to_executor(task: v1::TaskInfo, framework: usize, role: &str) -> v1::TaskInfo {
    let script = task.command.and_then(|command| command.value).unwrap_or_default();
    let executor = v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: format!("executor-{framework}-{role}") },
        r#type: Some(v1::executor_info::Type::Custom as i32),
        command: Some(v1::CommandInfo {
            shell: Some(false),
            value: Some(custom_executor::PROGRAM.to_owned()),
            arguments: vec![custom_executor::NAME.to_owned()],
            ..Default::default()
        }),
        resources: resources(EXECUTOR_NEEDS),
        ..Default::default()
    };
    v1::TaskInfo { command: None, data: Some(script.into()), executor: Some(executor), ..task }
}

/// The shell script of a task, whoever runs it.
pub(crate) fn script_of(task: &v1::TaskInfo) -> Option<&str> {
    match (&task.command, &task.data) {
        (Some(command), _) => command.value.as_deref(),
        (None, data) => std::str::from_utf8(data.as_deref()?).ok(),
    }
}

fn labels(padding: usize) -> v1::Labels {
    let label = |number: usize| v1::Label {
        key: format!("label-{number}"),
        value: Some("v".repeat(padding)),
    };
    v1::Labels { labels: (0..LABELS).map(label).collect() }
}

/// `times` what a task needs.
pub(crate) fn resources(times: f64) -> Vec<v1::Resource> {
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    vec![scalar("cpus", CPUS * times), scalar("mem", MEGABYTES * times)]
}

fn line(script: Script) -> String {
    match script {
        Script::Nothing => "exit 0".to_owned(),
        Script::Short(time, code) => format!("sleep {}; exit {code}", time.as_secs_f64()),
        Script::Long => "sleep 1000000".to_owned(),
        Script::Stubborn => "trap '' TERM; sleep 1000000".to_owned(),
        Script::Parent => "sleep 1000000 & sleep 0.3; exit 0".to_owned(),
    }
}
