//! What an agent is told at its start.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use orrery_api::v1;
use orrery_model::Resources;

/// Settings of an agent; they do not change while it runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name by which frameworks and operators reach this machine.
    pub hostname: String,
    /// Address by which the master, executors and operators reach this agent.
    pub ip: IpAddr,
    /// TCP port of the agent's HTTP endpoints.
    pub port: u16,
    /// Version that is told to the master.
    pub version: String,
    /// Absolute path of the folder that holds all sandboxes.
    pub work_dir: PathBuf,
    /// Everything the agent has to give.
    pub resources: Resources,
    /// Properties that schedulers can look at.
    pub attributes: Vec<v1::Attribute>,
    /// Region and zone, where configured.
    pub domain: Option<v1::DomainInfo>,
    /// Absolute path of the program that serves as command executor.
    pub executor_program: PathBuf,
    /// The environment that every executor starts from.
    pub executor_environment: BTreeMap<String, String>,
    /// Run executors as the user that the framework or the command names. Needs a privileged agent.
    pub switch_user: bool,
    /// Upper bound of the first random wait before connecting to the master (Mesos: 1 s).
    pub registration_backoff_factor: Duration,
    /// How long an executor may take from its launch to its subscription (Mesos: 1 min).
    pub executor_registration_timeout: Duration,
    /// How long an executor may take to subscribe again after the agent was restarted (Mesos: 2 s).
    pub executor_reregistration_timeout: Duration,
    /// How long executors of frameworks that checkpoint wait for an agent that is away
    /// (Mesos: 15 min).
    pub recovery_timeout: Duration,
    /// End all executors that an earlier run has left, and then the agent, instead of going on.
    pub cleans_up: bool,
    /// How long an executor may take to end after SHUTDOWN, unless it names its own time
    /// (Mesos: 5 s).
    pub executor_shutdown_grace_period: Duration,
    /// How many frameworks without executors are remembered (Mesos: 50).
    pub max_completed_frameworks: usize,
    /// How many ended executors are remembered per framework (Mesos: 150).
    pub max_completed_executors_per_framework: usize,
    /// How many ended tasks are remembered per executor (Mesos: 200).
    pub max_completed_tasks_per_executor: usize,
}

impl Options {
    /// Mesos' defaults for an agent at `ip`:`port` with `resources`, which keeps its sandboxes in
    /// `work_dir` and runs commands through `executor_program`.
    pub fn new(
        ip: IpAddr,
        port: u16,
        resources: Resources,
        work_dir: PathBuf,
        executor_program: PathBuf,
    ) -> Self {
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        Self {
            hostname: ip.to_string(),
            ip,
            port,
            version: "1.12.0".to_owned(),
            work_dir,
            resources,
            attributes: Vec::new(),
            domain: None,
            executor_program,
            executor_environment: BTreeMap::from([("PATH".to_owned(), path.to_owned())]),
            switch_user: true,
            registration_backoff_factor: Duration::from_secs(1),
            executor_registration_timeout: Duration::from_secs(60),
            executor_reregistration_timeout: Duration::from_secs(2),
            recovery_timeout: Duration::from_secs(15 * 60),
            cleans_up: false,
            executor_shutdown_grace_period: Duration::from_secs(5),
            max_completed_frameworks: 50,
            max_completed_executors_per_framework: 150,
            max_completed_tasks_per_executor: 200,
        }
    }

    /// `slave(1)@ip:port`, the name that Mesos' clients take an agent's address from.
    pub fn pid(&self) -> String {
        format!("slave(1)@{}", self.endpoint())
    }

    /// `ip:port`, with brackets around an IPv6 address.
    pub(crate) fn endpoint(&self) -> String {
        SocketAddr::new(self.ip, self.port).to_string()
    }
}
