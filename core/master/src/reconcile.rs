//! RECONCILE: what the master knows of tasks that a framework asks about.

use orrery_allocator::FrameworkKey;
use orrery_api::v1::task_status::Reason;
use orrery_api::v1::{self, TaskState, scheduler};
use orrery_coverage::{reachable, sometimes};

use crate::{Master, PlantedBug};

impl Master {
    /// With a list, each task of it is answered for; without one, every active task.
    pub(crate) fn reconcile(&mut self, key: FrameworkKey, reconcile: scheduler::call::Reconcile) {
        self.metrics.count("messages_reconcile_tasks");
        if !reconcile.tasks.is_empty() {
            for task in &reconcile.tasks {
                self.reconcile_task(key, &task.task_id.value, task.agent_id.as_ref());
            }
            return;
        }
        let Some(framework) = self.frameworks.get(&key) else { return };
        for task_id in framework.tasks.keys().cloned().collect::<Vec<_>>() {
            self.reconcile_task(key, &task_id, None);
        }
    }

    /// Answers for one task. Stays silent while the answer may still change because an agent that
    /// could run the task has not come back to a restarted master yet.
    pub(crate) fn reconcile_task(
        &mut self,
        key: FrameworkKey,
        task_id: &str,
        agent_id: Option<&v1::AgentId>,
    ) {
        let Some(framework) = self.frameworks.get(&key) else { return };
        let status = match framework.tasks.get(task_id) {
            Some(task) => self.known_task_status(task_id, task),
            None => match self.unknown_task_status(key, task_id, agent_id) {
                Some(status) => status,
                None => return,
            },
        };
        self.tell_status(key, status);
    }

    pub(crate) fn known_task_status(&self, task_id: &str, task: &crate::Task) -> v1::TaskStatus {
        // What the framework is being told counts, not what the agent knows beyond that: its
        // updates are still to come and must come in order.
        sometimes!(task.told_state() != task.state(), "RECONCILE is answered with an older state");
        let overtakes = PlantedBug::ReconciliationOvertakes.is_planted();
        let state = if overtakes { task.state() } else { task.told_state() } as i32;
        let last = task.statuses().pop();
        v1::TaskStatus {
            task_id: v1::TaskId { value: task_id.to_owned() },
            state,
            source: Some(v1::task_status::Source::Master as i32),
            reason: Some(Reason::Reconciliation as i32),
            message: Some("Reconciliation: Latest task state".to_owned()),
            agent_id: Some(v1::AgentId { value: task.agent_id().to_owned() }),
            executor_id: task.executor_id(),
            timestamp: Some(self.now.wall.as_seconds()),
            healthy: last.as_ref().and_then(|status| status.healthy),
            check_status: last.as_ref().and_then(|status| status.check_status),
            container_status: last.and_then(|status| status.container_status),
            ..Default::default()
        }
    }

    fn unknown_task_status(
        &self,
        key: FrameworkKey,
        task_id: &str,
        agent_id: Option<&v1::AgentId>,
    ) -> Option<v1::TaskStatus> {
        let mut since = None;
        let (state, message) = match agent_id.map(|id| id.value.as_str()) {
            Some(id)
                if (self.recovered.contains_key(id) || self.is_registering(id))
                    && !PlantedBug::ReconciliationInvents.is_planted() =>
            {
                reachable!("RECONCILE is not answered because the agent may come back");
                return None;
            }
            None if !self.recovered.is_empty() => {
                reachable!("RECONCILE is not answered because agents may come back");
                return None;
            }
            Some(id) if self.agent_keys.contains_key(id) => {
                reachable!("RECONCILE asks for a task that its agent does not have");
                (TaskState::TaskGone, "Reconciliation: Task is unknown to the agent")
            }
            Some(id) if self.unreachable.contains_key(id) => {
                reachable!("RECONCILE asks for a task on an unreachable agent");
                since = self.unreachable.get(id).map(|agent| agent.since);
                let gone = PlantedBug::UnreachableIsCalledGone.is_planted();
                let state = if gone { TaskState::TaskGone } else { TaskState::TaskUnreachable };
                (state, "Reconciliation: Task is unreachable")
            }
            Some(id) if self.gone.contains_key(id) => {
                reachable!("RECONCILE asks for a task on an agent that is gone");
                (TaskState::TaskGoneByOperator, "Reconciliation: Task is gone")
            }
            _ => match self.unreachable_task(key, task_id) {
                Some(since_of_agent) => {
                    reachable!("RECONCILE asks for an unreachable task without its agent");
                    since = Some(since_of_agent);
                    (TaskState::TaskUnreachable, "Reconciliation: Task is unreachable")
                }
                None => {
                    reachable!("RECONCILE asks for a task that nobody knows");
                    (TaskState::TaskUnknown, "Reconciliation: Task is unknown")
                }
            },
        };
        Some(v1::TaskStatus {
            agent_id: agent_id.cloned(),
            message: Some(message.to_owned()),
            unreachable_time: since.map(|time| v1::TimeInfo { nanoseconds: time.as_nanoseconds() }),
            ..self.master_status(task_id, state, Reason::Reconciliation)
        })
    }

    /// Since when the agent of an unreachable task does not answer.
    fn unreachable_task(
        &self,
        key: FrameworkKey,
        task_id: &str,
    ) -> Option<orrery_runtime::WallTime> {
        let framework = self.frameworks.get(&key)?;
        let task = framework.unreachable_tasks.iter().find(|task| **task.id() == *task_id)?;
        self.unreachable.get(task.agent_id()).map(|agent| agent.since)
    }
}
