//! What the registry knows of machines: which are to be maintained and when, and which are down.

use std::collections::{BTreeMap, BTreeSet};

use orrery_api::v1;
use orrery_api::v1::machine_info::Mode;
use orrery_api::v1::maintenance::{Schedule, Window};

use crate::Registry;

/// What names a machine: its host name, its address, or both. Host names are compared in lower
/// case.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineName {
    hostname: Option<String>,
    ip: Option<String>,
}

impl From<&v1::MachineId> for MachineName {
    fn from(id: &v1::MachineId) -> Self {
        Self { hostname: id.hostname.as_ref().map(|name| name.to_lowercase()), ip: id.ip.clone() }
    }
}

impl From<&MachineName> for v1::MachineId {
    fn from(name: &MachineName) -> Self {
        Self { hostname: name.hostname.clone(), ip: name.ip.clone() }
    }
}

/// Every machine that the schedule names, and when it is away; of several windows the last counts.
fn scheduled(schedule: &Schedule) -> BTreeMap<MachineName, &v1::Unavailability> {
    let machines = |window: &Window| window.machine_ids.iter().map(MachineName::from).collect();
    let windows = schedule.windows.iter();
    let named = windows.flat_map(|window| {
        let machines: Vec<MachineName> = machines(window);
        machines.into_iter().map(|machine| (machine, &window.unavailability))
    });
    named.collect()
}

impl Registry {
    pub(crate) fn update_schedule(&mut self, schedule: &Schedule) {
        let planned = scheduled(schedule);
        for machine in scheduled(&self.schedule).into_keys() {
            if !planned.contains_key(&machine) {
                self.machines.remove(&machine);
            }
        }
        for (machine, unavailability) in planned {
            let id = v1::MachineId::from(&machine);
            let mode = Some(Mode::Draining as i32);
            let new = || v1::MachineInfo { id, mode, unavailability: None };
            let info = self.machines.entry(machine).or_insert_with(new);
            info.unavailability = Some(*unavailability);
        }
        self.schedule = schedule.clone();
    }

    pub(crate) fn start_maintenance(&mut self, machines: &BTreeSet<MachineName>) {
        for machine in machines {
            if let Some(info) = self.machines.get_mut(machine) {
                info.mode = Some(Mode::Down as i32);
            }
        }
    }

    pub(crate) fn stop_maintenance(&mut self, machines: &BTreeSet<MachineName>) {
        self.machines.retain(|machine, _| !machines.contains(machine));
        for window in &mut self.schedule.windows {
            window.machine_ids.retain(|id| !machines.contains(&MachineName::from(id)));
        }
        self.schedule.windows.retain(|window| !window.machine_ids.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RegistryOperation;

    fn id(hostname: &str) -> v1::MachineId {
        v1::MachineId { hostname: Some(hostname.to_owned()), ip: None }
    }

    fn name(hostname: &str) -> MachineName {
        MachineName::from(&id(hostname))
    }

    fn window(start: i64, hostnames: &[&str]) -> Window {
        let start = v1::TimeInfo { nanoseconds: start };
        Window {
            machine_ids: hostnames.iter().map(|hostname| id(hostname)).collect(),
            unavailability: v1::Unavailability { start, duration: None },
        }
    }

    fn update(registry: &mut Registry, windows: Vec<Window>) {
        registry.apply(&RegistryOperation::UpdateSchedule(Box::new(Schedule { windows })));
    }

    /// Each machine with its mode and when it is away.
    fn machines(registry: &Registry) -> Vec<(MachineName, Mode, i64)> {
        let start =
            |info: &v1::MachineInfo| info.unavailability.as_ref().map(|it| it.start.nanoseconds);
        let machines = registry.machines.iter();
        machines.map(|(name, info)| (name.clone(), info.mode(), start(info).unwrap_or(0))).collect()
    }

    #[test]
    fn a_machine_is_drained_goes_down_and_comes_up() {
        let mut registry = Registry::default();
        update(&mut registry, vec![window(1, &["A", "b"]), window(2, &["c"])]);
        let draining = [(name("a"), 1), (name("b"), 1), (name("c"), 2)];
        assert_eq!(machines(&registry), draining.map(|(name, at)| (name, Mode::Draining, at)));
        registry.apply(&RegistryOperation::StartMaintenance([name("a"), name("z")].into()));
        update(&mut registry, vec![window(5, &["a", "d"])]);
        let expected = [(name("a"), Mode::Down, 5), (name("d"), Mode::Draining, 5)];
        assert_eq!(machines(&registry), expected, "what is down stays so, what is not named is up");
        registry.apply(&RegistryOperation::StopMaintenance([name("A")].into()));
        assert_eq!(machines(&registry), [(name("d"), Mode::Draining, 5)]);
        assert_eq!(registry.schedule.windows, [window(5, &["d"])]);
        registry.apply(&RegistryOperation::StopMaintenance([name("d")].into()));
        assert_eq!(registry, Registry::default(), "an empty window is none");
    }
}
