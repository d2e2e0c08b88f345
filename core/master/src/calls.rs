//! Scheduler calls other than SUBSCRIBE: who may make them, and the small ones.

use std::sync::Arc;

use orrery_allocator::FrameworkKey;
use orrery_api::link::{self, from_master};
use orrery_api::v1::TaskState;
use orrery_api::v1::scheduler::{Call, call};
use orrery_coverage::{reachable, sometimes};
use orrery_model::task_state::is_terminal;
use orrery_model::validate;

use crate::subscribe::subscribed_roles;
use crate::{Answer, Master, PlantedBug, Refusal, Task};

impl Master {
    pub(crate) fn scheduler_call(
        &mut self,
        stream_id: Option<&str>,
        call: Call,
    ) -> Result<Answer, Refusal> {
        let key = self.caller(stream_id, &call)?;
        let kind = call.r#type.and_then(|value| call::Type::try_from(value).ok());
        match kind.unwrap_or_default() {
            call::Type::Teardown => {
                self.metrics.count("messages_unregister_framework");
                self.remove_framework(key);
            }
            call::Type::Accept => self.accept(key, call.accept.unwrap_or_default()),
            call::Type::Decline => self.decline(key, call.decline.unwrap_or_default()),
            call::Type::Revive => self.revive(key, call.revive.unwrap_or_default()),
            call::Type::Suppress => self.suppress(key, call.suppress.unwrap_or_default()),
            call::Type::Kill => self.kill(key, call.kill.unwrap_or_default()),
            call::Type::Shutdown => self.shutdown(key, call.shutdown.unwrap_or_default()),
            call::Type::Acknowledge => self.acknowledge(key, call.acknowledge.unwrap_or_default()),
            call::Type::Reconcile => self.reconcile(key, call.reconcile.unwrap_or_default()),
            call::Type::Message => self.message(key, call.message.unwrap_or_default()),
            call::Type::Request => self.metrics.count("messages_resource_request"),
            call::Type::UpdateFramework => {
                return self.update_framework(key, call.update_framework.unwrap_or_default());
            }
            // No offer is ever made for maintenance and no operation is ever under way here, so
            // there is nothing that these could be about.
            call::Type::AcceptInverseOffers
            | call::Type::DeclineInverseOffers
            | call::Type::AcknowledgeOperationStatus
            | call::Type::ReconcileOperations => {}
            call::Type::Subscribe | call::Type::Unknown => {
                reachable!("a call of an unknown kind is refused");
                return Err(Refusal::not_implemented("Unknown call"));
            }
        }
        Ok(Answer::Accepted)
    }

    /// The framework that makes a call. It must be subscribed, and the call must come with the id
    /// of its present stream, so that a scheduler that was replaced cannot do harm.
    fn caller(&self, stream_id: Option<&str>, call: &Call) -> Result<FrameworkKey, Refusal> {
        let id = call.framework_id.as_ref().map_or("", |id| id.value.as_str());
        let Some(key) = self.framework_by_id(id) else {
            reachable!("a call names a framework that the master does not have");
            return Err(Refusal::bad_request("Framework cannot be found"));
        };
        let framework = &self.frameworks[&key];
        if framework.connection.is_none() {
            reachable!("a call comes from a framework that is not subscribed");
            return Err(Refusal::forbidden("Framework is not subscribed"));
        }
        match stream_id {
            None => {
                reachable!("a call comes without a stream id");
                Err(Refusal::bad_request(
                    "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
                ))
            }
            Some(given) if given != framework.stream_id => {
                reachable!("a call comes from a scheduler that another one has replaced");
                Err(Refusal::bad_request(format!(
                    "The stream ID '{given}' included in this request didn't match the stream ID \
                     currently associated with framework ID {id}"
                )))
            }
            Some(_) => Ok(key),
        }
    }

    fn revive(&mut self, key: FrameworkKey, revive: call::Revive) {
        self.metrics.count("messages_revive_offers");
        if self.are_own_roles(key, &revive.roles) {
            self.allocator.revive(key, &revive.roles);
        }
    }

    fn suppress(&mut self, key: FrameworkKey, suppress: call::Suppress) {
        self.metrics.count("messages_suppress_offers");
        if self.are_own_roles(key, &suppress.roles) {
            self.allocator.suppress(key, &suppress.roles);
        }
    }

    /// A call that names a role which the framework is not subscribed to is dropped as a whole.
    fn are_own_roles(&self, key: FrameworkKey, roles: &[String]) -> bool {
        let Some(framework) = self.frameworks.get(&key) else { return false };
        let own = subscribed_roles(&framework.info);
        let foreign = roles.iter().find(|role| !own.contains(role));
        if let Some(role) = foreign {
            reachable!("REVIVE or SUPPRESS names a foreign role");
            tracing::warn!(framework_id = framework.id(), %role, "foreign role in a call");
        }
        foreign.is_none()
    }

