//! Tasks that agents run under ids that mean other tasks by now.
//!
//! A master that was restarted has forgotten which tasks are unreachable, and one that knows of too
//! many forgets the oldest. A framework may then launch a task under the id of one that an absent
//! agent still runs, and when that agent returns there are two of them. The id means the newer one,
//! for its framework cannot mean the one that it has given up. The older one holds what it holds
//! until it has ended; it is killed, and its framework hears nothing of it, or it would take the
//! end of the one for the end of the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_api::link::{self, from_master};
use orrery_api::v1::{self, TaskState};
use orrery_coverage::{reachable, sometimes};
use orrery_model::Resources;
use orrery_model::task_state::is_terminal;

use crate::state::{Agent, holds_resources};
use crate::{Master, TaskKey};

impl Agent {
    /// Whether a task of this id was brought by this agent while it meant another one.
    pub(crate) fn has_duplicate(&self, framework: FrameworkKey, task_id: &str) -> bool {
        // There hardly ever is one, and this is asked with each update.
        !self.duplicates.is_empty()
            && self.duplicates.contains_key(&(framework, Arc::from(task_id)))
    }
}

impl Master {
    /// Whether an id means another task than the one that this agent has under it.
    pub(crate) fn is_duplicate(&self, key: AgentKey, owner: FrameworkKey, task_id: &str) -> bool {
        let (Some(agent), Some(framework)) = (self.agents.get(&key), self.frameworks.get(&owner))
        else {
            return false;
        };
        let elsewhere =
            |task: &crate::Task| **task.id() == *task_id && task.agent_id() != agent.id();
        agent.has_duplicate(owner, task_id)
            || framework.tasks.get(task_id).is_some_and(|task| task.agent != key)
            || framework.unreachable_tasks.iter().any(elsewhere)
    }

    /// Books what an agent brings under an id that means another task, and has it killed; returns
    /// what it holds, if that is news.
    pub(crate) fn adopt_duplicate(
        &mut self,
        key: AgentKey,
        owner: FrameworkKey,
        message: v1::Task,
    ) -> Option<Resources> {
        let state = TaskState::try_from(message.state).unwrap_or_default();
        if self.agents.get(&key)?.has_duplicate(owner, &message.task_id.value) {
            reachable!("an agent comes again with a task whose id another one has");
            self.update_duplicate(key, (owner, Arc::from(message.task_id.value)), state);
            return None;
        }
        let task = self.records.record(message, key).ok()?;
        let agent = self.agents.get_mut(&key)?;
        let (agent_id, task_id) = (agent.id(), task.id().as_ref());
        tracing::warn!(
            agent_id,
            framework = owner.0,
            task_id,
            ?state,
            "the agent comes with a task whose id means another one by now: it is to end"
        );
        self.metrics.count("duplicate_tasks");
        sometimes!(!is_terminal(state), "an agent brings a task whose id another one has");
        let task_key = (owner, Arc::clone(task.id()));
        if !is_terminal(state) {
            // Said once the agent has heard that it is registered, and each time that it is.
            agent.pending_kills.insert(task_key.clone(), None);
        }
        let held = holds_resources(state).then(|| task.resources().clone());
        agent.duplicates.insert(task_key, Box::new(task));
        held
    }

    /// An agent tells of a task whose id means another one. It is acknowledged in place of the
    /// framework, or the agent would tell it for ever.
    pub(crate) fn duplicate_update(
        &mut self,
        key: AgentKey,
        owner: FrameworkKey,
        status: v1::TaskStatus,
        latest: TaskState,
    ) {
        reachable!("an update of a task whose id another one has is kept from its framework");
        let task_key = (owner, Arc::from(status.task_id.value.as_str()));
        self.update_duplicate(key, task_key, latest);
        let framework_id = self.frameworks.get(&owner).and_then(|one| one.info.id.clone());
        let Some(uuid) = status.uuid else { return };
        self.tell_agent(
            key,
            from_master::Body::Acknowledgement(link::Acknowledgement {
                framework_id,
                task_id: Some(status.task_id),
                uuid,
            }),
        );
    }

    /// Takes over a newer state. What has ended stays on record, without resources, as long as the
    /// agent may repeat what it has said of it.
    fn update_duplicate(&mut self, key: AgentKey, task_key: TaskKey, latest: TaskState) {
        let Some(agent) = self.agents.get_mut(&key) else { return };
        let Some(task) = agent.duplicates.get_mut(&task_key) else { return };
        let held = task.holds_resources();
        if !is_terminal(task.state()) {
            task.set_state(latest);
        }
        let resources = (held && !task.holds_resources()).then(|| task.resources().clone());
        if is_terminal(latest) {
            agent.pending_kills.remove(&task_key);
        }
        if let Some(resources) = resources {
            self.allocator.recover(task_key.0, key, &resources, None, self.now.instant);
        }
    }

    /// Forgets those that the agent, which has come again, does not have any more.
    pub(crate) fn drop_missing_duplicates(&mut self, key: AgentKey, register: &link::Register) {
        let Some(agent) = self.agents.get(&key).filter(|agent| !agent.duplicates.is_empty()) else {
            return;
        };
        let reported: BTreeSet<(&str, &str)> = register
            .tasks
            .iter()
            .map(|task| (task.framework_id.value.as_str(), task.task_id.value.as_str()))
            .collect();
        let is_missing = |(owner, task_id): &&TaskKey| {
            let id = self.frameworks.get(owner).map_or("", |framework| framework.id());
            !reported.contains(&(id, task_id.as_ref()))
        };
        let missing: Vec<TaskKey> = agent.duplicates.keys().filter(is_missing).cloned().collect();
        for task_key in missing {
            self.drop_duplicate(key, &task_key);
        }
    }

    /// Forgets those of a framework that is over; says whether there were any.
    pub(crate) fn drop_duplicates_of(&mut self, owner: FrameworkKey, key: AgentKey) -> bool {
        let Some(agent) = self.agents.get(&key) else { return false };
        let keys = agent.duplicates.keys().filter(|(framework, _)| *framework == owner);
        let keys: Vec<TaskKey> = keys.cloned().collect();
        for task_key in &keys {
            self.drop_duplicate(key, task_key);
        }
        !keys.is_empty()
    }

    fn drop_duplicate(&mut self, key: AgentKey, task_key: &TaskKey) {
        let Some(agent) = self.agents.get_mut(&key) else { return };
        agent.pending_kills.remove(task_key);
        let Some(task) = agent.duplicates.remove(task_key) else { return };
        if task.holds_resources() {
            reachable!("a task whose id another one has is gone without a word");
            let resources = task.resources();
            self.allocator.recover(task_key.0, key, resources, None, self.now.instant);
        }
    }
}
