//! An executor as somebody else may write one: it holds several tasks at once, starts whatever it
//! is told to start, and trusts its agent to say so once.
//!
//! It keeps to the protocol otherwise: what is not acknowledged goes with the next SUBSCRIBE, it
//! waits for an agent that comes back if its framework checkpoints, and it ends when it is shut
//! down. It never ends for want of tasks, so that further ones find it alive.

mod connection;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use orrery_api::v1;
use orrery_api::v1::TaskState;
use orrery_api::v1::executor::{Event, event};
use orrery_api::v1::task_status::Source;
use orrery_executor::Settings;
use orrery_runtime::{Command, ExitStatus, Generator, Instant, ProcessId, Runtime, Signal, Target};
use orrery_runtime_sim::Host;
use tokio::sync::mpsc;

use crate::oracle::Oracle;
use connection::{Connection, Endpoint};

/// Where agents find it.
pub(crate) const PROGRAM: &str = "/opt/scenarios/executor";
/// What executors are called among the processes of a host.
pub(crate) const NAME: &str = "mesos-executor";

/// How long a task has between SIGTERM and SIGKILL.
const KILL_GRACE: Duration = Duration::from_secs(3);
/// How long the agent has to acknowledge the ends of tasks after SHUTDOWN: less than it waits.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(3);
/// How often to try at least in the longest pause that the agent allows.
const TRIES_WITHIN_BACKOFF: u32 = 4;

/// Tells the oracle what the executor is sure of: that the agent has handed a task over, or taken
/// an update.
pub(crate) struct Watcher {
    oracle: Oracle,
    host: Host,
    /// Agents write nothing down for frameworks that do not checkpoint.
    checkpoint: bool,
}

impl Watcher {
    /// For an executor on `host` with this environment.
    pub(crate) fn new(oracle: &Oracle, host: &Host, environment: &[(String, String)]) -> Self {
        let checkpoint = environment.contains(&("MESOS_CHECKPOINT".to_owned(), "1".to_owned()));
        Self { oracle: oracle.clone(), host: host.clone(), checkpoint }
    }

    fn handed_over(&self, task: &str) {
        if self.checkpoint {
            let what = format!("task {task} is launched");
            self.oracle.acted_upon(&self.host, &what, task.as_bytes());
        }
    }

    fn acknowledged(&self, acknowledged: &event::Acknowledged) {
        if self.checkpoint {
            let what = format!("an update of {} is acknowledged", acknowledged.task_id.value);
            self.oracle.acted_upon(&self.host, &what, &acknowledged.uuid);
        }
    }
}

/// What happens to it.
pub(crate) enum Heard {
    Event(Box<Event>),
    /// The connection was not made, or is over.
    Broken,
    /// The agent will never have us.
    Refused,
    /// It is time to subscribe again.
    Retry,
    /// The process of the task of this number runs, or could not be started.
    Launched(usize, Result<ProcessId, String>),
    Ended(usize, ExitStatus),
    /// The task of this number has had its time to end.
    Escalate(usize),
    /// The agent has had its time for the last acknowledgements.
    Late,
}

/// One launch.
struct Task {
    id: v1::TaskId,
    process: Option<ProcessId>,
    killed: bool,
    ended: bool,
}

struct Executor {
    runtime: Runtime,
    settings: Settings,
    endpoint: Endpoint,
    generator: Generator,
    watcher: Watcher,
    inbox: mpsc::UnboundedSender<Heard>,
    connection: Option<Connection>,
    /// Since when the agent has been away.
    away: Option<Instant>,
    tasks: Vec<Task>,
    unacknowledged: connection::Unacknowledged,
    leaving: bool,
}

