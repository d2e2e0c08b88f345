//! Losses (S8 of the catalogue, as an agent is lost): before a framework is told that an agent is
//! lost, it is told what became of each of its tasks there. Mesos' bugs of the kind: MESOS-9545,
//! MESOS-217.
//!
//! A master's events reach a process in order as long as its subscription stands. So a task that
//! was told to live under a subscription must have been told anything else under the same one when
//! the loss of its agent is told: whether the agent ever returns is open, and a master that took
//! the task out of its books has no other occasion to say so.

use std::collections::BTreeMap;

use orrery_api::v1::{self, TaskState};
use orrery_model::task_state::is_terminal;

use super::Session;

/// What was told under each subscription that stands.
#[derive(Debug, Default)]
pub struct Losses {
    /// By process and task, the agents of the tasks that were told to live.
    living: BTreeMap<Session, BTreeMap<String, v1::AgentId>>,
}

/// Whether a framework that is told `state` believes that its task runs or soon will.
fn is_alive(state: TaskState) -> bool {
    !is_terminal(state) && !matches!(state, TaskState::TaskUnreachable | TaskState::TaskUnknown)
}

impl Losses {
    /// The subscription of a process begins or is over.
    pub(crate) fn subscription_changed(&mut self, session: Session) {
        self.living.remove(&session);
    }

    /// Takes a status that the library has delivered.
    pub(crate) fn updated(&mut self, session: Session, status: &v1::TaskStatus) {
        let tasks = self.living.entry(session).or_default();
        match &status.agent_id {
            Some(agent) if is_alive(status.state()) => {
                tasks.insert(status.task_id.value.clone(), agent.clone());
            }
            _ => drop(tasks.remove(&status.task_id.value)),
        }
    }

    /// An agent's loss was told.
    pub(crate) fn agent_lost(&self, session: Session, agent: &v1::AgentId) -> Result<(), String> {
        let tasks = self.living.get(&session).into_iter().flatten();
        match tasks.into_iter().find(|(_, its)| *its == agent) {
            None => Ok(()),
            Some((task, _)) => Err(format!(
                "agent {} was lost but its task {task} is believed to live",
                agent.value
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_lives_must_be_told_of_before_its_agents_loss() {
        let session = Session { framework: 0, number: 0 };
        let agent = v1::AgentId { value: "agent".to_owned() };
        let status = |state: TaskState| v1::TaskStatus {
            task_id: v1::TaskId { value: "task".to_owned() },
            agent_id: Some(agent.clone()),
            state: state as i32,
            ..Default::default()
        };
        let mut losses = Losses::default();
        losses.updated(session, &status(TaskState::TaskRunning));
        assert!(losses.agent_lost(session, &agent).is_err());
        losses.updated(session, &status(TaskState::TaskUnreachable));
        assert_eq!(losses.agent_lost(session, &agent), Ok(()));
        losses.updated(session, &status(TaskState::TaskRunning));
        losses.subscription_changed(session);
        assert_eq!(losses.agent_lost(session, &agent), Ok(()));
    }
}
