//! Frameworks, their executors and tasks, as the agent keeps them.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use orrery_api::v1;
use orrery_api::v1::executor::event;
use orrery_model::task_state::is_terminal;
use orrery_runtime::{Instant, ProcessId};

use crate::{ConnectionNumber, Container};

/// Names an executor: its framework's id and its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ExecutorKey {
    pub(crate) framework: String,
    pub(crate) executor: String,
}

/// A framework with at least one executor here.
#[derive(Clone, Debug)]
pub(crate) struct Framework {
    pub(crate) info: v1::FrameworkInfo,
    /// It is shut down: its executors end, nothing is launched, no update is forwarded.
    pub(crate) terminating: bool,
    pub(crate) executors: BTreeMap<String, Executor>,
    /// Oldest first.
    pub(crate) completed: VecDeque<Executor>,
}

impl Framework {
    pub(crate) fn id(&self) -> &str {
        self.info.id.as_ref().map_or("", |id| &id.value)
    }

    /// The state of a task that never ran: TASK_DROPPED, or TASK_LOST for a framework that does not
    /// know the newer states.
    pub(crate) fn dropped_state(&self) -> v1::TaskState {
        dropped_state(&self.info)
    }

    /// The state of a task that is over without anybody having seen its end: TASK_GONE, or
    /// TASK_LOST for a framework that does not know the newer states.
    pub(crate) fn gone_state(&self) -> v1::TaskState {
        match self.dropped_state() {
            v1::TaskState::TaskDropped => v1::TaskState::TaskGone,
            older => older,
        }
    }

    /// The executor that has this task, if any.
    pub(crate) fn executor_of(&self, task_id: &str) -> Option<&Executor> {
        // A command task's executor has the task's id, so that most searches end here.
        let same_id = self.executors.get(task_id).filter(|it| it.tasks.contains_key(task_id));
        same_id.or_else(|| self.executors.values().find(|it| it.tasks.contains_key(task_id)))
    }
}

/// See [`Framework::dropped_state`].
pub(crate) fn dropped_state(info: &v1::FrameworkInfo) -> v1::TaskState {
    use v1::framework_info::capability::Type::PartitionAware;
    let aware = info.capabilities.iter().any(|it| it.r#type == Some(PartitionAware as i32));
    if aware { v1::TaskState::TaskDropped } else { v1::TaskState::TaskLost }
}

/// Where an executor is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExecutorState {
    /// Being started; it has not subscribed yet.
    Registering,
    /// It had subscribed before the agent was started again, and has not come back yet.
    Recovering,
    /// It has subscribed.
    Running,
    /// It was told to end or its container is being destroyed.
    Terminating,
    /// Its process is gone; some terminal updates are not acknowledged yet.
    Terminated,
}

/// Why an executor's tasks fail when it ends.
#[derive(Clone, Debug)]
pub(crate) struct Termination {
    pub(crate) reason: v1::task_status::Reason,
    pub(crate) message: String,
}

/// What waits for an executor's subscription.
#[derive(Clone, Debug)]
pub(crate) enum Queued {
    /// One task, by its id.
    Task(String),
    /// A group, by its tasks' ids: delivered or killed as a whole.
    Group(Vec<String>),
}

impl Queued {
    pub(crate) fn task_ids(&self) -> &[String] {
        match self {
            Self::Task(id) => std::slice::from_ref(id),
            Self::Group(ids) => ids,
        }
    }
}

/// One run of an executor.
#[derive(Clone, Debug)]
pub(crate) struct Executor {
    pub(crate) info: v1::ExecutorInfo,
    pub(crate) container: Container,
    pub(crate) directory: PathBuf,
    /// Made by the agent for one command task; the master knows nothing of it.
    pub(crate) generated: bool,
    pub(crate) state: ExecutorState,
    /// Its process, once started.
    pub(crate) process: Option<ProcessId>,
    /// The container must go as soon as its process is known.
    pub(crate) destroy_when_launched: bool,
    /// Its event stream.
    pub(crate) connection: Option<ConnectionNumber>,
    /// When it must have subscribed, or must have ended.
    pub(crate) deadline: Option<Instant>,
    /// Why its tasks fail when it ends, if that is not its own doing.
    pub(crate) termination: Option<Termination>,
    /// Undelivered launches, oldest first.
    pub(crate) queue: VecDeque<Queued>,
    /// Queued, delivered and ended tasks, the last until their terminal update is acknowledged.
    pub(crate) tasks: BTreeMap<String, Task>,
    /// Ended tasks, oldest first.
    pub(crate) completed: VecDeque<v1::Task>,
    /// Whether a task was ever delivered to it.
    pub(crate) had_task: bool,
    /// The number of the next launch that is queued.
    pub(crate) next_launch: u64,
}