/// Runs the executor; returns its exit code.
pub(crate) async fn run(
    runtime: Runtime,
    environment: Vec<(String, String)>,
    watcher: Watcher,
) -> i32 {
    let Ok(settings) = Settings::from_environment(environment) else { return 1 };
    let (inbox, mut heard) = mpsc::unbounded_channel();
    let mut executor = Executor {
        endpoint: Endpoint::new(&runtime, &settings),
        generator: runtime.random.generator(),
        runtime,
        settings,
        watcher,
        inbox,
        connection: None,
        away: None,
        tasks: Vec::new(),
        unacknowledged: connection::Unacknowledged::default(),
        leaving: false,
    };
    executor.subscribe();
    while let Some(heard) = heard.recv().await {
        if let ControlFlow::Break(code) = executor.handle(heard) {
            executor.signal_all(Signal::Kill);
            return code;
        }
    }
    1
}

impl Executor {
    /// Breaks off with the exit code.
    fn handle(&mut self, heard: Heard) -> ControlFlow<i32> {
        match heard {
            Heard::Event(event) => self.event(*event)?,
            Heard::Broken => self.broken()?,
            Heard::Refused | Heard::Late => return ControlFlow::Break(1),
            Heard::Retry => self.subscribe(),
            Heard::Launched(number, launched) => self.launched(number, launched),
            Heard::Ended(number, status) => self.ended(number, status),
            Heard::Escalate(number) => self.signal(number, Signal::Kill),
        }
        let all_ended = self.tasks.iter().all(|task| task.ended);
        if self.leaving && all_ended && self.unacknowledged.is_empty() {
            return ControlFlow::Break(0);
        }
        ControlFlow::Continue(())
    }

    fn subscribe(&mut self) {
        let call = self.unacknowledged.subscribe(&self.settings);
        let inbox = self.inbox.clone();
        self.connection = Some(self.endpoint.connect(&self.runtime, call, inbox));
    }

