//! Records of tasks, kept small: a master has millions of them.
//!
//! What the tasks of one application have in common (resources, container, labels and the like) is
//! a [`Shape`], which all of them share, and so are the ids of agents. What is left is a task's
//! own: its id, its state, and as encoded protobuf its name and its statuses. [`Task::message`]
//! puts the whole message together again, for whoever wants to see it.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use orrery_allocator::AgentKey;
use orrery_api::v1::{self, TaskState};
use orrery_model::Resources;
use orrery_model::resources::ResourceError;
use prost::Message;

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    id: Arc<str>,
    agent_id: Arc<str>,
    shape: Arc<Shape>,
    /// Where it runs.
    pub agent: AgentKey,
    state: i32,
    /// `status_update_state` of the message.
    told: Option<i32>,
    /// `status_update_uuid` of the message.
    uuid: Option<Box<[u8]>>,
    /// [`Own`], encoded.
    own: Box<[u8]>,
    /// Where in `own` the last status stands; its end when there is none.
    last_status: u32,
    /// The state that the last status tells.
    last_state: i32,
}

/// What tasks have for themselves. A status leaves out what its task says as well: an id that is
/// there and empty is that of the task.
#[derive(Clone, PartialEq, Message)]
struct Own {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    executor_id: Option<v1::ExecutorId>,
    #[prost(message, repeated, tag = "3")]
    statuses: Vec<v1::TaskStatus>,
}

/// The number of [`Own::statuses`].
const STATUSES: u32 = 3;

impl Task {
    /// Its id, which is its framework's choice.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// The id of the agent that it was launched on.
    pub fn agent_id(&self) -> &str {
        &self.agent_id
    }

    /// Its executor's id; `None` for a plain command.
    pub fn executor_id(&self) -> Option<v1::ExecutorId> {
        self.own().executor_id
    }

    /// What it holds while it is not terminal, with its allocation role.
    pub fn resources(&self) -> &Resources {
        &self.shape.resources
    }

    /// Its latest state.
    pub fn state(&self) -> TaskState {
        TaskState::try_from(self.state).unwrap_or(TaskState::TaskStaging)
    }

    /// What its framework is being told, or was told last. It can be behind [`Task::state`], and
    /// what an agent has never reported yet was never told.
    pub fn told_state(&self) -> TaskState {
        let told = self.told.and_then(|state| TaskState::try_from(state).ok());
        told.unwrap_or(TaskState::TaskStaging)
    }

    /// Whether it holds its resources still.
    pub fn holds_resources(&self) -> bool {
        crate::state::holds_resources(self.state())
    }

    /// The uuid of the update that its framework is being told, or was told last.
    pub fn update_uuid(&self) -> Option<&[u8]> {
        self.uuid.as_deref()
    }

    /// Its statuses, one for each state in a row.
    pub fn statuses(&self) -> Vec<v1::TaskStatus> {
        let mut own = self.own();
        self.restore(&mut own);
        own.statuses
    }

    /// The record that the API shows. Its `state` is the latest state known; `status_update_state`
    /// and `status_update_uuid` are those of the update under way.
    pub fn message(&self) -> v1::Task {
        let mut own = self.own();
        self.restore(&mut own);
        v1::Task {
            name: own.name,
            task_id: v1::TaskId { value: self.id.as_ref().to_owned() },
            agent_id: v1::AgentId { value: self.agent_id.as_ref().to_owned() },
            executor_id: own.executor_id,
            state: self.state,
            statuses: own.statuses,
            status_update_state: self.told,
            status_update_uuid: self.uuid.as_deref().map(Bytes::copy_from_slice),
            ..self.shape.message()
        }
    }

    pub(crate) fn set_state(&mut self, state: TaskState) {
        self.state = state as i32;
    }

    /// Another update is under way to its framework.
    pub(crate) fn set_told(&mut self, state: i32, uuid: Option<&Bytes>) {
        self.told = Some(state);
        self.uuid = uuid.map(|uuid| Box::from(uuid.as_ref()));
    }

    /// Keeps a status, without the task's own data. One of the same state as the last one takes
    /// its place.
    pub(crate) fn add_status(&mut self, status: &v1::TaskStatus) {
        let empty = usize::try_from(self.last_status).is_ok_and(|last| last == self.own.len());
        let keep = match !empty && self.last_state == status.state {
            true => usize::try_from(self.last_status).unwrap_or(usize::MAX),
            false => self.own.len(),
        };
        let mut own = self.own.get(..keep).unwrap_or_default().to_vec();
        let executor_id = self.executor_id();
        self.append(&mut own, status.clone(), executor_id.as_ref());
        self.own = own.into_boxed_slice();
    }

    /// Encodes a status at the end of `own`.
    fn append(
        &mut self,
        own: &mut Vec<u8>,
        mut status: v1::TaskStatus,
        executor_id: Option<&v1::ExecutorId>,
    ) {
        status.data = None;
        status.task_id.value.clear();
        if let Some(agent_id) = &mut status.agent_id
            && *agent_id.value == *self.agent_id
        {
            agent_id.value.clear();
        }
        if let Some(own_id) = &mut status.executor_id
            && Some(&*own_id) == executor_id
        {
            own_id.value.clear();
        }
        self.last_status = u32::try_from(own.len()).unwrap_or(u32::MAX);
        self.last_state = status.state;
        prost::encoding::message::encode(STATUSES, &status, own);
    }

