//! A hand-driven agent for tests: inputs in plain words, outputs collected.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use orrery_api::link::{self, from_agent, from_master};
use orrery_api::v1;
use orrery_api::v1::executor::{Call, Event, call};
use orrery_journal::Change;
use orrery_model::Resources;
use orrery_runtime::machine::Machine;
use orrery_runtime::{ExitStatus, Generator, Instant, Now, ProcessId, WallTime};

use crate::{Agent, Container, Input, Launch, Life, Options, Output, Recovered};

pub(crate) const FRAMEWORK: &str = "F";

/// An agent, its clock, and what it said since the last look.
pub(crate) struct Bench {
    pub(crate) agent: Agent,
    pub(crate) now: Instant,
    pub(crate) outputs: Vec<Output>,
    /// Framework capabilities of launches.
    pub(crate) partition_aware: bool,
    /// Whether frameworks of launches checkpoint.
    pub(crate) checkpoint: bool,
    /// What is written down.
    pub(crate) files: Files,
    next_request: u64,
}

/// Files by their paths.
pub(crate) type Files = BTreeMap<String, Bytes>;

/// What a change does to files.
pub(crate) fn apply(files: &mut Files, change: &Change) {
    match change.clone() {
        Change::Write { path, content } => drop(files.insert(path, content)),
        Change::Append { path, offset, content } => {
            let file = files.entry(path).or_default();
            assert_eq!(file.len() as u64, offset, "an append leaves no gap and no overlap");
            *file = [file.as_ref(), &content].concat().into();
        }
        Change::RemoveFile { path } => drop(files.remove(&path)),
        Change::RemoveFolder { path } => {
            files.retain(|file, _| !file.starts_with(&format!("{path}/")));
        }
        Change::Link { .. } => {}
    }
}

