//! The cluster that a plan is played on, and its settings.

use std::time::Duration;

use orrery_runtime_sim::Probability;
use orrery_runtime_sim::text::{ParseFaultError, Text, Words};

use super::table::{settings, variants};

/// What an agent has unless a plan says otherwise: room for all that drawn plans launch.
pub const AGENT_RESOURCES: &str = "cpus:32;mem:8192;disk:10000;ports:[31000-32000]";

/// Long enough that no master ever removes a framework that comes back.
const FAILOVER_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How long a master remembers an unreachable agent, unless a plan says otherwise: longer than any
/// run takes, or any clock jumps.
const MAX_AGENT_AGE: Duration = Duration::from_secs(14 * 24 * 3_600);
/// How many of them it remembers, unless a plan says otherwise: more than any cluster has.
const MAX_AGENT_COUNT: usize = 102_400;

/// A cluster and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many masters there are, each on a host of its own.
    pub masters: usize,
    /// How several masters elect the one that leads. A single one needs no election.
    pub elections: Elections,
    /// How many agents there are, each on a host of its own.
    pub agents: usize,
    /// What each agent has.
    pub agent_resources: String,
    /// The frameworks, each on a host of its own.
    pub frameworks: Vec<Profile>,
    /// The master's `agent_ping_timeout`; three in a row make an agent unreachable.
    pub ping_timeout: Duration,
    /// The master's `agent_reregister_timeout`.
    pub reregister_timeout: Duration,
    /// The master's `offer_timeout`.
    pub offer_timeout: Option<Duration>,
    /// The master's `registry`.
    pub registry: RegistryKind,
    /// The time of the master's `agent_removal_rate_limit` for one agent.
    pub removal_interval: Option<Duration>,
    /// The master's `recovery_agent_removal_limit`.
    pub recovery_removal_limit: Probability,
    /// The master's `registry_gc_interval`.
    pub registry_gc_interval: Duration,
    /// The master's `registry_max_agent_age`.
    pub registry_max_agent_age: Duration,
    /// The master's `registry_max_agent_count`.
    pub registry_max_agent_count: usize,
    /// The agents' `executor_registration_timeout`.
    pub executor_registration_timeout: Duration,
    /// The agents' `reconfiguration_policy`.
    pub reconfiguration: Reconfiguration,
}

impl Default for Shape {
    /// One master, two agents, no frameworks, time-outs short enough for a run of a few minutes.
    fn default() -> Self {
        Self {
            masters: 1,
            elections: Elections::Peers,
            agents: 2,
            agent_resources: AGENT_RESOURCES.to_owned(),
            frameworks: Vec::new(),
            ping_timeout: Duration::from_secs(2),
            reregister_timeout: Duration::from_secs(15),
            offer_timeout: None,
            registry: RegistryKind::ReplicatedLog,
            removal_interval: None,
            recovery_removal_limit: Probability::ALWAYS,
            registry_gc_interval: Duration::from_secs(15 * 60),
            registry_max_agent_age: MAX_AGENT_AGE,
            registry_max_agent_count: MAX_AGENT_COUNT,
            executor_registration_timeout: Duration::from_secs(10),
            reconfiguration: Reconfiguration::Equal,
        }
    }
}

settings! {
    Shape,
    "masters" => masters,
    "elections" => elections,
    "agents" => agents,
    "agent-resources" => agent_resources,
    "ping-timeout" => ping_timeout,
    "reregister-timeout" => reregister_timeout,
    "offer-timeout" => offer_timeout,
    "registry" => registry,
    "removal-interval" => removal_interval,
    "recovery-removal-limit" => recovery_removal_limit,
    "registry-gc-interval" => registry_gc_interval,
    "registry-max-agent-age" => registry_max_agent_age,
    "registry-max-agent-count" => registry_max_agent_count,
    "executor-registration-timeout" => executor_registration_timeout,
    "reconfiguration-policy" => reconfiguration,
}

/// The first word of a framework's line.
const FRAMEWORK: &str = "framework";

impl Shape {
    /// Whether a master may forget agents that it has given up.
    pub fn forgets_agents(&self) -> bool {
        let Self { registry_max_agent_age: age, registry_max_agent_count: count, .. } = *self;
        age < MAX_AGENT_AGE || count < MAX_AGENT_COUNT
    }

    /// Whether a master that is started again knows nothing of what was before.
    pub fn forgets_all(&self) -> bool {
        self.registry == RegistryKind::InMemory
    }

