//! How a master behaves: the flags that reach its decisions.

use std::time::Duration;

use orrery_api::v1::MasterInfo;
use orrery_model::Quantities;

/// Settings of one master. The defaults are Mesos' (`reference: mesos-master --help`).
#[derive(Clone, Debug)]
pub struct Options {
    /// Who this master is. Its id starts every framework, agent and offer id it gives out.
    pub master_info: MasterInfo,
    /// How often freed and declined resources are offered again.
    pub allocation_interval: Duration,
    /// The sets of amounts of which an offer must hold at least one.
    pub minimum_allocatable: Vec<Quantities>,
    /// How long an offer may stay unanswered before it is rescinded; `None` means for ever.
    pub offer_timeout: Option<Duration>,
    /// How long an agent may take to answer a ping, and the pause between two pings.
    pub agent_ping_timeout: Duration,
    /// So many pings in a row without an answer make an agent unreachable.
    pub max_agent_ping_timeouts: u32,
    /// How long a disconnected or recovered agent may take to register again.
    pub agent_reregister_timeout: Duration,
    /// Least time between two agents that are marked unreachable; `None` for no limit.
    pub agent_removal_interval: Option<Duration>,
    /// Of the agents in the registry, the share that may be missing when the time to return is
    /// over, from 0 to 1. When more are, this master ends.
    pub recovery_agent_removal_limit: f64,
    /// Pause between two looks for agents to forget.
    pub registry_gc_interval: Duration,
    /// How long an unreachable or gone agent is remembered.
    pub registry_max_agent_age: Duration,
    /// How many unreachable agents are remembered, and how many that are gone.
    pub registry_max_agent_count: usize,
    /// Pause between two heartbeats on an event stream.
    pub heartbeat_interval: Duration,
    /// How many completed frameworks are remembered.
    pub max_completed_frameworks: usize,
    /// How many completed tasks are remembered for each framework.
    pub max_completed_tasks_per_framework: usize,
    /// How many unreachable tasks are remembered for each framework.
    pub max_unreachable_tasks_per_framework: usize,
}

impl Options {
    /// The defaults for a master called `master_info`.
    pub fn new(master_info: MasterInfo) -> Self {
        Self {
            master_info,
            allocation_interval: Duration::from_secs(1),
            minimum_allocatable: orrery_allocator::Options::default().minimum_allocatable,
            offer_timeout: None,
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_secs(600),
            agent_removal_interval: None,
            recovery_agent_removal_limit: 1.0,
            registry_gc_interval: Duration::from_secs(15 * 60),
            registry_max_agent_age: Duration::from_secs(14 * 24 * 60 * 60),
            registry_max_agent_count: 102_400,
            heartbeat_interval: Duration::from_secs(15),
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
        }
    }

    /// How long an agent that hears nothing may believe that it is still registered.
    pub fn total_ping_timeout(&self) -> Duration {
        self.agent_ping_timeout * self.max_agent_ping_timeouts
    }
}