pub(crate) fn options() -> Options {
    let resources = Resources::parse("cpus:4;mem:1024;disk:1024;ports:[31000-32000]", "*").unwrap();
    let ip = "127.0.0.1".parse().unwrap();
    Options::new(ip, 5051, resources, "/agent".into(), "/opt/mesos-executor".into())
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(options())
    }

    pub(crate) fn with(options: Options) -> Self {
        let now = Instant::from_nanoseconds(1);
        let agent = Agent::new(options, Generator::from_number(7), clocks(now));
        let (outputs, files) = (Vec::new(), Files::new());
        let (partition_aware, checkpoint, next_request) = (true, false, 0);
        let mut bench =
            Self { agent, now, outputs, partition_aware, checkpoint, files, next_request };
        bench.feed(Input::Recovered(Box::default()));
        bench.outputs.clear();
        bench
    }

    /// An agent that has registered, whose frameworks checkpoint.
    pub(crate) fn checkpointing() -> Self {
        Self { checkpoint: true, ..Self::registered() }
    }

    /// One of those with a running command task `t` whose TASK_RUNNING is not acknowledged.
    pub(crate) fn running() -> Self {
        let mut bench = Self::checkpointing();
        bench.run_and_subscribe("t", 1);
        bench.update("t", "t", v1::TaskState::TaskStarting, 1);
        bench.acknowledge("t", &uuid(1));
        bench.update("t", "t", v1::TaskState::TaskRunning, 2);
        bench
    }

    /// Kills the agent and starts it again. `life` says what is left of each executor, by its id;
    /// of those it does not know nothing is left.
    pub(crate) fn restart(&mut self, life: &[(&str, Life)]) {
        self.restart_with(options(), false, life);
    }

    pub(crate) fn restart_with(&mut self, options: Options, reboot: bool, life: &[(&str, Life)]) {
        let mut recovered = Recovered::read("S0".into(), &self.files, false).unwrap();
        recovered.rebooted = reboot;
        self.restart_from(recovered, options, life);
    }

    /// Restarts from damaged files; how much of them is left out.
    pub(crate) fn restart_damaged(&mut self, life: &[(&str, Life)]) -> usize {
        let recovered = Recovered::read("S0".into(), &self.files, true).unwrap();
        let errors = recovered.errors;
        self.restart_from(recovered, options(), life);
        errors
    }

    fn restart_from(&mut self, mut recovered: Recovered, options: Options, life: &[(&str, Life)]) {
        for executor in recovered.executors_mut() {
            let id = &executor.container.executor_id;
            let life = life.iter().find(|(known, _)| known == id);
            executor.life = life.map_or(Life::Ended, |(_, life)| *life);
        }
        self.agent = Agent::new(options, Generator::from_number(8), clocks(self.now));
        self.outputs.clear();
        self.feed(Input::Recovered(Box::new(recovered)));
    }

    /// An agent that has registered as `S0` on link 1; nothing in `outputs`.
    pub(crate) fn registered() -> Self {
        let mut bench = Self::new();
        bench.register();
        bench.outputs.clear();
        bench
    }

    pub(crate) fn feed(&mut self, input: Input) {
        let first = self.outputs.len();
        self.agent.step(clocks(self.now), input, &mut self.outputs);
        for (position, output) in self.outputs[first..].iter().enumerate() {
            if let Output::Checkpoint(changes) = output {
                let after_id = matches!(self.outputs[first], Output::Admitted { .. });
                assert!(position == usize::from(after_id), "a checkpoint comes before its effects");
                changes.iter().for_each(|change| apply(&mut self.files, change));
            }
        }
        self.outputs.retain(|output| !matches!(output, Output::Checkpoint(_)));
    }

    /// Lets time pass, ticking at each deadline on the way.
    pub(crate) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(deadline) = self.agent.deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.feed(Input::Tick);
        }
        self.now = end;
    }

    /// Waits for the next Connect, lets it succeed and be answered.
    pub(crate) fn register(&mut self) {
        self.register_missing(&[]);
    }

    pub(crate) fn register_missing(&mut self, missing: &[&str]) {
        let link = self.wait_for_connect();
        self.feed(Input::LinkUp { link });
        let missing_tasks = missing.iter().map(|id| link::TaskReference {
            framework_id: Some(framework_id()),
            task_id: Some(task_id(id)),
        });
        let registered = link::Registered {
            agent_id: Some(v1::AgentId { value: "S0".into() }),
            ping_timeout_seconds: 75.0,
            missing_tasks: missing_tasks.collect(),
            ..Default::default()
        };
        self.master(from_master::Body::Registered(registered));
    }

    pub(crate) fn wait_for_connect(&mut self) -> u64 {
        for _ in 0..100 {
            let connect = |output: &Output| match output {
                Output::Connect { link } => Some(*link),
                _ => None,
            };
            if let Some(link) = self.outputs.iter().rev().find_map(connect) {
                self.outputs.retain(|output| connect(output).is_none());
                return link;
            }
            self.pass(Duration::from_secs(1));
        }
        panic!("no Connect within 100 s");
    }

    pub(crate) fn master(&mut self, body: from_master::Body) {
        let link = self.agent.registration.link();
        self.feed(Input::FromMaster { link, body: Box::new(body) });
    }

    /// Has the master say what it says when the framework subscribes.
    pub(crate) fn update_framework(&mut self) {
        let framework_info = Some(self.framework_info());
        self.master(from_master::Body::UpdateFramework(link::UpdateFramework { framework_info }));
    }

    pub(crate) fn framework_info(&self) -> v1::FrameworkInfo {
        use v1::framework_info::{Capability, capability::Type};
        let aware = Capability { r#type: Some(Type::PartitionAware as i32) };
        v1::FrameworkInfo {
            id: Some(framework_id()),
            user: "nobody".into(),
            name: "test".into(),
            capabilities: if self.partition_aware { vec![aware] } else { Vec::new() },
            checkpoint: Some(self.checkpoint),
            ..Default::default()
        }
    }

    /// Launches a command task.
    pub(crate) fn run(&mut self, id: &str) {
        self.run_info(task(id, None));
    }

    /// Launches a task of a custom executor.
    pub(crate) fn run_custom(&mut self, id: &str, executor: &str) {
        self.run_info(task(id, Some(custom(executor))));
    }

    pub(crate) fn run_info(&mut self, info: v1::TaskInfo) {
        self.master(from_master::Body::RunTask(Box::new(link::RunTask {
            framework_info: Some(self.framework_info()),
            task_info: Some(info),
            launch_executor: None,
        })));
    }

    /// Launches a task of a custom executor that the master knows, or does not.
    pub(crate) fn run_at(&mut self, info: v1::TaskInfo, launch_executor: bool) {
        self.master(from_master::Body::RunTask(Box::new(link::RunTask {
            framework_info: Some(self.framework_info()),
            task_info: Some(info),
            launch_executor: Some(launch_executor),
        })));
    }

    pub(crate) fn run_group(&mut self, ids: &[&str], executor: v1::ExecutorInfo) {
        let tasks = ids.iter().map(|id| task(id, None)).collect();
        self.master(from_master::Body::RunTaskGroup(Box::new(link::RunTaskGroup {
            framework_info: Some(self.framework_info()),
            executor_info: Some(executor),
            task_group: Some(v1::TaskGroupInfo { tasks }),
            launch_executor: None,
        })));
    }

    pub(crate) fn kill(&mut self, id: &str) {
        self.master(from_master::Body::KillTask(link::KillTask {
            framework_id: Some(framework_id()),
            task_id: Some(task_id(id)),
            kill_policy: None,
        }));
    }

    pub(crate) fn acknowledge(&mut self, id: &str, uuid: &Bytes) {
        self.master(from_master::Body::Acknowledgement(link::Acknowledgement {
            framework_id: Some(framework_id()),
            task_id: Some(task_id(id)),
            uuid: uuid.clone(),
        }));
    }

    /// Starts the newest launch's process and returns its container.
    pub(crate) fn start(&mut self, process: u32) -> Container {
        let container = self.launches().pop().expect("a launch").container;
        self.started(&container, process);
        container
    }

    pub(crate) fn started(&mut self, container: &Container, process: u32) {
        let (container, process) = (container.clone(), ProcessId(process));
        let started = Some(7);
        self.feed(Input::ContainerLaunched { container, process, started });
    }

    pub(crate) fn exited(&mut self, container: &Container, status: ExitStatus) {
        self.feed(Input::ContainerExited { container: container.clone(), status });
    }

    /// The executor of the command task `id`, started and subscribed on `connection`.
    pub(crate) fn run_and_subscribe(&mut self, id: &str, connection: u64) -> Container {
        self.run(id);
        let container = self.start(100);
        self.subscribe(id, connection);
        container
    }

    pub(crate) fn subscribe(&mut self, executor: &str, connection: u64) -> u16 {
        self.subscribe_with(executor, connection, call::Subscribe::default())
    }

    pub(crate) fn subscribe_with(
        &mut self,
        executor: &str,
        connection: u64,
        subscribe: call::Subscribe,
    ) -> u16 {
        let call = Call {
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(subscribe),
            ..call_of(executor)
        };
        self.next_request += 1;
        let (request, call) = (self.next_request, Box::new(call));
        self.feed(Input::ExecutorSubscribe { request, connection, call });
        self.replied(request).0
    }

    pub(crate) fn call(&mut self, call: Call) -> (u16, String) {
        self.next_request += 1;
        let request = self.next_request;
        self.feed(Input::ExecutorCall { request, call: Box::new(call) });
        self.replied(request)
    }

    /// Sends an UPDATE whose uuid is made of `uuid`.
    pub(crate) fn update(
        &mut self,
        executor: &str,
        id: &str,
        state: v1::TaskState,
        uuid: u8,
    ) -> (u16, String) {
        let status = executor_status(id, state, uuid);
        self.call(Call {
            r#type: Some(call::Type::Update as i32),
            update: Some(call::Update { status }),
            ..call_of(executor)
        })
    }

    fn replied(&self, request: u64) -> (u16, String) {
        let reply = self.outputs.iter().find_map(|output| match output {
            Output::Reply { request: of, status, text } if *of == request => {
                Some((*status, text.clone()))
            }
            _ => None,
        });
        reply.expect("a reply")
    }

    /// States, uuids and reasons of updates sent to the master since the last look.
    pub(crate) fn updates(&mut self) -> Vec<v1::TaskStatus> {
        let mut updates = Vec::new();
        self.outputs.retain(|output| match output {
            Output::ToMaster(body) => match &**body {
                from_agent::Body::StatusUpdate(update) => {
                    updates.extend(update.status.clone());
                    false
                }
                _ => true,
            },
            _ => true,
        });
        updates
    }

    /// The one update since the last look.
    pub(crate) fn only_update(&mut self) -> v1::TaskStatus {
        let mut updates = self.updates();
        assert_eq!(updates.len(), 1, "{updates:?}");
        updates.remove(0)
    }

    pub(crate) fn launches(&self) -> Vec<Launch> {
        let launches = self.outputs.iter().filter_map(|output| match output {
            Output::Launch(launch) => Some((**launch).clone()),
            _ => None,
        });
        launches.collect()
    }

    /// Names of the types of events sent on a connection.
    pub(crate) fn events(&self, on: u64) -> Vec<&'static str> {
        let events = self.outputs.iter().filter_map(|output| match output {
            Output::ExecutorEvent { connection, event } if *connection == on => Some(kind(event)),
            _ => None,
        });
        events.collect()
    }

    pub(crate) fn has_destroyed(&self, process: u32) -> bool {
        self.outputs.iter().any(|output| match output {
            Output::Destroy { process: of, .. } => of.0 == process,
            _ => false,
        })
    }
}

