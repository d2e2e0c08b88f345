//! What a framework keeps safe from the death of its processes, as a database would.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orrery_api::v1::{self, TaskState};
use orrery_model::task_state::is_terminal;

use super::task::task_info;
use crate::invariants::Session;
use crate::plan::Script;

/// Shared by all processes of one framework. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct StoreHandle(Arc<Mutex<Store>>);

impl StoreHandle {
    /// The store itself. It holds plain data, which a panic elsewhere cannot leave half changed.
    pub fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Known {
    /// Which process has launched it.
    session: Session,
    agent: v1::AgentId,
    state: Option<TaskState>,
}

/// What one framework remembers.
#[derive(Debug, Default)]
pub struct Store {
    /// Its id, once it has one.
    pub framework_id: Option<v1::FrameworkId>,
    /// How many processes it has had.
    pub sessions: u32,
    /// True once it shall launch nothing more and give back what it holds.
    pub quiet: bool,
    /// By how many bytes task ids are longer than they need to be, and labels many times as long.
    pub padding: usize,
    wanted: VecDeque<Script>,
    /// How many tasks there were.
    made: usize,
    tasks: BTreeMap<String, Known>,
}

impl Store {
    /// Wants more tasks.
    pub fn want(&mut self, count: usize, script: Script) {
        self.wanted.extend(std::iter::repeat_n(script, count));
    }

    /// Goes quiet.
    pub fn be_quiet(&mut self) {
        self.quiet = true;
        self.wanted.clear();
    }

    /// Whether it wants any more tasks.
    pub(crate) fn wants_more(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// The next wanted task, to be launched on `agent`.
    pub(crate) fn next_wanted(
        &mut self,
        session: Session,
        agent: &v1::AgentId,
    ) -> Option<v1::TaskInfo> {
        let script = self.wanted.pop_front()?;
        Some(self.new_task(session, agent, script))
    }

    /// A task with an id of its own.
    pub(crate) fn new_task(
        &mut self,
        session: Session,
        agent: &v1::AgentId,
        script: Script,
    ) -> v1::TaskInfo {
        let id = format!("task-{}-{}{}", session.framework, self.made, "-".repeat(self.padding));
        self.made += 1;
        self.tasks.insert(id.clone(), Known { session, agent: agent.clone(), state: None });
        task_info(&id, agent, script, self.padding)
    }

    /// Takes a status.
    pub(crate) fn updated(&mut self, status: &v1::TaskStatus) {
        if let Some(known) = self.tasks.get_mut(&status.task_id.value) {
            known.state = Some(status.state());
        }
    }

    /// The last state told of a task.
    pub fn state_of(&self, id: &str) -> Option<TaskState> {
        self.tasks.get(id)?.state
    }

    /// Where a task was launched.
    pub(crate) fn agent_of(&self, id: &str) -> Option<v1::AgentId> {
        Some(self.tasks.get(id)?.agent.clone())
    }

    /// A task that has ended.
    pub(crate) fn ended_task(&self) -> Option<(String, v1::AgentId)> {
        let ended = self.tasks.iter().find(|(_, known)| known.state.is_some_and(is_terminal));
        ended.map(|(id, known)| (id.clone(), known.agent.clone()))
    }

    /// Forgets everything but what is wanted: the framework was removed, and its tasks with it.
    pub(crate) fn removed(&mut self) {
        self.framework_id = None;
        self.tasks.clear();
    }

    /// The tasks that have not ended as far as is known, and that another process has launched.
    pub(crate) fn live_of_others(&self, session: Session) -> Vec<String> {
        let is_foreign = |id: &String| self.tasks.get(id).is_some_and(|it| it.session != session);
        self.live().into_iter().filter(is_foreign).collect()
    }

    /// The tasks that have not ended as far as is known.
    pub fn live(&self) -> Vec<String> {
        let live = self.tasks.iter().filter(|(_, known)| !known.state.is_some_and(is_terminal));
        live.map(|(id, _)| id.clone()).collect()
    }

    /// How many tasks have ended, in whatever way.
    pub fn ended_count(&self) -> usize {
        self.tasks.values().filter(|known| known.state.is_some_and(is_terminal)).count()
    }

    /// How many tasks have finished.
    pub fn finished(&self) -> usize {
        let finished = |known: &&Known| known.state == Some(TaskState::TaskFinished);
        self.tasks.values().filter(finished).count()
    }
}
