//! Which agents are sent away before they are looked at as agents, and what they are told.

use std::sync::Arc;

use orrery_allocator::AgentKey;
use orrery_api::link::{self, from_master};
use orrery_coverage::reachable;
use orrery_model::Resources;

use crate::registration::Registration;
use crate::{LinkId, Master, Output};

/// Why an agent is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// Its operator has given it up for good: it ends its tasks and forgets who it is.
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
        let total = Resources::from_messages(&info.resources)
            .map(Arc::new)
            .map_err(|error| Rejection::AsItIs(format!("AgentInfo.resources: {error}")))?;
        Ok(Registration { link: Some(link), register, info, total })
    }

    pub(crate) fn refuse_agent(&mut self, link: LinkId, rejection: Rejection) {
        let (message, keeps_identity) = match rejection {
            Rejection::Gone => ("Agent has been marked gone".to_owned(), false),
            Rejection::AsItIs(message) => (message, true),
        };
        tracing::warn!(%message, "agent refused");
        let shutdown = from_master::Body::Shutdown(link::Shutdown { message, keeps_identity });
        self.emit(Output::ToAgent { link, body: Box::new(shutdown) });
        self.emit(Output::CloseLink { link });
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

/// The IP address in `slave(1)@ip:port`.
fn ip(pid: &str) -> &str {
    let address = pid.rsplit_once('@').map_or(pid, |(_, address)| address);
    address.rsplit_once(':').map_or(address, |(ip, _)| ip)
}
