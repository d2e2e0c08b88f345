//! Where things lie in the work directory: Mesos' layout, which tools and people rely on.

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
