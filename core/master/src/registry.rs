//! What must survive the master: which agents were admitted, are unreachable or gone.

use std::collections::{BTreeMap, BTreeSet};

use orrery_api::v1;
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
    /// An operator declared an agent gone: it may never come back.
    MarkGone {
        /// Which agent.
        agent_id: String,
        /// Since when.
        since: WallTime,
    },
    /// Agents that were unreachable or gone for so long that they are forgotten.
    Prune {
        /// Ids of unreachable agents.
        unreachable: BTreeSet<String>,
        /// Ids of agents that are gone.
        gone: BTreeSet<String>,
    },
    /// A master begins to lead.
    Lead(Box<v1::MasterInfo>),
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
    /// The master that led last, or leads.
    pub leader: Option<v1::MasterInfo>,
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
            RegistryOperation::MarkGone { agent_id, since } => {
                self.admitted.remove(agent_id);
                self.unreachable.remove(agent_id);
                self.gone.entry(agent_id.clone()).or_insert(*since);
            }
            RegistryOperation::Prune { unreachable, gone } => {
                self.unreachable.retain(|id, _| !unreachable.contains(id));
                self.gone.retain(|id, _| !gone.contains(id));
            }
            RegistryOperation::Lead(info) => self.leader = Some(v1::MasterInfo::clone(info)),
        }
    }
}
