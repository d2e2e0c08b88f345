//! Leaks (S29, L13 and L14 of the catalogue): a cluster at rest is quiet, and what was used is
//! given back: nobody registers or subscribes again and again, and once all frameworks are gone no
//! connection is left but one for each agent. Mesos' bugs of the kind: MESOS-8171, MESOS-9258,
//! MESOS-7748, MESOS-6285.

use std::collections::BTreeMap;

use orrery_master::Master;

/// Who came when: what changes with each registration and subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    master: String,
    agents: BTreeMap<String, String>,
    frameworks: BTreeMap<String, String>,
}

impl Arrivals {
    /// What `master` has on record.
    pub fn of(master: &Master) -> Self {
        let agents = master.agents().map(|(key, agent)| {
            (agent.id().to_owned(), format!("{key:?} {:?} {:?}", agent.link, agent.reregistered))
        });
        // One that is not connected is removed in time: its process died and never came back.
        let connected = master.frameworks().filter(|(_, one)| one.connection.is_some());
        let frameworks = connected.map(|(key, one)| {
            (one.id().to_owned(), format!("{key:?} {:?} {:?}", one.connection, one.reregistered))
        });
        Self {
            master: master.options().master_info.id.clone(),
            agents: agents.collect(),
            frameworks: frameworks.collect(),
        }
    }

    /// Whether nobody came or left between two looks.
    ///
    /// # Errors
    /// Who did.
    pub fn check_quiet(&self, later: &Self) -> Result<(), String> {
        let differs = |what: &str, a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| {
            let id = a.keys().chain(b.keys()).find(|id| a.get(*id) != b.get(*id))?;
            Some(format!("{what} {id} was {:?} and is {:?}", a.get(id), b.get(id)))
        };
        if self.master != later.master {
            return Err("the master was replaced".to_owned());
        }
        let found = differs("agent", &self.agents, &later.agents)
            .or_else(|| differs("framework", &self.frameworks, &later.frameworks));
        found.map_or(Ok(()), Err)
    }
}
