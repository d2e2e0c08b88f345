//! From a task's CommandInfo to a process's command.

use std::collections::BTreeMap;
use std::path::PathBuf;

use orrery_api::v1;
use orrery_runtime::Command;

use crate::settings::Settings;

/// Why a task has nothing that could be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The command executor runs commands and nothing else.
    #[error("the task has no command: expected TaskInfo.command")]
    NoCommand,
    /// Neither a shell line nor a program.
    #[error("the task's command has no value: expected CommandInfo.value")]
    NoValue,
}

/// The process to start for `task`: its command in the sandbox, with the executor's environment
/// overlaid by the command's, writing to the executor's own standard output and error.
///
/// It leads a process group inside the executor's session, so that it can be signalled without the
/// executor and still dies with it when the agent kills the session.
///
/// # Errors
/// The task has no command, or the command no value.
pub fn command_of(task: &v1::TaskInfo, settings: &Settings) -> Result<Command, CommandError> {
    let info = task.command.as_ref().ok_or(CommandError::NoCommand)?;
    let value = info.value.clone().ok_or(CommandError::NoValue)?;
    let (program, arguments) = if info.shell.unwrap_or(true) {
        (PathBuf::from("/bin/sh"), vec!["sh".to_owned(), "-c".to_owned(), value])
    } else {
        (program(&value, settings), arguments(&value, &info.arguments))
    };
    Ok(Command {
        program,
        arguments,
        environment: environment(settings, info.environment.as_ref()),
        working_directory: settings.sandbox.clone(),
        stdout: None,
        stderr: None,
        user: None,
        new_session: false,
    })
}

/// A path with a folder in it counts from the sandbox; a bare name is looked up in `PATH`.
fn program(value: &str, settings: &Settings) -> PathBuf {
    if value.contains('/') { settings.sandbox.join(value) } else { value.into() }
}

/// The given arguments begin with the name the program sees; without any it sees its own.
fn arguments(value: &str, given: &[String]) -> Vec<String> {
    if given.is_empty() { vec![value.to_owned()] } else { given.to_vec() }
}

fn environment(settings: &Settings, own: Option<&v1::Environment>) -> Vec<(String, String)> {
    let mut variables: BTreeMap<String, String> = settings.environment.iter().cloned().collect();
    for variable in own.map(|own| own.variables.as_slice()).unwrap_or_default() {
        // A secret has no plain value; it is not passed on until secrets can be resolved.
        if let Some(value) = &variable.value {
            variables.insert(variable.name.clone(), value.clone());
        }
    }
    variables.into_iter().collect()
}
