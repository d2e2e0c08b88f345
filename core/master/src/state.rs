//! What a master knows: the records of agents, frameworks, offers and tasks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use orrery_allocator::{AgentKey, Allocator, FrameworkKey};
use orrery_api::v1;
use orrery_coverage::reachable;
use orrery_model::Resources;
use orrery_runtime::{Generator, Now, WallTime};

use crate::pending::{Pending, PendingChanges};
use crate::record::{Records, Task};
use crate::timers::{Timer, Timers};
use crate::{
    ConnectionId, Description, LinkId, Metrics, Options, Output, Registry, RegistryOperation,
    Ticket,
};

/// A task's name within the cluster: whose it is and what that framework calls it.
pub type TaskKey = (FrameworkKey, Arc<str>);

/// An agent that is registered, connected or not.
#[derive(Debug)]
pub struct Agent {
    pub(crate) id: Arc<str>,
    /// As the agent described itself, its id included.
    pub info: Description,
    /// `slave(1)@ip:port`.
    pub pid: Arc<str>,
    /// The agent's version.
    pub version: Arc<str>,
    /// What the agent can do.
    pub capabilities: Vec<v1::agent_info::Capability>,
    /// The way to it; `None` while it is disconnected.
    pub link: Option<LinkId>,
    /// The last one on which it has registered.
    pub(crate) latest_link: LinkId,
    /// All it has, without allocation.
    pub total: Arc<Resources>,
    /// When it was first registered with this master.
    pub registered: WallTime,
    /// When it last came back.
    pub reregistered: Option<WallTime>,
    /// Its tasks that hold resources or whose last update is not acknowledged yet.
    pub tasks: BTreeSet<TaskKey>,
    /// Tasks that it came with under ids that mean other tasks; those that have ended as well.
    pub duplicates: BTreeMap<TaskKey, Box<Task>>,
    /// Its executors.
    pub executors: BTreeMap<(FrameworkKey, String), Executor>,
    /// Its open offers.
    pub offers: BTreeSet<u64>,
    /// What it has reported of frameworks that nobody here knows yet.
    pub(crate) unclaimed: Vec<v1::Task>,
    /// Kills of its tasks that have not ended, to be said again when it comes back.
    pub(crate) pending_kills: BTreeMap<TaskKey, Option<v1::KillPolicy>>,
    /// True between a ping and its answer.
    pub(crate) ping_outstanding: bool,
    /// Pings in a row without an answer.
    pub(crate) missed_pings: u32,
    /// How often it has left; tells an old timer from a new one.
    pub(crate) departures: u64,
    /// True while the registry stores its removal: nothing may touch it meanwhile.
    pub(crate) leaving: bool,
}

impl Agent {
    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its id as a message.
    pub fn agent_id(&self) -> v1::AgentId {
        v1::AgentId { value: self.id.as_ref().to_owned() }
    }

    /// Whether it is connected and takes part in offers.
    pub fn is_active(&self) -> bool {
        self.link.is_some() && !self.leaving
    }

    /// Whether the registry is storing that it has left.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }
}

/// An executor as the master knows it.
#[derive(Clone, Debug)]
pub struct Executor {
    /// As the framework described it.
    pub info: v1::ExecutorInfo,
    /// What it holds, with its allocation role.
    pub resources: Resources,
}

/// An open offer.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Whom it was made to.
    pub framework: FrameworkKey,
    /// Whose resources it holds.
    pub agent: AgentKey,
    /// The role it was allocated to.
    pub role: String,
    /// What it holds, with its allocation role.
    pub resources: Resources,
}

/// A framework, connected or not.
#[derive(Debug)]
pub struct Framework {
    /// As it described itself, its id included.
    pub info: v1::FrameworkInfo,
    /// Its event stream; `None` while it is disconnected.
    pub connection: Option<ConnectionId>,
    /// The `Mesos-Stream-Id` that its calls must carry.
    pub stream_id: String,
    /// True while it is known only through agents, after a master was restarted.
    pub recovered: bool,
    /// When it first subscribed to this master.
    pub registered: WallTime,
    /// When it last subscribed.
    pub reregistered: Option<WallTime>,
    /// When it was removed; only for completed frameworks.
    pub unregistered: Option<WallTime>,
    /// Its tasks that are not completed.
    pub tasks: BTreeMap<Arc<str>, Box<Task>>,
    /// Its tasks on agents that do not answer, oldest first.
    pub unreachable_tasks: VecDeque<Task>,
    /// Its tasks that ended, oldest first.
    pub completed_tasks: VecDeque<Task>,
    /// Its open offers.
    pub offers: BTreeSet<u64>,
    /// How often it has left; tells an old timer from a new one.
    pub(crate) departures: u64,
}

impl Framework {
    /// Its id.
    pub fn id(&self) -> &str {
        self.info.id.as_ref().map_or("", |id| id.value.as_str())
    }

    /// Whether it is connected and takes part in offers.
    pub fn is_active(&self) -> bool {
        self.connection.is_some()
    }

