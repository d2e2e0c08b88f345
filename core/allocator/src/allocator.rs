//! The allocator's state, and everything that changes it except runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use orrery_coverage::{reachable, sometimes};
use orrery_model::{Quantities, Resources};
use orrery_runtime::{Generator, Instant};

use crate::agent::Agent;
use crate::filters::Filters;
use crate::framework::Framework;
use crate::options::{AgentKey, FrameworkKey, FrameworkOptions, Options};
use crate::pending::Pending;
use crate::planted::PlantedBug;
use crate::roles::Roles;
use crate::share::Pool;
use crate::slab::Slab;

/// A refusal never holds longer than a year.
const REFUSE_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// See the description of the crate. Calls that name a framework or an agent that is not there
/// change nothing, since its removal may have overtaken them.
#[derive(Clone, Debug)]
pub struct Allocator {
    pub(crate) options: Options,
    pub(crate) generator: Generator,
    pub(crate) frameworks: Slab<Framework>,
    pub(crate) agents: Slab<Agent>,
    pub(crate) roles: Roles,
    pub(crate) filters: Filters,
    pub(crate) pool: Pool,
    /// Whether shares in `roles` were worked out against another pool.
    pub(crate) pool_changed: bool,
    /// Active agents that have something free: the only ones that a run can grant from.
    pub(crate) with_free: BTreeSet<AgentKey>,
    pub(crate) pending: Pending,
    /// How often an account, or who wants offers, has changed.
    pub(crate) changes: u64,
}

impl Allocator {
    /// An allocator without frameworks and agents. The generator decides the order of agents.
    pub fn new(options: Options, generator: Generator) -> Self {
        Self {
            pool: Pool::new(options.excluded.clone()),
            pending: Pending::new(options.allocation_interval),
            options,
            generator,
            frameworks: Slab::default(),
            agents: Slab::default(),
            roles: Roles::default(),
            filters: Filters::default(),
            pool_changed: false,
            with_free: BTreeSet::new(),
            changes: 0,
        }
    }

    // === frameworks ===

    /// Adds a framework, in the place of one that has the same key. `id` orders frameworks that are
    /// equal in everything else.
    pub fn add_framework(
        &mut self,
        key: FrameworkKey,
        id: &str,
        options: FrameworkOptions,
        active: bool,
    ) {
        self.remove_framework(key);
        for role in &options.roles {
            self.roles.subscribe(role, key);
        }
        self.frameworks.insert(key.0, Framework::new(id, options, active));
        self.refresh(key);
        self.pending.framework_now(key);
    }

    /// Replaces roles, suppressed roles and capabilities. Filters in roles that it leaves are
    /// removed; what it holds there stays accounted for.
    pub fn update_framework(&mut self, key: FrameworkKey, options: FrameworkOptions) {
        let Some(framework) = self.frameworks.get_mut(key.0) else {
            return;
        };
        let changed = Framework::new(&framework.id, options, framework.active);
        if *framework == changed {
            return;
        }
        let old = std::mem::replace(framework, changed);
        let new = framework.options.roles.clone();
        for role in old.options.roles.iter().filter(|role| !new.contains(role)) {
            reachable!("a framework leaves a role");
            self.remove_filters(key, role);
            self.roles.unsubscribe(role, key, &self.pool);
        }
        for role in &new {
            self.roles.subscribe(role, key);
        }
        self.refresh(key);
        self.pending.framework_now(key);
    }

    /// Removes a framework; what it still holds becomes free.
    pub fn remove_framework(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.remove(key.0) else {
            return;
        };
        self.changes += 1;
        self.pending.forget_framework(key);
        for role in &framework.options.roles {
            self.remove_filters(key, role);
            self.roles.unsubscribe(role, key, &self.pool);
        }
        let holds = |(_, agent): &(u32, &Agent)| agent.allocations.contains_key(&key);
        let agents: Vec<u32> = self.agents.iter().filter(holds).map(|(number, _)| number).collect();
        sometimes!(!agents.is_empty(), "a framework is removed while it holds resources");
        for number in agents {
            let held = self.allocated(key, AgentKey(number)).clone();
            self.release(key, AgentKey(number), &held);
        }
    }

    /// Lets a framework have offers.
    pub fn activate_framework(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.get_mut(key.0) else {
            return;
        };
        framework.active = true;
        self.refresh(key);
        self.pending.framework_now(key);
    }

