//! The registry (S4 and S12 of the catalogue): no agent is let in before the registry has stored
//! that, and an agent that was told so is known to every later master. Mesos' bugs of the kind:
//! MESOS-1376, MESOS-9786, MESOS-648, MESOS-8481.

use std::collections::BTreeSet;

use orrery_api::registry as message;
use orrery_master::{Master, Registry as Stored};
use orrery_runtime_sim::Host;

use super::truth::Truth;

/// Where a master that has no peers keeps its registry.
pub const FILE: &str = "/var/lib/master/registry.pb";

/// What was compared last.
#[derive(Debug, Default)]
pub struct Registry {
    master: String,
    registered: BTreeSet<String>,
    /// The version of the truth.
    truth: u64,
}

impl Registry {
    /// Whether agents have changed since the last comparison.
    pub(crate) fn is_behind(&self, truth: &Truth) -> bool {
        self.truth != truth.version()
    }

    /// Sets a master's books against its registry, and against what agents were told.
    pub(crate) fn master_stepped(
        &mut self,
        host: &Host,
        master: &Master,
        truth: &Truth,
    ) -> Result<(), String> {
        self.truth = truth.version();
        for (name, agent) in truth.alive().filter(|(_, agent)| !agent.id.is_empty()) {
            if !master.knows_agent(&agent.id) {
                return Err(format!("{name} was admitted as {}, which nobody knows", agent.id));
            }
        }
        // One that is leaving stays on record until the registry has forgotten it.
        let staying = || master.agents().filter(|(_, agent)| !agent.is_leaving());
        let now = || staying().map(|(_, agent)| agent.id());
        let same_master = self.master == master.options().master_info.id;
        if same_master && now().count() == self.registered.len() {
            let all_known = now().all(|id| self.registered.contains(id));
            if all_known {
                return Ok(());
            }
        }
        self.master.clone_from(&master.options().master_info.id);
        self.registered = now().map(str::to_owned).collect();
        let Some(stored) = read(host)? else { return Ok(()) };
        let missing = self.registered.iter().find(|id| !stored.admitted.contains_key(*id));
        match missing {
            None => Ok(()),
            Some(id) => Err(format!("agent {id} was let in before its registry has stored it")),
        }
    }
}

/// What the registry's file holds; `None` when there is none.
fn read(host: &Host) -> Result<Option<Stored>, String> {
    let Ok(content) = host.disk().read(FILE) else { return Ok(None) };
    orrery_api::protobuf::decode::<message::Registry>(&content)
        .map(|stored| Some(Stored::from_message(stored)))
        .map_err(|error| format!("the registry's file cannot be read: {error}"))
}
