//! States (S25 of the catalogue): a framework is told the states that it says it understands, and
//! no others. One without PARTITION_AWARE is told TASK_LOST for all that may still be running, one
//! with it is told so only of an agent that left for good; TASK_KILLING needs TASK_KILLING_STATE.
//! Mesos' bugs of the kind: MESOS-7911, MESOS-7215, MESOS-9965, MESOS-6602.

use orrery_api::v1::framework_info::capability::Type;
use orrery_api::v1::task_status::Reason;
use orrery_api::v1::{self, TaskState};

/// What a framework understands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Understood {
    /// PARTITION_AWARE.
    pub partitions: bool,
    /// TASK_KILLING_STATE.
    pub killing: bool,
}

impl Understood {
    /// What the framework that `info` describes says of itself.
    pub fn by(info: &v1::FrameworkInfo) -> Self {
        let has = |kind: Type| info.capabilities.iter().any(|it| it.r#type() == kind);
        Self { partitions: has(Type::PartitionAware), killing: has(Type::TaskKillingState) }
    }

    /// Whether a status says something that its framework understands.
    ///
    /// # Errors
    /// It does not.
    pub fn check(self, status: &v1::TaskStatus) -> Result<(), String> {
        let state = status.state();
        let understood = match state {
            TaskState::TaskUnreachable
            | TaskState::TaskDropped
            | TaskState::TaskGone
            | TaskState::TaskGoneByOperator
            | TaskState::TaskUnknown => self.partitions,
            TaskState::TaskLost => {
                let removed = [Reason::AgentRemoved, Reason::Reconciliation];
                !self.partitions || removed.contains(&status.reason())
            }
            TaskState::TaskKilling => self.killing,
            _ => true,
        };
        if understood {
            return Ok(());
        }
        Err(format!(
            "task {}: {} was told to a framework that does not understand it",
            status.task_id.value,
            state.as_str_name()
        ))
    }
}