    /// Stops offers to a framework and forgets what it refused. What it holds stays its own.
    pub fn deactivate_framework(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.get_mut(key.0) else {
            return;
        };
        framework.active = false;
        for role in framework.options.roles.clone() {
            self.remove_filters(key, &role);
        }
        self.refresh(key);
    }

    /// Stops offers in `roles`, or in all roles when it is empty. Filters stay.
    pub fn suppress(&mut self, key: FrameworkKey, roles: &[String]) {
        let Some(framework) = self.frameworks.get_mut(key.0) else {
            return;
        };
        let roles = if roles.is_empty() { framework.options.roles.clone() } else { roles.to_vec() };
        reachable!("a framework suppresses offers");
        framework.suppressed.extend(roles);
        self.refresh(key);
    }

    /// Starts offers in `roles`, or in all roles when it is empty, and forgets what was refused.
    pub fn revive(&mut self, key: FrameworkKey, roles: &[String]) {
        let Some(framework) = self.frameworks.get_mut(key.0) else {
            return;
        };
        let roles = if roles.is_empty() { framework.options.roles.clone() } else { roles.to_vec() };
        sometimes!(!framework.suppressed.is_empty(), "a framework revives what it had suppressed");
        framework.suppressed.retain(|role| !roles.contains(role));
        for role in &roles {
            self.remove_filters(key, role);
        }
        self.refresh(key);
        self.pending.framework_now(key);
    }

    /// Sets the weight by which the share of a role is divided. Weights that are not positive
    /// numbers change nothing. They outlive the role's frameworks.
    pub fn set_weight(&mut self, role: &str, weight: f64) {
        if weight.is_finite() && weight > 0.0 {
            self.roles.set_weight(role, weight, &self.pool);
        }
    }

    /// Brings the tree of roles in line with what the framework wants now.
    fn refresh(&mut self, key: FrameworkKey) {
        self.changes += 1;
        let Some(framework) = self.frameworks.get(key.0) else {
            return;
        };
        for name in &framework.options.roles {
            let Some(role) = self.roles.find(name) else {
                continue;
            };
            if framework.wants(name) {
                self.roles.activate(role, key, &framework.id, &self.pool);
            } else {
                self.roles.deactivate(role, key, &self.pool);
            }
        }
    }

    fn remove_filters(&mut self, key: FrameworkKey, role: &str) {
        if let Some(role) = self.roles.find(role) {
            self.filters.remove_role(key, role);
        }
    }

    // === agents ===

    /// Adds an active agent, in the place of one that has the same key. `used` is what frameworks
    /// already hold there, with allocation roles; frameworks may be added later. `id` is for
    /// messages.
    pub fn add_agent(
        &mut self,
        key: AgentKey,
        id: impl Into<Arc<str>>,
        total: impl Into<Arc<Resources>>,
        used: &[(FrameworkKey, Resources)],
    ) {
        self.remove_agent(key);
        let total = total.into();
        self.pool.add(&total.quantities());
        self.pool_changed = true;
        self.agents.insert(key.0, Agent::new(id.into(), total));
        self.touch(key);
        for (framework, resources) in used {
            self.allocate(*framework, key, resources);
        }
        self.offer_now(key);
    }

    /// Replaces what an agent has in total. Refusals on it are forgotten.
    pub fn update_agent(&mut self, key: AgentKey, total: impl Into<Arc<Resources>>) {
        let Some(agent) = self.agents.get_mut(key.0) else {
            return;
        };
        let total = total.into();
        self.pool.subtract(&agent.total.quantities());
        self.pool.add(&total.quantities());
        self.pool_changed = true;
        agent.set_total(total);
        self.touch(key);
        self.filters.remove_agent(key);
        self.offer_now(key);
    }

    /// Removes an agent with everything that was held there.
    pub fn remove_agent(&mut self, key: AgentKey) {
        let Some(agent) = self.agents.remove(key.0) else {
            return;
        };
        self.changes += 1;
        for (framework, resources) in &agent.allocations {
            reachable!("an agent is removed with resources that are held");
            self.account_release(*framework, resources);
        }
        self.pool.subtract(&agent.total.quantities());
        self.pool_changed = true;
        self.filters.remove_agent(key);
        self.with_free.remove(&key);
        self.pending.forget_agent(key);
    }

