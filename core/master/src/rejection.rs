//! Which agents are sent away before they are looked at as agents, and what they are told.

use std::sync::Arc;

use orrery_allocator::AgentKey;
use orrery_api::link::{self, from_master};
use orrery_api::v1;
use orrery_coverage::reachable;
use orrery_model::Resources;
use prost::Message;

use crate::registration::Registration;
use crate::{LinkId, Master, Output, Ticket};

/// How many bytes an agent's description may have, encoded: 1 MiB. Most have a few thousand. The
/// master keeps those of all agents, in its memory and in the registry, where this is how large an
/// entry is meant to be; and one that the log could not take at all would depose one leader after
/// the other.
pub const AGENT_INFO_MAX: usize = 1 << 20;

/// Why an agent is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// It was given up for good, by an operator or for a new agent at its address: it ends its
    /// tasks and forgets who it is.
    Gone,
    /// It may come back under its id once its operator has put right what is said here, so it
    /// leaves its tasks alone: they would end, and nobody would ever hear of it.
    AsItIs(String),
}

impl Master {
    pub(crate) fn check_registration(
        &self,
        link: LinkId,
        mut register: link::Register,
    ) -> Result<Registration, Rejection> {
        let Some(mut info) = register.agent_info.take() else {
            reachable!("a registration lacks the agent's description");
            return Err(Rejection::AsItIs("Register.agent_info is missing".to_owned()));
        };
        if info.id.as_ref().is_some_and(|id| id.value.is_empty()) {
            info.id = None;
        }
        if let Some(id) = &info.id {
            orrery_model::validate::id(&id.value)
                .map_err(|invalid| Rejection::AsItIs(invalid.to_string()))?;
            if self.gone.contains_key(&id.value) {
                reachable!("an agent that is gone asks to register");
                return Err(Rejection::Gone);
            }
        }
        check_size(&info)?;
        let total = Resources::from_messages(&info.resources)
            .map(Arc::new)
            .map_err(|error| Rejection::AsItIs(format!("AgentInfo.resources: {error}")))?;
        Ok(Registration { link: Some(link), register, info, total })
    }

    pub(crate) fn refuse_agent(&mut self, link: LinkId, rejection: Rejection) {
        let (message, keeps_identity) = match rejection {
            Rejection::Gone => ("Agent is gone for good".to_owned(), false),
            Rejection::AsItIs(message) => (message, true),
        };
        tracing::warn!(%message, "agent refused");
        let shutdown = from_master::Body::Shutdown(link::Shutdown { message, keeps_identity });
        self.emit(Output::ToAgent { link, body: Box::new(shutdown) });
        self.emit(Output::CloseLink { link });
    }

    /// The registry has no room for an agent that waited for it.
    pub(crate) fn not_admitted(
        &mut self,
        ticket: Ticket,
        registration: Registration,
        reason: String,
    ) {
        reachable!("an agent is refused by the registry");
        let Registration { link, register, info, .. } = registration;
        self.waiting.remove(info.id.as_ref().map_or("", |id| id.value.as_str()));
        // Another agent may wait for its admission at the same address.
        if self.waiting_at.get(&register.pid) == Some(&ticket) {
            self.waiting_at.remove(&register.pid);
        }
        if let Some(link) = link {
            self.registering.remove(&link);
            self.refuse_agent(link, Rejection::AsItIs(reason));
        }
    }

    /// Why a registered agent may not come back like this: it is on another machine, so somebody
    /// has copied its work directory, or moved it while it counts as running where it was.
    pub(crate) fn moved(&self, key: AgentKey, registration: &Registration) -> Option<Rejection> {
        let agent = self.agents.get(&key)?;
        let hostname = agent.info.message().hostname;
        let (old, new) = (ip(&agent.pid), ip(&registration.register.pid));
        (old != new || hostname != registration.info.hostname).then(|| {
            Rejection::AsItIs(format!(
                "Agent '{}' is registered at {hostname} ({old}): the same agent cannot come from \
                 {} ({new}) before that one has left",
                agent.id(),
                registration.info.hostname
            ))
        })
    }
}

/// Says which part of a description makes it too large, because that is what can be made smaller.
fn check_size(info: &v1::AgentInfo) -> Result<(), Rejection> {
    let size = info.encoded_len();
    if size <= AGENT_INFO_MAX {
        return Ok(());
    }
    reachable!("an agent's description is too large");
    let attributes: usize = info.attributes.iter().map(Message::encoded_len).sum();
    let resources: usize = info.resources.iter().map(Message::encoded_len).sum();
    Err(Rejection::AsItIs(format!(
        "AgentInfo has {size} bytes, of them {attributes} in its attributes and {resources} in its \
         resources: expected at most {AGENT_INFO_MAX}"
    )))
}

/// The IP address in `slave(1)@ip:port`.
fn ip(pid: &str) -> &str {
    let address = pid.rsplit_once('@').map_or(pid, |(_, address)| address);
    address.rsplit_once(':').map_or(address, |(ip, _)| ip)
}
