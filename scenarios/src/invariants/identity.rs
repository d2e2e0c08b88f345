//! Identity (S17 of the catalogue): one agent id belongs to one agent, which is where it was when
//! it got it, and one address to one connected agent. An agent that only cleaned up what it had
//! left is the same one afterwards, or nobody could tell what became of its tasks. Mesos' bugs of
//! the kind: MESOS-3351, MESOS-5396, MESOS-423, MESOS-714.

use std::collections::BTreeMap;

use orrery_agent::Agent;
use orrery_master::Master;

/// Who has which id.
#[derive(Debug, Default)]
pub struct Identity {
    /// The host on which an id was seen first.
    homes: BTreeMap<String, String>,
    /// Hosts whose agents have cleaned up, and the ids that those began with: what was written down
    /// in time.
    kept: BTreeMap<String, Option<String>>,
}

impl Identity {
    /// The agent of a host cleans up, and nothing else has happened to it since that would make it
    /// another one.
    pub(crate) fn cleans_up(&mut self, host: &str) {
        self.kept.insert(host.to_owned(), None);
    }

    /// The daemon of an agent is started. What cleaned up before and had no id keeps none.
    pub(crate) fn started(&mut self, host: &str) {
        if self.kept.get(host).is_some_and(Option::is_none) {
            self.kept.remove(host);
        }
    }

    /// The agent of a host may begin anew.
    pub(crate) fn may_change(&mut self, host: &str) {
        self.kept.remove(host);
    }

    /// Every agent may begin anew.
    pub(crate) fn all_may_change(&mut self) {
        self.kept.clear();
    }

    pub(crate) fn agent_stepped(&mut self, host: &str, agent: &Agent) -> Result<(), String> {
        let id = agent.agent_id();
        if id.is_empty() {
            return Ok(());
        }
        if let Some(kept) = self.kept.get_mut(host) {
            let kept = kept.get_or_insert_with(|| id.to_owned());
            if kept != id {
                return Err(format!("{host} was agent {kept}, cleaned up, and is agent {id} now"));
            }
        }
        match self.homes.get(id) {
            Some(home) if home == host => Ok(()),
            Some(home) => Err(format!("{host} is agent {id}, and so is or was {home}")),
            None => {
                self.homes.insert(id.to_owned(), host.to_owned());
                Ok(())
            }
        }
    }
}

/// No two agents that are registered with a master, and are not about to leave, have the same
/// address.
///
/// # Errors
/// The first two that have.
pub fn master(master: &Master) -> Result<(), String> {
    let mut addresses = BTreeMap::new();
    for (_, agent) in master.agents().filter(|(_, agent)| !agent.is_leaving()) {
        if let Some(other) = addresses.insert(agent.pid.as_ref(), agent.id()) {
            return Err(format!("agents {other} and {} are both at {}", agent.id(), agent.pid));
        }
    }
    Ok(())
}
