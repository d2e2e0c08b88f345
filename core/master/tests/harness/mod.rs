//! A master with schedulers and agents made of plain calls: what a protocol test needs to be read
//! like a story. Every step is followed by the master's own check of its books.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_api::link::{self, from_agent, from_master};
use orrery_api::v1::{self, TaskState, scheduler};
use orrery_master::{
    Answer, Audit, ConnectionId, Input, LinkId, Master, Options, Output, Registry, RequestId,
};
use orrery_model::Resources;
use orrery_runtime::machine::Machine;
use orrery_runtime::{Generator, Instant, Now, WallTime};

pub struct Cluster {
    pub master: Master,
    pub now: Now,
    next_id: u64,
    /// Events by stream, in order, until they are looked at.
    pub events: BTreeMap<ConnectionId, Vec<scheduler::Event>>,
    /// Messages by link, in order, until they are looked at.
    pub messages: BTreeMap<LinkId, Vec<from_master::Body>>,
    pub closed: Vec<ConnectionId>,
    pub closed_links: Vec<LinkId>,
    pub answers: BTreeMap<RequestId, Answer>,
    /// When false, registry changes stay under way until [`Cluster::store_all`].
    pub stores: bool,
    pending: Vec<orrery_master::Ticket>,
    /// What has been stored, and what is under way.
    pub registry: Registry,
    /// Why the master wants to end.
    pub failure: Option<String>,
    audit: Audit,
    /// The books as they were when `audit` last saw a change.
    books: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Scheduler {
    pub connection: ConnectionId,
    pub stream_id: String,
    pub id: String,
}

pub fn options() -> Options {
    Options::new(v1::MasterInfo { id: "m".to_owned(), port: 5050, ..Default::default() })
}

pub fn framework_info(name: &str) -> v1::FrameworkInfo {
    use v1::framework_info::{Capability, capability::Type};
    v1::FrameworkInfo {
        user: "root".to_owned(),
        name: name.to_owned(),
        capabilities: vec![Capability { r#type: Some(Type::PartitionAware as i32) }],
        ..Default::default()
    }
}

/// What stands in a master's books.
fn books(master: &Master) -> Vec<String> {
    let mut books = Vec::new();
    for (key, agent) in master.agents() {
        let executors: Vec<_> = agent.executors.keys().collect();
        books.push(format!("{key:?} {} {:?} {executors:?}", agent.is_active(), agent.tasks));
        let duplicates = agent.duplicates.iter().map(|(key, task)| (key, task.state()));
        books.push(format!("{:?}", duplicates.collect::<Vec<_>>()));
        books.push(format!("{:?} free {}", agent.offers, master.allocator().free(key)));
    }
    for (key, framework) in master.frameworks() {
        let tasks = framework.tasks.values().map(|task| (task.id(), task.state()));
        let tasks: Vec<_> = tasks.collect();
        books.push(format!("{key:?} {} {tasks:?} {:?}", framework.is_active(), framework.offers));
    }
    books.push(format!("{:?} {:?}", master.offers().keys(), master.unreachable_agents().keys()));
    books
}

pub fn resources(text: &str) -> Vec<v1::Resource> {
    Resources::parse(text, "*").unwrap().to_messages()
}

impl Cluster {
    pub fn new() -> Self {
        Self::with(options())
    }

    pub fn with(options: Options) -> Self {
        Self::with_registry(options, Registry::default())
    }

    /// A master that takes over what an earlier one has stored.
    pub fn with_registry(options: Options, registry: Registry) -> Self {
        let now = Now {
            instant: Instant::from_nanoseconds(1_000_000_000),
            wall: WallTime::from_nanoseconds(1_700_000_000_000_000_000),
        };
        let stored = registry.clone();
        let master = Master::new(options, registry, Generator::from_number(7), now);
        Self {
            master,
            now,
            next_id: 0,
            events: BTreeMap::new(),
            messages: BTreeMap::new(),
            closed: Vec::new(),
            closed_links: Vec::new(),
            answers: BTreeMap::new(),
            stores: true,
            pending: Vec::new(),
            registry: stored,
            failure: None,
            audit: Audit::default(),
            books: Vec::new(),
        }
    }

    pub fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    pub fn feed(&mut self, input: Input) {
        self.step(input);
        while self.stores && !self.pending.is_empty() {
            self.store_all();
        }
    }

    fn step(&mut self, input: Input) {
        let mut outputs = Vec::new();
        self.master.step(self.now, input, &mut outputs);
        for output in outputs {
            match output {
                Output::Event { connection, event } => {
                    self.events.entry(connection).or_default().push(*event);
                }
                Output::CloseConnection { connection } => self.closed.push(connection),
                Output::Reply { request, answer } => {
                    self.answers.insert(request, answer);
                }
                Output::ToAgent { link, body } => {
                    self.messages.entry(link).or_default().push(*body);
                }
                Output::CloseLink { link } => self.closed_links.push(link),
                Output::Store { ticket, operation } => {
                    self.registry.apply(&operation);
                    self.pending.push(ticket);
                }
                Output::Fail { reason } => self.failure = Some(reason),
            }
        }
        self.check();
    }

    /// The books agree, and the master's audit overlooks no change of them.
    fn check(&mut self) {
        self.master.check().unwrap();
        let changes = self.audit.look_at(&self.master);
        self.master.check_changed(&changes).unwrap();
        let books = books(&self.master);
        if changes.is_empty() {
            assert_eq!(self.books, books, "the audit sees no change");
        }
        self.books = books;
    }

    /// The registry does not take the change that has waited longest.
    pub fn refuse_store(&mut self, reason: &str) {
        let ticket = self.pending.remove(0);
        self.step(Input::NotStored { ticket, reason: reason.to_owned() });
    }

    pub fn store_all(&mut self) {
        for ticket in std::mem::take(&mut self.pending) {
            self.step(Input::Stored { ticket });
        }
    }

    /// Lets time pass, waking the master whenever it wants to be.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now.instant + duration;
        while let Some(deadline) = self.master.deadline().filter(|deadline| *deadline <= end) {
            self.move_to(deadline.max(self.now.instant));
            self.feed(Input::Tick);
        }
        self.move_to(end);
    }

    fn move_to(&mut self, instant: Instant) {
        let passed = instant.since(self.now.instant);
        self.now.instant = instant;
        let wall = self.now.wall.as_nanoseconds() + passed.as_nanos() as i64;
        self.now.wall = WallTime::from_nanoseconds(wall);
    }

    pub fn mark_gone(&mut self, agent_id: &str) -> Answer {
        let request = RequestId(self.next_id());
        self.feed(Input::MarkGone { request, agent_id: agent_id.to_owned() });
        self.answers.remove(&request).expect("every call is answered")
    }

    // === schedulers ===

    pub fn subscribe(&mut self, info: v1::FrameworkInfo) -> Scheduler {
        let connection = ConnectionId(self.next_id());
        let stream_id = format!("stream-{}", connection.0);
        let subscribe =
            Box::new(scheduler::call::Subscribe { framework_info: info, ..Default::default() });
        self.feed(Input::Subscribe { connection, stream_id: stream_id.clone(), subscribe });
        let subscribed =
            self.events[&connection].iter().find_map(|event| event.subscribed.as_ref());
        let id = subscribed.map(|event| event.framework_id.value.clone()).unwrap_or_default();
        Scheduler { connection, stream_id, id }
    }

    pub fn subscribe_again(&mut self, scheduler: &Scheduler, name: &str) -> Scheduler {
        let id = Some(v1::FrameworkId { value: scheduler.id.clone() });
        self.subscribe(v1::FrameworkInfo { id, ..framework_info(name) })
    }

    pub fn call(&mut self, scheduler: &Scheduler, call: scheduler::Call) -> Answer {
        let request = RequestId(self.next_id());
        let call = Box::new(scheduler::Call {
            framework_id: Some(v1::FrameworkId { value: scheduler.id.clone() }),
            ..call
        });
        let stream_id = Some(scheduler.stream_id.clone());
        self.feed(Input::Call { request: Some(request), stream_id, call });
        self.answers.remove(&request).expect("every call is answered")
    }

    /// Takes the events that came since they were last looked at.
    pub fn take_events(&mut self, scheduler: &Scheduler) -> Vec<scheduler::Event> {
        self.events.remove(&scheduler.connection).unwrap_or_default()
    }

    pub fn take_offers(&mut self, scheduler: &Scheduler) -> Vec<v1::Offer> {
        let events = self.take_events(scheduler);
        events.into_iter().filter_map(|event| event.offers).flat_map(|one| one.offers).collect()
    }

    pub fn take_statuses(&mut self, scheduler: &Scheduler) -> Vec<v1::TaskStatus> {
        let events = self.take_events(scheduler);
        events.into_iter().filter_map(|event| event.update).map(|update| update.status).collect()
    }

    pub fn accept(&mut self, scheduler: &Scheduler, offers: &[&str], tasks: Vec<v1::TaskInfo>) {
        let operation = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::Launch as i32),
            launch: Some(v1::offer::operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        let accept = scheduler::call::Accept {
            offer_ids: offer_ids(offers),
            operations: vec![operation],
            filters: None,
        };
        let answer = self.call(
            scheduler,
            scheduler::Call {
                r#type: Some(scheduler::call::Type::Accept as i32),
                accept: Some(accept),
                ..Default::default()
            },
        );
        assert_eq!(answer, Answer::Accepted);
    }

    pub fn decline(&mut self, scheduler: &Scheduler, offers: &[&str], refuse_seconds: f64) {
        let decline = scheduler::call::Decline {
            offer_ids: offer_ids(offers),
            filters: Some(v1::Filters { refuse_seconds: Some(refuse_seconds) }),
        };
        self.call(
            scheduler,
            scheduler::Call {
                r#type: Some(scheduler::call::Type::Decline as i32),
                decline: Some(decline),
                ..Default::default()
            },
        );
    }

    pub fn kill(&mut self, scheduler: &Scheduler, task_id: &str) {
        let kill = scheduler::call::Kill {
            task_id: v1::TaskId { value: task_id.to_owned() },
            ..Default::default()
        };
        self.call(
            scheduler,
            scheduler::Call {
                r#type: Some(scheduler::call::Type::Kill as i32),
                kill: Some(kill),
                ..Default::default()
            },
        );
    }

    pub fn acknowledge(&mut self, scheduler: &Scheduler, status: &v1::TaskStatus) {
        let acknowledge = scheduler::call::Acknowledge {
            agent_id: status.agent_id.clone().unwrap_or_default(),
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap_or_default(),
        };
        self.call(
            scheduler,
            scheduler::Call {
                r#type: Some(scheduler::call::Type::Acknowledge as i32),
                acknowledge: Some(acknowledge),
                ..Default::default()
            },
        );
    }

    pub fn reconcile(&mut self, scheduler: &Scheduler, tasks: &[(&str, Option<&str>)]) {
        let tasks = tasks
            .iter()
            .map(|(task, agent)| scheduler::call::reconcile::Task {
                task_id: v1::TaskId { value: (*task).to_owned() },
                agent_id: agent.map(|agent| v1::AgentId { value: agent.to_owned() }),
            })
            .collect();
        self.call(
            scheduler,
            scheduler::Call {
                r#type: Some(scheduler::call::Type::Reconcile as i32),
                reconcile: Some(scheduler::call::Reconcile { tasks }),
                ..Default::default()
            },
        );
    }

    // === agents ===

    /// A new agent; returns its link and id.
    pub fn agent(&mut self, port: u16, total: &str) -> (LinkId, String) {
        let link = LinkId(self.next_id());
        self.register(link, register_message(port, None, total));
        (link, self.registered_id(link))
    }

    pub fn register(&mut self, link: LinkId, register: link::Register) {
        self.agent_says(link, from_agent::Body::Register(register));
    }

    pub fn registered_id(&mut self, link: LinkId) -> String {
        let messages = self.messages.get(&link).into_iter().flatten();
        let id = messages.filter_map(|body| match body {
            from_master::Body::Registered(registered) => registered.agent_id.clone(),
            _ => None,
        });
        id.last().expect("the agent is registered").value
    }

    pub fn agent_says(&mut self, link: LinkId, body: from_agent::Body) {
        self.feed(Input::AgentMessage { link, body: Box::new(body) });
    }

    pub fn take_messages(&mut self, link: LinkId) -> Vec<from_master::Body> {
        self.messages.remove(&link).unwrap_or_default()
    }

    pub fn update(
        &mut self,
        link: LinkId,
        framework: &str,
        task: &str,
        state: TaskState,
        uuid: u8,
    ) {
        let uuid = bytes::Bytes::from(vec![uuid; 16]);
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: task.to_owned() },
            state: state as i32,
            source: Some(v1::task_status::Source::Executor as i32),
            uuid: Some(uuid.clone()),
            ..Default::default()
        };
        self.agent_says(
            link,
            from_agent::Body::StatusUpdate(link::StatusUpdate {
                framework_id: Some(v1::FrameworkId { value: framework.to_owned() }),
                status: Some(status),
                uuid,
                latest_state: state as i32,
                ..Default::default()
            }),
        );
    }
}

