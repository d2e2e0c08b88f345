//! What an emulated agent says of itself when it registers.

use orrery_api::link;
use orrery_api::v1::{self, TaskState};

/// The framework of all tasks, which does not come back.
const FRAMEWORK: &str = "load-0000";

/// What an agent has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shape {
    /// Tasks that run.
    pub tasks: u32,
    /// Tasks that have ended.
    pub completed: u32,
    /// Statuses of each task; zero are as good as any number to a master's time, not to its memory.
    pub statuses: u32,
}

impl Shape {
    /// The message of agent `number`: with its id, it comes back with its tasks, which are those of
    /// a framework that is away.
    pub fn register(&self, number: u32, id: Option<&v1::AgentId>) -> link::Register {
        let [_, high, middle, low] = number.to_be_bytes();
        let ip = format!("127.{high}.{middle}.{low}");
        let agent_info = v1::AgentInfo {
            id: id.cloned(),
            hostname: ip.clone(),
            port: Some(5051),
            resources: vec![scalar("cpus", 64.0, None), scalar("mem", 262_144.0, None)],
            ..Default::default()
        };
        let statuses = |state| (0..self.statuses).map(|_| status(id, state)).collect();
        let task = |task: u32, state: TaskState| v1::Task {
            statuses: statuses(state),
            ..task_of(number, task, id, state)
        };
        let all = self.tasks + self.completed;
        link::Register {
            agent_info: Some(agent_info),
            version: "1.12.0".to_owned(),
            pid: format!("slave(1)@{ip}:5051"),
            frameworks: if all > 0 { vec![framework()] } else { Vec::new() },
            tasks: (0..self.tasks).map(|number| task(number, TaskState::TaskRunning)).collect(),
            completed_tasks: (self.tasks..all)
                .map(|number| task(number, TaskState::TaskFinished))
                .collect(),
            ..Default::default()
        }
    }
}

fn framework() -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: "root".to_owned(),
        name: "load".to_owned(),
        id: Some(v1::FrameworkId { value: FRAMEWORK.to_owned() }),
        failover_timeout: Some(1e6),
        ..Default::default()
    }
}

fn task_of(agent: u32, task: u32, id: Option<&v1::AgentId>, state: TaskState) -> v1::Task {
    v1::Task {
        name: format!("task-{agent}-{task}"),
        task_id: v1::TaskId { value: format!("task-{agent}-{task}") },
        framework_id: v1::FrameworkId { value: FRAMEWORK.to_owned() },
        agent_id: id.cloned().unwrap_or_default(),
        state: state as i32,
        status_update_state: Some(state as i32),
        resources: vec![scalar("cpus", 0.1, Some("*")), scalar("mem", 32.0, Some("*"))],
        ..Default::default()
    }
}

/// What an agent says of a task that is in `state`.
fn status(id: Option<&v1::AgentId>, state: TaskState) -> v1::TaskStatus {
    v1::TaskStatus {
        state: state as i32,
        agent_id: id.cloned(),
        source: Some(v1::task_status::Source::Executor as i32),
        timestamp: Some(1.5e9),
        uuid: Some(bytes::Bytes::from_static(&[7; 16])),
        ..Default::default()
    }
}

/// A scalar that is allocated to `role`.
fn scalar(name: &str, value: f64, role: Option<&str>) -> v1::Resource {
    let allocated = |role: &str| v1::resource::AllocationInfo { role: Some(role.to_owned()) };
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: role.map(allocated),
        ..Default::default()
    }
}
