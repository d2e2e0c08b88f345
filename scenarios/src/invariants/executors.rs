//! Executors (S26 of the catalogue): an executor that has no task ends; it waits for the
//! acknowledgement of the last update before it does; and how a task ended is what its framework is
//! told. Mesos' bugs of the kind: MESOS-8411, MESOS-8537, MESOS-9847, MESOS-10007.

use std::collections::{BTreeMap, BTreeSet};

use orrery_agent::Agent;
use orrery_api::v1::task_status::{Reason, Source};
use orrery_api::v1::{self, TaskState};

use crate::workload::script_of;

/// How the agent says that an executor ended by itself and as if all was well.
const ENDED_WELL: &str = "exited with status 0";

/// No executor on an agent lives without a reason.
///
/// # Errors
/// The first that does.
pub fn agent(agent: &Agent) -> Result<(), String> {
    agent.check_executors()
}

/// How the command executor says how its task ended.
const COMMAND_EXITED: &str = "Command exited";

/// What each task will end with, as its script says.
#[derive(Debug, Default)]
pub struct Exits {
    /// The exit code, by task id, of those that end by themselves.
    codes: BTreeMap<String, i32>,
    /// Tasks whose executors have ended by themselves and as if all was well.
    left_well: BTreeSet<String>,
    /// Executors were made to end as if all was well.
    misbehaving: bool,
}

impl Exits {
    pub(crate) fn launched(&mut self, task: &v1::TaskInfo) {
        let code = |script: &str| script.rsplit_once("exit ")?.1.trim().parse().ok();
        if let Some(code) = script_of(task).and_then(code) {
            self.codes.insert(task.task_id.value.clone(), code);
        }
    }

    /// Executors end by themselves from now on: it is a fault, and none of theirs.
    pub(crate) fn misbehave(&mut self) {
        self.misbehaving = true;
    }

    pub(crate) fn left_well(&mut self, task: &str) {
        self.left_well.insert(task.to_owned());
    }

    /// Sets the end of a task against its script.
    pub(crate) fn updated(&self, status: &v1::TaskStatus) -> Result<(), String> {
        let id = &status.task_id.value;
        let state = status.state();
        let message = status.message.as_deref().unwrap_or_default();
        let own_executor_left = status.reason() == Reason::ExecutorTerminated
            && state == TaskState::TaskFailed
            && status.source() == Source::Agent;
        // An agent that was restarted cannot know how an executor has ended.
        let left_well = message.contains(ENDED_WELL) || self.left_well.contains(id);
        if own_executor_left && left_well && !self.misbehaving {
            return Err(format!("the executor of task {id} left before it had told its end"));
        }
        let Some(code) = self.codes.get(id) else { return Ok(()) };
        let agrees = match state {
            TaskState::TaskFinished => *code == 0,
            TaskState::TaskFailed if message.starts_with(COMMAND_EXITED) => *code != 0,
            _ => true,
        };
        if agrees {
            return Ok(());
        }
        Err(format!("task {id} exits with {code} but was told {}: {message}", state.as_str_name()))
    }
}
