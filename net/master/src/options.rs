//! How a master daemon is set up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use core::net::IpAddr;

use orrery_api::v1;
use orrery_election::Url;
use orrery_master::Master;
use orrery_runtime::Address;
use orrery_runtime::machine::Observer;

/// How masters agree on who leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elections {
    /// There is but this one.
    Alone,
    /// They vote among themselves.
    Peers {
        /// Where each reaches the others, in an order that is the same everywhere.
        addresses: Vec<Address>,
        /// Which of them this master is.
        me: usize,
        /// How patient they are; the same everywhere.
        timing: orrery_lease::Timing,
    },
    /// Through ZooKeeper, as Mesos' masters do.
    ZooKeeper {
        /// Where.
        url: Url,
        /// How long a leader that falls silent is waited for.
        session_timeout: Duration,
    },
}

/// Settings of a master daemon.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub ip: IpAddr,
    /// TCP port; 0 lets the system choose one.
    pub port: u16,
    /// How many connections there may be at a time. Each takes a file descriptor; further ones wait
    /// until one has ended.
    pub connections_max: usize,
    /// The address to tell others, where it differs from `ip`.
    pub advertise_ip: Option<IpAddr>,
    /// The port to tell others, where it differs from the one that is listened on.
    pub advertise_port: Option<u16>,
    /// The name that others reach it by; `None` means its address.
    pub hostname: Option<String>,
    /// The name of the cluster, for people.
    pub cluster: Option<String>,
    /// Folder for what must survive; `None` keeps the registry in memory only.
    pub work_dir: Option<PathBuf>,
    /// How this master comes to lead.
    pub elections: Elections,
    /// How patient the replicas of the registry's log are with each other.
    pub log_timing: orrery_log::Timing,
    /// How many masters must have a change of the registry: more than half of all.
    pub quorum: usize,
    /// Whether a log that is empty on all masters begins by itself.
    pub log_auto_initialize: bool,
    /// How long a new leader may take to read the registry.
    pub registry_fetch_timeout: Duration,
    /// How long a change of the registry may take. A leader that takes longer steps down.
    pub registry_store_timeout: Duration,
    /// How often freed and declined resources are offered again.
    pub allocation_interval: Duration,
    /// The sets of amounts of which an offer must hold at least one; `None` keeps the default.
    pub minimum_allocatable: Option<Vec<orrery_model::Quantities>>,
    /// How long an offer may stay unanswered.
    pub offer_timeout: Option<Duration>,
    /// Pause between two pings of an agent.
    pub agent_ping_timeout: Duration,
    /// So many pings in a row without an answer make an agent unreachable.
    pub max_agent_ping_timeouts: u32,
    /// How long a disconnected agent may take to register again.
    pub agent_reregister_timeout: Duration,
    /// Least time between two agents that are marked unreachable.
    pub agent_removal_interval: Option<Duration>,
    /// The share of agents that may be missing after a failover, from 0 to 1.
    pub recovery_agent_removal_limit: f64,
    /// Pause between two looks for agents to forget.
    pub registry_gc_interval: Duration,
    /// How long an unreachable or gone agent is remembered.
    pub registry_max_agent_age: Duration,
    /// How many unreachable agents are remembered, and how many that are gone.
    pub registry_max_agent_count: usize,
    /// How many completed frameworks are remembered.
    pub max_completed_frameworks: usize,
    /// How many completed tasks are remembered for each framework.
    pub max_completed_tasks_per_framework: usize,
    /// How many unreachable tasks are remembered for each framework.
    pub max_unreachable_tasks_per_framework: usize,
    /// The flags in force, as `/flags` shows them.
    pub flags: BTreeMap<String, String>,
    /// What `/version` tells, and the other masters, agents and frameworks.
    pub version: v1::VersionInfo,
    /// Looks at the state machine after each of its steps. Always `None` in production.
    pub observer: Option<Observer<Master>>,
}

impl Options {
    /// The defaults for a master on `ip` and `port`.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self {
            ip,
            port,
            connections_max: orrery_http::limits::CONNECTIONS,
            advertise_ip: None,
            advertise_port: None,
            hostname: None,
            cluster: None,
            work_dir: None,
            elections: Elections::Alone,
            log_timing: orrery_log::Timing::default(),
            quorum: 1,
            log_auto_initialize: true,
            registry_fetch_timeout: Duration::from_secs(60),
            registry_store_timeout: Duration::from_secs(20),
            allocation_interval: Duration::from_secs(1),
            minimum_allocatable: None,
            offer_timeout: None,
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_secs(600),
            agent_removal_interval: None,
            recovery_agent_removal_limit: 1.0,
            registry_gc_interval: Duration::from_secs(15 * 60),
            registry_max_agent_age: Duration::from_secs(14 * 24 * 60 * 60),
            registry_max_agent_count: 102_400,
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
            flags: BTreeMap::new(),
            version: orrery_endpoints::system::version_info(),
            observer: None,
        }
    }
}
