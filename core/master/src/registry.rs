//! What must survive the master: which agents were admitted, are unreachable or gone.

use std::collections::BTreeMap;

use orrery_api::{registry as message, v1};
use orrery_runtime::WallTime;

/// One change of the registry.
#[derive(Clone, Debug, PartialEq)]
pub enum RegistryOperation {
    /// An agent may take part from now on.
    Admit(Box<v1::AgentInfo>),
    /// An agent came back with other attributes or resources.
    Update(Box<v1::AgentInfo>),
    /// An agent did not answer for too long.
    MarkUnreachable {
        /// Which agent.
        agent_id: String,
        /// Since when.
        since: WallTime,
    },
    /// An unreachable or unknown agent came back.
    MarkReachable(Box<v1::AgentInfo>),
    /// An agent left for good.
    Remove {
        /// Which agent.
        agent_id: String,
    },
}

/// The registry's content. Applying operations is a pure function, so that every copy of the
/// registry that has seen the same operations is the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry {
    /// Admitted agents by id.
    pub admitted: BTreeMap<String, v1::AgentInfo>,
    /// Unreachable agents by id, with the time since when.
    pub unreachable: BTreeMap<String, WallTime>,
    /// Agents that an operator declared gone, with the time since when.
    pub gone: BTreeMap<String, WallTime>,
}

impl Registry {
    /// Changes the registry. An operation that finds its agent in the state it asks for already
    /// changes nothing.
    pub fn apply(&mut self, operation: &RegistryOperation) {
        match operation {
            RegistryOperation::Admit(info)
            | RegistryOperation::Update(info)
            | RegistryOperation::MarkReachable(info) => {
                let Some(id) = info.id.as_ref().map(|id| id.value.clone()) else { return };
                self.unreachable.remove(&id);
                self.admitted.insert(id, v1::AgentInfo::clone(info));
            }
            RegistryOperation::MarkUnreachable { agent_id, since } => {
                if self.admitted.remove(agent_id).is_some() {
                    self.unreachable.insert(agent_id.clone(), *since);
                }
            }
            RegistryOperation::Remove { agent_id } => {
                self.admitted.remove(agent_id);
                self.unreachable.remove(agent_id);
            }
        }
    }

    /// The form in which it is stored.
    pub fn to_message(&self) -> message::Registry {
        message::Registry {
            admitted: self
                .admitted
                .values()
                .map(|info| message::AdmittedAgent { agent_info: Some(info.clone()) })
                .collect(),
            unreachable: self
                .unreachable
                .iter()
                .map(|(id, since)| message::UnreachableAgent {
                    agent_id: Some(v1::AgentId { value: id.clone() }),
                    since_nanoseconds: since.as_nanoseconds(),
                })
                .collect(),
            gone: self
                .gone
                .iter()
                .map(|(id, since)| message::GoneAgent {
                    agent_id: Some(v1::AgentId { value: id.clone() }),
                    since_nanoseconds: since.as_nanoseconds(),
                })
                .collect(),
        }
    }

    /// Reads the stored form. Entries without an id, which nothing writes, are left out.
    pub fn from_message(stored: message::Registry) -> Self {
        let id = |id: Option<v1::AgentId>| id.map(|id| id.value);
        Self {
            admitted: stored
                .admitted
                .into_iter()
                .filter_map(|entry| entry.agent_info)
                .filter_map(|info| Some((info.id.clone()?.value, info)))
                .collect(),
            unreachable: stored
                .unreachable
                .into_iter()
                .filter_map(|entry| Some((id(entry.agent_id)?, entry.since_nanoseconds)))
                .map(|(id, since)| (id, WallTime::from_nanoseconds(since)))
                .collect(),
            gone: stored
                .gone
                .into_iter()
                .filter_map(|entry| Some((id(entry.agent_id)?, entry.since_nanoseconds)))
                .map(|(id, since)| (id, WallTime::from_nanoseconds(since)))
                .collect(),
        }
    }
}
