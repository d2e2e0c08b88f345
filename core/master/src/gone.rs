//! Agents that may never come back, and whose tasks have ended: an operator has declared them gone,
//! or a new agent has taken their address.

use std::collections::VecDeque;

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_api::link::{self, from_master};
use orrery_api::v1::task_status::Reason;
use orrery_api::v1::{self, TaskState};
use orrery_coverage::{reachable, sometimes};
use orrery_model::task_state;
use orrery_runtime::WallTime;

use crate::pending::Pending;
use crate::removal::Removal;
use crate::state::remember;
use crate::{Answer, Master, Output, PlantedBug, Refusal, RegistryOperation, RequestId, Task};

/// What its agent and its frameworks are told.
const MESSAGE: &str = "Agent has been marked gone";

/// Why an agent is removed whose address another one has taken.
const REPLACED: Removal = "a new agent registered at the same address";

/// An agent on its way to being gone.
#[derive(Debug)]
pub(crate) struct Departure {
    agent_id: String,
    /// Its record, if it is registered.
    key: Option<AgentKey>,
    since: WallTime,
    request: RequestId,
}

impl Departure {
    /// Whose departure it is.
    pub(crate) fn agent_id(&self) -> &str {
        &self.agent_id
    }
}

impl Master {
    /// An operator says that an agent is gone. The answer is given once that is durable.
    pub(crate) fn mark_gone(&mut self, request: RequestId, agent_id: String) {
        match self.start_gone(request, agent_id) {
            Ok(true) => {}
            Ok(false) => self.emit(Output::Reply { request, answer: Answer::Done }),
            Err(refusal) => {
                self.emit(Output::Reply { request, answer: Answer::Refused(refusal) });
            }
        }
    }

    /// Whether the agent is being marked now; it may be gone already.
    fn start_gone(&mut self, request: RequestId, agent_id: String) -> Result<bool, Refusal> {
        if self.gone.contains_key(&agent_id) {
            reachable!("an agent is marked gone twice");
            return Ok(false);
        }
        let key = self.agent_by_id(&agent_id);
        let leaving = key.and_then(|key| self.agents.get(&key)).is_some_and(|one| one.leaving);
        let away = self.is_leaving_while_away(&agent_id);
        if leaving || away || self.is_registering(&agent_id) {
            let text = format!("Agent '{agent_id}' is changing its state at the moment: try again");
            return Err(Refusal { status: 503, text });
        }
        let known = self.recovered.contains_key(&agent_id)
            || self.unreachable.contains_key(&agent_id)
            || key.is_some();
        if !known {
            let text = format!("No agent found with specified ID '{agent_id}'");
            return Err(Refusal { status: 404, text });
        }
        sometimes!(key.is_none(), "an agent that is away is marked gone");
        if let Some(key) = key {
            self.start_leaving(key, "an operator marked it gone");
        }
        let since = self.now.wall;
        let operation = RegistryOperation::MarkGone { agent_id: agent_id.clone(), since };
        let departure = Departure { agent_id, key, since, request };
        self.store(operation, Pending::Gone(Box::new(departure)));
        Ok(true)
    }

    pub(crate) fn became_gone(&mut self, departure: Departure) {
        let Departure { agent_id, key, since, request } = departure;
        tracing::info!(%agent_id, "agent marked gone");
        self.recovered.remove(&agent_id);
        self.gone.insert(agent_id.clone(), since);
        if let Some(key) = key {
            self.metrics.count("slave_removals");
            let shutdown = link::Shutdown { message: MESSAGE.to_owned(), keeps_identity: false };
            self.tell_agent(key, from_master::Body::Shutdown(shutdown));
            for (framework, task_id) in self.tasks_of(key) {
                self.end_gone_task(framework, &task_id);
            }
            self.forget_agent(key);
        }
        if self.unreachable.remove(&agent_id).is_some() {
            for framework in self.frameworks.keys().copied().collect::<Vec<_>>() {
                self.end_unreachable_tasks(framework, &agent_id);
            }
        }
        self.emit(Output::Reply { request, answer: Answer::Done });
    }

    /// A new agent registers at the address of this one, whose host has thus lost what it knew. The
    /// registry remembers that for good: a host that only had another address meanwhile comes back
    /// with tasks whose frameworks have heard that they are lost.
    pub(crate) fn start_replacement(&mut self, key: AgentKey) {
        if PlantedBug::ReplacedAgentMayReturn.is_planted() {
            return self.start_removal(key, REPLACED);
        }
        let Some(agent_id) = self.start_leaving(key, REPLACED) else { return };
        let since = self.now.wall;
        self.store(RegistryOperation::MarkGone { agent_id, since }, Pending::Replace(key, since));
    }

    pub(crate) fn became_replaced(&mut self, key: AgentKey, since: WallTime) {
        let Some(agent) = self.agents.get(&key) else { return };
        self.gone.insert(agent.id().to_owned(), since);
        let shutdown = link::Shutdown { message: REPLACED.to_owned(), keeps_identity: false };
        self.tell_agent(key, from_master::Body::Shutdown(shutdown));
        self.removed(key, REPLACED);
    }

    fn gone_status(&self, task: &Task, state: TaskState) -> v1::TaskStatus {
        // A framework that knows no partitions does not know the other reason either.
        let reason = match state {
            TaskState::TaskLost => Reason::AgentRemoved,
            _ => Reason::AgentRemovedByOperator,
        };
        v1::TaskStatus {
            message: Some(MESSAGE.to_owned()),
            agent_id: Some(v1::AgentId { value: task.agent_id().to_owned() }),
            executor_id: task.executor_id(),
            ..self.master_status(task.id(), state, reason)
        }
    }

    /// A task that had ended keeps its state, which its framework may not have heard of yet.
    fn end_gone_task(&mut self, key: FrameworkKey, task_id: &str) {
        let gone = self.state_for(key, TaskState::TaskGoneByOperator);
        let Some(task) = self.frameworks.get(&key).and_then(|one| one.tasks.get(task_id)) else {
            return;
        };
        let known = task.state();
        let state = if task_state::is_terminal(known) { known } else { gone };
        let status = self.gone_status(task, state);
        self.update_task(key, task_id, &status, state);
        self.complete_task(key, task_id);
        self.tell_status(key, status);
    }

    /// Tasks on an agent that was unreachable were only suspended; now they end (MESOS-9545). One
    /// whose framework was told TASK_LOST is over for it already.
    fn end_unreachable_tasks(&mut self, key: FrameworkKey, agent_id: &str) {
        let aware = self.frameworks.get(&key).is_some_and(crate::Framework::is_partition_aware);
        let limit = self.options.max_completed_tasks_per_framework;
        let Some(framework) = self.frameworks.get_mut(&key) else { return };
        let all = std::mem::take(&mut framework.unreachable_tasks);
        let (ended, kept): (VecDeque<_>, VecDeque<_>) =
            all.into_iter().partition(|task| task.agent_id() == agent_id);
        framework.unreachable_tasks = kept;
        for mut task in ended {
            let state = if aware { TaskState::TaskGoneByOperator } else { TaskState::TaskLost };
            let status = self.gone_status(&task, state);
            task.set_state(state);
            task.add_status(&status);
            if let Some(framework) = self.frameworks.get_mut(&key) {
                remember(&mut framework.completed_tasks, limit, task);
            }
            if aware {
                reachable!("a task of an unreachable agent ends because the agent is gone");
                self.tell_status(key, status);
            }
        }
    }
}
