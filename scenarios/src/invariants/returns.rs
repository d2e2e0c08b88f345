//! Returns (S8 of the catalogue, as an agent comes back): a framework that was told that a task is
//! unreachable, or that nobody knows it, is told by itself when the task is back. Mesos' bug of the
//! kind: MESOS-6445.
//!
//! The library asks for such tasks again and again, which hides a master that says nothing. But a
//! master tells the return in the very step in which the agent is back, and its events come in
//! order: under one subscription no answer to a question may be the first to say that the task
//! lives. That holds whether or not the master knew the agent: it may have been forgotten after a
//! long absence, or the registry was in the memory of an earlier master. A task that has ended
//! meanwhile is left out: its agent has more to say of it than its master.

use std::collections::{BTreeMap, BTreeSet};

use orrery_api::v1::task_status::{Reason, Source};
use orrery_api::v1::{self, TaskState};
use orrery_model::task_state::is_terminal;

use super::Session;
use super::truth::Truth;

/// Tasks that were told to be away, and nothing else since, under each subscription that stands.
#[derive(Debug, Default)]
pub struct Returns {
    away: BTreeMap<Session, BTreeSet<String>>,
}

impl Returns {
    /// The subscription of a process begins or is over.
    pub(crate) fn subscription_changed(&mut self, session: Session) {
        self.away.remove(&session);
    }

    /// Takes a status that the library has delivered. `aware` tells whether its framework knows the
    /// states that tell a partition from a loss.
    pub(crate) fn updated(
        &mut self,
        truth: &Truth,
        session: Session,
        status: &v1::TaskStatus,
        aware: bool,
    ) -> Result<(), String> {
        let (id, state) = (&status.task_id.value, status.state());
        let tasks = self.away.entry(session).or_default();
        let is_answer =
            status.source() == Source::Master && status.reason() == Reason::Reconciliation;
        let is_lost = state == TaskState::TaskLost && !aware;
        // Of a launch that is still on its way nobody knows either, and it does not come back.
        let is_unknown = is_answer && (is_lost || state == TaskState::TaskUnknown);
        let is_away = is_unknown && truth.life_of(id).is_some();
        if is_away || state == TaskState::TaskUnreachable {
            tasks.insert(id.clone());
            return Ok(());
        }
        let lives = !is_terminal(state) && state != TaskState::TaskUnknown;
        if !tasks.remove(id) || !is_answer || !lives || truth.life_of(id).is_none() {
            return Ok(());
        }
        Err(format!("task {id} is back, which only an answer to a question has told"))
    }
}