    /// Lets an agent's resources be granted.
    pub fn activate_agent(&mut self, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key.0) else {
            return;
        };
        agent.active = true;
        self.touch(key);
        self.offer_now(key);
    }

    /// Stops grants from an agent. What is held there stays.
    pub fn deactivate_agent(&mut self, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(key.0) else {
            return;
        };
        agent.active = false;
        self.touch(key);
        self.note_free(key);
    }

    /// Notes that an agent's account has changed.
    fn touch(&mut self, key: AgentKey) {
        self.changes += 1;
        if let Some(agent) = self.agents.get_mut(key.0) {
            agent.revision = self.changes;
        }
    }

    fn offer_now(&mut self, key: AgentKey) {
        self.note_free(key);
        self.pending.agent_now(key);
    }

    /// Keeps `with_free` true after an agent has changed.
    fn note_free(&mut self, key: AgentKey) {
        let has_free = |agent: &Agent| agent.active && !agent.free().is_empty();
        if self.agents.get(key.0).is_some_and(has_free) {
            self.with_free.insert(key);
        } else {
            self.with_free.remove(&key);
        }
    }

    // === allocations ===

    /// Accounts for resources, with allocation roles, that a framework turns out to hold.
    pub fn add_allocation(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        resources: &Resources,
    ) {
        self.allocate(framework, agent, resources);
    }

    /// Takes back resources, with allocation roles, that a framework does not use (any more). They
    /// are granted again in the next periodic run. With a time in `refuse`, the framework is not
    /// offered these or fewer of this agent in their role for that time, which is at least the
    /// allocation interval and at most 365 days; `None` and zero set no filter.
    pub fn recover(
        &mut self,
        framework: FrameworkKey,
        agent: AgentKey,
        resources: &Resources,
        refuse: Option<Duration>,
        now: Instant,
    ) {
        self.pending.saw(now);
        self.release(framework, agent, resources);
        let refuse = refuse.unwrap_or_default();
        if refuse.is_zero() || self.agents.get(agent.0).is_none() {
            return;
        }
        let never_ends = PlantedBug::RefusalsNeverEnd.is_planted();
        let refuse = if never_ends { REFUSE_MAX } else { refuse };
        let holds = refuse.max(self.options.allocation_interval).min(REFUSE_MAX);
        for (name, part) in resources.allocations() {
            self.refuse((framework, &name, agent), part.unallocated(), now + holds);
        }
    }

    fn refuse(
        &mut self,
        (framework, name, agent): (FrameworkKey, &str, AgentKey),
        refused: Resources,
        expiry: Instant,
    ) {
        let known = self.frameworks.get(framework.0);
        let subscribed = |framework: &Framework| {
            framework.active && framework.options.roles.iter().any(|role| role == name)
        };
        if let (true, Some(role)) = (known.is_some_and(subscribed), self.roles.find(name)) {
            self.filters.insert((framework, role, agent), refused, expiry);
        } else {
            reachable!("a refusal does not count because its framework has left the role");
        }
    }

    /// Books resources in all accounts.
    pub(crate) fn allocate(
        &mut self,
        framework: FrameworkKey,
        key: AgentKey,
        resources: &Resources,
    ) {
        let Some(agent) = self.agents.get_mut(key.0) else {
            return;
        };
        agent.allocate(framework, resources);
        self.touch(key);
        for_each_role(resources, |role, quantities| {
            self.roles.allocate(role, framework, quantities, &self.pool);
        });
        self.note_free(key);
    }

    /// Reverses [`Allocator::allocate`] as far as the framework holds the resources.
    fn release(&mut self, framework: FrameworkKey, key: AgentKey, resources: &Resources) {
        let Some(agent) = self.agents.get_mut(key.0) else {
            return;
        };
        let released = agent.release(framework, resources);
        self.touch(key);
        if released.is_empty() {
            return;
        }
        self.account_release(framework, &released);
        self.note_free(key);
        self.pending.agent_later(key);
    }

    fn account_release(&mut self, framework: FrameworkKey, resources: &Resources) {
        if PlantedBug::ReleaseForgetsRoles.is_planted() {
            return;
        }
        for_each_role(resources, |role, quantities| {
            self.roles.release(role, framework, quantities, &self.pool);
        });
    }
}

/// Calls `account` with each allocation role and the quantities in it.
pub(crate) fn for_each_role(resources: &Resources, mut account: impl FnMut(&str, &Quantities)) {
    // One role for everything is the usual case and needs no splitting.
    match resources.allocation_role() {
        Some(role) => account(role, &resources.quantities()),
        None => {
            for (role, part) in resources.allocations() {
                account(&role, &part.quantities());
            }
        }
    }
}
