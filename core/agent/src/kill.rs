//! Ending things: killing tasks, shutting down executors, frameworks and the agent itself.

use std::time::Duration;

use orrery_api::link::{self, from_agent};
use orrery_api::v1::TaskState::TaskKilled;
use orrery_api::v1::executor::{Event, event};
use orrery_api::v1::task_status::Reason;
use orrery_coverage::{reachable, sometimes};

use crate::agent::Stopping;
use crate::framework::{ExecutorKey, ExecutorState, Queued, Termination};
use crate::{Agent, Output, PlantedBug, container};

/// How long a stopping agent waits for the master to take its last words.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

impl Stopping {
    /// Whether executors of frameworks that checkpoint go on without the agent.
    fn leaves_executors(&self) -> bool {
        matches!(self, Self::Restart | Self::Refused(_))
    }
}

impl Agent {
    pub(crate) fn kill_task(&mut self, kill: link::KillTask) {
        let framework_id = kill.framework_id.unwrap_or_default().value;
        let Some(task_id) = kill.task_id else { return };
        let framework = self.frameworks.get(&framework_id).filter(|it| !it.terminating);
        let executor = framework.and_then(|it| it.executor_of(&task_id.value));
        let Some(key) = executor.map(|executor| executor.key()) else {
            reachable!("a kill names a task that the agent does not have");
            tracing::warn!(framework_id, task_id = task_id.value, "no such task to kill");
            return;
        };
        let Some(executor) = self.executor_mut(&key) else {
            return;
        };
        let Some(task) = executor.tasks.get_mut(&task_id.value) else {
            return;
        };
        if task.info.is_some() && !task.is_terminal() {
            reachable!("a kill comes before its task was delivered to the executor");
            return self.kill_queued(&key, &task_id.value);
        }
        let kill = event::Kill { task_id, kill_policy: kill.kill_policy };
        sometimes!(task.is_terminal(), "a kill comes to the agent after its task's end");
        sometimes!(task.kill.is_some(), "a kill comes to the agent twice");
        task.kill = Some(kill.clone());
        self.checkpoint_kill(&key, &kill);
        self.send_to_executor(&key, kill_event(kill));
    }

    /// Ends a task that its executor has not got yet, and with it the rest of its group.
    fn kill_queued(&mut self, key: &ExecutorKey, task_id: &str) {
        let bugs = PlantedBug::KillDuringLaunchStillLaunches.is_planted();
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let unqueued = if bugs { None } else { executor.unqueue(task_id) };
        let unqueued = unqueued.unwrap_or_else(|| Queued::Task(task_id.to_owned()));
        let message = match unqueued {
            Queued::Task(_) => "Task killed before delivery to the executor",
            Queued::Group(_) => {
                reachable!("a group ends because one of its tasks is killed early");
                "A task of the group was killed before delivery to the executor"
            }
        };
        for id in unqueued.task_ids() {
            let reason = Reason::TaskKilledDuringLaunch;
            self.report(&key.framework, Some(&key.executor), id, TaskKilled, reason, message);
        }
        self.end_unused_executor(key);
    }

