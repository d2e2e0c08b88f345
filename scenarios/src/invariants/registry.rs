//! The registry (S4 and S12 of the catalogue): an agent that was told that it is admitted is known
//! to every later master, whatever happened to the one that told it. Mesos' bugs of the kind:
//! MESOS-1376, MESOS-9786, MESOS-648, MESOS-8481.

use orrery_master::Master;

use super::truth::Truth;

/// What was compared last.
#[derive(Debug, Default)]
pub struct Registry {
    /// The version of the truth about agents.
    truth: u64,
}

impl Registry {
    /// Whether agents have changed since the last comparison.
    pub(crate) fn is_behind(&self, truth: &Truth) -> bool {
        self.truth != truth.version()
    }

    /// Sets a master's books against what agents were told.
    pub(crate) fn master_stepped(&mut self, master: &Master, truth: &Truth) -> Result<(), String> {
        self.truth = truth.version();
        for (name, agent) in truth.alive().filter(|(_, agent)| !agent.id.is_empty()) {
            if !master.knows_agent(&agent.id) {
                return Err(format!("{name} was admitted as {}, which nobody knows", agent.id));
            }
        }
        Ok(())
    }
}
