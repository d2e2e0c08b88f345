//! What the user asks of `mesos-execute`, and the messages made of it.

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_api::json::{self, JsonMessage};
use orrery_api::v1;
use orrery_model::Resources;
use v1::framework_info::{Capability, capability};

use super::container;

/// What a task gets when nothing else is said.
pub const DEFAULT_RESOURCES: &str = "cpus:1;mem:128";

/// The name that the framework has in every Mesos cluster.
pub const FRAMEWORK_NAME: &str = "mesos-execute instance";

/// Which containerizer runs the task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Containerizer {
    /// The agent's own.
    #[default]
    Mesos,
    /// Docker; needs an image.
    Docker,
}

/// The flags of `mesos-execute` that say what to run and as whom. Texts are as on the command
/// line; where a flag takes JSON or a file's path, the file's content.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--name`: the task's name and id.
    pub name: Option<String>,
    /// `--command`: a shell's line, or the program's path when `shell` is false.
    pub command: Option<String>,
    /// `--shell`.
    pub shell: bool,
    /// What stands after `--`: the program's arguments when `shell` is false.
    pub arguments: Vec<String>,
    /// `--env`: a JSON object of texts.
    pub environment: Option<String>,
    /// What to fetch into the sandbox first.
    pub uris: Vec<String>,
    /// `--resources`.
    pub resources: String,
    /// `--task`: a whole TaskInfo as JSON, instead of all of the above and the container's flags.
    pub task: Option<String>,
    /// `--containerizer`.
    pub containerizer: Containerizer,
    /// `--docker_image`.
    pub docker_image: Option<String>,
    /// `--appc_image`.
    pub appc_image: Option<String>,
    /// `--networks`: names of networks to join.
    pub networks: Vec<String>,
    /// `--volumes`: a JSON list of volumes.
    pub volumes: Option<String>,
    /// `--rlimits`: RLimitInfo as JSON.
    pub rlimits: Option<String>,
    /// `--effective_capabilities`: CapabilityInfo as JSON.
    pub effective_capabilities: Option<String>,
    /// `--bounding_capabilities`: CapabilityInfo as JSON.
    pub bounding_capabilities: Option<String>,
    /// `--tty`.
    pub tty: bool,
    /// `--role`.
    pub role: String,
    /// The user that the task runs as.
    pub user: String,
    /// `--principal`.
    pub principal: Option<String>,
    /// `--checkpoint`.
    pub checkpoint: bool,
    /// `--framework_capabilities`: names such as `GPU_RESOURCES`.
    pub framework_capabilities: Vec<String>,
    /// `--partition_aware`.
    pub partition_aware: bool,
    /// `--kill_after`: how long after TASK_RUNNING the task is killed.
    pub kill_after: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: None,
            command: None,
            shell: true,
            arguments: Vec::new(),
            environment: None,
            uris: Vec::new(),
            resources: DEFAULT_RESOURCES.to_owned(),
            task: None,
            containerizer: Containerizer::default(),
            docker_image: None,
            appc_image: None,
            networks: Vec::new(),
            volumes: None,
            rlimits: None,
            effective_capabilities: None,
            bounding_capabilities: None,
            tty: false,
            role: "*".to_owned(),
            user: String::new(),
            principal: None,
            checkpoint: false,
            framework_capabilities: Vec::new(),
            partition_aware: true,
            kill_after: None,
        }
    }
}

/// Why options do not describe a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOption {
    /// Neither a task nor a name is given.
    #[error("flag 'name' is missing: expected the task's name, or flag 'task'")]
    NameMissing,
    /// Two flags that exclude each other.
    #[error("flags 'task' and '{0}' are both given: expected only one of them")]
    Excluded(&'static str),
    /// There is nothing to run.
    #[error("flag 'command' is missing: expected a command, or a container's image")]
    CommandMissing,
    /// Docker has no image to run.
    #[error("flag 'docker_image' is missing: expected an image for the docker containerizer")]
    ImageMissing,
    /// A flag's value is wrong.
    #[error("flag '{flag}' is wrong: {reason}")]
    Wrong {
        /// The flag's name.
        flag: &'static str,
        /// What is wrong with the value.
        reason: String,
    },
}

impl InvalidOption {
    pub(super) fn wrong(flag: &'static str, reason: impl ToString) -> Self {
        Self::Wrong { flag, reason: reason.to_string() }
    }
}

