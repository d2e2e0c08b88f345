//! What to run.

use orrery_api::v1;
use orrery_model::Resources;
use v1::framework_info::{Capability, capability};

/// The command line of the test framework.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// `--master=HOST:PORT`
    pub master: String,
    /// `--name`: what the framework is called.
    pub name: String,
    /// `--role`
    pub role: String,
    /// `--tasks`: how many tasks to run.
    pub tasks: u32,
    /// `--task_cpus`: CPUs of each task.
    pub task_cpus: String,
    /// `--task_mem`: memory of each task, in megabytes.
    pub task_mem: String,
    /// `--executor=PATH`: a program on the agents that runs the tasks; without it each task is a
    /// command.
    pub executor: Option<String>,
    /// The user that the tasks run as.
    pub user: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            master: "127.0.0.1:5050".to_owned(),
            name: "Test Framework".to_owned(),
            role: "*".to_owned(),
            tasks: 5,
            task_cpus: "1".to_owned(),
            task_mem: "128".to_owned(),
            executor: None,
            user: String::new(),
        }
    }
}

/// Why a command line cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// Not of the form `--name=value`.
    #[error("'{0}' is not a flag: expected --name=value")]
    Form(String),
    /// There is no such flag.
    #[error("flag '{0}' is unknown")]
    Unknown(String),
    /// The number of tasks is no number.
    #[error("flag 'tasks' is '{0}': expected a whole number")]
    Tasks(String),
    /// The resources are no amounts.
    #[error("resources '{text}' are wrong: {reason}")]
    Resources {
        /// What was to be read.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl Options {
    /// Reads `--name=value` arguments.
    ///
    /// # Errors
    /// An argument is not a flag, or its value is not of its kind.
    pub fn parse(arguments: impl Iterator<Item = String>) -> Result<Self, OptionsError> {
        let mut options = Self::default();
        for argument in arguments {
            let flag = argument.strip_prefix("--").and_then(|flag| flag.split_once('='));
            let Some((name, value)) = flag else {
                return Err(OptionsError::Form(argument));
            };
            let value = value.to_owned();
            match name {
                "master" => options.master = value,
                "name" => options.name = value,
                "role" => options.role = value,
                "tasks" => {
                    options.tasks = value.parse().map_err(|_| OptionsError::Tasks(value))?;
                }
                "task_cpus" => options.task_cpus = value,
                "task_mem" => options.task_mem = value,
                "executor" => options.executor = Some(value),
                "user" => options.user = value,
                unknown => return Err(OptionsError::Unknown(unknown.to_owned())),
            }
        }
        Ok(options)
    }

    /// What the framework subscribes as.
    pub fn framework_info(&self) -> v1::FrameworkInfo {
        use capability::Type;
        let capabilities = [Type::MultiRole, Type::ReservationRefinement];
        v1::FrameworkInfo {
            user: self.user.clone(),
            name: self.name.clone(),
            roles: vec![self.role.clone()],
            capabilities: capabilities
                .map(|kind| Capability { r#type: Some(kind as i32) })
                .to_vec(),
            ..Default::default()
        }
    }

    pub(super) fn task_resources(&self) -> Result<Resources, OptionsError> {
        resources(&format!("cpus:{};mem:{}", self.task_cpus, self.task_mem))
    }
}

pub(super) fn resources(text: &str) -> Result<Resources, OptionsError> {
    Resources::parse(text, "*").map_err(|error| OptionsError::Resources {
        text: text.to_owned(),
        reason: error.to_string(),
    })
}