pub fn register_message(port: u16, id: Option<&str>, total: &str) -> link::Register {
    link::Register {
        agent_info: Some(v1::AgentInfo {
            hostname: format!("host-{port}"),
            port: Some(i32::from(port)),
            resources: resources(total),
            id: id.map(|id| v1::AgentId { value: id.to_owned() }),
            ..Default::default()
        }),
        version: "1.12.0".to_owned(),
        pid: format!("slave(1)@10.0.0.1:{port}"),
        ..Default::default()
    }
}

pub fn offer_ids(offers: &[&str]) -> Vec<v1::OfferId> {
    offers.iter().map(|id| v1::OfferId { value: (*id).to_owned() }).collect()
}

pub fn task(id: &str, agent: &str, wanted: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.to_owned(),
        task_id: v1::TaskId { value: id.to_owned() },
        agent_id: v1::AgentId { value: agent.to_owned() },
        resources: resources(wanted),
        command: Some(v1::CommandInfo { value: Some("true".to_owned()), ..Default::default() }),
        ..Default::default()
    }
}

pub fn amount(offer: &v1::Offer) -> String {
    Resources::from_messages(&offer.resources).unwrap().unallocated().to_string()
}

pub fn states(statuses: &[v1::TaskStatus]) -> Vec<TaskState> {
    statuses.iter().map(v1::TaskStatus::state).collect()
}

pub fn running_task(framework: &str, agent: &str) -> v1::Task {
    let mut wanted = resources("cpus:1;mem:32");
    for resource in &mut wanted {
        let role = Some("*".to_owned());
        resource.allocation_info = Some(v1::resource::AllocationInfo { role });
    }
    v1::Task {
        name: "a".to_owned(),
        task_id: v1::TaskId { value: "a".to_owned() },
        framework_id: v1::FrameworkId { value: framework.to_owned() },
        agent_id: v1::AgentId { value: agent.to_owned() },
        state: TaskState::TaskRunning as i32,
        status_update_state: Some(TaskState::TaskRunning as i32),
        resources: wanted,
        ..Default::default()
    }
}