impl Executor {
    /// One that is still to be started, without tasks.
    pub(crate) fn new(
        container: Container,
        info: v1::ExecutorInfo,
        directory: PathBuf,
        generated: bool,
    ) -> Self {
        Self {
            info,
            container,
            directory,
            generated,
            state: ExecutorState::Registering,
            process: None,
            destroy_when_launched: false,
            connection: None,
            deadline: None,
            termination: None,
            queue: VecDeque::new(),
            tasks: BTreeMap::new(),
            completed: VecDeque::new(),
            had_task: false,
            next_launch: 0,
        }
    }

    pub(crate) fn key(&self) -> ExecutorKey {
        ExecutorKey {
            framework: self.container.framework_id.clone(),
            executor: self.container.executor_id.clone(),
        }
    }

    /// Removes and returns the launch that holds a task, if it was not delivered yet.
    pub(crate) fn unqueue(&mut self, task_id: &str) -> Option<Queued> {
        let holds = |it: &Queued| it.task_ids().iter().any(|id| id == task_id);
        let position = self.queue.iter().position(holds)?;
        self.queue.remove(position)
    }

    /// Ids of tasks that have no terminal state yet.
    pub(crate) fn live_tasks(&self) -> Vec<String> {
        let live = self.tasks.iter().filter(|(_, task)| !task.is_terminal());
        live.map(|(id, _)| id.clone()).collect()
    }

    /// Remembers an ended task; returns those that it forgets for it.
    pub(crate) fn complete(&mut self, task: Task, keep: usize) -> Vec<v1::Task> {
        self.completed.push_back(task.task);
        let beyond = self.completed.len().saturating_sub(keep);
        self.completed.drain(..beyond).collect()
    }
}

/// A task of an executor.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    /// What the framework asked for; kept until the task is delivered.
    pub(crate) info: Option<Box<v1::TaskInfo>>,
    /// What the framework asked for, from delivery to the first status, where the executor is ours:
    /// should the launch have been lost on its way, it is delivered again.
    pub(crate) sent: Option<Box<v1::TaskInfo>>,
    /// An earlier run of the agent knew that its executor has it.
    pub(crate) arrived: bool,
    /// What became of it.
    pub(crate) task: v1::Task,
    /// The last kill that was asked for after delivery; said again to an executor that reconnects.
    pub(crate) kill: Option<event::Kill>,
}

impl Task {
    /// A task that was not delivered yet, in TASK_STAGING.
    pub(crate) fn new(info: v1::TaskInfo, framework_id: &str, agent_id: &v1::AgentId) -> Self {
        let command_user = |command: &Option<v1::CommandInfo>| {
            command.as_ref().and_then(|command| command.user.clone())
        };
        let executor = info.executor.as_ref();
        let task = v1::Task {
            name: info.name.clone(),
            task_id: info.task_id.clone(),
            framework_id: v1::FrameworkId { value: framework_id.to_owned() },
            executor_id: executor.map(|executor| executor.executor_id.clone()),
            agent_id: agent_id.clone(),
            state: v1::TaskState::TaskStaging as i32,
            resources: info.resources.clone(),
            labels: info.labels.clone(),
            discovery: info.discovery.clone().map(Box::new),
            container: info.container.clone().map(Box::new),
            health_check: info.health_check.clone().map(Box::new),
            kill_policy: info.kill_policy,
            user: command_user(&info.command)
                .or_else(|| executor.and_then(|executor| command_user(&executor.command))),
            limits: info.limits.clone(),
            ..Default::default()
        };
        Self { info: Some(Box::new(info)), sent: None, arrived: false, task, kill: None }
    }

    pub(crate) fn state(&self) -> v1::TaskState {
        v1::TaskState::try_from(self.task.state).unwrap_or(v1::TaskState::TaskUnknown)
    }

    pub(crate) fn is_terminal(&self) -> bool {
        is_terminal(self.state())
    }

    /// Whether it was given up before its executor had it.
    pub(crate) fn is_dropped(&self) -> bool {
        matches!(self.state(), v1::TaskState::TaskDropped | v1::TaskState::TaskLost)
    }

    /// Takes a new status: it replaces the last one of the same state. `data` is the framework's
    /// own business and may be large, so it is not kept.
    pub(crate) fn apply(&mut self, status: &v1::TaskStatus) {
        self.task.state = status.state;
        if self.task.statuses.last().is_some_and(|last| last.state == status.state) {
            self.task.statuses.pop();
        }
        self.task.statuses.push(v1::TaskStatus { data: None, ..status.clone() });
    }
}
