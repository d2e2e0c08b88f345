//! The executor's decisions.

use std::collections::BTreeSet;
use std::time::Duration;

use orrery_api::v1;
use orrery_api::v1::TaskState;
use orrery_api::v1::executor::{Call, Event, event};
use orrery_api::v1::task_status::{Reason, Source};
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::machine::Machine;
use orrery_runtime::{Command, ExitStatus, Generator, Instant, Now, ProcessId, Signal, Target};
use tracing::{error, info, warn};

use crate::command::command_of;
use crate::planted::PlantedBug;
use crate::session::{Due, Session};
use crate::settings::Settings;
use crate::task::{Cause, Phase, Task, grace_of};
use crate::updates::{Caller, Updates};

/// How long the agent has to acknowledge the last update before the executor exits anyway.
const LAST_ACKNOWLEDGEMENT: Duration = Duration::from_secs(60);
/// What the executor keeps for itself of the grace period of a SHUTDOWN.
const SHUTDOWN_MARGIN: Duration = Duration::from_secs(2);

/// What can happen to the executor.
#[derive(Debug)]
pub enum Input {
    /// It was started: to be fed first, once.
    Start,
    /// The agent said something on the subscribed connection.
    Event(Box<Event>),
    /// The connection of the last [`Output::Subscribe`] was not made, or broke, for this reason.
    Disconnected(String),
    /// The agent answered the last [`Output::Subscribe`] that it will never have us.
    Refused(String),
    /// The process of the last [`Output::Launch`] runs.
    Launched(ProcessId),
    /// That process could not be started, for this reason.
    LaunchFailed(String),
    /// That process ended; or how it ended cannot be known, for this reason.
    Exited(Result<ExitStatus, String>),
    /// The deadline passed.
    Tick,
}

/// What the executor wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open a new connection with this call; what was queued for the one before is void.
    Subscribe(Box<Call>),
    /// Send this call to the agent, in order after those before it.
    Send(Box<Call>),
    /// Start this process.
    Launch(Command),
    /// Send a signal; nothing of that number living is no error.
    Signal(Target, Signal),
    /// End the executor with this exit code.
    Exit(i32),
}

/// Runs one task for an agent. See the [crate's documentation](crate).
pub struct CommandExecutor {
    settings: Settings,
    generator: Generator,
    caller: Caller,
    session: Session,
    updates: Updates,
    task: Option<Task>,
    /// Whether the framework understands TASK_KILLING.
    tells_killing: bool,
    /// Tasks that were killed before they came.
    killed_early: BTreeSet<String>,
    /// Further tasks, which were answered with a terminal state.
    turned_away: BTreeSet<String>,
    /// No more tasks are taken.
    leaving: bool,
    /// When to stop waiting for the last acknowledgement.
    leave_by: Option<Instant>,
    exit_code: i32,
    exited: bool,
}

impl CommandExecutor {
    /// An executor that has not been started yet. `generator` gives uuids and back-off times.
    pub fn new(settings: Settings, generator: Generator) -> Self {
        Self {
            caller: Caller::new(&settings),
            session: Session::new(&settings),
            updates: Updates::default(),
            task: None,
            tells_killing: false,
            killed_early: BTreeSet::new(),
            turned_away: BTreeSet::new(),
            leaving: false,
            leave_by: None,
            exit_code: 0,
            exited: false,
            settings,
            generator,
        }
    }

