//! What an executor's process is given: program, user, environment, sandbox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use orrery_api::v1;
use orrery_model::duration;
use orrery_runtime::Command;

use crate::framework::{Executor, Framework};
use crate::{Launch, Options, paths};

/// Names the sandbox to an executor and to all that it starts. By this the agent finds them again
/// after a restart, so nothing may override it.
pub const SANDBOX_VARIABLE: &str = "MESOS_DIRECTORY";

/// Why this version cannot start a container for such an executor, if so. What a command was
/// promised and would not get is refused. Checks are not among that: a task runs without them as it
/// would with them, only unwatched.
pub(crate) fn unsupported(info: &v1::ExecutorInfo) -> Option<String> {
    use v1::executor_info::Type;
    if info.r#type == Some(Type::Default as i32) {
        return Some("default executor is not available in this version".to_owned());
    }
    let Some(command) = &info.command else {
        return Some("executor has no command".to_owned());
    };
    if command.value.is_none() {
        return Some("command has no value".to_owned());
    }
    if let Some(uri) = command.uris.first() {
        return Some(format!("fetching '{}' is not available in this version", uri.value));
    }
    let secret = variables(command).find(|it| it.secret.is_some());
    if let Some(variable) = secret {
        let name = &variable.name;
        return Some(format!("secret variable '{name}' is not available in this version"));
    }
    info.container.as_ref().and_then(unsupported_container)
}

fn unsupported_container(container: &v1::ContainerInfo) -> Option<String> {
    let part = if container.r#type != v1::container_info::Type::Mesos as i32 {
        "a container of another type than MESOS"
    } else if container.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some()) {
        "a container image"
    } else if !container.volumes.is_empty() {
        "a volume"
    } else if container.network_infos.iter().any(|network| network.name.is_some()) {
        "a named network"
    } else if container.rlimit_info.is_some() {
        "a limit of the process (rlimit_info)"
    } else if container.tty_info.is_some() {
        "a terminal (tty_info)"
    } else if container.linux_info.is_some() {
        "a Linux setting (linux_info)"
    } else {
        return None;
    };
    Some(format!("{part} is not available in this version"))
}

/// How long an executor may take to end after SHUTDOWN.
pub(crate) fn shutdown_grace_period(info: &v1::ExecutorInfo, options: &Options) -> Duration {
    let own = info.shutdown_grace_period.as_ref();
    let own = own.and_then(|it| u64::try_from(it.nanoseconds).ok()).map(Duration::from_nanos);
    own.unwrap_or(options.executor_shutdown_grace_period)
}

/// How to start an executor.
pub(crate) fn launch(
    framework: &Framework,
    executor: &Executor,
    agent_id: &str,
    options: &Options,
) -> Launch {
    let command = executor.info.command.clone().unwrap_or_default();
    let (program, arguments) = program(&command);
    let environment = environment(framework, executor, &command, agent_id, options);
    Launch {
        container: executor.container.clone(),
        directory: executor.directory.clone(),
        latest: paths::latest_run(&options.work_dir, agent_id, &executor.container),
        command: Command {
            program,
            arguments,
            environment: environment.into_iter().collect(),
            working_directory: executor.directory.clone(),
            stdout: Some(executor.directory.join("stdout")),
            stderr: Some(executor.directory.join("stderr")),
            user: user(framework, &command, options),
            new_session: true,
        },
    }
}

fn program(command: &v1::CommandInfo) -> (PathBuf, Vec<String>) {
    let value = command.value.clone().unwrap_or_default();
    if command.shell.unwrap_or(true) {
        return (PathBuf::from("/bin/sh"), vec!["sh".to_owned(), "-c".to_owned(), value]);
    }
    let arguments = match command.arguments.as_slice() {
        [] => vec![value.clone()],
        given => given.to_vec(),
    };
    (PathBuf::from(value), arguments)
}

fn user(framework: &Framework, command: &v1::CommandInfo, options: &Options) -> Option<String> {
    if !options.switch_user {
        return None;
    }
    let user = command.user.as_ref().unwrap_or(&framework.info.user);
    Some(user.clone()).filter(|user| !user.is_empty())
}

fn variables(command: &v1::CommandInfo) -> impl Iterator<Item = &v1::environment::Variable> {
    command.environment.iter().flat_map(|environment| &environment.variables)
}

/// The executor's environment: the configured one, then what executors read of us, then what the
/// framework asks for, each overriding the one before.
fn environment(
    framework: &Framework,
    executor: &Executor,
    command: &v1::CommandInfo,
    agent_id: &str,
    options: &Options,
) -> BTreeMap<String, String> {
    let directory = text(&executor.directory);
    let grace = shutdown_grace_period(&executor.info, options);
    let ours = [
        ("LIBPROCESS_IP", options.ip.to_string()),
        ("LIBPROCESS_PORT", "0".to_owned()),
        ("MESOS_AGENT_ENDPOINT", options.endpoint()),
        ("MESOS_CHECKPOINT", u8::from(framework.is_checkpointed()).to_string()),
        ("MESOS_EXECUTOR_ID", executor.container.executor_id.clone()),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", duration::format(grace)),
        ("MESOS_FRAMEWORK_ID", executor.container.framework_id.clone()),
        ("MESOS_HTTP_COMMAND_EXECUTOR", u8::from(executor.generated).to_string()),
        ("MESOS_SANDBOX", directory.clone()),
        ("MESOS_SLAVE_ID", agent_id.to_owned()),
        ("MESOS_SLAVE_PID", options.pid()),
        ("PWD", directory.clone()),
    ];
    let of_restarts = [
        ("MESOS_RECOVERY_TIMEOUT", options.recovery_timeout),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", options.executor_reregistration_timeout),
    ];
    let mut environment = options.executor_environment.clone();
    environment.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    if framework.is_checkpointed() {
        let texts = of_restarts.map(|(name, time)| (name.to_owned(), duration::format(time)));
        environment.extend(texts);
    }
    environment.extend(
        variables(command).map(|it| (it.name.clone(), it.value.clone().unwrap_or_default())),
    );
    environment.insert(SANDBOX_VARIABLE.to_owned(), directory);
    environment
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
