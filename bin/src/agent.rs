//! `orrery agent`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use orrery_flags::{FlagError, Flags, tables};
use orrery_model::attributes;
use orrery_net_agent::{Options, Policy, start};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

use crate::daemon::{self, Stop};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::{host, logging, master, masters, work_dir};

/// Runs an agent until a signal stops it. SIGTERM and SIGINT leave the tasks of frameworks that
/// checkpoint to the next run; SIGUSR1 ends everything, and the agent leaves the cluster.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let Some(flags) = invocation.flags("Runs an agent.", &tables::agent())? else {
        return Ok(ExitCode::SUCCESS);
    };
    logging::start(&flags)?;
    let options = options(&flags)?;
    let _held = work_dir::hold(&options.work_dir)?;
    daemon::run(async {
        let mut stop = Stop::listen()?;
        let mut leave = signal(SignalKind::user_defined1()).map_err(Failure::because)?;
        let runtime = orrery_runtime_real::runtime();
        let mut running = start(runtime, options).await.map_err(Failure::because)?;
        println!("agent listens on http://{}", running.address);
        tokio::select! {
            biased;
            signal = stop.asked() => {
                info!(signal, "stopping");
                stop.unless_asked_again(running.stop()).await;
            }
            _ = leave.recv() => {
                info!(signal = "SIGUSR1", "leaving");
                stop.unless_asked_again(running.leave()).await;
            }
            ended = running.ended() => {
                if !ended.is_in_order() {
                    return Err(Failure::because(ended));
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// An agent's settings from its flags.
///
/// # Errors
/// A flag is missing, or its value is not of the form that only an agent can judge.
pub fn options(flags: &Flags) -> Result<Options, FlagError> {
    let work_dir = flags
        .get::<PathBuf>("work_dir")
        .map(master::absolute)
        .ok_or_else(|| FlagError::required("work_dir", "a folder for sandboxes"))?;
    let masters = masters::master(flags)?;
    let resources = host::resources(flags, &work_dir)?;
    let program = executor_program()?;
    let ip = host::ip(flags);
    let mut options = Options::new(ip, flags.value("port"), masters, work_dir, resources, program);
    options.advertise_ip = flags.get("advertise_ip");
    if options.advertise_ip.is_none() && ip.is_unspecified() {
        // Listening on all addresses, we tell others the one that leads here from the master.
        options.advertise_ip = host::ip_towards_masters(&options.masters);
    }
    options.advertise_port = flags.get("advertise_port");
    options.hostname = host::hostname(flags);
    options.attributes = agent_attributes(flags)?;
    options.executor_environment.extend(executor_environment(flags)?);
    options.switch_user = flags.is_set("switch_user");
    options.zk_session_timeout = flags.value("zk_session_timeout");
    options.registration_backoff_factor = flags.value("registration_backoff_factor");
    options.executor_registration_timeout = flags.value("executor_registration_timeout");
    options.executor_reregistration_timeout = flags.value("executor_reregistration_timeout");
    options.recovery_timeout = flags.value("recovery_timeout");
    options.cleans_up = flags.value::<String>("recover") == "cleanup";
    options.strict = flags.is_set("strict");
    options.reconfiguration_policy = match flags.value::<String>("reconfiguration_policy").as_str()
    {
        "additive" => Policy::Additive,
        _ => Policy::Equal,
    };
    options.executor_shutdown_grace_period = flags.value("executor_shutdown_grace_period");
    options.max_completed_executors_per_framework =
        flags.value("max_completed_executors_per_framework");
    options.flags = flags.effective();
    Ok(options)
}

/// This very program: called `mesos-executor`, it is the command executor.
fn executor_program() -> Result<PathBuf, FlagError> {
    std::env::current_exe().map_err(|error| FlagError::File {
        flag: "--launcher_dir".to_owned(),
        value: "/proc/self/exe".to_owned(),
        error: error.to_string(),
    })
}

fn agent_attributes(flags: &Flags) -> Result<Vec<orrery_api::v1::Attribute>, FlagError> {
    let text: String = flags.value("attributes");
    attributes::parse(&text).map_err(|error| FlagError::Invalid {
        flag: "--attributes".to_owned(),
        value: text.clone(),
        expected: format!("attributes such as rack:r1;level:[1-3]: {error}"),
    })
}

fn executor_environment(flags: &Flags) -> Result<BTreeMap<String, String>, FlagError> {
    let name = "executor_environment_variables";
    let Some(text) = flags.get::<String>(name) else {
        return Ok(BTreeMap::new());
    };
    serde_json::from_str(&text).map_err(|error| FlagError::Invalid {
        flag: format!("--{name}"),
        value: text.clone(),
        expected: format!("a JSON object of texts: {error}"),
    })
}
