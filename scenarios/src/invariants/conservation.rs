//! Conservation (S1 and S21 of the catalogue): on each agent allocated, offered and free make up
//! its total, at every step, for every resource; in the master's view, the allocator's and the
//! agent's own. Mesos' bugs of the kind: MESOS-1718, MESOS-1400, MESOS-711, MESOS-7197, MESOS-3552.

use std::collections::BTreeMap;

use orrery_agent::Agent;
use orrery_master::{Audit, Changes, Master};

/// What the books of each master looked like after its last step, by the master's id.
#[derive(Debug, Default)]
pub struct Books {
    audits: BTreeMap<String, Audit>,
}

impl Books {
    /// What the step of a master has changed in its books.
    pub(crate) fn look_at(&mut self, master: &Master) -> Changes {
        let id = &master.options().master_info.id;
        match self.audits.get_mut(id) {
            Some(audit) => audit.look_at(master),
            None => self.audits.entry(id.clone()).or_default().look_at(master),
        }
    }
}

/// The master's view and the allocator's agree and hold no more than there is, wherever a step has
/// changed something.
///
/// # Errors
/// The first disagreement.
pub fn master(master: &Master, changes: &Changes) -> Result<(), String> {
    master.check_changed(changes).map_err(|message| format!("in the master: {message}"))
}

/// What lives on an agent fits.
///
/// # Errors
/// What is too much.
pub fn agent(agent: &Agent) -> Result<(), String> {
    agent.check().map_err(|message| format!("on an agent: {message}"))
}
