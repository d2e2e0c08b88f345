//! ACCEPT: uses offers for operations and gives back what is left.

use std::collections::BTreeSet;

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_api::v1::offer::operation::Type as OperationType;
use orrery_api::v1::task_status::Reason;
use orrery_api::v1::{self, TaskState, scheduler};
use orrery_coverage::{reachable, sometimes, unreachable};
use orrery_model::Resources;

use crate::offers::refusal;
use crate::{Master, PlantedBug};

/// The offers of one ACCEPT put together: what its operations may use.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) framework: FrameworkKey,
    pub(crate) agent: AgentKey,
    pub(crate) role: String,
    /// What no operation has used yet, with its allocation role.
    pub(crate) remaining: Resources,
}

/// Why the offers of an ACCEPT cannot be used.
struct InvalidOffers {
    reason: Reason,
    message: String,
}

impl Master {
    pub(crate) fn accept(&mut self, key: FrameworkKey, accept: scheduler::call::Accept) {
        self.metrics.count("messages_launch_tasks");
        let refuse = refusal(accept.filters.as_ref());
        let checked = self.check_offers(key, &accept.offer_ids);
        match checked {
            Ok((agent, role)) => {
                sometimes!(accept.offer_ids.len() > 1, "an ACCEPT puts several offers together");
                sometimes!(accept.operations.is_empty(), "an ACCEPT asks for nothing");
                let offers = self.take_offers(&accept.offer_ids);
                self.metrics.offers_accepted += accept.offer_ids.len() as u64;
                let whole = offers.clone();
                let mut accepted = Accepted { framework: key, agent, role, remaining: offers };
                for operation in accept.operations {
                    self.apply_operation(&mut accepted, operation);
                }
                sometimes!(
                    accepted.remaining.is_empty(),
                    "an ACCEPT uses up all that its offers hold"
                );
                if PlantedBug::AcceptRecoversWholeOffer.is_planted() {
                    accepted.remaining = whole;
                }
                let now = self.now.instant;
                if !accepted.remaining.is_empty() {
                    self.allocator.recover(key, agent, &accepted.remaining, Some(refuse), now);
                }
            }
            Err(invalid) => {
                sometimes!(
                    self.has_agent_left(&accept),
                    "an ACCEPT crosses the rescinding of its offers"
                );
                tracing::info!(message = %invalid.message, "accept with invalid offers");
                self.discard_own_offers(key, &accept.offer_ids, refuse);
                for operation in accept.operations {
                    self.drop_operation(key, operation, &invalid);
                }
            }
        }
    }

    /// Whether the agent that the tasks of an ACCEPT are for is not there (any more).
    fn has_agent_left(&self, accept: &scheduler::call::Accept) -> bool {
        let launch = accept.operations.iter().find_map(|operation| operation.launch.as_ref());
        let task = launch.and_then(|launch| launch.task_infos.first());
        let agent = |task: &v1::TaskInfo| self.agent_by_id(&task.agent_id.value);
        task.is_some_and(|task| agent(task).is_none_or(|key| !self.agents[&key].is_active()))
    }

    /// All offers must exist, be the framework's own, and be of one agent and one role.
    fn check_offers(
        &self,
        key: FrameworkKey,
        ids: &[v1::OfferId],
    ) -> Result<(AgentKey, String), InvalidOffers> {
        let invalid = |message: String| InvalidOffers {
            reason: Reason::InvalidOffers,
            message: format!("Task launched with invalid offers: {message}"),
        };
        let mut seen = BTreeSet::new();
        let mut common: Option<(AgentKey, &str)> = None;
        for id in ids {
            if !seen.insert(&id.value) {
                reachable!("an ACCEPT names an offer twice");
                return Err(invalid(format!("Duplicate offer {} in offer list", id.value)));
            }
            let offer = self.offer_number(id).and_then(|number| self.offers.get(&number));
            let Some(offer) = offer.filter(|offer| offer.framework == key) else {
                reachable!("an ACCEPT names an offer that is not open to its framework");
                return Err(invalid(format!("Offer {} is no longer valid", id.value)));
            };
            match common {
                None => common = Some((offer.agent, &offer.role)),
                Some((agent, role)) if agent == offer.agent && role == offer.role => {}
                Some((agent, _)) if agent != offer.agent => {
                    reachable!("an ACCEPT puts offers of two agents together");
                    return Err(invalid(format!("Offer {} is of another agent", id.value)));
                }
                Some(_) => {
                    reachable!("an ACCEPT puts offers of two roles together");
                    return Err(invalid(format!("Offer {} is of another role", id.value)));
                }
            }
        }
        let Some((agent, role)) = common else {
            reachable!("an ACCEPT names no offer");
            return Err(invalid("No offers specified".to_owned()));
        };
        let active = self.agents.get(&agent).is_some_and(|agent| agent.is_active());
        if !active && !PlantedBug::DisconnectKeepsOffers.is_planted() {
            unreachable!("an offer is open although its agent is not connected");
            return Err(InvalidOffers {
                reason: Reason::AgentDisconnected,
                message: "Agent is disconnected".to_owned(),
            });
        }
        Ok((agent, role.to_owned()))
    }

