//! How an agent leaves for good, or is given up for the time being. The registry is written first.

use std::sync::Arc;

use orrery_allocator::AgentKey;
use orrery_api::v1::task_status::Reason;
use orrery_api::v1::{self, TaskState, scheduler};
use orrery_coverage::{reachable, sometimes};
use orrery_model::task_state;
use orrery_runtime::WallTime;

use crate::pending::Pending;
use crate::state::{UnreachableAgent, remember};
use crate::{LinkId, Master, Output, PlantedBug, RegistryOperation, TaskKey};

/// Why an agent is removed, in a few words.
pub(crate) type Removal = &'static str;

impl Master {
    pub(crate) fn unregister(&mut self, link: LinkId) {
        self.metrics.count("messages_unregister_slave");
        if let Some(key) = self.agent_on(link) {
            reachable!("an agent takes its leave");
            self.metrics.count("slave_removals/reason_unregistered");
            self.start_removal(key, "the agent unregistered");
        }
    }

    pub(crate) fn start_removal(&mut self, key: AgentKey, why: Removal) {
        let Some(agent_id) = self.start_leaving(key, why) else { return };
        self.store(RegistryOperation::Remove { agent_id }, Pending::Remove(key, why));
    }

    pub(crate) fn start_unreachable(&mut self, key: AgentKey, why: Removal) {
        let Some(agent_id) = self.start_leaving(key, why) else { return };
        let since = self.now.wall;
        let operation = RegistryOperation::MarkUnreachable { agent_id, since };
        self.store(operation, Pending::Unreachable(key, since));
    }

    pub(crate) fn start_leaving(&mut self, key: AgentKey, why: Removal) -> Option<String> {
        let agent = self.agents.get_mut(&key)?;
        if agent.leaving {
            reachable!("an agent is given up that is being given up already");
            return None;
        }
        agent.leaving = true;
        let id = agent.id().to_owned();
        tracing::info!(agent_id = %id, why, "giving up agent");
        self.allocator.deactivate_agent(key);
        self.rescind_agent_offers(key);
        Some(id)
    }

    pub(crate) fn removed(&mut self, key: AgentKey, why: Removal) {
        self.metrics.count("slave_removals");
        for (framework, task_id) in self.tasks_of(key) {
            if PlantedBug::ReplacedAgentForgetsTasks.is_planted() {
                self.update_task_silently_lost(framework, &task_id);
                continue;
            }
            self.end_task(framework, &task_id, why);
        }
        self.forget_agent(key);
    }

    pub(crate) fn count_unreachable(&mut self) {
        self.metrics.count("slave_unreachable_completed");
        self.metrics.count("slave_removals");
        self.metrics.count("slave_removals/reason_unhealthy");
    }

    pub(crate) fn became_unreachable(&mut self, key: AgentKey, since: WallTime) {
        self.count_unreachable();
        for (framework, task_id) in self.tasks_of(key) {
            self.end_or_suspend_task(framework, &task_id, since);
        }
        if let Some(agent) = self.agents.get(&key) {
            self.unreachable.insert(agent.id().to_owned(), UnreachableAgent { since });
        }
        self.forget_agent(key);
    }

    pub(crate) fn tasks_of(&self, key: AgentKey) -> Vec<TaskKey> {
        self.agents.get(&key).map(|agent| agent.tasks.iter().cloned().collect()).unwrap_or_default()
    }

    /// The task's agent is gone for good. A task that had ended keeps its state, which its
    /// framework may not have heard of yet.
    fn end_task(&mut self, key: orrery_allocator::FrameworkKey, task_id: &str, why: Removal) {
        let Some(task) = self.frameworks.get(&key).and_then(|one| one.tasks.get(task_id)) else {
            return;
        };
        let known = task.state();
        sometimes!(
            task_state::is_terminal(known),
            "an agent leaves before a task's end is acknowledged"
        );
        sometimes!(!task_state::is_terminal(known), "an agent leaves for good with a task");
        let state = if task_state::is_terminal(known) { known } else { TaskState::TaskLost };
        let status = v1::TaskStatus {
            message: Some(format!("Agent removed: {why}")),
            agent_id: Some(v1::AgentId { value: task.agent_id().to_owned() }),
            executor_id: task.executor_id(),
            ..self.master_status(task_id, state, Reason::AgentRemoved)
        };
        self.update_task(key, task_id, &status, state);
        self.complete_task(key, task_id);
        self.tell_status(key, status);
    }

