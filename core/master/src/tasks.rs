//! A task's record: how its state changes and when it is forgotten.

use std::sync::Arc;

use orrery_allocator::FrameworkKey;
use orrery_api::v1::{self, TaskState, scheduler};
use orrery_coverage::{always, sometimes};
use orrery_model::task_state;

use crate::state::{holds_resources, remember};
use crate::{Master, PlantedBug};

impl Master {
    /// A status that the master itself gives: without a uuid, so nobody acknowledges it.
    pub(crate) fn master_status(
        &self,
        task_id: &str,
        state: TaskState,
        reason: v1::task_status::Reason,
    ) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: v1::TaskId { value: task_id.to_owned() },
            state: state as i32,
            source: Some(v1::task_status::Source::Master as i32),
            reason: Some(reason as i32),
            timestamp: Some(self.now.wall.as_seconds()),
            ..Default::default()
        }
    }

    /// Takes a status into a task's record. `latest` is the newest state that is known, which
    /// decides about resources; `status` is the one under way to the framework.
    pub(crate) fn update_task(
        &mut self,
        key: FrameworkKey,
        task_id: &str,
        status: &v1::TaskStatus,
        latest: TaskState,
    ) {
        let overwrite = PlantedBug::TerminalStateIsOverwritten.is_planted();
        let keep = PlantedBug::TerminalTaskKeepsResources.is_planted();
        let Some(framework) = self.frameworks.get_mut(&key) else { return };
        let away = framework.connection.is_none();
        let Some(task) = framework.tasks.get_mut(task_id) else { return };
        let before = task.state();
        sometimes!(
            task_state::is_terminal(before) && latest != before,
            "a task's state is not changed because it has ended"
        );
        sometimes!(
            !task_state::is_terminal(before) && task_state::is_terminal(latest) && away,
            "a task ends while its scheduler is away"
        );
        // The first terminal state stands, whatever comes later.
        if !task_state::is_terminal(before) || overwrite {
            task.set_state(latest);
        }
        // An end that the master itself finds has no uuid and waits for no acknowledgement.
        if status.uuid.is_some() || !task_state::is_terminal(latest) {
            task.set_told(status.state, status.uuid.as_ref());
        }
        task.add_status(status);
        let released = holds_resources(before) && !holds_resources(task.state());
        if released && !keep {
            let (agent, resources) = (task.agent, task.resources().clone());
            self.allocator.recover(key, agent, &resources, None, self.now.instant);
        }
        if !task_state::is_terminal(before) && task_state::is_terminal(latest) {
            self.metrics.count_terminal(latest, status);
        }
    }

    /// Forgets a task whose end is known to its framework; its record goes to the completed ones.
    pub(crate) fn complete_task(&mut self, key: FrameworkKey, task_id: &str) {
        let limit = self.options.max_completed_tasks_per_framework;
        let Some(framework) = self.frameworks.get_mut(&key) else { return };
        let Some(task) = framework.tasks.remove(task_id) else { return };
        let state = task.state();
        always!(!holds_resources(state), "a task that is completed holds nothing", task_id, state);
        if let Some(agent) = self.agents.get_mut(&task.agent) {
            let task_key = (key, Arc::clone(task.id()));
            agent.tasks.remove(&task_key);
            agent.pending_kills.remove(&task_key);
        }
        sometimes!(framework.completed_tasks.len() >= limit, "the oldest ended task is forgotten");
        remember(&mut framework.completed_tasks, limit, *task);
    }

    /// Sends a task's status to its framework, in a state that it understands.
    pub(crate) fn tell_status(&mut self, key: FrameworkKey, mut status: v1::TaskStatus) {
        let state = TaskState::try_from(status.state).unwrap_or(TaskState::TaskUnknown);
        status.state = self.state_for(key, state) as i32;
        self.tell(
            key,
            scheduler::Event {
                r#type: Some(scheduler::event::Type::Update as i32),
                update: Some(scheduler::event::Update { status }),
                ..Default::default()
            },
        );
    }

    /// The state as `framework` can understand it: one that does not know partitions is told LOST.
    pub(crate) fn state_for(&self, key: FrameworkKey, state: TaskState) -> TaskState {
        let aware = self.frameworks.get(&key).is_some_and(crate::Framework::is_partition_aware)
            || PlantedBug::PartitionStatesForAll.is_planted();
        task_state::for_framework(state, aware)
    }

    /// A task that is not known here any more, or never was, is answered for by name alone.
    pub(crate) fn tell_end_of_unlaunched(
        &mut self,
        key: FrameworkKey,
        task: &v1::TaskInfo,
        state: TaskState,
        reason: v1::task_status::Reason,
        message: String,
    ) {
        if PlantedBug::RefusedLaunchIsDropped.is_planted() && state == TaskState::TaskError {
            return;
        }
        let state = self.state_for(key, state);
        tracing::info!(task_id = %task.task_id.value, ?state, %message, "task not launched");
        let status = v1::TaskStatus {
            agent_id: Some(task.agent_id.clone()),
            message: Some(message),
            ..self.master_status(&task.task_id.value, state, reason)
        };
        self.metrics.count_terminal(state, &status);
        self.tell_status(key, status);
    }
}
