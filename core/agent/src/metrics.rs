//! What `/metrics/snapshot` tells of an agent, under Mesos' names.

use std::collections::BTreeMap;

use orrery_api::v1;
use orrery_model::{Resources, Scalar};
use orrery_runtime::Now;

use crate::Agent;
use crate::framework::ExecutorState;

/// Things that are counted from the agent's start.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) tasks_finished: u64,
    pub(crate) tasks_failed: u64,
    pub(crate) tasks_killed: u64,
    pub(crate) tasks_lost: u64,
    pub(crate) tasks_gone: u64,
    pub(crate) executors_terminated: u64,
    pub(crate) container_launch_errors: u64,
    pub(crate) valid_status_updates: u64,
    pub(crate) invalid_status_updates: u64,
    pub(crate) valid_framework_messages: u64,
    pub(crate) invalid_framework_messages: u64,
    pub(crate) recovery_errors: u64,
}

impl Counters {
    /// Counts a task's new state if it is one that is counted.
    pub(crate) fn count_terminal(&mut self, state: v1::TaskState) {
        match state {
            v1::TaskState::TaskFinished => self.tasks_finished += 1,
            v1::TaskState::TaskFailed => self.tasks_failed += 1,
            v1::TaskState::TaskKilled => self.tasks_killed += 1,
            v1::TaskState::TaskLost => self.tasks_lost += 1,
            v1::TaskState::TaskGone => self.tasks_gone += 1,
            _ => {}
        }
    }

    fn write(&self, metrics: &mut BTreeMap<String, f64>) {
        let counters = [
            ("tasks_finished", self.tasks_finished),
            ("tasks_failed", self.tasks_failed),
            ("tasks_killed", self.tasks_killed),
            ("tasks_lost", self.tasks_lost),
            ("tasks_gone", self.tasks_gone),
            ("executors_terminated", self.executors_terminated),
            ("executors_preempted", 0),
            ("container_launch_errors", self.container_launch_errors),
            ("recovery_errors", self.recovery_errors),
            ("valid_status_updates", self.valid_status_updates),
            ("invalid_status_updates", self.invalid_status_updates),
            ("valid_framework_messages", self.valid_framework_messages),
            ("invalid_framework_messages", self.invalid_framework_messages),
        ];
        for (name, value) in counters {
            metrics.insert(format!("slave/{name}"), value as f64);
        }
    }
}

impl Agent {
    /// All `slave/` metrics. Times are in seconds, memory and disk in MB, shares between 0 and 1.
    pub fn metrics(&self, now: Now) -> BTreeMap<String, f64> {
        let mut metrics = BTreeMap::new();
        self.counters.write(&mut metrics);
        let uptime = now.instant.since(self.started.instant).as_secs_f64();
        let registered = u8::from(self.registration.is_registered());
        let gauges = [
            ("uptime_secs", uptime),
            ("registered", f64::from(registered)),
            ("frameworks_active", self.frameworks.len() as f64),
            ("executors_registering", self.executors_in(ExecutorState::Registering) as f64),
            ("executors_running", self.executors_in(ExecutorState::Running) as f64),
            ("executors_terminating", self.executors_in(ExecutorState::Terminating) as f64),
            ("tasks_staging", self.tasks_in(v1::TaskState::TaskStaging) as f64),
            ("tasks_starting", self.tasks_in(v1::TaskState::TaskStarting) as f64),
            ("tasks_running", self.tasks_in(v1::TaskState::TaskRunning) as f64),
            ("tasks_killing", self.tasks_in(v1::TaskState::TaskKilling) as f64),
        ];
        for (name, value) in gauges {
            metrics.insert(format!("slave/{name}"), value);
        }
        self.write_resources(&mut metrics);
        metrics
    }

    fn write_resources(&self, metrics: &mut BTreeMap<String, f64>) {
        let used = self.allocated();
        for name in ["cpus", "gpus", "mem", "disk"] {
            let total = value(self.options.resources.scalar(name));
            let used = value(used.scalar(name));
            let share = if total > 0.0 { used / total } else { 0.0 };
            let figures = [
                ("total", total),
                ("used", used),
                ("percent", share),
                // Nothing is oversubscribed yet.
                ("revocable_total", 0.0),
                ("revocable_used", 0.0),
                ("revocable_percent", 0.0),
            ];
            for (kind, figure) in figures {
                metrics.insert(format!("slave/{name}_{kind}"), figure);
            }
        }
    }

    fn tasks_in(&self, state: v1::TaskState) -> usize {
        let executors = self.frameworks.values().flat_map(|it| it.executors.values());
        let tasks = executors.flat_map(|executor| executor.tasks.values());
        tasks.filter(|task| task.state() == state).count()
    }

    /// What executors that have not ended, and their tasks that have not ended, hold.
    pub(crate) fn allocated(&self) -> Resources {
        let mut all = Resources::default();
        for executor in self.frameworks.values().flat_map(|it| it.executors.values()) {
            if executor.state != ExecutorState::Terminated {
                all += &allocated_to(executor);
            }
        }
        all
    }
}

/// What an executor and its tasks that have not ended hold.
pub(crate) fn allocated_to(executor: &crate::framework::Executor) -> Resources {
    let tasks = executor.tasks.values().filter(|task| !task.is_terminal());
    let held = tasks.map(|task| &task.task.resources).chain([&executor.info.resources]);
    let mut all = Resources::default();
    for messages in held {
        // The master has checked them; what is not understood is not counted.
        if let Ok(resources) = Resources::from_messages(messages) {
            all += &resources;
        }
    }
    all
}

fn value(scalar: Scalar) -> f64 {
    scalar.as_f64()
}
