//! How a master daemon is set up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use core::net::IpAddr;

use orrery_master::Master;
use orrery_runtime::machine::Observer;

/// Settings of a master daemon.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub ip: IpAddr,
    /// TCP port; 0 lets the system choose one.
    pub port: u16,
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
    /// How many completed frameworks are remembered.
    pub max_completed_frameworks: usize,
    /// How many completed tasks are remembered for each framework.
    pub max_completed_tasks_per_framework: usize,
    /// How many unreachable tasks are remembered for each framework.
    pub max_unreachable_tasks_per_framework: usize,
    /// The flags in force, as `/flags` shows them.
    pub flags: BTreeMap<String, String>,
    /// Looks at the state machine after each of its steps. Always `None` in production.
    pub observer: Option<Observer<Master>>,
}

impl Options {
    /// The defaults for a master on `ip` and `port`.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Self {
            ip,
            port,
            advertise_ip: None,
            advertise_port: None,
            hostname: None,
            cluster: None,
            work_dir: None,
            allocation_interval: Duration::from_secs(1),
            minimum_allocatable: None,
            offer_timeout: None,
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_secs(600),
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
            flags: BTreeMap::new(),
            observer: None,
        }
    }
}
