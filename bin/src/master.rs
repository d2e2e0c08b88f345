//! `orrery master`.

use std::path::PathBuf;
use std::process::ExitCode;

use orrery_flags::{FlagError, Flags, Rate, tables};
use orrery_model::{Quantities, Resources};
use orrery_net_master::{Options, start};
use tracing::info;

use crate::daemon::{self, Stop};
use crate::descriptors;
use crate::elections;
use crate::failure::Failure;
use crate::host;
use crate::invocation::Invocation;
use crate::logging;
use crate::work_dir;

/// Runs a master until a signal stops it.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let Some(flags) = invocation.flags("Runs a master.", &tables::master())? else {
        return Ok(ExitCode::SUCCESS);
    };
    logging::start(&flags)?;
    let connections_max = descriptors::make_room();
    let options = Options { connections_max, ..options(&flags)? };
    let _held = options.work_dir.as_deref().map(work_dir::hold).transpose()?;
    daemon::run(async {
        let mut stop = Stop::listen()?;
        let runtime = orrery_runtime_real::runtime();
        let mut running = tokio::select! {
            biased;
            signal = stop.asked() => {
                info!(signal, "stopping before it has started");
                return Ok(ExitCode::SUCCESS);
            }
            started = start(runtime, options) => started.map_err(Failure::because)?,
        };
        println!("master listens on http://{}", running.address);
        tokio::select! {
            biased;
            signal = stop.asked() => info!(signal, "stopping"),
            ended = running.ended() => return Err(Failure::because(ended)),
        }
        stop.unless_asked_again(running.stop()).await;
        Ok(ExitCode::SUCCESS)
    })
}

/// A master's settings from its flags.
///
/// # Errors
/// A flag is missing that others ask for.
pub fn options(flags: &Flags) -> Result<Options, FlagError> {
    let defaults = Options::new(host::ip(flags), flags.value("port"));
    // "All addresses" is nothing that others could connect to.
    let found = || host::ip(flags).is_unspecified().then(host::default_ip).flatten();
    Ok(Options {
        advertise_ip: flags.get("advertise_ip").or_else(found),
        advertise_port: flags.get("advertise_port"),
        hostname: host::hostname(flags),
        cluster: flags.get("cluster"),
        work_dir: work_dir(flags)?,
        quorum: elections::quorum(flags)?,
        elections: elections::elections(flags)?,
        log_auto_initialize: flags.is_set("log_auto_initialize"),
        registry_fetch_timeout: flags.value("registry_fetch_timeout"),
        registry_store_timeout: flags.value("registry_store_timeout"),
        registry_gc_interval: flags.value("registry_gc_interval"),
        registry_max_agent_age: flags.value("registry_max_agent_age"),
        registry_max_agent_count: flags.value("registry_max_agent_count"),
        allocation_interval: flags.value("allocation_interval"),
        minimum_allocatable: Some(minimum_allocatable(flags)?),
        offer_timeout: flags.get("offer_timeout"),
        agent_ping_timeout: flags.value("agent_ping_timeout"),
        max_agent_ping_timeouts: flags.value("max_agent_ping_timeouts"),
        agent_reregister_timeout: flags.value("agent_reregister_timeout"),
        agent_removal_interval: flags
            .get("agent_removal_rate_limit")
            .map(|rate: Rate| rate.per / u32::try_from(rate.count).unwrap_or(u32::MAX)),
        recovery_agent_removal_limit: flags.value::<f64>("recovery_agent_removal_limit") / 100.0,
        max_completed_frameworks: flags.value("max_completed_frameworks"),
        max_completed_tasks_per_framework: flags.value("max_completed_tasks_per_framework"),
        max_unreachable_tasks_per_framework: flags.value("max_unreachable_tasks_per_framework"),
        flags: flags.effective(),
        ..defaults
    })
}

/// `cpus:0.01|mem:32`: at least one of the sets, each of which is amounts joined by `;`.
fn minimum_allocatable(flags: &Flags) -> Result<Vec<Quantities>, FlagError> {
    let text: String = flags.value("min_allocatable_resources");
    let sets = text.split('|').filter(|set| !set.trim().is_empty());
    sets.map(|set| match Resources::parse(set, "*") {
        Ok(resources) => Ok(resources.quantities()),
        Err(error) => Err(FlagError::Invalid {
            flag: "--min_allocatable_resources".to_owned(),
            value: text.clone(),
            expected: format!("sets of amounts such as cpus:0.01|mem:32;disk:10: {error}"),
        }),
    })
    .collect()
}

fn work_dir(flags: &Flags) -> Result<Option<PathBuf>, FlagError> {
    if flags.get::<String>("registry").as_deref() == Some("in_memory") {
        return Ok(None);
    }
    match flags.get::<PathBuf>("work_dir") {
        Some(folder) => Ok(Some(absolute(folder))),
        None => Err(FlagError::required("work_dir", "a folder for the registry")),
    }
}

/// The path counted from the folder that we were started in.
pub fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
