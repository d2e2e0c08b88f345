//! What the agents have, as it stands after each of their steps: what all that is told must agree
//! with.

use std::collections::BTreeMap;

use orrery_agent::Agent;
use orrery_api::v1::TaskState;
use orrery_model::task_state::is_terminal;
use orrery_runtime_sim::Host;

/// What one agent's daemon has.
#[derive(Debug, Default)]
pub struct OfAgent {
    /// Its id; empty before its first registration.
    pub id: String,
    /// Whether it believes to be registered.
    pub registered: bool,
    /// By id, the states of its tasks.
    pub tasks: BTreeMap<String, TaskState>,
}

/// What all agents have, by the name of their host.
#[derive(Debug, Default)]
pub struct Truth {
    agents: BTreeMap<String, OfAgent>,
    hosts: Vec<Host>,
    /// How often an agent has got an id or was started.
    version: u64,
}

impl Truth {
    pub(crate) fn watch_hosts(&mut self, hosts: Vec<Host>) {
        self.hosts = hosts;
    }

    /// An agent's daemon has been started on `host`: what an earlier one had is past.
    pub(crate) fn started(&mut self, host: &str) {
        self.agents.remove(host);
        self.version += 1;
    }

    /// Says whether the agent has other tasks now, or in other states. An executor, which may hold
    /// something itself, comes with a task.
    pub(crate) fn agent_stepped(&mut self, host: &str, agent: &Agent) -> bool {
        if !self.agents.contains_key(host) {
            self.agents.insert(host.to_owned(), OfAgent::default());
        }
        let Some(known) = self.agents.get_mut(host) else { return false };
        if known.id != agent.agent_id() {
            agent.agent_id().clone_into(&mut known.id);
            self.version += 1;
        }
        known.registered = agent.is_registered();
        // Most steps change nothing, and to compare is cheaper than to copy.
        let now = || agent.tasks().map(|(_, task)| (&task.task_id.value, task.state()));
        let same = known.tasks.iter().map(|(id, state)| (id, *state)).eq(now());
        if !same {
            known.tasks = now().map(|(id, state)| (id.clone(), state)).collect();
        }
        !same
    }

    /// As long as it stays the same, no agent has got another id, and none has come up.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The agents whose daemon lives, with the names of their hosts.
    pub(crate) fn alive(&self) -> impl Iterator<Item = (&str, &OfAgent)> {
        self.agents.iter().filter(|(name, _)| self.is_up(name)).map(|(name, it)| (&**name, it))
    }

    fn is_up(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host.name() == name && host.is_up())
    }

    /// The agent on which a task lives: the id of the agent and the state of the task there.
    pub(crate) fn life_of(&self, task: &str) -> Option<(&str, TaskState)> {
        self.alive().find_map(|(_, agent)| {
            let state = agent.tasks.get(task).copied().filter(|state| !is_terminal(*state))?;
            Some((agent.id.as_str(), state))
        })
    }
}
