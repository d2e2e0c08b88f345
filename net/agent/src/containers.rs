//! Executors as processes: sandboxes, start, end.

use std::io;
use std::path::Path;

use orrery_agent::{Agent, Container, Input, Launch, short_path};
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::machine::Feeder;
use orrery_runtime::{ExitStatus, ProcessId, Runtime, Signal, Target};

use crate::daemon::Shared;
use crate::planted::PlantedBug;

impl Shared {
    /// Starts a container and waits for its end; the machine hears of both.
    pub(crate) fn launch(&self, launch: Launch) {
        self.attach(&launch.container, &launch.directory, &launch.latest);
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
            let started = runtime.processes.started(process).ok();
            let launched =
                Input::ContainerLaunched { container: container.clone(), process, started };
            let _ = feeder.feed(launched).await;
            watch(&runtime, &feeder, container, process).await;
        });
    }

    /// Waits for the end of a container that an earlier run has started.
    pub(crate) fn adopt(
        &self,
        container: Container,
        directory: &Path,
        latest: &Path,
        process: ProcessId,
    ) {
        self.attach(&container, directory, latest);
        let (runtime, feeder) = (self.runtime.clone(), self.feeder.clone());
        self.runtime.spawn("adopted container", async move {
            watch(&runtime, &feeder, container, process).await;
        });
    }

    /// Kills a container that runs. Finding its processes takes time, so the machine goes on.
    pub(crate) fn destroy(&self, container: Container, process: ProcessId) {
        let runtime = self.runtime.clone();
        self.runtime.spawn("kill container", async move { kill(&runtime, &container, process) });
    }

    /// Lets `/files` serve the sandbox, under its own path and under shorter ones.
    fn attach(&self, container: &Container, directory: &Path, latest: &Path) {
        let short = short_path(container);
        let (whole, latest) = (directory.to_string_lossy(), latest.to_string_lossy());
        for path in [whole.as_ref(), latest.as_ref(), short.as_str()] {
            self.files.attach(path, directory);
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

/// Waits for a container's end and tells the machine.
async fn watch(
    runtime: &Runtime,
    feeder: &Feeder<Agent>,
    container: Container,
    process: ProcessId,
) {
    let input = wait(runtime, container, process).await;
    if !PlantedBug::ExitIsNotTold.is_planted() {
        // A stopping agent needs no inputs any more.
        let _ = feeder.feed(input).await;
    }
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