    fn take_offers(&mut self, ids: &[v1::OfferId]) -> Resources {
        let mut resources = Resources::default();
        for id in ids {
            let Some(number) = self.offer_number(id) else { continue };
            if PlantedBug::AcceptKeepsOffer.is_planted() {
                resources += &self.offers[&number].resources;
                continue;
            }
            if let Some(offer) = self.take_offer(number) {
                resources += &offer.resources;
            }
        }
        resources
    }

    fn discard_own_offers(
        &mut self,
        key: FrameworkKey,
        ids: &[v1::OfferId],
        refuse: std::time::Duration,
    ) {
        for id in ids {
            let Some(number) = self.offer_number(id) else { continue };
            if self.offers.get(&number).is_some_and(|offer| offer.framework == key) {
                self.discard_offer(number, Some(refuse));
            }
        }
    }

    fn apply_operation(&mut self, accepted: &mut Accepted, operation: v1::offer::Operation) {
        match operation_type(&operation) {
            OperationType::Launch => {
                for task in operation.launch.unwrap_or_default().task_infos {
                    self.launch_task(accepted, task, operation.id.is_some());
                }
            }
            OperationType::LaunchGroup => {
                if let Some(group) = operation.launch_group {
                    self.launch_group(accepted, group, operation.id.is_some());
                }
            }
            other => {
                reachable!("an operation that is no launch is refused");
                let message = format!("{} is not supported by this master", other.as_str_name());
                self.tell_operation_dropped(accepted.framework, &operation, message);
            }
        }
    }

    fn drop_operation(
        &mut self,
        key: FrameworkKey,
        operation: v1::offer::Operation,
        invalid: &InvalidOffers,
    ) {
        let tasks = match operation_type(&operation) {
            OperationType::Launch => operation.launch.unwrap_or_default().task_infos,
            OperationType::LaunchGroup => {
                operation.launch_group.map(|group| group.task_group.tasks).unwrap_or_default()
            }
            _ => {
                self.tell_operation_dropped(key, &operation, invalid.message.clone());
                return;
            }
        };
        for task in tasks {
            let message = invalid.message.clone();
            self.tell_end_of_unlaunched(
                key,
                &task,
                TaskState::TaskDropped,
                invalid.reason,
                message,
            );
        }
    }

    /// An operation that asked for feedback is answered; one without an id is dropped in silence.
    fn tell_operation_dropped(
        &mut self,
        key: FrameworkKey,
        operation: &v1::offer::Operation,
        message: String,
    ) {
        tracing::warn!(operation = operation_type(operation).as_str_name(), %message, "dropped");
        let Some(id) = &operation.id else { return };
        reachable!("a dropped operation is answered because it has an id");
        let status = v1::OperationStatus {
            operation_id: Some(id.clone()),
            state: v1::OperationState::OperationDropped as i32,
            message: Some(message),
            ..Default::default()
        };
        self.tell(
            key,
            scheduler::Event {
                r#type: Some(scheduler::event::Type::UpdateOperationStatus as i32),
                update_operation_status: Some(scheduler::event::UpdateOperationStatus { status }),
                ..Default::default()
            },
        );
    }
}

fn operation_type(operation: &v1::offer::Operation) -> OperationType {
    operation.r#type.and_then(|value| OperationType::try_from(value).ok()).unwrap_or_default()
}