    /// An executor that never had a task would wait for one for ever (MESOS-8411).
    pub(crate) fn end_unused_executor(&mut self, key: &ExecutorKey) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        if executor.had_task || !executor.queue.is_empty() {
            return;
        }
        match executor.state {
            // It could not be told to end before it subscribes.
            ExecutorState::Registering => {
                reachable!("an executor is not needed any more before it has subscribed");
                self.destroy(key, None);
            }
            ExecutorState::Recovering | ExecutorState::Running => self.begin_shutdown(key),
            ExecutorState::Terminating | ExecutorState::Terminated => {}
        }
    }

    pub(crate) fn shutdown_executor(&mut self, shutdown: link::ShutdownExecutor) {
        let key = ExecutorKey {
            framework: shutdown.framework_id.unwrap_or_default().value,
            executor: shutdown.executor_id.unwrap_or_default().value,
        };
        self.begin_shutdown(&key);
    }

    pub(crate) fn shutdown_framework(&mut self, shutdown: &link::ShutdownFramework) {
        let id = shutdown.framework_id.clone().unwrap_or_default().value;
        self.begin_framework_shutdown(&id);
    }

    fn begin_framework_shutdown(&mut self, framework_id: &str) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else {
            // Refused launches are reported without an executor; nobody is there to hear it now.
            return self.streams.remove_framework(framework_id, &mut self.changes);
        };
        framework.terminating = true;
        let keys: Vec<_> = framework.executors.values().map(|executor| executor.key()).collect();
        for key in keys {
            self.begin_shutdown(&key);
            self.remove_if_finished(&key);
        }
    }

    /// Asks an executor to end; its container is destroyed if it takes too long.
    pub(crate) fn begin_shutdown(&mut self, key: &ExecutorKey) {
        let now = self.now.instant;
        let Some(executor) = self.frameworks.get_mut(&key.framework) else {
            return;
        };
        let Some(executor) = executor.executors.get_mut(&key.executor) else {
            return;
        };
        if matches!(executor.state, ExecutorState::Terminating | ExecutorState::Terminated) {
            return;
        }
        executor.state = ExecutorState::Terminating;
        let grace = container::shutdown_grace_period(&executor.info, &self.options);
        self.set_deadline(key, Some(now + grace));
        self.send_to_executor(key, shutdown_event());
    }

    /// Kills an executor's processes as soon as there are any.
    pub(crate) fn destroy(&mut self, key: &ExecutorKey, termination: Option<Termination>) {
        self.set_deadline(key, None);
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        executor.state = ExecutorState::Terminating;
        if executor.termination.is_none() {
            executor.termination = termination;
        }
        executor.destroy_when_launched = true;
        if let Some(process) = executor.process {
            let container = executor.container.clone();
            self.emit(Output::Destroy { container, process });
        }
    }

    /// An executor has not subscribed, or not ended, in time.
    pub(crate) fn executor_deadline(&mut self, key: &ExecutorKey) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        match executor.state {
            ExecutorState::Registering => {
                reachable!("an executor does not subscribe in time");
                let timeout = self.options.executor_registration_timeout;
                let timeout = orrery_model::duration::format(timeout);
                let message = format!("Executor did not register within {timeout}");
                let reason = Reason::ExecutorRegistrationTimeout;
                self.destroy(key, Some(Termination { reason, message }));
            }
            ExecutorState::Terminating => {
                reachable!("an executor does not end in time when it is shut down");
                self.destroy(key, None);
            }
            ExecutorState::Recovering | ExecutorState::Running | ExecutorState::Terminated => {}
        }
    }

    /// Shuts executors down, all of them unless the agent may come back for those that checkpoint;
    /// `Stop` follows once they have ended.
    pub(crate) fn stop(&mut self, stopping: Stopping) {
        if self.stopping.is_some() {
            return;
        }
        tracing::info!(agent_id = self.agent_id, ?stopping, "stopping");
        let frameworks: Vec<String> = self.frameworks.keys().cloned().collect();
        self.stopping = Some(stopping.clone());
        for id in frameworks {
            if matches!(stopping, Stopping::Gone(_)) {
                // The master has given up these tasks: their frameworks know already.
                self.begin_framework_shutdown(&id);
                continue;
            }
            let Some(framework) = self.frameworks.get(&id) else { continue };
            if stopping.leaves_executors() && framework.is_checkpointed() {
                reachable!("an agent leaves executors behind for its next run");
                continue;
            }
            let keys: Vec<_> = framework.executors.values().map(|one| one.key()).collect();
            for key in keys {
                self.begin_shutdown(&key);
            }
        }
    }

    pub(crate) fn stop_if_ended(&mut self) {
        let (error, comes_back) = match &self.stopping {
            Some(Stopping::Restart | Stopping::CleanUp) => (None, true),
            Some(Stopping::Leave) => (None, false),
            Some(Stopping::Refused(why)) => {
                (Some(why.clone()), !PlantedBug::RefusalForgetsIdentity.is_planted())
            }
            Some(Stopping::Gone(why)) => (Some(why.clone()), false),
            Some(Stopping::Done) | None => return,
        };
        let leaves_some = self.stopping.as_ref().is_some_and(Stopping::leaves_executors);
        let frameworks = self.frameworks.values();
        let ending = frameworks.filter(|framework| !(leaves_some && framework.is_checkpointed()));
        let mut executors = ending.flat_map(|it| it.executors.values());
        if executors.any(|executor| executor.state != ExecutorState::Terminated) {
            return;
        }
        if error.is_none() && self.is_leaving(comes_back) {
            return;
        }
        self.stopping = Some(Stopping::Done);
        if !comes_back {
            self.emit(Output::Forget);
        }
        self.emit(Output::Stop { error });
    }
}

impl Agent {
    /// Whether there is something to wait for before an agent that was stopped in order ends: its
    /// last updates are to be acknowledged, and unless it comes back under this id the master is to
    /// hear so, and then closes the link.
    fn is_leaving(&mut self, comes_back: bool) -> bool {
        if !self.registration.is_registered() {
            return false;
        }
        let until = *self.leave.until.get_or_insert(self.now.instant + LEAVE_PATIENCE);
        let late = self.now.instant >= until;
        sometimes!(late, "the master does not take a stopping agent's last words in time");
        if comes_back {
            // What is written down will be sent by the next run.
            return !late && !self.streams.are_written_down();
        }
        if !self.leave.said && (late || self.streams.is_empty()) {
            self.leave.said = true;
            self.send_to_master(from_agent::Body::Unregister(link::Unregister {}));
        }
        !late
    }
}

pub(crate) fn kill_event(kill: event::Kill) -> Event {
    Event { r#type: Some(event::Type::Kill as i32), kill: Some(kill), ..Default::default() }
}

pub(crate) fn shutdown_event() -> Event {
    Event { r#type: Some(event::Type::Shutdown as i32), ..Default::default() }
}
