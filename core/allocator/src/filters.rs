//! Refusals: what a framework does not want to be offered again for a while.

use std::collections::{BTreeMap, BTreeSet};

use orrery_coverage::sometimes;
use orrery_model::Resources;
use orrery_runtime::Instant;

use crate::options::{AgentKey, FrameworkKey};
use crate::roles::RoleKey;

/// Whom a filter concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Scope {
    agent: AgentKey,
    framework: FrameworkKey,
    role: RoleKey,
}

#[derive(Clone, Debug)]
struct Filter {
    expiry: Instant,
    number: u64,
    refused: Resources,
}

/// All filters that have not run out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filters {
    by_scope: BTreeMap<Scope, Vec<Filter>>,
    by_framework: BTreeSet<(FrameworkKey, RoleKey, AgentKey)>,
    by_expiry: BTreeSet<(Instant, u64, Scope)>,
    by_role: BTreeMap<RoleKey, usize>,
    /// Filters set so far; tells filters of the same expiry apart.
    count: u64,
}

impl Filters {
    pub(crate) fn insert(
        &mut self,
        (framework, role, agent): (FrameworkKey, RoleKey, AgentKey),
        refused: Resources,
        expiry: Instant,
    ) {
        let scope = Scope { agent, framework, role };
        self.count += 1;
        let filter = Filter { expiry, number: self.count, refused };
        self.by_expiry.insert((expiry, filter.number, scope));
        self.by_scope.entry(scope).or_default().push(filter);
        self.by_framework.insert((framework, role, agent));
        *self.by_role.entry(role).or_default() += 1;
    }

    /// Whether a filter holds back `offered`: one that refused this or more.
    pub(crate) fn refuse(
        &self,
        (framework, role, agent): (FrameworkKey, RoleKey, AgentKey),
        offered: &Resources,
    ) -> bool {
        let filters = self.by_scope.get(&Scope { agent, framework, role });
        filters.is_some_and(|filters| filters.iter().any(|f| f.refused.contains(offered)))
    }

    /// How many filters hold in a role.
    pub(crate) fn count(&self, role: RoleKey) -> usize {
        self.by_role.get(&role).copied().unwrap_or(0)
    }

    /// When the next filter runs out.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.by_expiry.first().map(|(expiry, _, _)| *expiry)
    }

    /// Removes a filter that has run out by `now`, and tells its agent and when it ran out.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<(AgentKey, Instant)> {
        let (expiry, number, scope) = *self.by_expiry.first()?;
        if expiry > now {
            return None;
        }
        self.by_expiry.pop_first();
        if let Some(filters) = self.by_scope.get_mut(&scope) {
            filters.retain(|filter| filter.number != number);
            if filters.is_empty() {
                self.by_scope.remove(&scope);
                self.by_framework.remove(&(scope.framework, scope.role, scope.agent));
            }
        }
        self.discount(scope.role, 1);
        Some((scope.agent, expiry))
    }

    /// Removes all filters of a framework in one role.
    pub(crate) fn remove_role(&mut self, framework: FrameworkKey, role: RoleKey) {
        let first = (framework, role, AgentKey(0));
        let last = (framework, role, AgentKey(u32::MAX));
        let found: Vec<_> = self.by_framework.range(first..=last).copied().collect();
        for (framework, role, agent) in found {
            self.remove(Scope { agent, framework, role });
        }
    }

    /// Removes all filters on an agent.
    pub(crate) fn remove_agent(&mut self, agent: AgentKey) {
        let first = Scope { agent, framework: FrameworkKey(0), role: RoleKey::FIRST };
        let of_agent = self.by_scope.range(first..).map(|(scope, _)| *scope);
        let found: Vec<_> = of_agent.take_while(|scope| scope.agent == agent).collect();
        sometimes!(
            !found.is_empty(),
            "refusals on an agent are forgotten because it changes or leaves"
        );
        for scope in found {
            self.remove(scope);
        }
    }

    fn remove(&mut self, scope: Scope) {
        let filters = self.by_scope.remove(&scope).unwrap_or_default();
        self.by_framework.remove(&(scope.framework, scope.role, scope.agent));
        for filter in &filters {
            self.by_expiry.remove(&(filter.expiry, filter.number, scope));
        }
        self.discount(scope.role, filters.len());
    }

    fn discount(&mut self, role: RoleKey, filters: usize) {
        if let Some(count) = self.by_role.get_mut(&role) {
            *count = count.saturating_sub(filters);
            if *count == 0 {
                self.by_role.remove(&role);
            }
        }
    }
}
