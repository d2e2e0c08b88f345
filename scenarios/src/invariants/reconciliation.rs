//! Reconciliation (S13 of the catalogue): a master invents nothing. What it says by itself of a
//! task that lives on an agent is that the task lives, or that its agent cannot be reached. Mesos'
//! bugs of the kind: MESOS-1389, MESOS-783, MESOS-1620, MESOS-1715.

use orrery_api::v1::task_status::{Reason, Source};
use orrery_api::v1::{self, TaskState};
use orrery_model::task_state::is_terminal;

use super::registry::Registry;
use super::truth::Truth;

/// Sets a status against what the agents have. `aware` tells whether its framework knows the states
/// that tell a partition from a loss. Who names no agent may hear of a task on an unreachable one
/// that nobody knows it: a master that took over has never had it on record. The same is told of
/// one on an agent that was forgotten after it had been unreachable for long.
///
/// # Errors
/// The status is the master's own and says that a living task is over or unknown.
pub fn updated(
    truth: &Truth,
    registry: &Registry,
    status: &v1::TaskStatus,
    aware: bool,
) -> Result<(), String> {
    if status.source() != Source::Master {
        return Ok(());
    }
    let state = status.state();
    let partition = !aware && state == TaskState::TaskLost;
    // What is said of a second launch under the id of a living task is not about the first.
    let second = matches!(status.reason(), Reason::TaskInvalid | Reason::InvalidOffers);
    let over = is_terminal(state) || state == TaskState::TaskUnknown;
    if !over || partition || second {
        return Ok(());
    }
    let id = &status.task_id.value;
    match truth.life_of(id) {
        None => Ok(()),
        Some((agent, _))
            if matches!(state, TaskState::TaskUnknown | TaskState::TaskLost)
                && (status.agent_id.is_none() && registry.was_unreachable(agent)
                    || registry.was_forgotten(agent)) =>
        {
            Ok(())
        }
        Some((agent, real)) => Err(format!(
            "the master says {} ({}) of task {id}, which is {} on agent {agent}",
            state.as_str_name(),
            status.reason().as_str_name(),
            real.as_str_name(),
        )),
    }
}