    /// Whether it understands `capability`.
    pub fn can(&self, capability: v1::framework_info::capability::Type) -> bool {
        self.info.capabilities.iter().any(|one| one.r#type == Some(capability as i32))
    }

    /// Whether it wants the states that tell a partition from a loss.
    pub fn is_partition_aware(&self) -> bool {
        self.can(v1::framework_info::capability::Type::PartitionAware)
    }

    /// The roles it is subscribed to.
    pub fn roles(&self) -> Vec<String> {
        if self.can(v1::framework_info::capability::Type::MultiRole) {
            self.info.roles.clone()
        } else {
            vec![self.info.role.clone().unwrap_or_else(|| "*".to_owned())]
        }
    }
}

/// An agent that does not answer any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreachableAgent {
    /// Since when.
    pub since: WallTime,
}

/// The master's state machine.
#[derive(Debug)]
pub struct Master {
    pub(crate) options: Options,
    pub(crate) allocator: Allocator,
    pub(crate) timers: Timers,
    pub(crate) metrics: Metrics,

    /// Boxed, because a tree that grew by ascending keys is hardly more than half full.
    pub(crate) agents: BTreeMap<AgentKey, Box<Agent>>,
    pub(crate) agent_keys: BTreeMap<Arc<str>, AgentKey>,
    pub(crate) links: BTreeMap<LinkId, AgentKey>,
    /// Agents that a previous master knew and that have not returned yet.
    pub(crate) recovered: BTreeMap<String, Description>,
    /// How many of them there were.
    pub(crate) recovered_count: usize,
    /// Agents that are to be given up.
    pub(crate) giving_up: crate::unreachable::Queue,
    pub(crate) unreachable: BTreeMap<String, UnreachableAgent>,
    /// Agents that an operator declared gone.
    pub(crate) gone: BTreeMap<String, WallTime>,
    /// Ids of agents whose admission or return is being stored, by the link they wait on.
    pub(crate) registering: BTreeMap<LinkId, Ticket>,
    /// The same admissions and returns by the id of the agent.
    pub(crate) waiting: BTreeMap<String, Ticket>,
    /// Of them the admissions by the agent's address.
    pub(crate) waiting_at: BTreeMap<String, Ticket>,
    /// Registered agents by their address.
    pub(crate) addresses: BTreeSet<(Arc<str>, AgentKey)>,

    pub(crate) frameworks: BTreeMap<FrameworkKey, Framework>,
    pub(crate) framework_keys: BTreeMap<String, FrameworkKey>,
    pub(crate) connections: BTreeMap<ConnectionId, FrameworkKey>,
    pub(crate) completed_frameworks: VecDeque<Framework>,
    /// What the records of all tasks share.
    pub(crate) records: Records,

    pub(crate) offers: BTreeMap<u64, Offer>,
    pub(crate) pending: PendingChanges,

    pub(crate) next_framework: u64,
    pub(crate) next_agent: u64,
    pub(crate) next_offer: u64,
    pub(crate) next_key: u32,
    pub(crate) next_ticket: u64,

    pub(crate) started: Now,
    pub(crate) now: Now,
    pub(crate) outputs: Vec<Output>,
}

impl Master {
    /// A master that starts at `now` from a stored registry. `generator` is its only source of
    /// randomness.
    pub fn new(options: Options, registry: Registry, mut generator: Generator, now: Now) -> Self {
        let allocator = Allocator::new(
            orrery_allocator::Options {
                allocation_interval: options.allocation_interval,
                minimum_allocatable: options.minimum_allocatable.clone(),
                ..Default::default()
            },
            Generator::from_number(generator.next_u64()),
        );
        let mut timers = Timers::default();
        let recovered = registry.admitted;
        if !recovered.is_empty() {
            reachable!("a master starts with agents in its registry");
            timers.set(now.instant + options.agent_reregister_timeout, Timer::RecoveredAgents);
        }
        timers.set(now.instant + options.registry_gc_interval, Timer::Prune);
        let unreachable = registry
            .unreachable
            .into_iter()
            .map(|(id, since)| (id, UnreachableAgent { since }))
            .collect();
        Self {
            options,
            allocator,
            timers,
            metrics: Metrics::default(),
            agents: BTreeMap::new(),
            agent_keys: BTreeMap::new(),
            links: BTreeMap::new(),
            recovered_count: recovered.len(),
            recovered,
            giving_up: Default::default(),
            unreachable,
            gone: registry.gone,
            registering: BTreeMap::new(),
            waiting: BTreeMap::new(),
            waiting_at: BTreeMap::new(),
            addresses: BTreeSet::new(),
            frameworks: BTreeMap::new(),
            framework_keys: BTreeMap::new(),
            connections: BTreeMap::new(),
            completed_frameworks: VecDeque::new(),
            records: Records::default(),
            offers: BTreeMap::new(),
            pending: PendingChanges::default(),
            next_framework: 0,
            next_agent: 0,
            next_offer: 0,
            next_key: 0,
            next_ticket: 0,
            started: now,
            now,
            outputs: Vec::new(),
        }
    }

