//! Status updates: from executors and from the agent itself, to the master.

use bytes::Bytes;
use orrery_api::link::{self, from_agent};
use orrery_api::v1;
use orrery_api::v1::task_status::{Reason, Source};
use orrery_coverage::{reachable, sometimes};

use crate::framework::ExecutorKey;
use crate::streams::{Acknowledged, state_of};
use crate::{Agent, PlantedBug};

impl Agent {
    /// Reports a state that the agent itself has found.
    pub(crate) fn report(
        &mut self,
        framework_id: &str,
        executor_id: Option<&str>,
        task_id: &str,
        state: v1::TaskState,
        reason: Reason,
        message: &str,
    ) {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: task_id.to_owned() },
            state: state as i32,
            message: Some(message.to_owned()),
            source: Some(Source::Agent as i32),
            reason: Some(reason as i32),
            agent_id: Some(self.agent_id_message()),
            executor_id: executor_id.map(|id| v1::ExecutorId { value: id.to_owned() }),
            timestamp: Some(self.now.wall.as_seconds()),
            uuid: Some(Bytes::copy_from_slice(&self.random.uuid())),
            ..Default::default()
        };
        self.record(framework_id, executor_id, status);
    }

    /// Takes a status into the task and its stream. A status after a terminal one, or for a
    /// framework that is being shut down, goes no further.
    pub(crate) fn record(
        &mut self,
        framework_id: &str,
        executor_id: Option<&str>,
        status: v1::TaskStatus,
    ) {
        let key = (framework_id.to_owned(), status.task_id.value.clone());
        let framework = self.frameworks.get_mut(framework_id);
        let terminating = framework.as_ref().is_some_and(|framework| framework.terminating);
        let executor =
            framework.zip(executor_id).and_then(|(framework, id)| framework.executors.get_mut(id));
        let task = executor.and_then(|executor| executor.tasks.get_mut(&key.1));
        if let Some(task) = task {
            if task.is_terminal() && !PlantedBug::UpdateAfterTerminal.is_planted() {
                reachable!("a state comes after a task's last one");
                tracing::info!(framework_id, task_id = key.1, "dropping a status after the last");
                return;
            }
            task.apply(&status);
            let arrived = task.sent.take().is_some();
            self.counters.count_terminal(task.state());
            if arrived {
                self.checkpoint_arrived(framework_id, executor_id.unwrap_or_default(), &key.1);
            }
        }
        if terminating {
            return reachable!("an update is not sent because its framework ends");
        }
        let update = link::StatusUpdate {
            framework_id: Some(v1::FrameworkId { value: framework_id.to_owned() }),
            executor_id: executor_id.map(|id| v1::ExecutorId { value: id.to_owned() }),
            agent_id: Some(self.agent_id_message()),
            uuid: status.uuid.clone().unwrap_or_default(),
            latest_state: status.state,
            status: Some(status),
        };
        let ended = orrery_model::task_state::is_terminal(state_of(&update));
        let registered = self.registration.is_registered();
        sometimes!(ended && !registered, "a task ends while its agent has no master");
        let file = self.updates_file(framework_id, executor_id, &key.1);
        self.streams.push(self.now.instant, key, update, file, &mut self.changes);
    }

    /// Sends what the streams want sent.
    pub(crate) fn forward_updates(&mut self) {
        for mut update in std::mem::take(&mut self.streams.outbox) {
            if let Some(task) = self.task_of(&update) {
                update.latest_state = task.state;
                task.status_update_state = Some(state_of(&update) as i32);
                task.status_update_uuid = Some(update.uuid.clone());
            }
            self.send_to_master(from_agent::Body::StatusUpdate(update));
        }
    }

    fn task_of(&mut self, update: &link::StatusUpdate) -> Option<&mut v1::Task> {
        let key = executor_of(update)?;
        let task_id = &update.status.as_ref()?.task_id.value;
        self.executor_mut(&key)?.tasks.get_mut(task_id).map(|task| &mut task.task)
    }

    pub(crate) fn acknowledge(&mut self, acknowledgement: &link::Acknowledgement) {
        let framework_id = acknowledgement.framework_id.clone().unwrap_or_default().value;
        let task_id = acknowledgement.task_id.clone().unwrap_or_default().value;
        let key = (framework_id, task_id);
        let uuid = &acknowledgement.uuid;
        match self.streams.acknowledge(self.now.instant, &key, uuid, &mut self.changes) {
            Acknowledged::Advanced => {}
            Acknowledged::Ignored => {
                reachable!("an acknowledgement is of no update in flight");
                tracing::info!(
                    framework_id = key.0,
                    task_id = key.1,
                    "acknowledgement of no update in flight"
                );
            }
            Acknowledged::Ended(update) => {
                let Some(executor) = executor_of(&update) else {
                    return;
                };
                self.complete_task(&executor, &key.1);
            }
        }
    }

    fn complete_task(&mut self, key: &ExecutorKey, task_id: &str) {
        let keep = self.options.max_completed_tasks_per_executor;
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if let Some(task) = executor.tasks.remove(task_id) {
            let forgotten = executor.complete(task, keep);
            self.checkpoint_forgotten(key, &forgotten);
        }
        self.remove_if_finished(key);
    }
}

fn executor_of(update: &link::StatusUpdate) -> Option<ExecutorKey> {
    let framework = update.framework_id.as_ref()?.value.clone();
    let executor = update.executor_id.as_ref()?.value.clone();
    Some(ExecutorKey { framework, executor })
}