fn kind(event: &Event) -> &'static str {
    use v1::executor::event::Type;
    event.r#type.and_then(|it| Type::try_from(it).ok()).map_or("?", |it| it.as_str_name())
}

pub(crate) fn clocks(instant: Instant) -> Now {
    let wall = 1_700_000_000_000_000_000 + instant.as_nanoseconds() as i64;
    Now { instant, wall: WallTime::from_nanoseconds(wall) }
}

pub(crate) fn framework_id() -> v1::FrameworkId {
    v1::FrameworkId { value: FRAMEWORK.into() }
}

pub(crate) fn task_id(id: &str) -> v1::TaskId {
    v1::TaskId { value: id.into() }
}

pub(crate) fn task(id: &str, executor: Option<v1::ExecutorInfo>) -> v1::TaskInfo {
    let command = v1::CommandInfo { value: Some("sleep 1".into()), ..Default::default() };
    v1::TaskInfo {
        name: id.into(),
        task_id: task_id(id),
        agent_id: v1::AgentId { value: "S0".into() },
        resources: Resources::parse("cpus:1;mem:64", "*").unwrap().to_messages(),
        command: Some(command).filter(|_| executor.is_none()),
        executor,
        ..Default::default()
    }
}

pub(crate) fn custom(id: &str) -> v1::ExecutorInfo {
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: id.into() },
        r#type: Some(v1::executor_info::Type::Custom as i32),
        command: Some(v1::CommandInfo { value: Some("exec".into()), ..Default::default() }),
        resources: Resources::parse("cpus:0.5;mem:32", "*").unwrap().to_messages(),
        ..Default::default()
    }
}

pub(crate) fn call_of(executor: &str) -> Call {
    Call {
        framework_id: framework_id(),
        executor_id: v1::ExecutorId { value: executor.into() },
        ..Default::default()
    }
}

pub(crate) fn uuid(number: u8) -> Bytes {
    Bytes::from(vec![number; 16])
}

pub(crate) fn executor_status(id: &str, state: v1::TaskState, number: u8) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: task_id(id),
        state: state as i32,
        source: Some(v1::task_status::Source::Executor as i32),
        uuid: Some(uuid(number)),
        ..Default::default()
    }
}

/// The state of a status, in type.
pub(crate) fn state(status: &v1::TaskStatus) -> v1::TaskState {
    v1::TaskState::try_from(status.state).unwrap()
}

/// The reason of a status, in type.
pub(crate) fn reason(status: &v1::TaskStatus) -> v1::task_status::Reason {
    v1::task_status::Reason::try_from(status.reason.unwrap()).unwrap()
}
