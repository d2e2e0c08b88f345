//! What is written down so that a later run of the agent can go on: changes to the files under
//! `meta`, gathered in the course of a step.
//!
//! All changes of a step leave as one [`Output::Checkpoint`], ahead of the step's other outputs,
//! and are durable before any of those is carried out. So after a crash the files are as they were
//! between two steps, and nothing was done or said that they do not know of.
//!
//! Of frameworks that do not checkpoint nothing is written: their executors end with the agent.

use bytes::Bytes;
use orrery_api::v1;
use orrery_api::v1::executor::event;
use orrery_journal::Change;
use orrery_runtime::ProcessId;
use prost::Message;

use crate::framework::{Executor, ExecutorKey, Framework, Queued};
use crate::records::{Forked, QueuedLaunch};
use crate::{Agent, Output, PlantedBug, paths, sealed};

/// What Mesos writes for a scheduler that has no address of its own: one that comes by HTTP.
const NO_PID: &str = "@0.0.0.0:0";

impl Framework {
    /// Whether its executors outlive the agent.
    pub(crate) fn is_checkpointed(&self) -> bool {
        self.info.checkpoint()
    }
}

pub(crate) fn write(folder: &str, name: &str, content: impl Into<Bytes>) -> Change {
    Change::Write { path: format!("{folder}/{name}"), content: content.into() }
}

fn write_message(folder: &str, name: &str, message: &impl Message) -> Change {
    write(folder, name, sealed::message(message))
}

/// An executor is over and nothing is owed to its framework.
pub(crate) fn removed(framework: &Framework, executor: &Executor) -> Option<Change> {
    let Executor { container, .. } = executor;
    let path = paths::executor_meta(&container.framework_id, &container.executor_id);
    framework.is_checkpointed().then_some(Change::RemoveFolder { path })
}

/// A framework has nothing here any more.
pub(crate) fn framework_removed(framework: &Framework) -> Option<Change> {
    let path = paths::framework_meta(framework.id());
    framework.is_checkpointed().then_some(Change::RemoveFolder { path })
}

impl Agent {
    /// Puts the changes of a step ahead of its other outputs.
    pub(crate) fn emit_checkpoint(&mut self) {
        let changes = std::mem::take(&mut self.changes);
        if !changes.is_empty() {
            // Before its id is written down the agent has no folder.
            let is_admitted = |output: &Output| matches!(output, Output::Admitted { .. });
            let admitted = self.outputs.iter().position(is_admitted);
            let position = admitted.map_or(0, |position| position + 1);
            self.outputs.insert(position, Output::Checkpoint(changes));
        }
    }

    /// Applies `changes` to an executor's checkpoint, if its framework has any.
    fn checkpoint_executor(
        &mut self,
        key: &ExecutorKey,
        changes: impl FnOnce(&Executor) -> Vec<Change>,
    ) {
        let framework = self.frameworks.get(&key.framework).filter(|it| it.is_checkpointed());
        if let Some(executor) = framework.and_then(|it| it.executors.get(&key.executor)) {
            self.changes.extend(changes(executor));
        }
    }

    /// A framework is new here, or describes itself anew.
    pub(crate) fn checkpoint_framework(&mut self, framework_id: &str) {
        let Some(framework) = self.frameworks.get(framework_id) else { return };
        if framework.is_checkpointed() {
            let folder = paths::framework_meta(framework_id);
            self.changes.push(write_message(&folder, paths::FRAMEWORK_INFO, &framework.info));
            self.changes.push(write(&folder, paths::FRAMEWORK_PID, NO_PID));
        }
    }

    /// An executor is about to be started.
    pub(crate) fn checkpoint_new_executor(&mut self, key: &ExecutorKey) {
        self.checkpoint_executor(key, |executor| {
            let folder = paths::executor_meta(&key.framework, &key.executor);
            let latest = Change::Link {
                path: format!("{folder}/runs/latest"),
                target: executor.container.container_id.clone(),
            };
            let info = write_message(&folder, paths::EXECUTOR_INFO, &executor.info);
            let generated = executor.generated.then(|| write(&folder, paths::GENERATED, ""));
            [info, latest].into_iter().chain(generated).collect()
        });
    }

