//! Executors as processes: sandboxes, start, end.

use std::io;
use std::sync::Arc;

use orrery_agent::{Container, Input, Launch, agent_directory, short_path};
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::{ExitStatus, ProcessId, Runtime, Signal, Target};

use crate::daemon::Shared;
use crate::planted::PlantedBug;

impl Shared {
    /// Makes the folder of an agent that has just got its id, and the link that names it.
    pub(crate) fn admitted(&self, agent_id: String) {
        let directory = agent_directory(&self.options.work_dir, &agent_id);
        let latest = agent_directory(&self.options.work_dir, "latest");
        let disk = Arc::clone(&self.runtime.disk);
        self.runtime.spawn("agent directory", async move {
            let result = async {
                disk.create_directories(&directory).await?;
                disk.symbolic_link(&directory, &latest).await
            };
            if let Err(error) = result.await {
                reachable!("an agent cannot make its folder");
                tracing::warn!(agent_id, %error, "cannot make the agent's directory");
            }
        });
    }

    /// Starts a container and waits for its end; the machine hears of both.
    pub(crate) fn launch(&self, launch: Launch) {
        self.attach(&launch);
        let runtime = self.runtime.clone();
        let feeder = self.feeder.clone();
        self.runtime.spawn("container", async move {
            let container = launch.container.clone();
            let process = match start(&runtime, launch).await {
                Ok(process) => process,
                Err(error) => {
                    let is_full = error.kind() == io::ErrorKind::StorageFull;
                    sometimes!(is_full, "a sandbox cannot be made because the disk is full");
                    let message = error.to_string();
                    // A stopping agent needs no inputs any more, here and below.
                    let _ = feeder.feed(Input::ContainerLaunchFailed { container, message }).await;
                    return;
                }
            };
            let launched = Input::ContainerLaunched { container: container.clone(), process };
            let _ = feeder.feed(launched).await;
            let input = wait(&runtime, container, process).await;
            if PlantedBug::ExitIsNotTold.is_planted() {
                return;
            }
            let _ = feeder.feed(input).await;
        });
    }

    /// Kills a container that runs. Finding its processes takes time, so the machine goes on.
    pub(crate) fn destroy(&self, container: Container, process: ProcessId) {
        let runtime = self.runtime.clone();
        self.runtime.spawn("kill container", async move { kill(&runtime, &container, process) });
    }

    /// Lets `/files` serve the sandbox, under its own path and under shorter ones.
    fn attach(&self, launch: &Launch) {
        let directory = launch.directory.to_string_lossy();
        let latest = launch.latest.to_string_lossy();
        let short = short_path(&launch.container);
        for path in [directory.as_ref(), latest.as_ref(), short.as_str()] {
            self.files.attach(path, &launch.directory);
        }
    }
}

async fn start(runtime: &Runtime, launch: Launch) -> io::Result<ProcessId> {
    runtime.disk.create_directories(&launch.directory).await?;
    runtime.disk.symbolic_link(&launch.directory, &launch.latest).await?;
    if let Some(user) = &launch.command.user {
        runtime.disk.set_owner(&launch.directory, user).await?;
    }
    runtime.processes.launch(launch.command).await
}

/// Waits for the end of a container's first process, then kills what that one left behind.
async fn wait(runtime: &Runtime, container: Container, process: ProcessId) -> Input {
    let status = runtime.processes.wait(process).await.unwrap_or_else(|error| {
        reachable!("how an executor ended cannot be known");
        // It was started here and is waited for once, so its end is all that can be concluded.
        let container_id = &container.container_id;
        tracing::error!(container_id, %process, %error, "cannot wait for a process");
        ExitStatus::Exited(255)
    });
    if !PlantedBug::LeftoversStay.is_planted() {
        kill(runtime, &container, process);
    }
    Input::ContainerExited { container, status }
}

fn kill(runtime: &Runtime, container: &Container, process: ProcessId) {
    let result = runtime.processes.signal(Target::Session(process), Signal::Kill);
    // Most often everything of the session has ended by itself.
    if let Err(error) = result
        && error.kind() != io::ErrorKind::NotFound
    {
        let container_id = &container.container_id;
        tracing::warn!(container_id, %process, %error, "cannot kill a container");
    }
}