    fn kill(&mut self, key: FrameworkKey, kill: call::Kill) {
        self.metrics.count("messages_kill_task");
        let task_id = kill.task_id.value.clone();
        let Some(framework) = self.frameworks.get(&key) else { return };
        let Some(task) = framework.tasks.get(task_id.as_str()) else {
            let completed = |task: &Task| **task.id() == *task_id;
            sometimes!(
                framework.completed_tasks.iter().any(completed),
                "a kill arrives after the end of its task was acknowledged"
            );
            if PlantedBug::KillOfUnknownIsDropped.is_planted() {
                return;
            }
            // Answered as if its state had been asked for.
            self.reconcile_task(key, &task_id, kill.agent_id.as_ref());
            return;
        };
        let agent_key = task.agent;
        let state = task.state();
        sometimes!(state == TaskState::TaskStaging, "a kill arrives before its task has started");
        sometimes!(is_terminal(state), "a kill arrives after the end of its task");
        let framework_id = framework.info.id.clone();
        let Some(agent) = self.agents.get_mut(&agent_key) else { return };
        if kill.agent_id.as_ref().is_some_and(|id| id.value != agent.id()) {
            reachable!("a kill names the wrong agent");
            tracing::warn!(%task_id, "kill with a wrong agent id ignored");
            return;
        }
        // Said again when the agent registers again: the link may be broken without a sign of it.
        if !PlantedBug::KillIsNotRepeated.is_planted() {
            agent.pending_kills.insert((key, Arc::from(task_id)), kill.kill_policy);
        }
        sometimes!(agent.link.is_none(), "a kill waits for its agent to come back");
        self.tell_agent(
            agent_key,
            from_master::Body::KillTask(link::KillTask {
                framework_id,
                task_id: Some(kill.task_id),
                kill_policy: kill.kill_policy,
            }),
        );
    }

    fn shutdown(&mut self, key: FrameworkKey, shutdown: call::Shutdown) {
        let Some(agent) = self.agent_by_id(&shutdown.agent_id.value) else {
            return reachable!("SHUTDOWN names an agent that is not registered");
        };
        let framework_id = self.frameworks.get(&key).and_then(|one| one.info.id.clone());
        self.tell_agent(
            agent,
            from_master::Body::ShutdownExecutor(link::ShutdownExecutor {
                framework_id,
                executor_id: Some(shutdown.executor_id),
            }),
        );
    }

    fn message(&mut self, key: FrameworkKey, message: call::Message) {
        self.metrics.count("messages_framework_to_executor");
        let Some(agent) = self.agent_by_id(&message.agent_id.value) else {
            reachable!("a message is for an agent that is not registered");
            self.metrics.count("invalid_framework_to_executor_messages");
            return;
        };
        self.metrics.count("valid_framework_to_executor_messages");
        let framework_id = self.frameworks.get(&key).and_then(|one| one.info.id.clone());
        self.tell_agent(
            agent,
            from_master::Body::FrameworkMessage(link::FrameworkMessage {
                framework_id,
                executor_id: Some(message.executor_id),
                data: message.data,
            }),
        );
    }

    fn update_framework(
        &mut self,
        key: FrameworkKey,
        update: call::UpdateFramework,
    ) -> Result<Answer, Refusal> {
        let info = update.framework_info;
        let refused = |error: &str, invalid: validate::Invalid| {
            reachable!("UPDATE_FRAMEWORK describes what cannot be");
            Refusal::bad_request(format!("{error} is not valid: {invalid}"))
        };
        validate::framework_info(&info)
            .map_err(|invalid| refused("Supplied FrameworkInfo", invalid))?;
        let Some(framework) = self.frameworks.get(&key) else {
            return Err(Refusal::bad_request("Framework cannot be found"));
        };
        let known = &framework.info;
        for (field, changed) in [
            ("principal", known.principal != info.principal),
            ("user", known.user != info.user),
            ("checkpoint", known.checkpoint() != info.checkpoint()),
        ] {
            if changed {
                reachable!("UPDATE_FRAMEWORK changes what must stay");
                return Err(Refusal::bad_request(format!(
                    "Updating 'FrameworkInfo.{field}' is unsupported"
                )));
            }
        }
        validate::suppressed_roles(&info, &update.suppressed_roles)
            .map_err(|invalid| refused("'UpdateFramework' call", invalid))?;
        reachable!("UPDATE_FRAMEWORK is obeyed");
        if self.update_framework_info(key, info, &update.suppressed_roles) {
            self.tell_agents_of_framework(key);
        }
        Ok(Answer::Done)
    }
}
