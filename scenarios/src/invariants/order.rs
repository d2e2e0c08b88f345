//! Order (S10 of the catalogue): the updates of a task come in the order of its life, and what a
//! master tells of it never runs ahead of them. Mesos' bugs of the kind: MESOS-4671, MESOS-1799,
//! MESOS-637.

use std::collections::BTreeMap;

use bytes::Bytes;
use orrery_api::v1::{self, TaskState};
use orrery_model::task_state::is_terminal;

use super::Session;

#[derive(Debug, Default)]
struct Life {
    /// How far the task has come, by all that was told.
    rank: u8,
    /// The last update that was the agent's, and how far the task had come in it.
    update: Option<(Bytes, u8)>,
    /// The newest process that was told anything.
    session: Option<Session>,
}

/// How far each task has come.
#[derive(Debug, Default)]
pub struct Order {
    lives: BTreeMap<String, Life>,
}

/// How far a task has come; `None` for states that say nothing about it.
fn rank(state: TaskState) -> Option<u8> {
    match state {
        TaskState::TaskStaging => Some(0),
        TaskState::TaskStarting => Some(1),
        TaskState::TaskRunning => Some(2),
        TaskState::TaskKilling => Some(3),
        // It may run on.
        TaskState::TaskLost => None,
        state if is_terminal(state) => Some(4),
        _ => None,
    }
}

impl Order {
    /// Takes a status that the library has delivered.
    pub(crate) fn updated(
        &mut self,
        session: Session,
        status: &v1::TaskStatus,
    ) -> Result<(), String> {
        let id = &status.task_id.value;
        let life = self.lives.entry(id.clone()).or_default();
        // A process that was replaced may still read what was sent to it before.
        if life.session.is_some_and(|newest| newest > session) {
            return Ok(());
        }
        life.session = Some(session);
        let rank = rank(status.state());
        if let Some(uuid) = status.uuid.clone().filter(|uuid| !uuid.is_empty()) {
            life.check(id, status.state(), &uuid, rank)?;
            life.update = rank.map(|rank| (uuid, rank)).or(life.update.take());
        }
        life.rank = life.rank.max(rank.unwrap_or_default());
        Ok(())
    }
}

impl Life {
    fn check(
        &self,
        id: &str,
        state: TaskState,
        uuid: &Bytes,
        rank: Option<u8>,
    ) -> Result<(), String> {
        let name = state.as_str_name();
        let Some(rank) = rank else { return Ok(()) };
        if let Some((last, last_rank)) = &self.update
            && last != uuid
            && rank <= *last_rank
        {
            return Err(format!("task {id}: {name} is out of order"));
        }
        if rank < self.rank {
            return Err(format!("task {id}: {name} came after a later state"));
        }
        Ok(())
    }
}
