//! Where things lie in the work directory: Mesos' layout, which tools and people rely on.
//!
//! What a restart needs lies in `<work_dir>/meta/slaves/<agent id>`. Paths in there are relative to
//! it and are for the journal that keeps these files.

use std::path::{Path, PathBuf};

use crate::Container;

/// `<work_dir>/slaves/<agent id>`.
pub fn agent_directory(work_dir: &Path, agent_id: &str) -> PathBuf {
    work_dir.join("slaves").join(agent_id)
}

/// The folder with all runs of an executor.
fn runs(work_dir: &Path, agent_id: &str, framework_id: &str, executor_id: &str) -> PathBuf {
    agent_directory(work_dir, agent_id)
        .join("frameworks")
        .join(framework_id)
        .join("executors")
        .join(executor_id)
        .join("runs")
}

/// The sandbox of one run of an executor.
pub(crate) fn sandbox(work_dir: &Path, agent_id: &str, container: &Container) -> PathBuf {
    runs(work_dir, agent_id, &container.framework_id, &container.executor_id)
        .join(&container.container_id)
}

/// The link that names the newest run of an executor.
pub fn latest_run(work_dir: &Path, agent_id: &str, container: &Container) -> PathBuf {
    runs(work_dir, agent_id, &container.framework_id, &container.executor_id).join("latest")
}

/// The short virtual path under which `/files` serves the newest run of an executor.
pub fn short_path(container: &Container) -> String {
    let Container { framework_id, executor_id, .. } = container;
    format!("/frameworks/{framework_id}/executors/{executor_id}/runs/latest")
}

/// `<work_dir>/meta`, the folder of what a restart needs.
pub fn meta(work_dir: &Path) -> PathBuf {
    work_dir.join("meta")
}

/// `<work_dir>/meta/slaves/<agent id>`, where an agent keeps what a restart needs.
pub fn agent_meta(work_dir: &Path, agent_id: &str) -> PathBuf {
    agent_directory(&meta(work_dir), agent_id)
}

pub(crate) const FRAMEWORK_INFO: &str = "framework.info";
pub(crate) const FRAMEWORK_PID: &str = "framework.pid";
pub(crate) const EXECUTOR_INFO: &str = "executor.info";
/// There for executors that the agent has made for one command task.
pub(crate) const GENERATED: &str = "executor.generated.marker";
/// There once the executor has subscribed.
pub(crate) const HTTP_MARKER: &str = "http.marker";
pub(crate) const FORKED_PID: &str = "forked.pid";
/// Ours: the process once more, with a checksum and when it came to be.
pub(crate) const FORKED_STARTED: &str = "forked.started";
pub(crate) const TASK_INFO: &str = "task.info";
pub(crate) const TASK_UPDATES: &str = "task.updates";
/// Ours: a launch that the executor has not got yet.
pub(crate) const LAUNCH_INFO: &str = "launch.info";
/// Ours: a kill that the executor may not have heard of.
pub(crate) const KILL_INFO: &str = "kill.info";
/// Ours: the folder of updates of tasks that never had an executor, by framework and task.
pub(crate) const UNLAUNCHED: &str = "unlaunched";

pub(crate) fn framework_meta(framework_id: &str) -> String {
    format!("frameworks/{framework_id}")
}

pub(crate) fn executor_meta(framework_id: &str, executor_id: &str) -> String {
    format!("frameworks/{framework_id}/executors/{executor_id}")
}

pub(crate) fn run_meta(container: &Container) -> String {
    let Container { framework_id, executor_id, container_id } = container;
    format!("{}/runs/{container_id}", executor_meta(framework_id, executor_id))
}

pub(crate) fn task_meta(container: &Container, task_id: &str) -> String {
    format!("{}/tasks/{task_id}", run_meta(container))
}

pub(crate) fn unlaunched_meta(framework_id: &str, task_id: &str) -> String {
    format!("{UNLAUNCHED}/{framework_id}/{task_id}")
}
