//! Status updates on their way from agents to frameworks, and acknowledgements on their way back.

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_api::link::{self, from_master};
use orrery_api::v1::{self, TaskState, scheduler};
use orrery_coverage::{reachable, sometimes};
use orrery_model::task_state;

use crate::{LinkId, Master, PlantedBug};

impl Master {
    /// The agent of a link, as long as nothing is being done about it that must not be disturbed.
    pub(crate) fn agent_on(&self, link: LinkId) -> Option<AgentKey> {
        let key = *self.links.get(&link)?;
        self.agents.get(&key).filter(|agent| !agent.leaving).map(|_| key)
    }

    pub(crate) fn status_update(&mut self, link: LinkId, update: link::StatusUpdate) {
        self.metrics.count("messages_status_update");
        let Some(agent) = self.agent_on(link) else {
            return reachable!("an update comes from an agent that is being given up");
        };
        let (Some(framework_id), Some(mut status)) = (update.framework_id, update.status) else {
            self.metrics.count("invalid_status_updates");
            return;
        };
        let Some(framework) = self.framework_by_id(&framework_id.value) else {
            // Its framework is gone: the agent is told to end what is left of it, and what it still
            // has to say about it interests nobody.
            self.metrics.count("invalid_status_updates");
            self.shutdown_unknown_framework(agent, framework_id);
            return;
        };
        let Ok(state) = TaskState::try_from(status.state) else {
            self.metrics.count("invalid_status_updates");
            return;
        };
        let latest = TaskState::try_from(update.latest_state).unwrap_or(state);
        status.agent_id = self.agents.get(&agent).map(|agent| agent.agent_id());
        let task_id = status.task_id.value.clone();
        let ours = self
            .frameworks
            .get(&framework)
            .and_then(|framework| framework.tasks.get(task_id.as_str()))
            .is_some_and(|task| task.agent == agent);
        if !ours && self.is_duplicate(agent, framework, &task_id) {
            self.metrics.count("invalid_status_updates");
            return self.duplicate_update(agent, framework, status, latest);
        }
        if ours {
            self.update_task(framework, &task_id, &status, latest);
            self.metrics.count("valid_status_updates");
        } else {
            reachable!("an update is passed on although its task is over");
            // The framework may still owe an acknowledgement to an update that was repeated, so it
            // is passed on; the record of a task that is over stays as it is.
            self.metrics.count("invalid_status_updates");
        }
        self.tell_status(framework, status);
    }

    fn shutdown_unknown_framework(&mut self, agent: AgentKey, framework_id: v1::FrameworkId) {
        tracing::info!(framework_id = %framework_id.value, "status update of an unknown framework");
        if self.is_completed(&framework_id.value) {
            reachable!("an update comes of a framework that is over");
            let shutdown = link::ShutdownFramework { framework_id: Some(framework_id) };
            self.tell_agent(agent, from_master::Body::ShutdownFramework(shutdown));
        }
    }

    /// ACKNOWLEDGE: passed on to the agent; the end of a task is complete once it was acknowledged.
    pub(crate) fn acknowledge(
        &mut self,
        key: FrameworkKey,
        acknowledge: scheduler::call::Acknowledge,
    ) {
        self.metrics.count("messages_status_update_acknowledgement");
        let agent_key = self.agent_by_id(&acknowledge.agent_id.value);
        let Some(agent_key) = agent_key.filter(|key| self.agents[key].is_active()) else {
            reachable!("an acknowledgement is dropped because its agent is away");
            // The agent repeats the update once it is back, and is acknowledged then.
            self.metrics.count("invalid_status_update_acknowledgements");
            return;
        };
        let task_id = acknowledge.task_id.value.clone();
        let ended = self
            .frameworks
            .get(&key)
            .and_then(|framework| framework.tasks.get(task_id.as_str()))
            .filter(|task| task.agent == agent_key)
            .is_some_and(|task| {
                task.update_uuid() == Some(acknowledge.uuid.as_ref())
                    && task_state::is_terminal(task.told_state())
            });
        let framework_id = self.frameworks.get(&key).and_then(|one| one.info.id.clone());
        sometimes!(!ended && self.is_older(key, &acknowledge), "an old update is acknowledged");
        self.metrics.count("valid_status_update_acknowledgements");
        if ended && PlantedBug::LastAcknowledgementIsKept.is_planted() {
            return self.complete_task(key, &task_id);
        }
        self.tell_agent(
            agent_key,
            from_master::Body::Acknowledgement(link::Acknowledgement {
                framework_id,
                task_id: Some(acknowledge.task_id),
                uuid: acknowledge.uuid,
            }),
        );
        if ended {
            self.complete_task(key, &task_id);
        }
    }

