//! Conservation (S1 and S21 of the catalogue): on each agent allocated,
//! offered and free make up its total, at every step, for every resource; in the master's view, the
//! allocator's and the agent's own. Mesos' bugs of the kind: MESOS-1718, MESOS-1400,
//! MESOS-711, MESOS-7197, MESOS-3552.

use orrery_agent::Agent;
use orrery_master::Master;

/// The master's view and the allocator's agree and hold no more than there is.
///
/// # Errors
/// The first disagreement.
pub fn master(master: &Master) -> Result<(), String> {
    master.check().map_err(|message| format!("in the master: {message}"))
}

/// What lives on an agent fits.
///
/// # Errors
/// What is too much.
pub fn agent(agent: &Agent) -> Result<(), String> {
    agent.check().map_err(|message| format!("on an agent: {message}"))
}
