//! Kills (L5 and S14 of the catalogue): a task that its framework has killed ends. Mesos' bugs of
//! the kind: MESOS-8679, MESOS-8530, MESOS-9180, MESOS-9131, MESOS-7783.
//!
//! The framework's library says a kill again after each subscription until the task has ended, so
//! whatever breaks between framework and master changes nothing as long as the process lives. A
//! master says it again when an agent returns. It forgets it when it is replaced, or gives the
//! agent up: whether the agent has then got the kill is not known, and nothing is expected.

use std::collections::{BTreeMap, BTreeSet};

use orrery_allocator::AgentKey;
use orrery_master::Master;

use super::Session;
use super::truth::Truth;

/// Who knows of a kill.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    session: Session,
    master: String,
    agent: AgentKey,
}

/// All kills, and what they depend on.
#[derive(Debug, Default)]
pub struct Kills {
    master: String,
    /// The agents of the present master, by id.
    agents: BTreeMap<String, AgentKey>,
    /// The newest process of each framework.
    newest: BTreeMap<usize, Session>,
    /// By task id.
    kills: BTreeMap<String, Known>,
}

impl Kills {
    pub(crate) fn master_stepped(&mut self, master: &Master) {
        self.master.clone_from(&master.options().master_info.id);
        let now = || master.agents().map(|(key, agent)| (agent.id(), key));
        if !self.agents.iter().map(|(id, key)| (id.as_str(), *key)).eq(now()) {
            self.agents = now().map(|(id, key)| (id.to_owned(), key)).collect();
        }
    }

    pub(crate) fn started(&mut self, session: Session) {
        self.newest.insert(session.framework, session);
    }

    /// A framework kills a task that is on `agent`.
    pub(crate) fn killed(&mut self, session: Session, task: &str, agent: &str) {
        let Some(agent) = self.agents.get(agent) else { return };
        let known = Known { session, master: self.master.clone(), agent: *agent };
        self.kills.entry(task.to_owned()).or_insert(known);
    }

    /// At rest, no task lives that was killed by somebody who would know if the kill was lost.
    /// Frameworks in `away` are out of reach, and what they said last may have been lost with it.
    pub(crate) fn check(&self, truth: &Truth, away: &BTreeSet<usize>) -> Result<(), String> {
        let heard = |known: &Known| !away.contains(&known.session.framework);
        for (task, known) in self.kills.iter().filter(|(_, known)| heard(known)) {
            let Some((agent, state)) = truth.life_of(task) else { continue };
            let same_agent = self.agents.get(agent) == Some(&known.agent);
            let same_process = self.newest.get(&known.session.framework) == Some(&known.session);
            if same_agent && same_process && self.master == known.master {
                let state = state.as_str_name();
                return Err(format!("task {task} was killed but is {state} on agent {agent}"));
            }
        }
        Ok(())
    }
}
