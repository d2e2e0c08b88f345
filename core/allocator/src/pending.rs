//! What waits for a run, and when the run is due.

use std::collections::BTreeSet;
use std::time::Duration;

use orrery_coverage::sometimes;
use orrery_runtime::Instant;

use crate::options::{AgentKey, FrameworkKey};

/// Changes since the last run. Some want a run at once, others wait for the periodic run.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    /// Nanoseconds between periodic runs; at least 1.
    interval: u64,
    /// The latest point in time that the allocator was told.
    latest: Instant,
    /// These frameworks wait for all agents, at once.
    frameworks: BTreeSet<FrameworkKey>,
    /// These agents wait for a run at once.
    now: BTreeSet<AgentKey>,
    /// These agents wait for the periodic run.
    later: BTreeSet<AgentKey>,
    /// When the periodic run is due. Present exactly when `later` is not empty.
    periodic: Option<Instant>,
}

/// What a run looks at.
#[derive(Debug, Default)]
pub(crate) struct Due {
    /// Agents to look at for all frameworks.
    pub(crate) agents: BTreeSet<AgentKey>,
    /// Frameworks to look at for all agents.
    pub(crate) frameworks: BTreeSet<FrameworkKey>,
}

impl Pending {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval: u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1),
            latest: Instant::default(),
            frameworks: BTreeSet::new(),
            now: BTreeSet::new(),
            later: BTreeSet::new(),
            periodic: None,
        }
    }

    pub(crate) fn saw(&mut self, now: Instant) {
        self.latest = self.latest.max(now);
    }

    pub(crate) fn framework_now(&mut self, framework: FrameworkKey) {
        self.frameworks.insert(framework);
    }

    pub(crate) fn agent_now(&mut self, agent: AgentKey) {
        self.now.insert(agent);
    }

    pub(crate) fn agent_later(&mut self, agent: AgentKey) {
        self.later.insert(agent);
        let after = self.latest + Duration::from_nanos(1);
        let due = self.beat(after);
        self.periodic.get_or_insert(due);
    }

    pub(crate) fn forget_framework(&mut self, framework: FrameworkKey) {
        self.frameworks.remove(&framework);
    }

    pub(crate) fn forget_agent(&mut self, agent: AgentKey) {
        self.now.remove(&agent);
        self.later.remove(&agent);
        self.settle();
    }

    /// A filter on `agent` ran out at `expiry`: it waits for the first periodic run after that.
    pub(crate) fn expired(&mut self, agent: AgentKey, expiry: Instant) {
        self.later.insert(agent);
        let due = self.beat(expiry);
        self.periodic = Some(self.periodic.map_or(due, |periodic| periodic.min(due)));
    }

    /// A point in the past when a run is due at once.
    pub(crate) fn urgent(&self) -> Option<Instant> {
        (!self.frameworks.is_empty() || !self.now.is_empty()).then_some(self.latest)
    }

    /// When the periodic run is due, given the next end of a filter.
    pub(crate) fn later(&self, expiry: Option<Instant>) -> Option<Instant> {
        let expiry = expiry.map(|expiry| self.beat(expiry));
        self.periodic.into_iter().chain(expiry).min()
    }

    /// Takes out what is due. Agents that are looked at now need not wait any longer.
    pub(crate) fn take_due(&mut self, now: Instant) -> Due {
        let mut due = Due {
            agents: std::mem::take(&mut self.now),
            frameworks: std::mem::take(&mut self.frameworks),
        };
        // A framework that looks at all agents may as well find what waits.
        if !due.frameworks.is_empty() || self.periodic.is_some_and(|periodic| periodic <= now) {
            due.agents.append(&mut self.later);
        }
        sometimes!(!self.later.is_empty(), "some agents wait for the periodic run");
        self.later.retain(|agent| !due.agents.contains(agent));
        self.settle();
        due
    }

    /// The first periodic run at or after `time`. Periodic runs keep their beat, the multiples of
    /// the interval, however long there was nothing to do.
    fn beat(&self, time: Instant) -> Instant {
        let beats = time.as_nanoseconds().div_ceil(self.interval);
        Instant::from_nanoseconds(beats.saturating_mul(self.interval))
    }

    fn settle(&mut self) {
        if self.later.is_empty() {
            self.periodic = None;
        }
    }
}
