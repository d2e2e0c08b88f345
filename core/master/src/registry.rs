//! What must survive the master: which agents were admitted, are unreachable or gone, what is
//! planned for machines, and what operators have laid down for roles.

use std::collections::{BTreeMap, BTreeSet};

use orrery_api::v1;
use orrery_api::v1::maintenance::Schedule;
use orrery_api::v1::master_info::Capability;
use orrery_api::v1::master_info::capability::Type as CapabilityType;
use orrery_api::v1::quota::QuotaConfig;
use orrery_runtime::WallTime;

use crate::Description;
use crate::maintenance::MachineName;

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
    /// An operator declared an agent gone, or a new one has taken its address: it may never come
    /// back.
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
    /// These roles have these weights from now on.
    UpdateWeights(BTreeMap<String, f64>),
    /// The roles named have these quotas from now on; one that neither guarantees nor limits
    /// anything removes the role's.
    UpdateQuotas(Vec<QuotaConfig>),
    /// The maintenance that is planned from now on. Machines that the former schedule named and
    /// this one does not are up again; new ones are to be drained.
    UpdateSchedule(Box<Schedule>),
    /// The maintenance of these machines begins: they are down.
    StartMaintenance(BTreeSet<MachineName>),
    /// The maintenance of these machines is over: they are up, and scheduled no more.
    StopMaintenance(BTreeSet<MachineName>),
}

/// The registry's content. Applying operations is a pure function, so that every copy of the
/// registry that has seen the same operations is the same.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registry {
    /// Admitted agents by id.
    pub admitted: BTreeMap<String, Description>,
    /// Unreachable agents by id, with the time since when.
    pub unreachable: BTreeMap<String, WallTime>,
    /// Agents that may never come back, with the time since when.
    pub gone: BTreeMap<String, WallTime>,
    /// The master that led last, or leads.
    pub leader: Option<v1::MasterInfo>,
    /// Machines that are to be maintained, or are down.
    pub machines: BTreeMap<MachineName, v1::MachineInfo>,
    /// The maintenance that is planned.
    pub schedule: Schedule,
    /// Quotas by role, of roles that have one.
    pub quotas: BTreeMap<String, QuotaConfig>,
    /// Weights by role, of roles whose weight was ever set.
    pub weights: BTreeMap<String, f64>,
    /// Names of what a master must be capable of to use this registry.
    pub minimum_capabilities: BTreeSet<String>,
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
                self.admitted.insert(id, Description::from(info.as_ref()));
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
            RegistryOperation::UpdateWeights(weights) => {
                self.weights.extend(weights.iter().map(|(role, weight)| (role.clone(), *weight)));
            }
            RegistryOperation::UpdateQuotas(quotas) => self.update_quotas(quotas),
            RegistryOperation::UpdateSchedule(schedule) => self.update_schedule(schedule),
            RegistryOperation::StartMaintenance(machines) => self.start_maintenance(machines),
            RegistryOperation::StopMaintenance(machines) => self.stop_maintenance(machines),
        }
    }

    fn update_quotas(&mut self, quotas: &[QuotaConfig]) {
        for quota in quotas {
            if quota.guarantees.is_empty() && quota.limits.is_empty() {
                self.quotas.remove(&quota.role);
            } else {
                self.quotas.insert(quota.role.clone(), quota.clone());
            }
        }
        // A master that knows nothing of quotas would hand out what they reserve.
        let needed = CapabilityType::QuotaV2.as_str_name();
        match self.quotas.is_empty() {
            true => self.minimum_capabilities.remove(needed),
            false => self.minimum_capabilities.insert(needed.to_owned()),
        };
    }

    /// What a master with these capabilities is not capable of and would have to be.
    pub fn missing_capabilities(&self, capabilities: &[Capability]) -> Vec<String> {
        let has =
            |name: &str| capabilities.iter().any(|known| known.r#type().as_str_name() == name);
        self.minimum_capabilities.iter().filter(|name| !has(name)).cloned().collect()
    }
}
