//! Going on after a restart: taking over what an earlier run of the agent had, and waiting for its
//! executors before any master is looked for.
//!
//! ```text
//! Reading ──Recovered──▶ Waiting ──(all executors are back, or time is up)──▶ Unconfirmed
//!                                            Done ◀──(a master registers the agent)──┘
//! ```
//!
//! An executor that has subscribed before must do so again within the timeout. One that has not by
//! then is destroyed as soon as a master has registered the agent: until then the agent may be
//! told that it must not run like this, at another address for instance, where no executor of
//! before can find it. One that was on its way gets the usual time. One that was never started is
//! started now. Of what has ended meanwhile the tasks are reported, and after a reboot all of them.

use std::collections::BTreeMap;

use orrery_api::v1;
use orrery_api::v1::TaskState;
use orrery_api::v1::task_status::Reason;
use orrery_coverage::{reachable, sometimes};
use orrery_model::task_state::is_terminal;
use orrery_runtime::Instant;

use crate::agent::Stopping;
use crate::framework::{
    Executor, ExecutorKey, ExecutorState, Framework, Queued, Task, Termination,
};
use crate::records::{QueuedLaunch, Record, Records};
use crate::recover::{Life, Recovered, RecoveredExecutor, RecoveredFramework, RecoveredTask};
use crate::streams::state_of;
use crate::{Agent, Output, PlantedBug, paths};

/// How far the recovery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovery {
    /// What was written down is being read.
    Reading,
    /// Executors have until then to come back.
    Waiting(Instant),
    /// Over, but no master has let the agent in since.
    Unconfirmed,
    /// Over.
    Done,
}

impl Agent {
    /// Whether the agent is still taking over what an earlier run of it had.
    pub fn is_recovering(&self) -> bool {
        matches!(self.recovery, Recovery::Reading | Recovery::Waiting(_))
    }

    pub(crate) fn recovery_deadline(&self) -> Option<Instant> {
        match self.recovery {
            Recovery::Waiting(until) => Some(until),
            Recovery::Reading | Recovery::Unconfirmed | Recovery::Done => None,
        }
    }

    pub(crate) fn recovered(&mut self, recovered: Recovered) {
        if self.recovery != Recovery::Reading {
            return;
        }
        let Recovered { agent_id, rebooted, frameworks, unlaunched, repairs, errors } = recovered;
        tracing::info!(agent_id, rebooted, frameworks = frameworks.len(), errors, "recovering");
        self.agent_id = agent_id;
        self.counters.recovery_errors = errors as u64;
        self.changes.extend(repairs);
        let overlooked = rebooted && PlantedBug::OverlooksReboot.is_planted();
        let mut lives = BTreeMap::new();
        for framework in frameworks {
            self.take_over(framework, &mut lives);
        }
        for (key, records) in unlaunched {
            let path =
                format!("{}/{}", paths::unlaunched_meta(&key.0, &key.1), paths::TASK_UPDATES);
            self.streams.restore(key, path, &records);
        }
        let wait = self.options.executor_reregistration_timeout;
        self.recovery = Recovery::Waiting(self.now.instant + wait);
        for (key, life) in lives.into_iter().filter(|_| !overlooked) {
            self.resume_executor(&key, life, rebooted);
        }
        if self.options.cleans_up {
            reachable!("an agent only cleans up what an earlier one has left");
            let forgets = PlantedBug::CleanUpForgetsIdentity.is_planted();
            self.stop(if forgets { Stopping::Leave } else { Stopping::CleanUp });
        }
    }

    fn take_over(
        &mut self,
        recovered: RecoveredFramework,
        lives: &mut BTreeMap<ExecutorKey, Life>,
    ) {
        let RecoveredFramework { info, executors } = recovered;
        let framework_id = info.id.clone().unwrap_or_default().value;
        let framework = Framework {
            info,
            terminating: false,
            executors: BTreeMap::new(),
            completed: Default::default(),
        };
        self.frameworks.insert(framework_id.clone(), framework);
        for mut recovered in executors {
            let key = ExecutorKey {
                framework: framework_id.clone(),
                executor: recovered.container.executor_id.clone(),
            };
            lives.insert(key.clone(), recovered.life);
            let tasks = std::mem::take(&mut recovered.tasks);
            let mut executor = self.restored(recovered, &tasks);
            for task in tasks {
                self.restore_task(&key, &mut executor, task);
            }
            executor.sort_completed(self.options.max_completed_tasks_per_executor);
            if let Some(framework) = self.frameworks.get_mut(&framework_id) {
                framework.executors.insert(key.executor, executor);
            }
        }
    }