    /// Whether a later update than the acknowledged one is under way.
    fn is_older(&self, key: FrameworkKey, acknowledge: &scheduler::call::Acknowledge) -> bool {
        let tasks = self.frameworks.get(&key).map(|framework| &framework.tasks);
        let task = tasks.and_then(|tasks| tasks.get(acknowledge.task_id.value.as_str()));
        task.and_then(|task| task.update_uuid()).is_some_and(|uuid| *uuid != acknowledge.uuid)
    }

    pub(crate) fn executor_exited(&mut self, link: LinkId, exited: link::ExecutorExited) {
        self.metrics.count("messages_exited_executor");
        let Some(agent) = self.agent_on(link) else { return };
        let (Some(framework_id), Some(executor_id)) = (exited.framework_id, exited.executor_id)
        else {
            return;
        };
        let Some(framework) = self.framework_by_id(&framework_id.value) else {
            return reachable!("an executor of a framework that is over exits");
        };
        let executor = (framework, executor_id.value.clone());
        if !self.agents.get(&agent).is_some_and(|one| one.executors.contains_key(&executor)) {
            return reachable!("an executor exits that is not on record");
        }
        self.remove_executor(framework, agent, &executor_id.value);
        let agent_id = self.agents.get(&agent).map(|agent| agent.agent_id());
        self.tell(
            framework,
            scheduler::Event {
                r#type: Some(scheduler::event::Type::Failure as i32),
                failure: Some(scheduler::event::Failure {
                    agent_id,
                    executor_id: Some(executor_id),
                    status: Some(exited.status),
                }),
                ..Default::default()
            },
        );
    }

    pub(crate) fn executor_message(&mut self, link: LinkId, message: link::ExecutorMessage) {
        self.metrics.count("messages_executor_to_framework");
        let agent_id = self
            .agent_on(link)
            .and_then(|agent| self.agents.get(&agent))
            .map(|agent| agent.agent_id());
        let (Some(agent_id), Some(framework_id), Some(executor_id)) =
            (agent_id, message.framework_id, message.executor_id)
        else {
            reachable!("an executor's message comes from an agent that is being given up");
            self.metrics.count("invalid_executor_to_framework_messages");
            return;
        };
        let Some(framework) = self.framework_by_id(&framework_id.value) else {
            self.metrics.count("invalid_executor_to_framework_messages");
            return;
        };
        self.metrics.count("valid_executor_to_framework_messages");
        self.tell(
            framework,
            scheduler::Event {
                r#type: Some(scheduler::event::Type::Message as i32),
                message: Some(scheduler::event::Message {
                    agent_id,
                    executor_id,
                    data: message.data,
                }),
                ..Default::default()
            },
        );
    }

    /// Sends a message to an agent; drops it when the agent is disconnected.
    pub(crate) fn tell_agent(&mut self, key: AgentKey, body: from_master::Body) {
        if let Some(link) = self.agents.get(&key).and_then(|agent| agent.link) {
            self.emit(crate::Output::ToAgent { link, body: Box::new(body) });
        } else {
            reachable!("a message is dropped because its agent is away");
        }
    }
}