    /// A launch waits for its executor.
    pub(crate) fn checkpoint_queued(&mut self, key: &ExecutorKey, number: u64, queued: &Queued) {
        self.checkpoint_executor(key, |executor| {
            let mut changes = Vec::new();
            for (place, id) in (0_u32..).zip(queued.task_ids()) {
                let Some(task) = executor.tasks.get(id) else { continue };
                let folder = paths::task_meta(&executor.container, id);
                changes.push(write_message(&folder, paths::TASK_INFO, &task.task));
                let launch = QueuedLaunch {
                    number,
                    place_in_group: matches!(queued, Queued::Group(_)).then_some(place),
                    task: task.info.as_deref().cloned(),
                };
                changes.push(write_message(&folder, paths::LAUNCH_INFO, &launch));
            }
            changes
        });
    }

    /// A launch is about to go to its executor, or has reached one of ours.
    pub(crate) fn checkpoint_delivered(&mut self, key: &ExecutorKey, queued: &Queued) {
        if PlantedBug::DeliversAgainAfterRestart.is_planted() {
            return;
        }
        self.checkpoint_executor(key, |executor| {
            let folders =
                queued.task_ids().iter().map(|id| paths::task_meta(&executor.container, id));
            let path = |folder: String| format!("{folder}/{}", paths::LAUNCH_INFO);
            folders.map(|folder| Change::RemoveFile { path: path(folder) }).collect()
        });
    }

    /// A launch has reached its executor.
    pub(crate) fn checkpoint_arrived(&mut self, framework: &str, executor: &str, task_id: &str) {
        let (framework, executor) = (framework.to_owned(), executor.to_owned());
        let queued = Queued::Task(task_id.to_owned());
        self.checkpoint_delivered(&ExecutorKey { framework, executor }, &queued);
    }

    /// A kill is about to go to an executor.
    pub(crate) fn checkpoint_kill(&mut self, key: &ExecutorKey, kill: &event::Kill) {
        self.checkpoint_executor(key, |executor| {
            let folder = paths::task_meta(&executor.container, &kill.task_id.value);
            vec![write_message(&folder, paths::KILL_INFO, kill)]
        });
    }

    /// An executor's process runs. `started` tells it from a later one of its number.
    pub(crate) fn checkpoint_process(
        &mut self,
        key: &ExecutorKey,
        process: ProcessId,
        started: Option<u64>,
    ) {
        self.checkpoint_executor(key, |executor| {
            let folder = format!("{}/pids", paths::run_meta(&executor.container));
            let forked = Forked { process: Some(process.0), started };
            vec![
                write(&folder, paths::FORKED_PID, process.to_string()),
                write_message(&folder, paths::FORKED_STARTED, &forked),
            ]
        });
    }

    /// An executor has subscribed for the first time.
    pub(crate) fn checkpoint_subscribed(&mut self, key: &ExecutorKey) {
        self.checkpoint_executor(key, |executor| {
            vec![write(&paths::run_meta(&executor.container), paths::HTTP_MARKER, "")]
        });
    }

    /// Ended tasks of an executor are not remembered any more.
    pub(crate) fn checkpoint_forgotten(&mut self, key: &ExecutorKey, tasks: &[v1::Task]) {
        self.checkpoint_executor(key, |executor| {
            let folder =
                |task: &v1::Task| paths::task_meta(&executor.container, &task.task_id.value);
            tasks.iter().map(|task| Change::RemoveFolder { path: folder(task) }).collect()
        });
    }

    /// Where the updates of a task are kept; `None` when its framework does not checkpoint, and
    /// for ids that cannot be names of folders.
    pub(crate) fn updates_file(
        &self,
        framework_id: &str,
        executor_id: Option<&str>,
        task_id: &str,
    ) -> Option<String> {
        let framework = self.frameworks.get(framework_id);
        let executor = framework.zip(executor_id).and_then(|(it, id)| it.executors.get(id));
        let executor = executor.filter(|executor| executor.tasks.contains_key(task_id));
        let folder = match (framework, executor) {
            (Some(framework), Some(executor)) => framework
                .is_checkpointed()
                .then(|| paths::task_meta(&executor.container, task_id))?,
            // What was refused is written down for every framework: it is only this one answer.
            _ => {
                let valid = |id| orrery_model::validate::id(id).is_ok();
                (valid(framework_id) && valid(task_id))
                    .then(|| paths::unlaunched_meta(framework_id, task_id))?
            }
        };
        Some(format!("{folder}/{}", paths::TASK_UPDATES))
    }
}