    fn handle(&mut self, now: Now, event: Event, outputs: &mut Vec<Output>) {
        if let Some(subscribed) = event.subscribed {
            self.subscribed(now, &subscribed, outputs);
        } else if let Some(launch) = event.launch {
            self.launch(now, launch.task, outputs);
        } else if let Some(launch) = event.launch_group {
            for task in launch.task_group.tasks {
                let message = "the command executor runs no task groups";
                self.turn_away(now, &task.task_id, message, outputs);
            }
        } else if let Some(kill) = event.kill {
            self.kill_asked(now, &kill, outputs);
        } else if let Some(acknowledged) = event.acknowledged {
            let task_id = &acknowledged.task_id.value;
            if !self.updates.acknowledge(task_id, &acknowledged.uuid) {
                reachable!("an update is acknowledged that the executor does not wait for");
                warn!(task_id, "an unknown update was acknowledged");
            }
        } else if let Some(problem) = event.error {
            reachable!("the agent tells the executor of an error");
            error!(message = problem.message, "the agent reports an error");
        } else if event.r#type == Some(event::Type::Shutdown as i32) {
            sometimes!(self.task.is_none(), "the executor is shut down before its task came");
            sometimes!(
                self.is_launching(),
                "the executor is shut down while its command is being started"
            );
            info!("the agent shuts us down");
            self.shut_down(now, outputs);
        }
        // HEARTBEAT and MESSAGE ask for nothing: a shell command has no ear for messages.
    }

    fn subscribed(&mut self, now: Now, event: &event::Subscribed, outputs: &mut Vec<Output>) {
        if !self.session.subscribed(now) {
            return reachable!("SUBSCRIBED comes to an executor that waits for none");
        }
        let wanted = v1::framework_info::capability::Type::TaskKillingState as i32;
        let capabilities = &event.framework_info.capabilities;
        self.tells_killing = capabilities.iter().any(|one| one.r#type == Some(wanted))
            || PlantedBug::TellsKillingToAll.is_planted();
        self.send_updates(outputs);
        let lost = self.updates.task().filter(|_| PlantedBug::StartsAgainWhenBack.is_planted());
        if let Some(info) = lost.cloned() {
            self.task = None;
            self.launch(now, info, outputs);
        }
    }

    fn launch(&mut self, now: Now, info: v1::TaskInfo, outputs: &mut Vec<Output>) {
        let task_id = info.task_id.value.clone();
        if let Some(task) = &self.task {
            if task.id.value == task_id {
                reachable!("a task is launched twice at its executor");
                warn!(task_id, "the task was launched already");
            } else {
                reachable!("a second task comes to the command executor");
                let message = format!("the executor runs '{}' and no other task", task.id.value);
                self.turn_away(now, &info.task_id, &message, outputs);
            }
            return;
        }
        if self.leaving || self.turned_away.contains(&task_id) {
            reachable!("a task comes to an executor that is shutting down");
            self.turn_away(now, &info.task_id, "the executor is shutting down", outputs);
            return;
        }
        self.updates.add_task(info.clone());
        self.task = Some(Task::new(&info));
        if self.killed_early.contains(&task_id) {
            reachable!("a task comes to its executor after its kill");
            let mut status = self.status(now, &info.task_id, TaskState::TaskKilled);
            status.reason = Some(Reason::TaskKilledDuringLaunch as i32);
            status.message = Some("the task was killed before it was launched".to_owned());
            return self.end(status, outputs);
        }
        let starting = self.status(now, &info.task_id, TaskState::TaskStarting);
        self.report(starting, outputs);
        match command_of(&info, &self.settings) {
            Ok(command) => outputs.push(Output::Launch(command)),
            Err(error) => self.launch_failed(now, &error.to_string(), outputs),
        }
    }

    /// Answers a task that will not be run, once.
    fn turn_away(&mut self, now: Now, id: &v1::TaskId, why: &str, outputs: &mut Vec<Output>) {
        let own = self.task.as_ref().is_some_and(|task| task.id == *id);
        if own || !self.turned_away.insert(id.value.clone()) {
            return;
        }
        warn!(task_id = id.value, "a task is turned away: {why}");
        let mut status = self.status(now, id, TaskState::TaskFailed);
        status.message = Some(why.to_owned());
        self.report(status, outputs);
    }

    fn launched(&mut self, now: Now, process: ProcessId, outputs: &mut Vec<Output>) {
        let Some(task) = self.task.as_mut().filter(|task| task.phase == Phase::Launching) else {
            return;
        };
        let id = task.id.clone();
        task.started(now, process);
        if task.kill.is_some() && !PlantedBug::KillDuringStartIsLost.is_planted() {
            reachable!("a kill comes between the start of a command and TASK_RUNNING");
            // The kill came while the process was being started; it is already reported.
            task.complete_by = None;
            return self.terminate(now, outputs);
        }
        let running = self.status(now, &id, TaskState::TaskRunning);
        self.report(running, outputs);
    }

    fn launch_failed(&mut self, now: Now, reason: &str, outputs: &mut Vec<Output>) {
        let Some(task) = self.task.as_ref().filter(|task| task.phase == Phase::Launching) else {
            return;
        };
        reachable!("a command cannot be started");
        sometimes!(task.kill.is_some(), "a command that is to be killed cannot be started");
        let killed = task.kill.is_some();
        let id = task.id.clone();
        let state = if killed { TaskState::TaskKilled } else { TaskState::TaskFailed };
        let mut status = self.status(now, &id, state);
        status.message = Some(format!("Command could not be launched: {reason}"));
        if !killed {
            status.reason = Some(Reason::CommandExecutorFailed as i32);
        }
        self.end(status, outputs);
    }

    /// Whether the task's command is being started.
    fn is_launching(&self) -> bool {
        self.task.as_ref().is_some_and(|task| task.phase == Phase::Launching)
    }

    fn ended(&mut self, now: Now, exit: Result<ExitStatus, String>, outputs: &mut Vec<Output>) {
        // What the task left behind in its group ends with us: the agent kills our session.
        let Some(task) = self.task.as_ref().filter(|task| is_running(task)) else {
            return;
        };
        let (id, too_long) = (task.id.clone(), is_too_long(task));
        let (state, message) = match exit {
            Ok(_) if PlantedBug::ExitStatusIsLost.is_planted() => {
                (TaskState::TaskFinished, "Command has ended".to_owned())
            }
            Ok(status) => (task.outcome(status), format!("Command {status}")),
            Err(reason) => {
                reachable!("how a command ended cannot be known");
                let message = format!("the command's exit status is not known: {reason}");
                (TaskState::TaskFailed, message)
            }
        };
        let killed = task.kill.is_some();
        sometimes!(
            killed && state == TaskState::TaskFinished,
            "a task finishes while it is killed"
        );
        sometimes!(!self.session.is_subscribed(), "a task ends while its agent is away");
        info!(task_id = id.value, state = state.as_str_name(), message);
        let mut status = self.status(now, &id, state);
        status.message = Some(message);
        if too_long && state == TaskState::TaskFailed {
            status.reason = Some(Reason::MaxCompletionTimeReached as i32);
        }
        self.end(status, outputs);
    }

    fn kill_asked(&mut self, now: Now, kill: &event::Kill, outputs: &mut Vec<Output>) {
        let id = &kill.task_id;
        let Some(task) = self.task.as_mut().filter(|task| task.id == *id) else {
            sometimes!(self.task.is_some(), "a kill names a task of another executor");
            if self.task.is_none() {
                self.killed_early.insert(id.value.clone());
            }
            warn!(task_id = id.value, "a task is killed that is not here");
            return;
        };
        sometimes!(task.phase == Phase::Ended, "a kill comes to the executor after its task's end");
        let asked = grace_of(kill.kill_policy.as_ref());
        if task.kill.is_some() {
            reachable!("a task is killed twice");
            if let Some(grace) = asked {
                reachable!("a second kill changes the grace period");
                task.change_grace(grace);
            }
            return;
        }
        let grace = asked.unwrap_or_else(|| task.grace());
        self.kill(now, Cause::Request, grace, outputs);
    }

    /// Ends the task and then the executor.
    fn shut_down(&mut self, now: Now, outputs: &mut Vec<Output>) {
        self.leaving = true;
        let grace = self.settings.shutdown_grace.saturating_sub(SHUTDOWN_MARGIN);
        match &mut self.task {
            Some(task) if task.kill.is_some() => {
                reachable!("the executor is shut down while it kills its task");
                task.hasten(now, grace);
            }
            _ => self.kill(now, Cause::Request, grace, outputs),
        }
    }

    fn kill(&mut self, now: Now, cause: Cause, grace: Duration, outputs: &mut Vec<Output>) {
        let Some(task) = self.task.as_mut().filter(|task| task.phase != Phase::Ended) else {
            return;
        };
        task.begin_kill(now, cause, grace);
        let id = task.id.clone();
        info!(task_id = id.value, ?grace, "killing the task");
        if self.tells_killing {
            reachable!("a framework is told TASK_KILLING");
            let mut status = self.status(now, &id, TaskState::TaskKilling);
            if cause == Cause::CompletionTime {
                status.reason = Some(Reason::MaxCompletionTimeReached as i32);
            }
            self.report(status, outputs);
        }
        self.terminate(now, outputs);
    }

    /// Sends SIGTERM, if there is a process yet.
    fn terminate(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let Some(task) = &mut self.task else { return };
        if let Phase::Running(process) = task.phase {
            outputs.push(Output::Signal(Target::Group(process), Signal::Terminate));
            task.terminated(now);
        }
    }

    fn tick(&mut self, now: Now, outputs: &mut Vec<Output>) {
        match self.session.due(now) {
            Due::Nothing => {}
            Due::Subscribe => self.subscribe(outputs),
            Due::Heartbeat => outputs.push(Output::Send(Box::new(self.caller.heartbeat()))),
            Due::GiveUp => {
                reachable!("the executor gives up an agent that stays away");
                error!("the agent has been away for too long");
                self.exit_code = 1;
                self.shut_down(now, outputs);
            }
        }
        let Some(task) = &mut self.task else { return };
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now.instant);
        if due(task.complete_by) {
            reachable!("a task runs for longer than it may");
            let grace = task.grace();
            self.kill(now, Cause::CompletionTime, grace, outputs);
        } else if let (Some(kill), Phase::Running(process)) = (&mut task.kill, task.phase)
            && due(kill.escalate_at)
        {
            reachable!("a task does not end at SIGTERM and is killed with SIGKILL");
            kill.escalate_at = None;
            outputs.push(Output::Signal(Target::Group(process), Signal::Kill));
        }
    }

    fn subscribe(&mut self, outputs: &mut Vec<Output>) {
        outputs.push(Output::Subscribe(Box::new(self.updates.subscribe(&self.caller))));
    }

    fn disconnected(&mut self, now: Now, reason: &str, outputs: &mut Vec<Output>) {
        warn!(reason, "not connected to the agent");
        self.leave_by = None;
        self.session.disconnected(now, &mut self.generator);
        if self.session.is_lost() {
            reachable!("the executor ends because its agent is gone");
            self.exit_code = 1;
            self.shut_down(now, outputs);
        }
    }

    fn refused(&mut self, now: Now, reason: &str, outputs: &mut Vec<Output>) {
        reachable!("the agent refuses its executor");
        error!(reason, "the agent refuses us");
        self.exit_code = 1;
        self.session.lose();
        self.shut_down(now, outputs);
    }

    fn status(&mut self, now: Now, id: &v1::TaskId, state: TaskState) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: id.clone(),
            state: state as i32,
            source: Some(Source::Executor as i32),
            executor_id: Some(self.caller.executor_id().clone()),
            timestamp: Some(now.wall.as_seconds()),
            uuid: Some(self.generator.uuid().to_vec().into()),
            ..v1::TaskStatus::default()
        }
    }

    fn end(&mut self, status: v1::TaskStatus, outputs: &mut Vec<Output>) {
        if let Some(task) = &mut self.task {
            task.phase = Phase::Ended;
            task.complete_by = None;
            if let Some(kill) = &mut task.kill {
                kill.escalate_at = None;
            }
        }
        self.report(status, outputs);
    }

    fn report(&mut self, status: v1::TaskStatus, outputs: &mut Vec<Output>) {
        self.updates.add(status);
        if self.session.is_subscribed() {
            self.send_updates(outputs);
        }
    }

    fn send_updates(&mut self, outputs: &mut Vec<Output>) {
        let calls = self.updates.calls(&self.caller);
        outputs.extend(calls.into_iter().map(|call| Output::Send(Box::new(call))));
    }

    /// Exits once the task is over and its last update acknowledged, or nobody is left to do so.
    fn leave_if_done(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let done = match &self.task {
            Some(task) => task.phase == Phase::Ended,
            None => self.leaving,
        };
        if !done {
            return;
        }
        let waited = self.leave_by.is_some_and(|at| at <= now.instant);
        sometimes!(waited, "the last acknowledgement does not come in time");
        sometimes!(
            !self.updates.is_empty() && self.session.is_lost(),
            "an executor ends with updates"
        );
        let hasty = PlantedBug::LeavesUnacknowledged.is_planted();
        if self.updates.is_empty() || self.session.is_lost() || waited || hasty {
            self.exited = true;
            outputs.push(Output::Exit(self.exit_code));
        } else if self.session.is_subscribed() {
            self.leave_by.get_or_insert(now.instant + LAST_ACKNOWLEDGEMENT);
        }
    }
}

