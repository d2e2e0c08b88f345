//! Which task states are final, what they are called, and how older frameworks see them.

use orrery_api::v1::TaskState;

/// Whether a task never leaves `state` again. Unreachable and unknown tasks may come back.
pub const fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

/// Whether a task in `state` holds no resources: it has ended, or its agent is unreachable.
pub const fn releases_resources(state: TaskState) -> bool {
    is_terminal(state) || matches!(state, TaskState::TaskUnreachable)
}

/// The name on the wire and in metrics, such as `TASK_RUNNING`.
pub fn name(state: TaskState) -> &'static str {
    state.as_str_name()
}

/// The state that a framework is told. One without the capability PARTITION_AWARE knows a single
/// state, `TASK_LOST`, for everything that became of a task without its agent saying so.
pub const fn for_framework(state: TaskState, partition_aware: bool) -> TaskState {
    match state {
        TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskUnreachable
        | TaskState::TaskGoneByOperator
        | TaskState::TaskUnknown
            if !partition_aware =>
        {
            TaskState::TaskLost
        }
        _ => state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreachable_releases_resources_without_being_final() {
        assert!(!is_terminal(TaskState::TaskUnreachable));
        assert!(releases_resources(TaskState::TaskUnreachable));
        assert!(!releases_resources(TaskState::TaskKilling));
        let terminal = (0..=13)
            .filter_map(|number| TaskState::try_from(number).ok())
            .filter(|state| is_terminal(*state))
            .count();
        assert_eq!(terminal, 8);
    }

    #[test]
    fn older_frameworks_see_lost() {
        for state in [TaskState::TaskDropped, TaskState::TaskUnknown, TaskState::TaskGone] {
            assert_eq!(for_framework(state, false), TaskState::TaskLost);
            assert_eq!(for_framework(state, true), state);
        }
        assert_eq!(for_framework(TaskState::TaskKilled, false), TaskState::TaskKilled);
        assert_eq!(name(TaskState::TaskGoneByOperator), "TASK_GONE_BY_OPERATOR");
    }
}