    fn own(&self) -> Own {
        // It was encoded here.
        Own::decode(self.own.as_ref()).unwrap_or_default()
    }

    /// Puts in what statuses leave out.
    fn restore(&self, own: &mut Own) {
        for status in &mut own.statuses {
            status.task_id.value.push_str(&self.id);
            if let Some(agent_id) = status.agent_id.as_mut().filter(|id| id.value.is_empty()) {
                agent_id.value.push_str(&self.agent_id);
            }
            if let Some(id) = status.executor_id.as_mut().filter(|id| id.value.is_empty())
                && let Some(executor_id) = &own.executor_id
            {
                id.clone_from(executor_id);
            }
        }
    }
}

/// What many tasks have in common.
#[derive(Debug)]
struct Shape {
    /// The message of a task without everything that is in [`Task`] and [`Own`].
    encoded: Box<[u8]>,
    resources: Resources,
}

impl Shape {
    fn message(&self) -> v1::Task {
        // It was encoded here.
        v1::Task::decode(self.encoded.as_ref()).unwrap_or_default()
    }
}

/// A shape in a set, where it is found by its message.
#[derive(Clone, Debug)]
struct Known(Arc<Shape>);

impl Borrow<[u8]> for Known {
    fn borrow(&self) -> &[u8] {
        &self.0.encoded
    }
}

impl PartialEq for Known {
    fn eq(&self, other: &Self) -> bool {
        self.0.encoded == other.0.encoded
    }
}

impl Eq for Known {}

impl PartialOrd for Known {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Known {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.encoded.cmp(&other.0.encoded)
    }
}

/// How many entries a set may have at least before those are dropped that nobody uses.
const LEAST_ENTRIES: usize = 64;

/// Makes records, and keeps what they share.
#[derive(Debug)]
pub(crate) struct Records {
    shapes: BTreeSet<Known>,
    /// Ids and versions of agents.
    texts: BTreeSet<Arc<str>>,
    /// How many entries both sets may have before they are looked through.
    limit: usize,
}

impl Default for Records {
    fn default() -> Self {
        Self { shapes: BTreeSet::new(), texts: BTreeSet::new(), limit: LEAST_ENTRIES }
    }
}

impl Records {
    /// The record of a task of which `message` tells all that there is.
    ///
    /// # Errors
    /// Its resources are none.
    pub(crate) fn record(
        &mut self,
        mut message: v1::Task,
        agent: AgentKey,
    ) -> Result<Task, ResourceError> {
        let name = std::mem::take(&mut message.name);
        let id = Arc::from(std::mem::take(&mut message.task_id.value));
        let agent_id = self.text(std::mem::take(&mut message.agent_id.value));
        let executor_id = message.executor_id.take();
        let state = std::mem::take(&mut message.state);
        let told = message.status_update_state.take();
        let uuid = message.status_update_uuid.take();
        let statuses = std::mem::take(&mut message.statuses);
        let shape = self.shape(&message)?;
        let own = Own { name, executor_id, statuses: Vec::new() };
        let mut encoded = own.encode_to_vec();
        let mut task = Task {
            id,
            agent_id,
            shape,
            agent,
            state,
            told,
            uuid: uuid.map(|uuid| Box::from(uuid.as_ref())),
            own: Box::default(),
            last_status: u32::try_from(encoded.len()).unwrap_or(u32::MAX),
            last_state: 0,
        };
        for status in statuses {
            task.append(&mut encoded, status, own.executor_id.as_ref());
        }
        task.own = encoded.into_boxed_slice();
        Ok(task)
    }

    fn shape(&mut self, message: &v1::Task) -> Result<Arc<Shape>, ResourceError> {
        let encoded = message.encode_to_vec();
        if let Some(Known(shape)) = self.shapes.get(encoded.as_slice()) {
            return Ok(Arc::clone(shape));
        }
        let resources = Resources::from_messages(&message.resources)?;
        let shape = Arc::new(Shape { encoded: encoded.into_boxed_slice(), resources });
        self.make_room();
        self.shapes.insert(Known(Arc::clone(&shape)));
        Ok(shape)
    }

    /// A text that many records have, such as the id of an agent.
    pub(crate) fn text(&mut self, text: String) -> Arc<str> {
        if let Some(text) = self.texts.get(text.as_str()) {
            return Arc::clone(text);
        }
        let text = Arc::<str>::from(text);
        self.make_room();
        self.texts.insert(Arc::clone(&text));
        text
    }

    /// Drops what nobody uses any more each time that there is twice as much as was left last time.
    fn make_room(&mut self) {
        if self.shapes.len() + self.texts.len() < self.limit {
            return;
        }
        self.shapes.retain(|Known(shape)| Arc::strong_count(shape) > 1);
        self.texts.retain(|id| Arc::strong_count(id) > 1);
        self.limit = (2 * (self.shapes.len() + self.texts.len())).max(LEAST_ENTRIES);
    }
}

#[cfg(test)]
#[path = "record_test.rs"]
mod tests;