    /// An executor as it was, without its tasks.
    fn restored(&self, recovered: RecoveredExecutor, tasks: &[RecoveredTask]) -> Executor {
        let directory = recovered.directory(&self.options.work_dir, &self.agent_id);
        let RecoveredExecutor { container, info, generated, subscribed, life, .. } = recovered;
        // One of ours may have got what it was sent, and will say so.
        let may_have = generated && subscribed;
        let waits = |task: &&RecoveredTask| task.launch.is_some() && !task.has_ended();
        let mut waiting: Vec<&RecoveredTask> =
            tasks.iter().filter(|_| !may_have).filter(waits).collect();
        waiting.sort_by_key(|task| task.launch.as_ref().map(QueuedLaunch::order));
        let mut executor = Executor::new(container, info, directory, generated);
        for task in waiting {
            executor.requeue(task);
        }
        let first = |task: &RecoveredTask| task.launch.as_ref().map(|launch| launch.number + 1);
        executor.next_launch = tasks.iter().filter_map(first).max().unwrap_or_default();
        executor.had_task = may_have || tasks.iter().any(|task| task.launch.is_none());
        if subscribed {
            executor.state = ExecutorState::Recovering;
        }
        if let Life::Lives(process) = life {
            executor.process = Some(process);
        }
        executor
    }

    fn restore_task(&mut self, key: &ExecutorKey, executor: &mut Executor, it: RecoveredTask) {
        let task_id = it.task.task_id.value.clone();
        let folder = paths::task_meta(&executor.container, &task_id);
        // An update that nobody can read any more was there, so the launch is not lost.
        let arrived = !it.updates.damages.is_empty();
        let mut task = Task { info: None, sent: None, arrived, task: it.task, kill: it.kill };
        for record in &it.updates.records {
            match record {
                Record::Update(update) => {
                    if let Some(status) = update.status.as_ref().filter(|_| !task.is_terminal()) {
                        task.apply(status);
                    }
                }
                Record::Acknowledged(uuid) => task.task.status_update_uuid = Some(uuid.clone()),
            }
        }
        let stream = (key.framework.clone(), task_id.clone());
        let path = format!("{folder}/{}", paths::TASK_UPDATES);
        self.streams.restore(stream.clone(), path, &it.updates);
        let known = self.streams.contains(&stream);
        task.told(self.streams.head(&stream), &it.updates);
        if task.is_terminal() && !known {
            executor.completed.push_back(task.task);
            return;
        }
        let info = it.launch.filter(|_| !task.is_terminal()).and_then(|it| it.task).map(Box::new);
        if executor.had_task && executor.generated {
            task.sent = info;
        } else {
            task.info = info;
        }
        executor.tasks.insert(task_id, task);
    }

    /// Goes on with an executor as far as it still is.
    fn resume_executor(&mut self, key: &ExecutorKey, life: Life, rebooted: bool) {
        let Some(executor) = self.executor(key) else { return };
        let subscribed = executor.state == ExecutorState::Recovering;
        let has_work = !executor.live_tasks().is_empty();
        if rebooted {
            return self.lost_by_reboot(key);
        }
        match life {
            Life::Lives(_) if subscribed => {}
            // It may have a long way to its first subscription still before it.
            Life::Lives(_) => {
                reachable!("an executor outlives its agent before it has subscribed");
                let deadline = self.now.instant + self.options.executor_registration_timeout;
                self.set_deadline(key, Some(deadline));
            }
            Life::NeverStarted if has_work && !subscribed && !self.options.cleans_up => {
                reachable!("an agent ends between a launch and its process");
                if !PlantedBug::ForgetsExecutorsToStart.is_planted() {
                    self.start_executor(key);
                }
            }
            Life::NeverStarted | Life::Ended => {
                sometimes!(has_work, "an executor ends while its agent is down");
                self.executor_ended(key, "ended while the agent was away", -1);
            }
        }
        if matches!(life, Life::Lives(_)) {
            self.end_unused_executor(key);
        }
    }

