//! An agent and a process that do what a test says, around one executor.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::time::Duration;

use orrery_api::v1;
use orrery_api::v1::TaskState;
use orrery_api::v1::executor::{Call, Event, call, event};
use orrery_executor::{CommandExecutor, Input, Output, Settings};
use orrery_runtime::machine::Machine;
use orrery_runtime::{
    Address, ExitStatus, Generator, Instant, Now, ProcessId, Signal, Target, WallTime,
};

pub const PROCESS: ProcessId = ProcessId(77);

pub fn settings(checkpoint: bool) -> Settings {
    Settings {
        framework_id: "f".to_owned(),
        executor_id: "e".to_owned(),
        agent: Address::new("127.0.0.1", 5051),
        sandbox: "/sandbox".into(),
        checkpoint,
        shutdown_grace: Duration::from_secs(5),
        recovery_timeout: Duration::from_secs(900),
        backoff_max: Duration::from_secs(2),
        token: None,
        environment: vec![
            ("PATH".to_owned(), "/bin".to_owned()),
            ("LEVEL".to_owned(), "1".to_owned()),
        ],
    }
}

pub fn task(id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.to_owned(),
        task_id: v1::TaskId { value: id.to_owned() },
        agent_id: v1::AgentId { value: "a".to_owned() },
        command: Some(v1::CommandInfo {
            value: Some("exit 0".to_owned()),
            ..v1::CommandInfo::default()
        }),
        ..v1::TaskInfo::default()
    }
}

pub fn nanoseconds(duration: Duration) -> v1::DurationInfo {
    v1::DurationInfo { nanoseconds: duration.as_nanos() as i64 }
}

pub fn policy(grace: Duration) -> v1::KillPolicy {
    v1::KillPolicy { grace_period: Some(nanoseconds(grace)) }
}

pub struct Bench {
    pub machine: CommandExecutor,
    pub now: Now,
    /// What the last step put out.
    pub outputs: Vec<Output>,
    /// Every status that was carried to the agent, each once.
    pub statuses: Vec<v1::TaskStatus>,
    /// How many processes were launched.
    pub launches: usize,
    pub exit: Option<i32>,
}

impl Bench {
    pub fn new(settings: Settings) -> Self {
        let machine = CommandExecutor::new(settings, Generator::from_number(7));
        let now = Now {
            instant: Instant::from_nanoseconds(1),
            wall: WallTime::from_nanoseconds(5_000_000_000),
        };
        let (outputs, statuses) = (Vec::new(), Vec::new());
        let mut bench = Self { machine, now, outputs, statuses, launches: 0, exit: None };
        bench.feed(Input::Start);
        bench
    }

    /// Subscribed to an agent whose framework has TASK_KILLING_STATE or not.
    pub fn subscribed(settings: Settings, tells_killing: bool) -> Self {
        let mut bench = Self::new(settings);
        bench.subscribe(tells_killing);
        bench
    }

    /// With task `t` running.
    pub fn running(settings: Settings, tells_killing: bool) -> Self {
        let mut bench = Self::subscribed(settings, tells_killing);
        bench.launch(task("t"));
        bench.feed(Input::Launched(PROCESS));
        bench
    }

    pub fn feed(&mut self, input: Input) {
        self.outputs.clear();
        self.machine.step(self.now, input, &mut self.outputs);
        let outputs = self.outputs.clone();
        for output in &outputs {
            match output {
                Output::Subscribe(call) | Output::Send(call) => self.carry(call),
                Output::Launch(_) => self.launches += 1,
                Output::Signal(..) => {}
                Output::Exit(code) => self.exit = Some(*code),
            }
        }
    }

    fn carry(&mut self, call: &Call) {
        let subscribe = call.subscribe.iter().flat_map(|all| &all.unacknowledged_updates);
        for update in call.update.iter().chain(subscribe) {
            if !self.statuses.iter().any(|known| known.uuid == update.status.uuid) {
                self.statuses.push(update.status.clone());
            }
        }
    }

    pub fn event(&mut self, event: Event) {
        self.feed(Input::Event(Box::new(event)));
    }

    pub fn subscribe(&mut self, tells_killing: bool) {
        let kind = v1::framework_info::capability::Type::TaskKillingState as i32;
        let capability = v1::framework_info::Capability { r#type: Some(kind) };
        let framework_info = v1::FrameworkInfo {
            capabilities: if tells_killing { vec![capability] } else { vec![] },
            ..v1::FrameworkInfo::default()
        };
        let subscribed = event::Subscribed { framework_info, ..event::Subscribed::default() };
        self.event(Event { subscribed: Some(subscribed), ..typed(event::Type::Subscribed) });
    }

    pub fn launch(&mut self, task: v1::TaskInfo) {
        let launch = event::Launch { task };
        self.event(Event { launch: Some(launch), ..typed(event::Type::Launch) });
    }

    pub fn kill(&mut self, id: &str, grace: Option<Duration>) {
        let task_id = v1::TaskId { value: id.to_owned() };
        let kill = event::Kill { task_id, kill_policy: grace.map(policy) };
        self.event(Event { kill: Some(kill), ..typed(event::Type::Kill) });
    }

    pub fn shut_down(&mut self) {
        self.event(typed(event::Type::Shutdown));
    }

    pub fn acknowledge(&mut self, status: &v1::TaskStatus) {
        let acknowledged = event::Acknowledged {
            task_id: status.task_id.clone(),
            uuid: status.uuid.clone().unwrap_or_default(),
        };
        let event = Event { acknowledged: Some(acknowledged), ..typed(event::Type::Acknowledged) };
        self.event(event);
    }

    pub fn acknowledge_all(&mut self) {
        for status in self.statuses.clone() {
            self.acknowledge(&status);
        }
    }

    pub fn exited(&mut self, status: ExitStatus) {
        self.feed(Input::Exited(Ok(status)));
    }

    /// Lets time pass, with a tick at each deadline on the way.
    pub fn wait(&mut self, duration: Duration) {
        self.outputs.clear();
        let end = self.now.instant + duration;
        while let Some(at) = self.machine.deadline().filter(|at| *at <= end) {
            self.now.instant = self.now.instant.max(at);
            self.feed(Input::Tick);
        }
        self.now.instant = end;
    }

    /// States of task `id` in the order of reporting.
    pub fn states(&self, id: &str) -> Vec<TaskState> {
        let own = self.statuses.iter().filter(|status| status.task_id.value == id);
        own.filter_map(|status| TaskState::try_from(status.state).ok()).collect()
    }

    pub fn last(&self) -> &v1::TaskStatus {
        self.statuses.last().expect("a status was reported")
    }

    pub fn message(&self) -> &str {
        self.last().message.as_deref().unwrap_or_default()
    }

    pub fn signals(&self) -> Vec<(Target, Signal)> {
        let signals = self.outputs.iter().filter_map(|output| match output {
            Output::Signal(target, signal) => Some((*target, *signal)),
            _ => None,
        });
        signals.collect()
    }

    pub fn subscribe_call(&self) -> Option<call::Subscribe> {
        self.outputs.iter().find_map(|output| match output {
            Output::Subscribe(call) => call.subscribe.clone(),
            _ => None,
        })
    }
}

fn typed(kind: event::Type) -> Event {
    Event { r#type: Some(kind as i32), ..Event::default() }
}
