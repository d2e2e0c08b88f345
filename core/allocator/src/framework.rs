//! What the allocator knows about a framework.

use std::collections::BTreeSet;
use std::sync::Arc;

use orrery_model::{Quantities, Resources};

use crate::options::{FrameworkOptions, Options};
use crate::planted::PlantedBug;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Framework {
    pub(crate) id: Arc<str>,
    pub(crate) options: FrameworkOptions,
    /// Begins as what `options` say and changes with every suppression and revival.
    pub(crate) suppressed: BTreeSet<String>,
    pub(crate) active: bool,
}

impl Framework {
    pub(crate) fn new(id: &str, options: FrameworkOptions, active: bool) -> Self {
        let suppressed = options.suppressed.iter().cloned().collect();
        Self { id: id.into(), options, suppressed, active }
    }

    /// Whether it takes offers in `role`, one of its roles.
    pub(crate) fn wants(&self, role: &str) -> bool {
        let ignored = PlantedBug::SuppressionIsIgnored.is_planted();
        self.active && (ignored || !self.suppressed.contains(role))
    }

    /// The part of `free` that it can deal with.
    pub(crate) fn usable(&self, free: &Resources) -> Resources {
        let mut usable = free.clone();
        if !self.options.revocable {
            usable = usable.non_revocable();
        }
        if !self.options.shared {
            usable = usable.non_shared();
        }
        if !self.options.reservation_refinement {
            usable = usable.unrefined();
        }
        usable
    }

    /// Whether `resources` are worth an offer in `role`.
    pub(crate) fn accepts(&self, role: &str, resources: &Resources, options: &Options) -> bool {
        let own = self.options.minimum_allocatable.get(role);
        let minimum = own.unwrap_or(&options.minimum_allocatable);
        !resources.is_empty() && (minimum.is_empty() || holds_one(&resources.quantities(), minimum))
    }
}

fn holds_one(quantities: &Quantities, minimum: &[Quantities]) -> bool {
    minimum.iter().any(|minimum| quantities.contains(minimum))
}
