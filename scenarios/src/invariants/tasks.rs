//! Tasks, number 5 of the design's list (S8 to S11 of the catalogue): every accepted task reaches
//! exactly one terminal state as its framework sees it; updates arrive in order, each until it was
//! acknowledged, none after the last. Mesos' bugs of the kind: MESOS-447, MESOS-4671, MESOS-482,
//! MESOS-9887.

use std::collections::BTreeMap;

use bytes::Bytes;
use orrery_api::v1::{self, TaskState};
use orrery_model::task_state::is_terminal;

use super::Session;

/// What each living agent has: by agent id, the states of its tasks by task id.
pub type AgentTasks = BTreeMap<String, BTreeMap<String, TaskState>>;

#[derive(Debug)]
struct Task {
    framework: usize,
    agent: String,
    /// The last state told, and to which session.
    last: Option<(TaskState, Session)>,
    /// The first terminal state told, and to which session.
    end: Option<(TaskState, Session)>,
    /// How far the task has come, by all that was told.
    rank: u8,
    /// The last update that was the agent's, and how far the task had come in it.
    update: Option<(Bytes, u8, Session)>,
    /// An update that its framework has not acknowledged yet.
    awaiting: Option<(Bytes, Session)>,
}

/// Every task that any framework has launched.
#[derive(Debug, Default)]
pub struct Tasks {
    tasks: BTreeMap<String, Task>,
}

/// How far a task has come; `None` for states that say nothing about it.
fn rank(state: TaskState) -> Option<u8> {
    match state {
        TaskState::TaskStaging => Some(0),
        TaskState::TaskStarting => Some(1),
        TaskState::TaskRunning => Some(2),
        TaskState::TaskKilling => Some(3),
        state if is_terminal(state) => Some(4),
        _ => None,
    }
}

impl Tasks {
    pub(crate) fn launched(&mut self, session: Session, info: &v1::TaskInfo) {
        let task = Task {
            framework: session.framework,
            agent: info.agent_id.value.clone(),
            last: None,
            end: None,
            rank: 0,
            update: None,
            awaiting: None,
        };
        self.tasks.insert(info.task_id.value.clone(), task);
    }

    pub(crate) fn has_ended(&self, id: &str) -> bool {
        self.tasks.get(id).is_some_and(|task| task.end.is_some())
    }

    pub(crate) fn acknowledged(&mut self, status: &v1::TaskStatus) {
        if let Some(task) = self.tasks.get_mut(&status.task_id.value) {
            task.awaiting = None;
        }
    }

    /// Takes a status that the library has delivered.
    pub(crate) fn updated(
        &mut self,
        session: Session,
        status: &v1::TaskStatus,
        explicit: bool,
    ) -> Result<(), String> {
        let id = &status.task_id.value;
        let state = status.state();
        let name = state.as_str_name();
        let Some(task) = self.tasks.get_mut(id) else {
            return Err(format!("{name} of task {id}, which nobody has launched"));
        };
        if task.framework != session.framework {
            return Err(format!("{name} of task {id} went to framework {}", session.framework));
        }
        // A process that was replaced may still read what was sent to it before.
        if task.last.is_some_and(|(_, newer)| newer > session) {
            return Ok(());
        }
        // A master repeats what it has on record as often as it is asked.
        let is_answer = status.reason() == v1::task_status::Reason::Reconciliation;
        task.check_end(id, state, session, is_answer)?;
        if let Some(uuid) = status.uuid.clone().filter(|uuid| !uuid.is_empty()) {
            task.check_acknowledged(id, &uuid, session)?;
            task.check_order(id, state, &uuid, session)?;
            if explicit {
                task.awaiting = Some((uuid, session));
            }
        }
        task.rank = task.rank.max(rank(state).unwrap_or_default());
        task.last = Some((state, session));
        if is_terminal(state) {
            task.end.get_or_insert((state, session));
        }
        Ok(())
    }

    /// Whether each task has ended, or is on an agent in the state that its framework believes, or
    /// is known to be on an agent that is gone.
    pub(crate) fn check_settled(&self, agents: &AgentTasks) -> Result<(), String> {
        self.tasks.iter().try_for_each(|(id, task)| task.check_settled(id, agents))
    }
}

impl Task {
    /// After a terminal state only that same state may come: to a later process of the framework,
    /// which cannot know that it was told, or as an answer to a question.
    fn check_end(
        &self,
        id: &str,
        state: TaskState,
        session: Session,
        is_answer: bool,
    ) -> Result<(), String> {
        match self.end {
            Some((end, told)) if end != state || (told == session && !is_answer) => Err(format!(
                "task {id}: {} after the terminal {}",
                state.as_str_name(),
                end.as_str_name(),
            )),
            _ => Ok(()),
        }
    }

    /// An update must not come before the one ahead of it is acknowledged.
    fn check_acknowledged(&self, id: &str, uuid: &Bytes, session: Session) -> Result<(), String> {
        match &self.awaiting {
            Some((awaited, to)) if awaited != uuid && *to == session => {
                Err(format!("task {id}: an update came before the last one was acknowledged"))
            }
            _ => Ok(()),
        }
    }

    /// Updates of the agent come in the order of a task's life, each once to a process.
    fn check_order(
        &mut self,
        id: &str,
        state: TaskState,
        uuid: &Bytes,
        session: Session,
    ) -> Result<(), String> {
        let name = state.as_str_name();
        let Some(rank) = rank(state) else {
            return Err(format!("task {id}: an agent reports {name}"));
        };
        if let Some((last, last_rank, told)) = &self.update {
            let repeated = last == uuid;
            if repeated && *told == session {
                return Err(format!("task {id}: the same update with {name} came twice"));
            }
            if !repeated && rank <= *last_rank {
                return Err(format!("task {id}: {name} is out of order"));
            }
        }
        if rank < self.rank {
            return Err(format!("task {id}: {name} came after a later state"));
        }
        self.update = Some((uuid.clone(), rank, session));
        Ok(())
    }

    fn check_settled(&self, id: &str, agents: &AgentTasks) -> Result<(), String> {
        if self.end.is_some() {
            return Ok(());
        }
        let told = self.last.map(|(state, _)| state);
        let name = told.map_or("nothing", |state| state.as_str_name());
        let agent = &self.agent;
        let Some(tasks) = agents.get(agent) else {
            // Nobody will ever know more about it.
            let gone = matches!(told, Some(TaskState::TaskUnreachable | TaskState::TaskUnknown));
            return if gone {
                Ok(())
            } else {
                Err(format!("task {id} was told {name} but its agent {agent} is gone"))
            };
        };
        match tasks.get(id) {
            Some(state) if Some(*state) == told => Ok(()),
            Some(state) => Err(format!("task {id} was told {name} but is {}", state.as_str_name())),
            None => Err(format!("task {id} was told {name} but agent {agent} does not have it")),
        }
    }
}
