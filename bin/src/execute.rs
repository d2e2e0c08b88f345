//! `orrery execute`, also known as `mesos-execute`.

use std::process::ExitCode;

use orrery_flags::{Flags, tables};
use orrery_net_scheduler::{Encoding, run as run_framework};
use orrery_scheduler::Ending;
use orrery_scheduler::execute::{Containerizer, Execute, Options};
use tokio::runtime::Builder;

use crate::failure::Failure;
use crate::host;
use crate::invocation::{Invocation, say};
use crate::logging;
use crate::masters;

/// Runs one task and waits for its end; fails unless the task finished.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let about = "Runs one command on a cluster and waits for its end.";
    let Some(flags) = invocation.flags(about, &tables::execute())? else {
        return Ok(ExitCode::SUCCESS);
    };
    logging::start(&flags)?;
    let options = options(&flags);
    let print = Box::new(say);
    let framework = Execute::new(&options, print).map_err(Failure::because)?;
    let scheduler_options = scheduler_options(&flags, &options)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::because)?;
    let outcome = runtime.block_on(async {
        let ports = orrery_runtime_real::runtime();
        run_framework(ports, scheduler_options, framework).await
    });
    runtime.shutdown_background();
    match outcome.ending {
        Ending::Refused(reason) => {
            Err(Failure::Other(format!("the master refuses the framework: {reason}")))
        }
        Ending::NoMaster(reason) => {
            Err(Failure::Other(format!("the leading master cannot be found: {reason}")))
        }
        Ending::Stopped | Ending::TornDown => Ok(ExitCode::from(outcome.framework.exit_code())),
    }
}

fn scheduler_options(
    flags: &Flags,
    options: &Options,
) -> Result<orrery_net_scheduler::Options, Failure> {
    let masters = masters::master(flags)?;
    let framework_info = options.framework_info().map_err(Failure::because)?;
    let mut scheduler = orrery_net_scheduler::Options::new(masters, framework_info);
    if flags.get::<String>("content_type").as_deref() == Some("json") {
        scheduler.encoding = Encoding::Json;
    }
    Ok(scheduler)
}

fn options(flags: &Flags) -> Options {
    let containerizer = match flags.get::<String>("containerizer").as_deref() {
        Some("docker") => Containerizer::Docker,
        _ => Containerizer::Mesos,
    };
    Options {
        name: flags.get("name"),
        command: flags.get("command"),
        shell: flags.is_set("shell"),
        arguments: flags.rest().to_vec(),
        environment: flags.get("env"),
        uris: Vec::new(),
        resources: flags.value("resources"),
        task: flags.get("task"),
        containerizer,
        docker_image: flags.get("docker_image"),
        appc_image: flags.get("appc_image"),
        networks: list(flags, "networks"),
        volumes: flags.get("volumes"),
        rlimits: flags.get("rlimits"),
        effective_capabilities: flags.get("effective_capabilities"),
        bounding_capabilities: flags.get("bounding_capabilities"),
        tty: flags.is_set("tty"),
        role: flags.value("role"),
        user: host::user(),
        principal: flags.get("principal"),
        checkpoint: flags.is_set("checkpoint"),
        framework_capabilities: list(flags, "framework_capabilities"),
        partition_aware: flags.is_set("partition_aware"),
        kill_after: flags.get("kill_after"),
    }
}

/// The parts of a list with commas.
fn list(flags: &Flags, name: &str) -> Vec<String> {
    let text: String = flags.value(name);
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}
