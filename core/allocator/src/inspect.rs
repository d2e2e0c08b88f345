//! Looking at the accounts, for metrics, endpoints and tests.

use std::collections::BTreeMap;

use orrery_model::{Quantities, Resources};

use crate::allocator::{Allocator, for_each_role};
use crate::options::{AgentKey, FrameworkKey};

static NOTHING: Resources = Resources::new();
static NO_QUANTITIES: Quantities = Quantities::new();

/// What each framework holds, by role.
type Held = BTreeMap<String, BTreeMap<FrameworkKey, Quantities>>;

impl Allocator {
    /// The sum of all agents' resources, active or not.
    pub fn total(&self) -> &Quantities {
        self.pool.total()
    }

    /// What is on offer or in use in the whole cluster.
    pub fn offered_or_allocated(&self) -> &Quantities {
        self.roles.allocated()
    }

    /// What a framework holds on an agent, with allocation roles, on offer or in use.
    pub fn allocated(&self, framework: FrameworkKey, agent: AgentKey) -> &Resources {
        let agent = self.agents.get(agent.0);
        agent.and_then(|agent| agent.allocations.get(&framework)).unwrap_or(&NOTHING)
    }

    /// What nobody holds on an agent.
    pub fn free(&self, agent: AgentKey) -> &Resources {
        self.agents.get(agent.0).map_or(&NOTHING, |agent| agent.free())
    }

    /// The dominant share of a role with the roles below it, divided by its weight; 0 for roles
    /// without frameworks.
    pub fn role_share(&self, role: &str) -> f64 {
        let role = self.roles.find(role);
        role.map_or(0.0, |role| self.roles.share(role, &self.pool).as_f64())
    }

    /// How many filters hold back offers in a role. Filters that ran out count until the next run.
    pub fn active_filters(&self, role: &str) -> usize {
        self.roles.find(role).map_or(0, |role| self.filters.count(role))
    }

    /// How often anything has changed: an account of any agent, framework or role, or who wants
    /// offers.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Which of all changes was the last one of an agent's account: as long as it stays the same,
    /// so does everything that is booked there. 0 for agents that are not there.
    pub fn revision(&self, agent: AgentKey) -> u64 {
        self.agents.get(agent.0).map_or(0, |agent| agent.revision)
    }

    /// Recounts everything: on each agent the allocations are part of the total and the rest is
    /// free, and the accounts of roles and of the cluster are the sums of the agents'. The error
    /// names what differs.
    pub fn check_conservation(&self) -> Result<(), String> {
        for (number, _) in self.agents.iter() {
            self.check_agent(AgentKey(number))?;
        }
        self.check_sums()
    }

    /// The part of [`Allocator::check_conservation`] that concerns one agent alone.
    pub fn check_agent(&self, key: AgentKey) -> Result<(), String> {
        let Some(agent) = self.agents.get(key.0) else { return Ok(()) };
        let (id, free) = (&agent.id, agent.free());
        if !agent.is_balanced() {
            let (allocated, total) = (agent.allocated(), &agent.total);
            return Err(format!("agent {id}: {allocated} and free {free} are not {total}"));
        }
        let has_free = agent.active && !free.is_empty();
        if has_free != self.with_free.contains(&key) {
            return Err(format!("agent {id}: free {free} is listed wrongly"));
        }
        Ok(())
    }

    /// The part of [`Allocator::check_conservation`] that concerns the sums over all agents.
    pub fn check_sums(&self) -> Result<(), String> {
        let mut total = Quantities::new();
        let mut held = Held::new();
        for (_, agent) in self.agents.iter() {
            total += &agent.total.quantities();
            for (framework, resources) in &agent.allocations {
                for_each_role(resources, |role, part| add_held(&mut held, role, *framework, part));
            }
        }
        if total != *self.pool.total() {
            return Err(format!("pool is {}; agents have {total}", self.pool.total()));
        }
        self.check_roles(&held)
    }

    /// Whether a framework has suppressed offers in `role`.
    pub fn is_suppressed(&self, framework: FrameworkKey, role: &str) -> bool {
        let framework = self.frameworks.get(framework.0);
        framework.is_some_and(|framework| framework.suppressed.contains(role))
    }

    /// Compares who takes part in each role with what the frameworks say: those who are subscribed
    /// to it or hold something in it, and in line for offers those of them who want any. The error
    /// names the first difference.
    pub fn check_clients(&self) -> Result<(), String> {
        for (role, framework, held) in self.roles.holdings() {
            let known = self.frameworks.get(framework.0);
            let subscribed = known.is_some_and(|it| it.options.roles.iter().any(|it| it == role));
            if !subscribed && held.is_empty() {
                let number = framework.0;
                return Err(format!("framework {number} has nothing in role {role} any more"));
            }
        }
        for (number, framework) in self.frameworks.iter() {
            for role in &framework.options.roles {
                let key = self.roles.find(role);
                let mut in_line = key.into_iter().flat_map(|key| self.roles.frameworks(key));
                let (waits, wants) = (in_line.any(|it| it.0 == number), framework.wants(role));
                if waits != wants {
                    return Err(format!(
                        "framework {number} wants offers in role {role}: {wants}; waits: {waits}"
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_roles(&self, held: &Held) -> Result<(), String> {
        let mut sum = Quantities::new();
        for quantities in held.values().flat_map(BTreeMap::values) {
            sum += quantities;
        }
        if sum != *self.roles.allocated() {
            return Err(format!("roles hold {}; agents say {sum}", self.roles.allocated()));
        }
        for (role, framework, quantities) in self.roles.holdings() {
            let counted = held.get(role).and_then(|clients| clients.get(&framework));
            let counted = counted.unwrap_or(&NO_QUANTITIES);
            if counted != quantities {
                let number = framework.0;
                return Err(format!(
                    "framework {number} holds {quantities} in role {role}; agents say {counted}"
                ));
            }
        }
        Ok(())
    }
}

fn add_held(held: &mut Held, role: &str, framework: FrameworkKey, quantities: &Quantities) {
    if !held.contains_key(role) {
        held.insert(role.to_owned(), BTreeMap::new());
    }
    if let Some(clients) = held.get_mut(role) {
        *clients.entry(framework).or_default() += quantities;
    }
}