    fn lost_by_reboot(&mut self, key: &ExecutorKey) {
        let Some(framework) = self.frameworks.get(&key.framework) else { return };
        let (dropped, gone) = (framework.dropped_state(), framework.gone_state());
        let Some(executor) = framework.executors.get(&key.executor) else { return };
        let lost: Vec<(String, TaskState)> = executor
            .live_tasks()
            .into_iter()
            .map(|id| {
                let delivered = executor.tasks.get(&id).is_none_or(|task| task.info.is_none());
                (id, if delivered { gone } else { dropped })
            })
            .collect();
        sometimes!(!lost.is_empty(), "a reboot ends tasks");
        let (reason, message) = (Reason::AgentRestarted, "the agent's host was booted again");
        for (id, state) in lost {
            self.report(&key.framework, Some(&key.executor), &id, state, reason, message);
        }
        self.executor_ended(key, "ended with its host", -1);
    }

    /// Ends the recovery when no executor is awaited any more, or none can be.
    pub(crate) fn recovery_due(&mut self) {
        let Recovery::Waiting(until) = self.recovery else { return };
        let late = self.executors_in(ExecutorState::Recovering);
        if late > 0 && self.now.instant < until {
            return;
        }
        self.recovery = Recovery::Unconfirmed;
        tracing::info!(agent_id = self.agent_id, late, "recovered");
        if self.stopping.is_none() {
            self.registration.begin(self.now.instant, &self.options, &mut self.random);
        }
    }

    /// A master has let the agent in as it is now. What it is may be written down, and executors
    /// that could have come back to it by now will not.
    pub(crate) fn confirm_recovery(&mut self) {
        if self.recovery != Recovery::Unconfirmed {
            return;
        }
        self.recovery = Recovery::Done;
        self.emit(Output::Readmitted { agent_info: Box::new(self.agent_info()) });
        let executors = self.frameworks.values().flat_map(|it| it.executors.values());
        let late = executors.filter(|it| it.state == ExecutorState::Recovering);
        let late: Vec<ExecutorKey> = late.map(Executor::key).collect();
        for key in late {
            reachable!("an executor does not come back after its agent's restart");
            let timeout = self.options.executor_reregistration_timeout;
            let timeout = orrery_model::duration::format(timeout);
            let message = format!("Executor did not reregister within {timeout}");
            let reason = Reason::ExecutorReregistrationTimeout;
            self.destroy(&key, Some(Termination { reason, message }));
            if PlantedBug::ForgetsLateExecutors.is_planted() {
                self.outputs.retain(|output| !matches!(output, Output::Destroy { .. }));
                self.executor_ended(&key, "did not come back", -1);
            }
        }
    }
}

impl RecoveredTask {
    /// Whether a terminal update of it was recorded.
    fn has_ended(&self) -> bool {
        self.updates.records.iter().any(|record| match record {
            Record::Update(update) => is_terminal(state_of(update)),
            Record::Acknowledged(_) => false,
        })
    }
}

impl QueuedLaunch {
    fn order(&self) -> (u64, Option<u32>) {
        (self.number, self.place_in_group)
    }
}

impl Executor {
    /// Queues a task again, as it was. Those of a group come one after the other.
    fn requeue(&mut self, task: &RecoveredTask) {
        let Some(launch) = &task.launch else { return };
        let id = task.task.task_id.value.clone();
        match (launch.place_in_group, self.queue.back_mut()) {
            (Some(place), Some(Queued::Group(ids))) if place > 0 => ids.push(id),
            (Some(_), _) => self.queue.push_back(Queued::Group(vec![id])),
            (None, _) => self.queue.push_back(Queued::Task(id)),
        }
    }

    /// Ended tasks are read in the order of their ids, and kept in that of their ends.
    fn sort_completed(&mut self, keep: usize) {
        let end = |task: &v1::Task| task.statuses.last().and_then(|status| status.timestamp);
        let completed = self.completed.make_contiguous();
        completed.sort_by(|one, other| {
            let times = end(one).unwrap_or_default().total_cmp(&end(other).unwrap_or_default());
            times.then_with(|| one.task_id.value.cmp(&other.task_id.value))
        });
        while self.completed.len() > keep {
            self.completed.pop_front();
        }
    }
}

impl Task {
    /// Notes which update the master has been sent last: the one that is not acknowledged yet, or
    /// else the last one that is.
    fn told(&mut self, head: Option<&orrery_api::link::StatusUpdate>, records: &Records) {
        let by_uuid = |uuid: &bytes::Bytes| {
            records.records.iter().find_map(|record| match record {
                Record::Update(update) if update.uuid == uuid => Some(&**update),
                _ => None,
            })
        };
        let told = head.or_else(|| self.task.status_update_uuid.as_ref().and_then(by_uuid));
        self.task.status_update_state = told.map(|update| state_of(update) as i32);
        self.task.status_update_uuid = told.map(|update| update.uuid.clone());
    }
}
