//! What follows from the end of an executor's process.

use orrery_api::link::{self, from_agent};
use orrery_api::v1;
use orrery_api::v1::task_status::Reason;
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::ExitStatus;

use crate::framework::{Executor, ExecutorKey, ExecutorState};
use crate::launch::key_of;
use crate::{Agent, Container, Output, PlantedBug, checkpoint};

impl Agent {
    pub(crate) fn container_exited(&mut self, container: &Container, status: ExitStatus) {
        let key = key_of(container);
        if self.executor(&key).is_none_or(|executor| executor.container != *container) {
            return reachable!("a container ends whose executor is known no more");
        }
        self.executor_ended(&key, &status.to_string(), status.as_wait_status());
    }

    /// `how` completes the sentence "Executor …"; `wait_status` is as waitpid(2) gives it.
    pub(crate) fn executor_ended(&mut self, key: &ExecutorKey, how: &str, wait_status: i32) {
        self.set_deadline(key, None);
        let tells_twice = PlantedBug::UpdateAfterTerminal.is_planted();
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        if executor.state == ExecutorState::Terminated {
            return;
        }
        tracing::info!(
            framework_id = key.framework,
            executor_id = key.executor,
            how,
            "an executor has ended"
        );
        executor.state = ExecutorState::Terminated;
        executor.queue.clear();
        let generated = executor.generated;
        let termination = executor.termination.take();
        let connection = executor.connection.take();
        let tasks = if tells_twice {
            executor.tasks.keys().cloned().collect()
        } else {
            executor.live_tasks()
        };
        self.counters.executors_terminated += 1;
        if let Some(connection) = connection {
            self.connections.remove(&connection);
            self.emit(Output::CloseConnection { connection });
        }
        let (reason, message) = match termination {
            Some(termination) => (termination.reason, termination.message),
            None => (Reason::ExecutorTerminated, format!("Executor {how}")),
        };
        sometimes!(!tasks.is_empty(), "an executor ends before its tasks");
        for id in tasks {
            let state = v1::TaskState::TaskFailed;
            self.report(&key.framework, Some(&key.executor), &id, state, reason, &message);
        }
        if !generated {
            self.tell_executor_exited(&key.framework, &key.executor, wait_status);
        }
        self.remove_if_finished(key);
    }

    /// Tells the master that an executor of a framework's own is not there any more.
    pub(crate) fn tell_executor_exited(
        &mut self,
        framework_id: &str,
        executor_id: &str,
        status: i32,
    ) {
        self.send_to_master(from_agent::Body::ExecutorExited(link::ExecutorExited {
            framework_id: Some(v1::FrameworkId { value: framework_id.to_owned() }),
            executor_id: Some(v1::ExecutorId { value: executor_id.to_owned() }),
            status,
        }));
    }

    /// Moves an ended executor to the completed ones once nothing is owed to its framework.
    pub(crate) fn remove_if_finished(&mut self, key: &ExecutorKey) {
        let Some(framework) = self.frameworks.get_mut(&key.framework) else {
            return;
        };
        let finished = |executor: &Executor| {
            executor.state == ExecutorState::Terminated
                && (executor.tasks.is_empty() || framework.terminating)
        };
        if !framework.executors.get(&key.executor).is_some_and(finished) {
            return;
        }
        let Some(mut executor) = framework.executors.remove(&key.executor) else {
            return;
        };
        self.changes.extend(checkpoint::removed(framework, &executor));
        // Ended tasks whose framework never acknowledged their end stay what they are.
        for task in executor.tasks.values_mut() {
            task.info = None;
        }
        framework.completed.push_back(executor);
        while framework.completed.len() > self.options.max_completed_executors_per_framework {
            framework.completed.pop_front();
        }
        if !framework.executors.is_empty() {
            return;
        }
        if framework.terminating {
            self.streams.remove_framework(&key.framework, &mut self.changes);
        }
        self.changes.extend(checkpoint::framework_removed(framework));
        let framework = self.frameworks.remove(&key.framework);
        self.completed_frameworks.extend(framework);
        while self.completed_frameworks.len() > self.options.max_completed_frameworks {
            self.completed_frameworks.pop_front();
        }
    }
}
