//! What happens in a run.

use std::collections::BTreeSet;

use orrery_coverage::{always, reachable, sometimes};
use orrery_model::Resources;
use orrery_runtime::Instant;

use crate::agent::Agent;
use crate::allocator::Allocator;
use crate::framework::Framework;
use crate::options::{AgentKey, FrameworkKey, Grant};
use crate::pending::Due;
use crate::planted::PlantedBug;
use crate::roles::RoleKey;

impl Allocator {
    /// When [`Allocator::run`] has something to do next; a point in the past when it has already.
    /// `None` when there is nothing to wait for: nobody takes offers, nothing is free, or nothing
    /// has changed.
    pub fn deadline(&self) -> Option<Instant> {
        if self.roles.is_idle() {
            return None;
        }
        let later = || self.pending.later(self.filters.next_expiry());
        self.pending.urgent().or_else(|| if self.with_free.is_empty() { None } else { later() })
    }

    /// Runs what is due at `now` and says what was granted. Grants are already accounted for.
    pub fn run(&mut self, now: Instant) -> Vec<Grant> {
        self.pending.saw(now);
        while let Some((agent, expiry)) = self.filters.pop_expired(now) {
            reachable!("a refusal runs out");
            self.pending.expired(agent, expiry);
        }
        let Due { mut agents, frameworks } = self.pending.take_due(now);
        sometimes!(agents.len() + frameworks.len() >= 100, "a run finds a hundred changes or more");
        agents.retain(|agent| self.with_free.contains(agent));
        // Whoever takes offers later causes a look at every agent, so nothing is forgotten here.
        if self.roles.is_idle() || (agents.is_empty() && frameworks.is_empty()) {
            reachable!("a run finds nobody who takes offers, or nothing free");
            return Vec::new();
        }
        if std::mem::take(&mut self.pool_changed) {
            self.roles.reorder(&self.pool);
        }
        // Agents about which nothing changed have nothing for frameworks about which nothing
        // changed: these refused the same already, and less would be refused as well.
        let for_all = |agent: &AgentKey| (*agent, agents.contains(agent));
        let mut turns: Vec<(AgentKey, bool)> = match frameworks.is_empty() {
            true => agents.iter().map(|agent| (*agent, true)).collect(),
            false => self.with_free.iter().map(for_all).collect(),
        };
        sometimes!(
            frameworks.is_empty() && agents.len() < self.with_free.len(),
            "a run looks only at the agents that changed"
        );
        self.generator.shuffle(&mut turns);
        let mut grants = Vec::new();
        for (agent, for_all) in turns {
            self.turn(agent, (!for_all).then_some(&frameworks), &mut grants);
        }
        grants
    }

    /// Offers what is free on one agent to those who are next, and books what they get. Shares
    /// change after the turn, so one agent's resources all follow the same order.
    fn turn(
        &mut self,
        key: AgentKey,
        only: Option<&BTreeSet<FrameworkKey>>,
        grants: &mut Vec<Grant>,
    ) {
        let first = grants.len();
        if let Some(agent) = self.agents.get(key.0) {
            self.choose(key, agent, only, grants);
        }
        for grant in &grants[first..] {
            if PlantedBug::GrantsAreNotBooked.is_planted() {
                continue;
            }
            always!(self.is_free(key, &grant.resources), "what is granted was free", grant);
            self.allocate(grant.framework, key, &grant.resources);
        }
    }

    /// Whether nobody holds `resources` of an agent.
    fn is_free(&self, key: AgentKey, resources: &Resources) -> bool {
        self.agents.get(key.0).is_some_and(|agent| agent.free().contains(&resources.unallocated()))
    }

    fn choose(
        &self,
        key: AgentKey,
        agent: &Agent,
        only: Option<&BTreeSet<FrameworkKey>>,
        grants: &mut Vec<Grant>,
    ) {
        let gpus_kept = self.options.filter_gpu_resources && agent.has_gpus();
        let mut free = agent.free().clone();
        // Plain resources are the same for every role and framework.
        let plain = !free.has_qualities();
        for role in self.roles.walk() {
            let name = self.roles.name(role);
            for number in self.roles.frameworks(role) {
                if only.is_some_and(|only| !only.contains(&number)) {
                    continue;
                }
                let Some(framework) = self.frameworks.get(number.0) else {
                    continue;
                };
                if gpus_kept && !framework.options.gpu {
                    reachable!("an agent with GPUs is kept from a framework that wants none");
                    continue;
                }
                let selected = (!plain).then(|| framework.usable(&free.allocatable_to(name)));
                let offered = selected.as_ref().unwrap_or(&free);
                if !self.takes(framework, (number, role, key), offered) {
                    continue;
                }
                grants.push(Grant {
                    framework: number,
                    agent: key,
                    role: name.to_owned(),
                    resources: offered.allocated_to(name),
                });
                sometimes!(
                    !grants[..].is_empty() && selected.is_some(),
                    "a part of what is free is granted"
                );
                match selected {
                    Some(offered) => free -= &offered,
                    None => free = Resources::new(),
                }
                if free.is_empty() {
                    return;
                }
            }
        }
    }

    fn takes(
        &self,
        framework: &Framework,
        scope: (FrameworkKey, RoleKey, AgentKey),
        offered: &Resources,
    ) -> bool {
        framework.accepts(self.roles.name(scope.1), offered, &self.options)
            && !self.filters.refuse(scope, offered)
    }
}