    /// Its lines, as words.
    pub(super) fn lines(&self) -> Vec<Vec<String>> {
        let mut lines = self.settings();
        for profile in &self.frameworks {
            let mut words = vec![FRAMEWORK.to_owned()];
            profile.write(&mut words);
            lines.push(words);
        }
        lines
    }

    /// Takes the rest of the line that begins with `keyword`.
    pub(super) fn read_line(
        &mut self,
        keyword: &str,
        words: &mut Words,
    ) -> Result<(), ParseFaultError> {
        if keyword != FRAMEWORK {
            return self.read_setting(keyword, words);
        }
        self.frameworks.push(Profile::read(FRAMEWORK, words)?);
        Ok(())
    }
}

/// How masters elect the one that leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elections {
    /// Among themselves.
    Peers,
    /// Through an ensemble of three ZooKeeper servers.
    ZooKeeper,
}

variants! {
    Elections,
    "peers" => Peers {},
    "zookeeper" => ZooKeeper {},
}

/// Where a master keeps what it knows of agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryKind {
    /// In the replicated log, on its disk.
    ReplicatedLog,
    /// Nowhere: whoever is started again begins with nothing.
    InMemory,
}

variants! {
    RegistryKind,
    "replicated-log" => ReplicatedLog {},
    "in-memory" => InMemory {},
}

/// What an agent may have changed about itself when it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconfiguration {
    /// Nothing.
    Equal,
    /// There may be more.
    Additive,
}

variants! {
    Reconfiguration,
    "equal" => Equal {},
    "additive" => Additive {},
}

/// A framework: how it behaves and how it is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// How it behaves.
    pub temper: Temper,
    /// Whether it has the capability PARTITION_AWARE.
    pub partition_aware: bool,
    /// How long the master keeps its tasks while it is away.
    pub failover_timeout: Duration,
    /// Whether it wants agents to write down what they need to find its tasks again.
    pub checkpoint: bool,
    /// Whether it speaks JSON with the masters, and not protobuf.
    pub json: bool,
    /// To how many roles it is subscribed, one at least.
    pub roles: usize,
    /// By how many bytes its task ids and labels are longer than they need to be.
    pub padding: usize,
    /// What holds its tasks.
    pub executor: Executor,
}

impl Default for Profile {
    /// A launcher that is partition-aware, never removed, and has one role.
    fn default() -> Self {
        Self {
            temper: Temper::Launcher,
            partition_aware: true,
            failover_timeout: FAILOVER_TIMEOUT,
            checkpoint: false,
            json: false,
            roles: 1,
            padding: 0,
            executor: Executor::Command,
        }
    }
}

settings! {
    Profile,
    "partition-aware" => partition_aware,
    "failover-timeout" => failover_timeout,
    "checkpoint" => checkpoint,
    "json" => json,
    "roles" => roles,
    "padding" => padding,
    "executor" => executor,
}

impl Text for Profile {
    fn write(&self, words: &mut Vec<String>) {
        self.temper.write(words);
        words.extend(self.settings().into_iter().flatten());
    }

    fn read(_field: &'static str, words: &mut Words) -> Result<Self, ParseFaultError> {
        let mut profile = Self { temper: Text::read("temper", words)?, ..Self::default() };
        while let Some(keyword) = words.take() {
            profile.read_setting(&keyword, words)?;
        }
        Ok(profile)
    }
}

impl Profile {
    /// Whether it may come back too late, so that the master has removed it.
    pub fn can_be_removed(&self) -> bool {
        self.failover_timeout < FAILOVER_TIMEOUT
    }
}

impl From<Temper> for Profile {
    fn from(temper: Temper) -> Self {
        Self { temper, ..Self::default() }
    }
}

/// What holds the tasks of a framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Executor {
    /// The executor that an agent makes for each task that brings a command.
    Command,
    /// One of the framework's own on each agent, for all of its tasks there.
    Custom,
}

variants! {
    Executor,
    "command" => Command {},
    "custom" => Custom {},
}

/// How a framework behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Launches on the first offers that fit and declines the others.
    Launcher,
    /// Keeps all offers for as long as it can.
    Hoarder,
    /// Kills what it launches, some of it in the same breath.
    Killer,
    /// Acknowledges updates itself, after a while.
    Careful,
    /// Declines what it does not use for no time at all, so that it is offered again at once (L3).
    Decliner,
}

variants! {
    Temper,
    "launcher" => Launcher {},
    "hoarder" => Hoarder {},
    "killer" => Killer {},
    "careful" => Careful {},
    "decliner" => Decliner {},
}
