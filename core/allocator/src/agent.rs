//! What the allocator knows about an agent.

use std::collections::BTreeMap;
use std::sync::Arc;

use orrery_coverage::{reachable, sometimes};
use orrery_model::{Resources, Scalar};

use crate::options::FrameworkKey;

#[derive(Clone, Debug)]
pub(crate) struct Agent {
    pub(crate) id: Arc<str>,
    pub(crate) total: Arc<Resources>,
    /// What each framework holds, with allocation roles.
    pub(crate) allocations: BTreeMap<FrameworkKey, Resources>,
    pub(crate) active: bool,
    /// Which of the allocator's changes was the last one here.
    pub(crate) revision: u64,
    /// `total` without what is allocated; the same object on an agent that is idle.
    free: Arc<Resources>,
    /// Whether more is allocated than there is, as after an agent came back smaller than before.
    overcommitted: bool,
}

impl Agent {
    pub(crate) fn new(id: Arc<str>, total: Arc<Resources>) -> Self {
        Self {
            id,
            free: Arc::clone(&total),
            total,
            allocations: BTreeMap::new(),
            active: true,
            revision: 0,
            overcommitted: false,
        }
    }

    pub(crate) fn free(&self) -> &Resources {
        &self.free
    }

    pub(crate) fn has_gpus(&self) -> bool {
        self.total.scalar("gpus") > Scalar::ZERO
    }

    pub(crate) fn set_total(&mut self, total: Arc<Resources>) {
        self.total = total;
        self.count_free();
    }

    /// `resources` carry allocation roles.
    pub(crate) fn allocate(&mut self, framework: FrameworkKey, resources: &Resources) {
        *self.allocations.entry(framework).or_default() += resources;
        match self.free.checked_sub(&resources.unallocated()) {
            Some(rest) if !self.overcommitted => self.free = Arc::new(rest),
            _ => self.count_free(),
        }
    }

    /// Gives back at most what the framework holds; says what that was.
    pub(crate) fn release(&mut self, framework: FrameworkKey, resources: &Resources) -> Resources {
        let Some(held) = self.allocations.get_mut(&framework) else {
            return Resources::new();
        };
        let released = match held.contains(resources) {
            true => resources.clone(),
            // What would be missing stays out of the account.
            false => {
                reachable!("more is given back than is held");
                &*held - &(&*held - resources)
            }
        };
        *held -= &released;
        if held.is_empty() {
            self.allocations.remove(&framework);
        }
        if self.overcommitted {
            self.count_free();
        } else {
            *Arc::make_mut(&mut self.free) += released.unallocated();
        }
        released
    }

    /// Works out from scratch what is free.
    fn count_free(&mut self) {
        let allocated = self.allocated();
        self.overcommitted = !self.total.contains(&allocated);
        sometimes!(self.overcommitted, "an agent has less than is held on it");
        self.free = Arc::new(&*self.total - &allocated);
    }

    /// Whether what is allocated and what is free make up the total.
    pub(crate) fn is_balanced(&self) -> bool {
        // An agent on which nothing is held is the usual case and needs no sum.
        match self.allocations.is_empty() {
            true => self.free == self.total,
            false => self.allocated() + &*self.free == *self.total,
        }
    }

    /// What all frameworks hold, without roles.
    pub(crate) fn allocated(&self) -> Resources {
        self.allocations.values().map(Resources::unallocated).fold(Resources::new(), |a, b| a + b)
    }
}