impl Options {
    /// What the framework subscribes as.
    ///
    /// # Errors
    /// A framework capability has no such name.
    pub fn framework_info(&self) -> Result<v1::FrameworkInfo, InvalidOption> {
        use capability::Type;
        let mut types =
            vec![Type::ReservationRefinement, Type::TaskKillingState, Type::RevocableResources];
        for name in &self.framework_capabilities {
            let reason = || format!("no capability is called '{name}'");
            let named = Type::from_str_name(name).filter(|named| *named != Type::Unknown);
            types.push(
                named.ok_or_else(|| InvalidOption::wrong("framework_capabilities", reason()))?,
            );
        }
        if self.partition_aware {
            types.push(Type::PartitionAware);
        }
        let mut info = v1::FrameworkInfo {
            user: self.user.clone(),
            name: FRAMEWORK_NAME.to_owned(),
            checkpoint: Some(self.checkpoint),
            principal: self.principal.clone(),
            capabilities: types.into_iter().map(as_capability).collect(),
            ..Default::default()
        };
        #[allow(deprecated, reason = "without MULTI_ROLE this is where the role stands")]
        {
            info.role = Some(self.role.clone());
        }
        Ok(info)
    }

    /// The task to launch, without its agent.
    ///
    /// # Errors
    /// Something needed is missing, or a value does not have its form.
    pub fn task_info(&self) -> Result<v1::TaskInfo, InvalidOption> {
        if let Some(text) = &self.task {
            self.nothing_beside_task()?;
            return self.given_task(text);
        }
        let name = self.name.clone().filter(|name| !name.is_empty());
        let name = name.ok_or(InvalidOption::NameMissing)?;
        let resources = Resources::parse(&self.resources, "*")
            .map_err(|error| InvalidOption::wrong("resources", error))?;
        Ok(v1::TaskInfo {
            task_id: v1::TaskId { value: name.clone() },
            name,
            resources: resources.to_messages(),
            command: Some(self.command_info()?),
            container: container::container_info(self)?,
            ..Default::default()
        })
    }

    fn nothing_beside_task(&self) -> Result<(), InvalidOption> {
        let given = [
            (self.name.is_some(), "name"),
            (self.command.is_some(), "command"),
            (self.environment.is_some(), "env"),
            (self.docker_image.is_some(), "docker_image"),
            (self.appc_image.is_some(), "appc_image"),
            (self.volumes.is_some(), "volumes"),
        ];
        match given.iter().find(|(given, _)| *given) {
            Some((_, flag)) => Err(InvalidOption::Excluded(flag)),
            None => Ok(()),
        }
    }

    /// Reads `--task`. The agent is not known yet, though the message requires one.
    fn given_task(&self, text: &str) -> Result<v1::TaskInfo, InvalidOption> {
        let wrong = |error: &dyn std::fmt::Display| InvalidOption::wrong("task", error);
        let mut value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| wrong(&error))?;
        if let Some(object) = value.as_object_mut() {
            object.entry("agent_id").or_insert_with(|| serde_json::json!({ "value": "" }));
        }
        let task: v1::TaskInfo = parse_value("task", &value)?;
        Resources::from_messages(&task.resources).map_err(|error| wrong(&error))?;
        Ok(task)
    }

    fn command_info(&self) -> Result<v1::CommandInfo, InvalidOption> {
        let has_image = self.docker_image.is_some() || self.appc_image.is_some();
        if self.command.is_none() && (self.shell || self.arguments.is_empty()) && !has_image {
            return Err(InvalidOption::CommandMissing);
        }
        let shell = self.shell && self.command.is_some();
        let uris = self
            .uris
            .iter()
            .map(|value| v1::command_info::Uri { value: value.clone(), ..Default::default() });
        Ok(v1::CommandInfo {
            uris: uris.collect(),
            environment: self.environment()?,
            shell: Some(shell),
            value: self.command.clone(),
            arguments: if shell { Vec::new() } else { self.arguments.clone() },
            ..Default::default()
        })
    }

    fn environment(&self) -> Result<Option<v1::Environment>, InvalidOption> {
        let Some(text) = &self.environment else {
            return Ok(None);
        };
        let variables: BTreeMap<String, serde_json::Value> = serde_json::from_str(text)
            .map_err(|error| InvalidOption::wrong("env", format!("not a JSON object: {error}")))?;
        let variables = variables.into_iter().map(|(name, value)| match value {
            serde_json::Value::String(value) => Ok(variable(name, value)),
            other => {
                let reason = format!("variable '{name}' is {other}: expected a text");
                Err(InvalidOption::wrong("env", reason))
            }
        });
        Ok(Some(v1::Environment { variables: variables.collect::<Result<_, _>>()? }))
    }
}

fn variable(name: String, value: String) -> v1::environment::Variable {
    v1::environment::Variable { name, value: Some(value), ..Default::default() }
}

fn as_capability(kind: capability::Type) -> Capability {
    Capability { r#type: Some(kind as i32) }
}

/// Reads a message from the text of a flag.
pub(super) fn parse_message<M: JsonMessage>(
    flag: &'static str,
    text: &str,
) -> Result<M, InvalidOption> {
    json::decode(text.as_bytes()).map_err(|error| InvalidOption::wrong(flag, error))
}

/// Reads a message from a part of a flag's JSON.
pub(super) fn parse_value<M: JsonMessage>(
    flag: &'static str,
    value: &serde_json::Value,
) -> Result<M, InvalidOption> {
    json::from_value(value).map_err(|error| InvalidOption::wrong(flag, error))
}
