//! What goes into the allocator and what comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_model::{Quantities, Resources, Scalar};

/// A framework, by the place that the master keeps it in. Small numbers, used again after removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameworkKey(pub u32);

/// An agent, by the place that the master keeps it in. Small numbers, used again after removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AgentKey(pub u32);

/// What holds for the whole cluster.
#[derive(Clone, Debug)]
pub struct Options {
    /// The time between periodic runs, and the shortest time for which a refusal holds.
    pub allocation_interval: Duration,
    /// Resources are granted when they hold at least one of these. No entry: anything is granted.
    pub minimum_allocatable: Vec<Quantities>,
    /// Names of resources that do not count for shares.
    pub excluded: Vec<String>,
    /// Whether agents with GPUs are kept for frameworks that can use GPUs.
    pub filter_gpu_resources: bool,
}

impl Default for Options {
    /// An interval of 1 s; 0.01 cpus or 32 MB of memory; nothing excluded; GPUs kept.
    fn default() -> Self {
        let single = |name, amount| [(name, amount)].into_iter().collect();
        Self {
            allocation_interval: Duration::from_secs(1),
            minimum_allocatable: vec![
                single("cpus", Scalar(10)),
                single("mem", Scalar::from_units(32)),
            ],
            excluded: Vec::new(),
            filter_gpu_resources: true,
        }
    }
}

/// What a framework wants and what it can deal with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameworkOptions {
    /// The roles whose resources it is offered. Repetitions count once.
    pub roles: Vec<String>,
    /// Those of `roles` for which it wants no offers at present.
    pub suppressed: Vec<String>,
    /// Takes revocable resources.
    pub revocable: bool,
    /// Takes agents with GPUs.
    pub gpu: bool,
    /// Takes shared volumes.
    pub shared: bool,
    /// Takes resources with refined reservations.
    pub reservation_refinement: bool,
    /// By role: replaces [`Options::minimum_allocatable`].
    pub minimum_allocatable: BTreeMap<String, Vec<Quantities>>,
}

/// Resources of one agent for one framework in one role.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// Who gets them.
    pub framework: FrameworkKey,
    /// Where they are.
    pub agent: AgentKey,
    /// The role in which the framework gets them.
    pub role: String,
    /// The resources, allocated to `role`.
    pub resources: Resources,
}
