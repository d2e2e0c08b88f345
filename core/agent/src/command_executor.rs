//! The executor that the agent makes for a task that brings a command but no executor.

use orrery_api::v1;

use crate::Options;

/// Shown of a command in an executor's name, in characters; a longer one is cut.
const COMMAND_SHOWN_MAX: usize = 15;
const COMMAND_SHOWN_CUT: usize = 12;
/// What the executor itself is taken to need, beside its task.
const OVERHEAD: [(&str, f64); 2] = [("cpus", 0.1), ("mem", 32.0)];

/// Describes the command executor of `task`. Its resources are shown but charged to nobody.
pub(crate) fn describe(
    task: &v1::TaskInfo,
    framework_id: &v1::FrameworkId,
    options: &Options,
) -> v1::ExecutorInfo {
    let command = task.command.clone().unwrap_or_default();
    let name = format!(
        "Command Executor (Task: {}) (Command: {})",
        task.task_id.value,
        shown_command(&command)
    );
    v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: task.task_id.value.clone() },
        framework_id: Some(framework_id.clone()),
        command: Some(v1::CommandInfo {
            shell: Some(false),
            value: Some(options.executor_program.to_string_lossy().into_owned()),
            arguments: vec!["mesos-executor".to_owned()],
            uris: command.uris,
            environment: command.environment,
            user: command.user,
        }),
        container: task.container.clone(),
        resources: overhead(task),
        name: Some(name),
        source: Some(task.task_id.value.clone()),
        labels: task.labels.clone(),
        discovery: task.discovery.clone(),
        ..Default::default()
    }
}

fn shown_command(command: &v1::CommandInfo) -> String {
    let cut = |text: &str| {
        if text.chars().count() > COMMAND_SHOWN_MAX {
            let shown: String = text.chars().take(COMMAND_SHOWN_CUT).collect();
            format!("{shown}...")
        } else {
            text.to_owned()
        }
    };
    match (command.shell.unwrap_or(true), &command.value) {
        (true, Some(value)) => format!("sh -c '{}'", cut(value)),
        (true, None) => "NO COMMAND".to_owned(),
        (false, Some(value)) => {
            let words: Vec<&str> =
                std::iter::once(value).chain(&command.arguments).map(String::as_str).collect();
            format!("[{}]", cut(&words.join(", ")))
        }
        (false, None) => "NO EXECUTABLE".to_owned(),
    }
}

fn overhead(task: &v1::TaskInfo) -> Vec<v1::Resource> {
    // The executor's resources belong to the role that the task's belong to.
    let allocation_info = task.resources.first().and_then(|it| it.allocation_info.clone());
    let resource = |(name, value): (&str, f64)| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: allocation_info.clone(),
        ..Default::default()
    };
    OVERHEAD.map(resource).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(value: &str) -> v1::CommandInfo {
        v1::CommandInfo { value: Some(value.to_owned()), ..Default::default() }
    }

    #[test]
    fn long_commands_are_cut_to_twelve_characters() {
        assert_eq!(shown_command(&shell("echo hello-from-x")), "sh -c 'echo hello-f...'");
        assert_eq!(shown_command(&shell("sleep 100")), "sh -c 'sleep 100'");
        assert_eq!(shown_command(&shell("äöüäöüäöüäöüäöüä")), "sh -c 'äöüäöüäöüäöü...'");
    }

    #[test]
    fn programs_are_shown_with_their_arguments() {
        let command = v1::CommandInfo {
            shell: Some(false),
            value: Some("ls".to_owned()),
            arguments: vec!["ls".to_owned(), "-l".to_owned()],
            ..Default::default()
        };
        assert_eq!(shown_command(&command), "[ls, ls, -l]");
    }
}
