//! What an agent daemon is started with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use core::net::{IpAddr, SocketAddr};

use orrery_agent::{Agent, Policy};
use orrery_api::v1;
use orrery_detector::Masters;
use orrery_model::Resources;
use orrery_runtime::machine::Observer;

/// Settings of an agent daemon. [`Options::new`] fills in Mesos' defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub ip: IpAddr,
    /// TCP port to listen on; 0 lets the system choose one.
    pub port: u16,
    /// The address to tell others, where it differs from `ip`.
    pub advertise_ip: Option<IpAddr>,
    /// The port to tell others, where it differs from the one that is listened on.
    pub advertise_port: Option<u16>,
    /// The name to tell others; the address when absent.
    pub hostname: Option<String>,
    /// Folder of all sandboxes; made if it is missing.
    pub work_dir: PathBuf,
    /// Everything the agent has to give.
    pub resources: Resources,
    /// Properties that schedulers can look at.
    pub attributes: Vec<v1::Attribute>,
    /// Region and zone, where configured.
    pub domain: Option<v1::DomainInfo>,
    /// Where the masters are.
    pub masters: Masters,
    /// How long ZooKeeper keeps the session by which the leader is found.
    pub zk_session_timeout: Duration,
    /// Absolute path of the program that serves as command executor when it is called by the name
    /// `mesos-executor`.
    pub executor_program: PathBuf,
    /// Environment variables that executors get besides those that the agent sets.
    pub executor_environment: BTreeMap<String, String>,
    /// Run executors as the user that their framework or command names. Needs a privileged agent.
    pub switch_user: bool,
    /// Upper bound of the first random wait before connecting to the master.
    pub registration_backoff_factor: Duration,
    /// How long an executor may take from its launch to its subscription.
    pub executor_registration_timeout: Duration,
    /// How long an executor may take to subscribe again after the agent was restarted.
    pub executor_reregistration_timeout: Duration,
    /// How long executors of frameworks that checkpoint wait for an agent that is away.
    pub recovery_timeout: Duration,
    /// End what an earlier run has left, and then the agent, instead of going on.
    pub cleans_up: bool,
    /// What cannot be recovered is an error, and not left out.
    pub strict: bool,
    /// What may have changed about the agent since its earlier run.
    pub reconfiguration_policy: Policy,
    /// How long an executor may take to end after SHUTDOWN.
    pub executor_shutdown_grace_period: Duration,
    /// How many frameworks without executors are remembered.
    pub max_completed_frameworks: usize,
    /// How many ended executors are remembered for each framework.
    pub max_completed_executors_per_framework: usize,
    /// How many ended tasks are remembered for each executor.
    pub max_completed_tasks_per_executor: usize,
    /// What `/version` tells.
    pub version: v1::VersionInfo,
    /// The flags in force, as `/flags` shows them.
    pub flags: BTreeMap<String, String>,
    /// Looks at the state machine after each of its steps. Always `None` in production.
    pub observer: Option<Observer<Agent>>,
}

impl Options {
    /// The defaults for an agent on `ip` and `port` of the leader among `masters`.
    pub fn new(
        ip: IpAddr,
        port: u16,
        masters: impl Into<Masters>,
        work_dir: PathBuf,
        resources: Resources,
        executor_program: PathBuf,
    ) -> Self {
        let version = orrery_endpoints::system::version_info();
        let defaults = orrery_agent::Options::new(
            ip,
            port,
            resources.clone(),
            work_dir.clone(),
            executor_program.clone(),
        );
        Self {
            ip,
            port,
            advertise_ip: None,
            advertise_port: None,
            hostname: None,
            work_dir,
            resources,
            attributes: Vec::new(),
            domain: None,
            masters: masters.into(),
            zk_session_timeout: Duration::from_secs(10),
            executor_program,
            executor_environment: defaults.executor_environment,
            switch_user: defaults.switch_user,
            registration_backoff_factor: defaults.registration_backoff_factor,
            executor_registration_timeout: defaults.executor_registration_timeout,
            executor_reregistration_timeout: defaults.executor_reregistration_timeout,
            recovery_timeout: defaults.recovery_timeout,
            cleans_up: defaults.cleans_up,
            strict: true,
            reconfiguration_policy: Policy::Equal,
            executor_shutdown_grace_period: defaults.executor_shutdown_grace_period,
            max_completed_frameworks: defaults.max_completed_frameworks,
            max_completed_executors_per_framework: defaults.max_completed_executors_per_framework,
            max_completed_tasks_per_executor: defaults.max_completed_tasks_per_executor,
            version,
            flags: BTreeMap::new(),
            observer: None,
        }
    }

    /// The machine's settings for a daemon that listens at `address`.
    pub(crate) fn machine(&self, address: SocketAddr) -> orrery_agent::Options {
        let ip = self.advertise_ip.unwrap_or_else(|| address.ip());
        orrery_agent::Options {
            hostname: self.hostname.clone().unwrap_or_else(|| ip.to_string()),
            ip,
            port: self.advertise_port.unwrap_or_else(|| address.port()),
            version: self.version.version.clone(),
            work_dir: self.work_dir.clone(),
            resources: self.resources.clone(),
            attributes: self.attributes.clone(),
            domain: self.domain.clone(),
            executor_program: self.executor_program.clone(),
            executor_environment: self.executor_environment.clone(),
            switch_user: self.switch_user,
            registration_backoff_factor: self.registration_backoff_factor,
            executor_registration_timeout: self.executor_registration_timeout,
            executor_reregistration_timeout: self.executor_reregistration_timeout,
            recovery_timeout: self.recovery_timeout,
            cleans_up: self.cleans_up,
            executor_shutdown_grace_period: self.executor_shutdown_grace_period,
            max_completed_frameworks: self.max_completed_frameworks,
            max_completed_executors_per_framework: self.max_completed_executors_per_framework,
            max_completed_tasks_per_executor: self.max_completed_tasks_per_executor,
        }
    }
}
