//! Forgetting agents that have been unreachable or gone for very long, so that the registry does
//! not grow for ever.

use std::collections::{BTreeMap, BTreeSet};

use orrery_coverage::reachable;
use orrery_runtime::WallTime;

use crate::pending::Pending;
use crate::timers::Timer;
use crate::{Master, PlantedBug, RegistryOperation};

/// How many agents one change of the registry forgets at most: with the longest ids there are, it
/// stays below a megabyte.
const PART: usize = 3_500;

impl Master {
    /// Looks for agents to forget, and sets the time of the next look.
    pub(crate) fn prune(&mut self) {
        self.set_timer(self.options.registry_gc_interval, Timer::Prune);
        let unreachable = self.unreachable.iter().map(|(id, agent)| (id.as_str(), agent.since));
        let unreachable = self.outdated(unreachable.collect());
        let gone = self.gone.iter().map(|(id, since)| (id.as_str(), *since));
        let gone = self.outdated(gone.collect());
        if unreachable.is_empty() && gone.is_empty() {
            return;
        }
        reachable!("agents that were away for very long are forgotten");
        tracing::info!(unreachable = unreachable.len(), gone = gone.len(), "forgetting agents");
        for unreachable in in_parts(unreachable) {
            self.forget(unreachable, BTreeSet::new());
        }
        for gone in in_parts(gone) {
            self.forget(BTreeSet::new(), gone);
        }
    }

    fn forget(&mut self, unreachable: BTreeSet<String>, gone: BTreeSet<String>) {
        let pending = Pending::Prune(unreachable.clone(), gone.clone());
        self.store(RegistryOperation::Prune { unreachable, gone }, pending);
    }

    /// Those that are too old, and the oldest of those that are too many.
    fn outdated(&self, agents: BTreeMap<&str, WallTime>) -> BTreeSet<String> {
        let mut by_age: Vec<(WallTime, &str)> =
            agents.into_iter().map(|(id, since)| (since, id)).collect();
        by_age.sort_unstable();
        let surplus = by_age.len().saturating_sub(self.options.registry_max_agent_count);
        let oldest = self.options.registry_max_agent_age.as_nanos();
        let now = self.now.wall.as_nanoseconds();
        let is_old = |since: WallTime| {
            let age = i128::from(now) - i128::from(since.as_nanoseconds());
            u128::try_from(age).is_ok_and(|age| age > oldest)
        };
        let outdated = by_age.iter().enumerate();
        let outdated = outdated.filter(|(number, (since, _))| *number < surplus || is_old(*since));
        outdated.map(|(_, (_, id))| (*id).to_owned()).collect()
    }

    pub(crate) fn pruned(&mut self, unreachable: &BTreeSet<String>, gone: &BTreeSet<String>) {
        self.unreachable.retain(|id, _| !unreachable.contains(id));
        self.gone.retain(|id, _| !gone.contains(id));
        if PlantedBug::PruneLeavesTasks.is_planted() {
            return;
        }
        // What became of their tasks nobody can tell any more: they are unknown from now on.
        for framework in self.frameworks.values_mut() {
            framework.unreachable_tasks.retain(|task| !unreachable.contains(task.agent_id()));
        }
    }
}

/// The same ids in sets of a bearable size.
fn in_parts(ids: BTreeSet<String>) -> Vec<BTreeSet<String>> {
    let ids: Vec<String> = ids.into_iter().collect();
    ids.chunks(PART).map(|part| part.iter().cloned().collect()).collect()
}