    fn event(&mut self, event: Event) -> ControlFlow<i32> {
        match event.r#type() {
            event::Type::Subscribed => self.away = None,
            event::Type::Launch => {
                if let Some(launch) = event.launch {
                    self.launch(launch.task);
                }
            }
            event::Type::Kill => {
                if let Some(kill) = event.kill {
                    self.kill(&kill.task_id);
                }
            }
            event::Type::Acknowledged => {
                if let Some(acknowledged) = event.acknowledged {
                    if !self.leaving {
                        // Of a framework that ends nothing needs to be kept.
                        self.watcher.acknowledged(&acknowledged);
                    }
                    self.unacknowledged.acknowledged(&acknowledged);
                }
            }
            event::Type::Shutdown => self.shut_down(),
            event::Type::Error => return ControlFlow::Break(1),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// Without checkpointing an agent that is gone takes its executors with it.
    fn broken(&mut self) -> ControlFlow<i32> {
        self.connection = None;
        let now = self.runtime.now().instant;
        let away = *self.away.get_or_insert(now);
        if !self.settings.checkpoint || now.since(away) > self.settings.recovery_timeout {
            return ControlFlow::Break(1);
        }
        let most = self.settings.backoff_max / TRIES_WITHIN_BACKOFF;
        let pause = most.mul_f64(self.generator.fraction());
        self.after(pause, Heard::Retry);
        ControlFlow::Continue(())
    }

    fn after(&self, pause: Duration, heard: Heard) {
        let (runtime, inbox) = (self.runtime.clone(), self.inbox.clone());
        self.runtime.spawn("timer", async move {
            runtime.sleep(pause).await;
            // Nobody listens once the executor has ended, here and below.
            let _ = inbox.send(heard);
        });
    }

    fn launch(&mut self, info: v1::TaskInfo) {
        self.watcher.handed_over(&info.task_id.value);
        let number = self.tasks.len();
        let id = info.task_id.clone();
        self.tasks.push(Task { id, process: None, killed: false, ended: false });
        let script = String::from_utf8_lossy(info.data.as_deref().unwrap_or_default()).into_owned();
        self.unacknowledged.tasks.push(info);
        let command = Command {
            program: PathBuf::from("/bin/sh"),
            arguments: vec!["sh".to_owned(), "-c".to_owned(), script],
            environment: self.settings.environment.clone(),
            working_directory: self.settings.sandbox.clone(),
            ..Command::default()
        };
        let (runtime, inbox) = (self.runtime.clone(), self.inbox.clone());
        self.runtime.spawn("task", async move {
            let launched = runtime.processes.launch(command).await;
            let launched = launched.map_err(|error| error.to_string());
            let process = launched.as_ref().ok().copied();
            let _ = inbox.send(Heard::Launched(number, launched));
            if let Some(process) = process {
                let status = runtime.processes.wait(process).await;
                let _ = inbox.send(Heard::Ended(number, status.unwrap_or(ExitStatus::Unknown)));
            }
        });
    }

    fn launched(&mut self, number: usize, launched: Result<ProcessId, String>) {
        let Some(task) = self.tasks.get_mut(number) else { return };
        let (id, killed) = (task.id.clone(), task.killed);
        match launched {
            Ok(process) => {
                task.process = Some(process);
                self.update(id, TaskState::TaskRunning, None);
                if killed || self.leaving {
                    self.end(number);
                }
            }
            Err(why) => {
                task.ended = true;
                let message = format!("Command could not be launched: {why}");
                self.update(id, TaskState::TaskFailed, Some(message));
            }
        }
    }

    fn ended(&mut self, number: usize, status: ExitStatus) {
        let Some(task) = self.tasks.get_mut(number) else { return };
        task.ended = true;
        let state = match status {
            ExitStatus::Exited(0) => TaskState::TaskFinished,
            _ if task.killed => TaskState::TaskKilled,
            _ => TaskState::TaskFailed,
        };
        let id = task.id.clone();
        self.update(id, state, Some(format!("Command {status}")));
    }

    fn update(&mut self, task_id: v1::TaskId, state: TaskState, message: Option<String>) {
        let status = v1::TaskStatus {
            task_id,
            state: state as i32,
            message,
            source: Some(Source::Executor as i32),
            executor_id: Some(v1::ExecutorId { value: self.settings.executor_id.clone() }),
            timestamp: Some(self.runtime.now().wall.as_seconds()),
            uuid: Some(self.generator.uuid().to_vec().into()),
            ..v1::TaskStatus::default()
        };
        let call = self.unacknowledged.add(&self.settings, status);
        if let Some(connection) = &self.connection {
            connection.send(call);
        }
    }

    fn kill(&mut self, id: &v1::TaskId) {
        let of_task = |(_, task): &(usize, &Task)| task.id == *id && !task.ended && !task.killed;
        let numbers: Vec<usize> =
            self.tasks.iter().enumerate().filter(of_task).map(|(number, _)| number).collect();
        numbers.into_iter().for_each(|number| self.end(number));
    }

    /// Ends a task as soon as it has a process.
    fn end(&mut self, number: usize) {
        let Some(task) = self.tasks.get_mut(number) else { return };
        task.killed = true;
        if task.process.is_some() {
            self.signal(number, Signal::Terminate);
            self.after(KILL_GRACE, Heard::Escalate(number));
        }
    }

    fn signal(&self, number: usize, signal: Signal) {
        let task = self.tasks.get(number).filter(|task| !task.ended);
        if let Some(process) = task.and_then(|task| task.process) {
            // It may have ended meanwhile.
            let _ = self.runtime.processes.signal(Target::Group(process), signal);
        }
    }

    fn signal_all(&self, signal: Signal) {
        (0..self.tasks.len()).for_each(|number| self.signal(number, signal));
    }

    fn shut_down(&mut self) {
        if !self.leaving {
            self.leaving = true;
            self.tasks.iter_mut().for_each(|task| task.killed = true);
            self.signal_all(Signal::Kill);
            self.after(SHUTDOWN_GRACE, Heard::Late);
        }
    }
}
