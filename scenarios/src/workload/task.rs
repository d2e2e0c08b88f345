//! What tasks look like.

use orrery_api::v1;
use orrery_model::Resources;

use crate::invariants::runs::start_marker;
use crate::plan::Script;

const CPUS: f64 = 0.5;
const MEGABYTES: f64 = 64.0;

/// What each task needs.
pub fn needed() -> Resources {
    Resources::from_messages(&resources(1.0)).unwrap_or_default()
}

/// A task on `agent`.
pub fn task_info(id: &str, agent: &v1::AgentId, script: Script) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.to_owned(),
        task_id: v1::TaskId { value: id.to_owned() },
        agent_id: agent.clone(),
        resources: resources(1.0),
        command: Some(v1::CommandInfo {
            value: Some(start_marker(id) + &line(script)),
            ..Default::default()
        }),
        ..Default::default()
    }
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
        Script::Short(milliseconds, code) => {
            format!("sleep {}; exit {code}", milliseconds as f64 / 1_000.0)
        }
        Script::Long => "sleep 1000000".to_owned(),
        Script::Stubborn => "trap '' TERM; sleep 1000000".to_owned(),
        Script::Parent => "sleep 1000000 & sleep 0.3; exit 0".to_owned(),
    }
}