fn is_running(task: &Task) -> bool {
    matches!(task.phase, Phase::Running(_))
}

fn is_too_long(task: &Task) -> bool {
    task.kill.is_some_and(|kill| kill.cause == Cause::CompletionTime)
}

impl Machine for CommandExecutor {
    type Input = Input;
    type Output = Output;

    fn step(&mut self, now: Now, input: Input, outputs: &mut Vec<Output>) {
        if self.exited {
            return reachable!("something happens to an executor that has ended");
        }
        match input {
            Input::Start => self.subscribe(outputs),
            Input::Event(event) => self.handle(now, *event, outputs),
            Input::Disconnected(reason) => self.disconnected(now, &reason, outputs),
            Input::Refused(reason) => self.refused(now, &reason, outputs),
            Input::Launched(process) => self.launched(now, process, outputs),
            Input::LaunchFailed(reason) => self.launch_failed(now, &reason, outputs),
            Input::Exited(status) => self.ended(now, status, outputs),
            Input::Tick => self.tick(now, outputs),
        }
        self.leave_if_done(now, outputs);
    }

    fn deadline(&self) -> Option<Instant> {
        if self.exited {
            return None;
        }
        let task = self.task.as_ref().and_then(Task::deadline);
        [self.session.deadline(), task, self.leave_by].into_iter().flatten().min()
    }

    fn tick() -> Input {
        Input::Tick
    }
}
