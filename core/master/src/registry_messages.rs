//! The registry and its changes in the form in which they are stored.

use std::collections::{BTreeMap, BTreeSet};

use orrery_api::registry::operation::Kind;
use orrery_api::v1::maintenance::Schedule;
use orrery_api::{registry as message, v1};
use orrery_runtime::WallTime;

use crate::{Description, MachineName, Registry, RegistryOperation};

impl Registry {
    /// The form in which it is stored.
    pub fn to_message(&self) -> message::Registry {
        message::Registry {
            admitted: self
                .admitted
                .values()
                .map(|info| message::AdmittedAgent { agent_info: Some(info.message()) })
                .collect(),
            unreachable: self
                .unreachable
                .iter()
                .map(|(id, since)| unreachable(id, *since))
                .collect(),
            gone: self.gone.iter().map(|(id, since)| gone(id, *since)).collect(),
            leader: self.leader.clone(),
            machines: self.machines.values().cloned().collect(),
            schedule: Some(self.schedule.clone()).filter(|it| !it.windows.is_empty()),
            quotas: self.quotas.values().cloned().collect(),
            weights: weights(&self.weights),
            minimum_capabilities: self.minimum_capabilities.iter().cloned().collect(),
        }
    }

    /// Reads the stored form. Entries without an id, which nothing writes, are left out.
    pub fn from_message(stored: message::Registry) -> Self {
        let mut registry = Self::default();
        registry.extend(stored);
        registry
    }

    /// Adds a part of a registry that is stored in several.
    pub fn extend(&mut self, part: message::Registry) {
        let infos = part.admitted.into_iter().filter_map(|entry| entry.agent_info);
        self.admitted.extend(infos.filter_map(|info| {
            let description = Description::from(&info);
            Some((info.id?.value, description))
        }));
        let entries = part.unreachable.into_iter();
        add(&mut self.unreachable, entries.map(|entry| (entry.agent_id, entry.since_nanoseconds)));
        let entries = part.gone.into_iter();
        add(&mut self.gone, entries.map(|entry| (entry.agent_id, entry.since_nanoseconds)));
        self.leader = part.leader.or(self.leader.take());
        let machines = part.machines.into_iter();
        self.machines.extend(machines.map(|info| (MachineName::from(&info.id), info)));
        self.schedule.windows.extend(part.schedule.unwrap_or_default().windows);
        self.quotas.extend(part.quotas.into_iter().map(|quota| (quota.role.clone(), quota)));
        self.weights.extend(by_role(part.weights));
        self.minimum_capabilities.extend(part.minimum_capabilities);
    }
}

fn weights(weights: &BTreeMap<String, f64>) -> Vec<v1::WeightInfo> {
    let info = |(role, weight): (&String, &f64)| v1::WeightInfo {
        weight: *weight,
        role: Some(role.clone()),
    };
    weights.iter().map(info).collect()
}

fn by_role(weights: Vec<v1::WeightInfo>) -> impl Iterator<Item = (String, f64)> {
    weights.into_iter().filter_map(|info| Some((info.role?, info.weight)))
}

fn machine_ids(machines: &BTreeSet<MachineName>) -> message::Machines {
    message::Machines { ids: machines.iter().map(v1::MachineId::from).collect() }
}

fn machine_names(machines: &message::Machines) -> BTreeSet<MachineName> {
    machines.ids.iter().map(MachineName::from).collect()
}

fn add(
    all: &mut BTreeMap<String, WallTime>,
    entries: impl Iterator<Item = (Option<v1::AgentId>, i64)>,
) {
    let entries = entries.filter_map(|(id, since)| Some((id?.value, since)));
    all.extend(entries.map(|(id, since)| (id, WallTime::from_nanoseconds(since))));
}

fn agent_id(id: &str) -> v1::AgentId {
    v1::AgentId { value: id.to_owned() }
}

fn unreachable(id: &str, since: WallTime) -> message::UnreachableAgent {
    let since_nanoseconds = since.as_nanoseconds();
    message::UnreachableAgent { agent_id: Some(agent_id(id)), since_nanoseconds }
}

fn gone(id: &str, since: WallTime) -> message::GoneAgent {
    let since_nanoseconds = since.as_nanoseconds();
    message::GoneAgent { agent_id: Some(agent_id(id)), since_nanoseconds }
}