    /// The task's agent does not answer. A task whose end was told is over; the agent repeats its
    /// last update if it ever returns. One whose end is known here but was not told yet counts as
    /// unreachable: the updates before its end are with the agent, and it may never return.
    fn end_or_suspend_task(
        &mut self,
        key: orrery_allocator::FrameworkKey,
        task_id: &str,
        since: WallTime,
    ) {
        let Some(task) = self.frameworks.get(&key).and_then(|one| one.tasks.get(task_id)) else {
            return;
        };
        let untold = PlantedBug::UnreachableEndIsNeverTold.is_planted();
        let known = if untold { task.state() } else { task.told_state() };
        if task_state::is_terminal(known) {
            reachable!("an agent becomes unreachable before a told end is acknowledged");
            self.complete_task(key, task_id);
            return;
        }
        sometimes!(
            task_state::is_terminal(task.state()),
            "an agent becomes unreachable before a task's end was told"
        );
        reachable!("a task becomes unreachable");
        let mut status = v1::TaskStatus {
            message: Some("Agent is unreachable".to_owned()),
            agent_id: Some(v1::AgentId { value: task.agent_id().to_owned() }),
            executor_id: task.executor_id(),
            unreachable_time: Some(v1::TimeInfo { nanoseconds: since.as_nanoseconds() }),
            ..self.master_status(task_id, TaskState::TaskUnreachable, Reason::AgentRemoved)
        };
        self.update_task(key, task_id, &status, TaskState::TaskUnreachable);
        let limit = self.options.max_unreachable_tasks_per_framework;
        if let Some(framework) = self.frameworks.get_mut(&key)
            && let Some(mut task) = framework.tasks.remove(task_id)
        {
            task.set_state(TaskState::TaskUnreachable);
            remember(&mut framework.unreachable_tasks, limit, *task);
        }
        status.state = self.state_for(key, TaskState::TaskUnreachable) as i32;
        self.tell_status(key, status);
    }

    fn update_task_silently_lost(&mut self, key: orrery_allocator::FrameworkKey, task_id: &str) {
        let status = self.master_status(task_id, TaskState::TaskLost, Reason::AgentRemoved);
        self.update_task(key, task_id, &status, TaskState::TaskLost);
        self.complete_task(key, task_id);
    }

    /// Takes an agent out of the books and tells every framework.
    pub(crate) fn forget_agent(&mut self, key: AgentKey) {
        let Some(agent) = self.agents.get(&key) else { return };
        let executors: Vec<_> = agent.executors.keys().cloned().collect();
        for (framework, executor_id) in executors {
            self.remove_executor(framework, key, &executor_id);
        }
        self.allocator.remove_agent(key);
        let Some(agent) = self.agents.remove(&key) else { return };
        self.agent_keys.remove(agent.id());
        self.addresses.remove(&(Arc::clone(&agent.pid), key));
        if let Some(link) = agent.link {
            self.links.remove(&link);
            self.emit(Output::CloseLink { link });
        }
        self.tell_agent_lost(agent.id());
    }

    /// Tells every framework that an agent is not there any more.
    pub(crate) fn tell_agent_lost(&mut self, agent_id: &str) {
        let failure = scheduler::event::Failure {
            agent_id: Some(v1::AgentId { value: agent_id.to_owned() }),
            ..Default::default()
        };
        let event = scheduler::Event {
            r#type: Some(scheduler::event::Type::Failure as i32),
            failure: Some(failure),
            ..Default::default()
        };
        for framework in self.frameworks.keys().copied().collect::<Vec<_>>() {
            self.tell(framework, event.clone());
        }
    }
}
