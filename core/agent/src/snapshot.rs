//! A copy of what the agent's endpoints show.

use std::path::PathBuf;

use orrery_api::v1;
use orrery_model::Resources;
use orrery_runtime::{Now, ProcessId};

use crate::framework::{Executor, ExecutorState, Framework};
use crate::metrics::allocated_to;
use crate::{Agent, Container};

/// An agent at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The agent, with its id once it has one.
    pub agent_info: v1::AgentInfo,
    /// `slave(1)@ip:port`.
    pub pid: String,
    /// When the agent was started.
    pub started: Now,
    /// The master that has registered it last.
    pub master: Option<v1::MasterInfo>,
    /// Everything the agent has.
    pub resources: Resources,
    /// What executors and tasks hold.
    pub allocated: Resources,
    /// What it tells the master it can do.
    pub capabilities: Vec<v1::agent_info::Capability>,
    /// Frameworks with executors, by id.
    pub frameworks: Vec<FrameworkSnapshot>,
    /// Frameworks without, oldest first.
    pub completed_frameworks: Vec<FrameworkSnapshot>,
}

/// A framework at one moment.
#[derive(Clone, Debug)]
pub struct FrameworkSnapshot {
    /// What the framework says of itself.
    pub info: v1::FrameworkInfo,
    /// Executors, by id.
    pub executors: Vec<ExecutorSnapshot>,
    /// Ended executors, oldest first.
    pub completed_executors: Vec<ExecutorSnapshot>,
}

/// A task that waits for its executor.
#[derive(Clone, Debug)]
pub struct QueuedTask {
    /// What the framework asked for.
    pub info: v1::TaskInfo,
    /// The task in TASK_STAGING.
    pub task: v1::Task,
}

/// An executor at one moment.
#[derive(Clone, Debug)]
pub struct ExecutorSnapshot {
    /// What describes it.
    pub info: v1::ExecutorInfo,
    /// Its run.
    pub container: Container,
    /// Its sandbox.
    pub directory: PathBuf,
    /// Its process, once started.
    pub process: Option<ProcessId>,
    /// Whether its process may live.
    pub alive: bool,
    /// What it and its tasks hold.
    pub resources: Resources,
    /// Tasks it does not have yet.
    pub queued_tasks: Vec<QueuedTask>,
    /// Tasks it has.
    pub launched_tasks: Vec<v1::Task>,
    /// Ended tasks whose last update is not acknowledged.
    pub terminated_tasks: Vec<v1::Task>,
    /// Ended tasks, oldest first.
    pub completed_tasks: Vec<v1::Task>,
}

impl Agent {
    /// Copies everything. Work and memory grow with what is shown.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            agent_info: self.agent_info(),
            pid: self.options.pid(),
            started: self.started,
            master: self.master.clone(),
            resources: self.options.resources.clone(),
            allocated: self.allocated(),
            capabilities: crate::registration::capabilities(),
            frameworks: self.frameworks.values().map(FrameworkSnapshot::of).collect(),
            completed_frameworks: self
                .completed_frameworks
                .iter()
                .map(FrameworkSnapshot::of)
                .collect(),
        }
    }

    /// Whether the master has registered this agent and is still connected.
    pub fn is_registered(&self) -> bool {
        self.registration.is_registered()
    }

    /// The id that the master gave; empty before the first registration.
    pub fn agent_id(&self) -> &str {
        &self.agent_id
    }
}

impl FrameworkSnapshot {
    fn of(framework: &Framework) -> Self {
        Self {
            info: framework.info.clone(),
            executors: framework.executors.values().map(ExecutorSnapshot::of).collect(),
            completed_executors: framework.completed.iter().map(ExecutorSnapshot::of).collect(),
        }
    }
}

impl ExecutorSnapshot {
    fn of(executor: &Executor) -> Self {
        let mut snapshot = Self {
            info: executor.info.clone(),
            container: executor.container.clone(),
            directory: executor.directory.clone(),
            process: executor.process,
            alive: executor.state != ExecutorState::Terminated,
            resources: allocated_to(executor),
            queued_tasks: Vec::new(),
            launched_tasks: Vec::new(),
            terminated_tasks: Vec::new(),
            completed_tasks: executor.completed.iter().cloned().collect(),
        };
        for task in executor.tasks.values() {
            let copy = task.task.clone();
            match &task.info {
                _ if task.is_terminal() => snapshot.terminated_tasks.push(copy),
                Some(info) => {
                    let info = (**info).clone();
                    snapshot.queued_tasks.push(QueuedTask { info, task: copy });
                }
                None => snapshot.launched_tasks.push(copy),
            }
        }
        snapshot
    }
}
