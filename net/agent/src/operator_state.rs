//! The operator API's views of frameworks, executors and tasks.

use orrery_agent::{ExecutorSnapshot, FrameworkSnapshot, Snapshot};
use orrery_api::v1;
use orrery_api::v1::agent::response::{
    GetExecutors, GetFrameworks, GetState, GetTasks, get_executors, get_frameworks,
};

/// GET_STATE.
pub(crate) fn get_state(snapshot: &Snapshot) -> GetState {
    GetState {
        get_tasks: Some(get_tasks(snapshot)),
        get_executors: Some(get_executors(snapshot)),
        get_frameworks: Some(get_frameworks(snapshot)),
    }
}

/// GET_FRAMEWORKS.
pub(crate) fn get_frameworks(snapshot: &Snapshot) -> GetFrameworks {
    let framework = |framework: &FrameworkSnapshot| get_frameworks::Framework {
        framework_info: framework.info.clone(),
    };
    GetFrameworks {
        frameworks: snapshot.frameworks.iter().map(framework).collect(),
        completed_frameworks: snapshot.completed_frameworks.iter().map(framework).collect(),
    }
}

/// GET_EXECUTORS.
pub(crate) fn get_executors(snapshot: &Snapshot) -> GetExecutors {
    let message = |executor: &ExecutorSnapshot| get_executors::Executor {
        executor_info: executor.info.clone(),
    };
    GetExecutors {
        executors: live(snapshot).map(message).collect(),
        completed_executors: completed(snapshot).map(message).collect(),
    }
}

/// GET_TASKS.
pub(crate) fn get_tasks(snapshot: &Snapshot) -> GetTasks {
    let every = || live(snapshot).chain(completed(snapshot));
    let queued = every().flat_map(|executor| &executor.queued_tasks);
    let copy = |tasks: fn(&ExecutorSnapshot) -> &Vec<v1::Task>| -> Vec<v1::Task> {
        every().flat_map(tasks).cloned().collect()
    };
    GetTasks {
        // Launches are never held up before they reach an executor's queue.
        pending_tasks: Vec::new(),
        queued_tasks: queued.map(|queued| queued.task.clone()).collect(),
        launched_tasks: copy(|executor| &executor.launched_tasks),
        terminated_tasks: copy(|executor| &executor.terminated_tasks),
        completed_tasks: copy(|executor| &executor.completed_tasks),
    }
}

fn live(snapshot: &Snapshot) -> impl Iterator<Item = &ExecutorSnapshot> {
    snapshot.frameworks.iter().flat_map(|framework| &framework.executors)
}

fn completed(snapshot: &Snapshot) -> impl Iterator<Item = &ExecutorSnapshot> {
    let frameworks = snapshot.completed_frameworks.iter().chain(&snapshot.frameworks);
    frameworks.flat_map(|framework| &framework.completed_executors)
}
