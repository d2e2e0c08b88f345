//! What tasks look like.

use orrery_api::v1;
use orrery_model::Resources;

use crate::invariants::runs::start_marker;
use crate::plan::Script;

/// An odd amount, with which arithmetic that is not exact shows.
const CPUS: f64 = 0.307;
const MEGABYTES: f64 = 64.0;

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
