//! Progress (L7 of the catalogue): at rest every task that lives has left TASK_STAGING and
//! TASK_STARTING, whatever its framework believes. Mesos' bugs of the kind: MESOS-2583, MESOS-8573,
//! MESOS-8620.

use orrery_api::v1::TaskState;

use super::tasks::AgentTasks;

/// No task of these is on its way still.
///
/// # Errors
/// The first that is.
pub fn check(agents: &AgentTasks) -> Result<(), String> {
    use TaskState::{TaskStaging, TaskStarting};
    let mut tasks =
        agents.iter().flat_map(|(agent, tasks)| tasks.iter().map(move |it| (agent, it)));
    match tasks.find(|(_, (_, state))| matches!(**state, TaskStaging | TaskStarting)) {
        None => Ok(()),
        Some((agent, (id, state))) => {
            Err(format!("task {id} is still {} on agent {agent}", state.as_str_name()))
        }
    }
}