impl RegistryOperation {
    /// The form in which it is stored.
    pub fn to_message(&self) -> message::Operation {
        let ids = |ids: &BTreeSet<String>| ids.iter().map(|id| agent_id(id)).collect();
        let kind = match self {
            Self::Admit(info) => Kind::Admit(v1::AgentInfo::clone(info)),
            Self::Update(info) => Kind::Update(v1::AgentInfo::clone(info)),
            Self::MarkReachable(info) => Kind::MarkReachable(v1::AgentInfo::clone(info)),
            Self::MarkUnreachable { agent_id, since } => {
                Kind::MarkUnreachable(unreachable(agent_id, *since))
            }
            Self::Remove { agent_id: id } => Kind::Remove(agent_id(id)),
            Self::MarkGone { agent_id, since } => Kind::MarkGone(gone(agent_id, *since)),
            Self::Prune { unreachable, gone } => {
                Kind::Prune(message::Prune { unreachable: ids(unreachable), gone: ids(gone) })
            }
            Self::Lead(info) => Kind::Lead(v1::MasterInfo::clone(info)),
            Self::UpdateWeights(by_role) => {
                Kind::UpdateWeights(message::WeightUpdates { weights: weights(by_role) })
            }
            Self::UpdateQuotas(quotas) => {
                Kind::UpdateQuotas(message::QuotaUpdates { quotas: quotas.clone() })
            }
            Self::UpdateSchedule(schedule) => Kind::UpdateSchedule(Schedule::clone(schedule)),
            Self::StartMaintenance(machines) => Kind::StartMaintenance(machine_ids(machines)),
            Self::StopMaintenance(machines) => Kind::StopMaintenance(machine_ids(machines)),
        };
        message::Operation { kind: Some(kind) }
    }

    /// Reads the stored form; `None` for one that lacks what it is about, which nothing writes.
    pub fn from_message(stored: message::Operation) -> Option<Self> {
        let id = |id: Option<v1::AgentId>| Some(id?.value);
        let ids = |ids: Vec<v1::AgentId>| ids.into_iter().map(|id| id.value).collect();
        Some(match stored.kind? {
            Kind::Admit(info) => Self::Admit(Box::new(info)),
            Kind::Update(info) => Self::Update(Box::new(info)),
            Kind::MarkReachable(info) => Self::MarkReachable(Box::new(info)),
            Kind::MarkUnreachable(agent) => Self::MarkUnreachable {
                agent_id: id(agent.agent_id)?,
                since: WallTime::from_nanoseconds(agent.since_nanoseconds),
            },
            Kind::Remove(agent_id) => Self::Remove { agent_id: agent_id.value },
            Kind::MarkGone(agent) => Self::MarkGone {
                agent_id: id(agent.agent_id)?,
                since: WallTime::from_nanoseconds(agent.since_nanoseconds),
            },
            Kind::Prune(prune) => {
                Self::Prune { unreachable: ids(prune.unreachable), gone: ids(prune.gone) }
            }
            Kind::Lead(info) => Self::Lead(Box::new(info)),
            Kind::UpdateWeights(update) => Self::UpdateWeights(by_role(update.weights).collect()),
            Kind::UpdateQuotas(update) => Self::UpdateQuotas(update.quotas),
            Kind::UpdateSchedule(schedule) => Self::UpdateSchedule(Box::new(schedule)),
            Kind::StartMaintenance(machines) => Self::StartMaintenance(machine_names(&machines)),
            Kind::StopMaintenance(machines) => Self::StopMaintenance(machine_names(&machines)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(id: &str) -> Box<v1::AgentInfo> {
        let id = Some(agent_id(id));
        Box::new(v1::AgentInfo { id, hostname: "host".to_owned(), ..Default::default() })
    }

    fn operations() -> Vec<RegistryOperation> {
        let since = WallTime::from_nanoseconds(5);
        let master = v1::MasterInfo { id: "m".to_owned(), ..Default::default() };
        vec![
            RegistryOperation::Lead(Box::new(master)),
            RegistryOperation::Admit(agent("a")),
            RegistryOperation::Admit(agent("b")),
            RegistryOperation::Admit(agent("c")),
            RegistryOperation::Admit(agent("d")),
            RegistryOperation::Update(agent("b")),
            RegistryOperation::MarkUnreachable { agent_id: "a".to_owned(), since },
            RegistryOperation::MarkReachable(agent("a")),
            RegistryOperation::MarkUnreachable { agent_id: "b".to_owned(), since },
            RegistryOperation::MarkGone { agent_id: "c".to_owned(), since },
            RegistryOperation::Remove { agent_id: "d".to_owned() },
            RegistryOperation::Prune {
                unreachable: BTreeSet::from(["x".to_owned()]),
                gone: BTreeSet::from(["y".to_owned()]),
            },
        ]
    }

    #[test]
    fn operations_are_read_as_they_were_written() {
        for operation in operations() {
            assert_eq!(RegistryOperation::from_message(operation.to_message()), Some(operation));
        }
        assert_eq!(RegistryOperation::from_message(message::Operation::default()), None);
    }

    #[test]
    fn a_registry_is_read_as_it_was_written() {
        let mut registry = Registry::default();
        operations().iter().for_each(|operation| registry.apply(operation));
        assert_eq!(Registry::from_message(registry.to_message()), registry);
        assert_eq!(registry.admitted.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(registry.unreachable.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(registry.gone.keys().collect::<Vec<_>>(), ["c"]);
        registry.apply(&RegistryOperation::Prune {
            unreachable: BTreeSet::from(["b".to_owned()]),
            gone: BTreeSet::from(["c".to_owned()]),
        });
        assert!(registry.unreachable.is_empty() && registry.gone.is_empty());
    }
}
