//! What a framework is told.

use bytes::Bytes;
use orrery_api::v1;
use orrery_api::v1::scheduler::{self, call, event};

/// Something that happened, as [`crate::Framework::event`] receives it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The master accepted the subscription. Every offer from before is void.
    Subscribed {
        /// The framework's id; keep it to take over from this process later.
        framework_id: v1::FrameworkId,
        /// The master that leads now.
        master_info: Option<v1::MasterInfo>,
        /// Whether this session was subscribed before, to this master or to another.
        resubscribed: bool,
    },
    /// Resources to accept or decline. Each offer can be used once.
    Offers(Vec<v1::Offer>),
    /// Requests to give resources back, for machines about to be maintained.
    InverseOffers(Vec<v1::InverseOffer>),
    /// An offer is void.
    Rescind(v1::OfferId),
    /// An inverse offer is void.
    RescindInverseOffer(v1::OfferId),
    /// A task's state: in order, and each update once.
    Update(v1::TaskStatus),
    /// An operation's state. Acknowledged by the library; may come more than once.
    OperationUpdate(v1::OperationStatus),
    /// An executor's message. Delivery is not guaranteed.
    Message {
        /// The agent that the executor runs on.
        agent_id: v1::AgentId,
        /// Who sent it.
        executor_id: v1::ExecutorId,
        /// What was sent.
        data: Bytes,
    },
    /// An agent was removed, or (with an executor id) an executor ended. Delivery is not
    /// guaranteed; the updates of the tasks concerned are.
    Failure {
        /// The agent.
        agent_id: Option<v1::AgentId>,
        /// The executor, when only it is gone.
        executor_id: Option<v1::ExecutorId>,
        /// The executor's exit status as waitpid(2) gives it.
        status: Option<i32>,
    },
    /// The master refuses the framework. It closes the stream next; the session then subscribes
    /// again unless the framework stops it, or the refusal is final.
    Error(String),
    /// The master answered a call with a status that is not a success.
    CallRefused {
        /// Which kind of call.
        call: call::Type,
        /// The HTTP status, such as 400.
        status: u16,
        /// What the master said about it.
        text: String,
    },
    /// The connection is gone. Every offer is void; the session subscribes again by itself.
    Disconnected {
        /// What broke.
        reason: String,
    },
    /// A point in time passed that [`crate::Context::wake_at`] asked for.
    Tick,
}

impl Event {
    /// Translates what the master sent. `None` for events that carry nothing for a framework
    /// (heartbeats, kinds of a later version) and for those whose body is missing.
    /// SUBSCRIBED is not translated here: only the session knows whether it is the first.
    pub(crate) fn from_message(message: scheduler::Event) -> Option<Self> {
        use event::Type;
        match message.r#type() {
            Type::Offers => message.offers.map(|body| Self::Offers(body.offers)),
            Type::InverseOffers => {
                message.inverse_offers.map(|body| Self::InverseOffers(body.inverse_offers))
            }
            Type::Rescind => message.rescind.map(|body| Self::Rescind(body.offer_id)),
            Type::RescindInverseOffer => message
                .rescind_inverse_offer
                .map(|body| Self::RescindInverseOffer(body.inverse_offer_id)),
            Type::Update => message.update.map(|body| Self::Update(body.status)),
            Type::UpdateOperationStatus => {
                message.update_operation_status.map(|body| Self::OperationUpdate(body.status))
            }
            Type::Message => message.message.map(|body| Self::Message {
                agent_id: body.agent_id,
                executor_id: body.executor_id,
                data: body.data,
            }),
            Type::Failure => message.failure.map(|body| Self::Failure {
                agent_id: body.agent_id,
                executor_id: body.executor_id,
                status: body.status,
            }),
            Type::Error => message.error.map(|body| Self::Error(body.message)),
            Type::Subscribed | Type::Heartbeat | Type::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_and_unknown_kinds_are_nothing_to_a_framework() {
        for kind in [Some(event::Type::Heartbeat as i32), Some(9999), None] {
            let message = scheduler::Event { r#type: kind, ..Default::default() };
            assert_eq!(Event::from_message(message), None);
        }
    }

    #[test]
    fn an_event_without_its_body_is_nothing() {
        let message =
            scheduler::Event { r#type: Some(event::Type::Offers as i32), ..Default::default() };
        assert_eq!(Event::from_message(message), None);
    }

    #[test]
    fn an_error_carries_its_text() {
        let message = scheduler::Event {
            r#type: Some(event::Type::Error as i32),
            error: Some(event::Error { message: "Framework has been removed".to_owned() }),
            ..Default::default()
        };
        let expected = Event::Error("Framework has been removed".to_owned());
        assert_eq!(Event::from_message(message), Some(expected));
    }
}