    /// Settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// When this master started.
    pub fn started(&self) -> Now {
        self.started
    }

    /// Registered agents, connected or not.
    pub fn agents(&self) -> impl Iterator<Item = (AgentKey, &Agent)> {
        self.agents.iter().map(|(key, agent)| (*key, agent.as_ref()))
    }

    /// One agent.
    pub fn agent(&self, key: AgentKey) -> Option<&Agent> {
        self.agents.get(&key).map(AsRef::as_ref)
    }

    /// Whether the master has an agent on record: registered, awaited after a restart, or
    /// unreachable.
    pub fn knows_agent(&self, id: &str) -> bool {
        self.agent_keys.contains_key(id)
            || self.recovered.contains_key(id)
            || self.unreachable.contains_key(id)
    }

    /// Agents that a previous master knew and that have not returned yet, by id.
    pub fn recovered_agents(&self) -> &BTreeMap<String, Description> {
        &self.recovered
    }

    /// Agents that do not answer any more, by id.
    pub fn unreachable_agents(&self) -> &BTreeMap<String, UnreachableAgent> {
        &self.unreachable
    }

    /// Agents that an operator declared gone, by id, with the time since when.
    pub fn gone_agents(&self) -> &BTreeMap<String, WallTime> {
        &self.gone
    }

    /// Frameworks that are not completed.
    pub fn frameworks(&self) -> impl Iterator<Item = (FrameworkKey, &Framework)> {
        self.frameworks.iter().map(|(key, framework)| (*key, framework))
    }

    /// Frameworks that were removed, oldest first.
    pub fn completed_frameworks(&self) -> impl Iterator<Item = &Framework> {
        self.completed_frameworks.iter()
    }

    /// Open offers by number.
    pub fn offers(&self) -> &BTreeMap<u64, Offer> {
        &self.offers
    }

    /// The id that goes with an offer's number.
    pub fn offer_id(&self, number: u64) -> String {
        format!("{}-O{number}", self.options.master_info.id)
    }

    /// The allocator, for its figures.
    pub fn allocator(&self) -> &Allocator {
        &self.allocator
    }

    /// What it has counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What an agent's tasks, its duplicates of others, and its executors hold.
    pub fn used(&self, key: AgentKey) -> Resources {
        let mut used = Resources::default();
        let Some(agent) = self.agents.get(&key) else { return used };
        for (framework, task_id) in &agent.tasks {
            let task = self.frameworks.get(framework).and_then(|one| one.tasks.get(task_id));
            if let Some(task) = task.filter(|task| holds_resources(task.state())) {
                used += task.resources();
            }
        }
        for task in agent.duplicates.values().filter(|task| task.holds_resources()) {
            used += task.resources();
        }
        for executor in agent.executors.values() {
            used += &executor.resources;
        }
        used
    }

    /// What an agent's open offers hold.
    pub fn offered(&self, key: AgentKey) -> Resources {
        let mut offered = Resources::default();
        for number in self.agents.get(&key).into_iter().flat_map(|agent| &agent.offers) {
            if let Some(offer) = self.offers.get(number) {
                offered += &offer.resources;
            }
        }
        offered
    }

    // === what all parts of the machine use ===

    pub(crate) fn emit(&mut self, output: Output) {
        self.outputs.push(output);
    }

    pub(crate) fn set_timer(&mut self, after: std::time::Duration, timer: Timer) {
        self.timers.set(self.now.instant + after, timer);
    }

    pub(crate) fn store(&mut self, operation: RegistryOperation, then: Pending) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.pending.insert(ticket, then);
        self.emit(Output::Store { ticket, operation });
        ticket
    }

    pub(crate) fn next_key(&mut self) -> u32 {
        self.next_key += 1;
        self.next_key
    }

    pub(crate) fn agent_by_id(&self, id: &str) -> Option<AgentKey> {
        self.agent_keys.get(id).copied()
    }

    pub(crate) fn framework_by_id(&self, id: &str) -> Option<FrameworkKey> {
        self.framework_keys.get(id).copied()
    }

    pub(crate) fn is_completed(&self, framework_id: &str) -> bool {
        self.completed_frameworks.iter().any(|framework| framework.id() == framework_id)
    }
}

/// Whether a task in this state still holds its resources. A terminal one has given them back, and
/// so has an unreachable one, whose agent is no longer counted.
pub(crate) fn holds_resources(state: v1::TaskState) -> bool {
    !orrery_model::task_state::is_terminal(state) && state != v1::TaskState::TaskUnreachable
}

/// Appends to a list that remembers only the last `limit` entries.
pub(crate) fn remember<T>(list: &mut VecDeque<T>, limit: usize, entry: T) {
    if limit == 0 {
        return;
    }
    while list.len() >= limit {
        list.pop_front();
    }
    list.push_back(entry);
}
