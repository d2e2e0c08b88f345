//! What the agent tells an executor through its environment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use orrery_model::duration;
use orrery_runtime::Address;

/// Mesos' default for `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);
/// Mesos' default for `MESOS_RECOVERY_TIMEOUT`.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Mesos' default for `MESOS_SUBSCRIPTION_BACKOFF_MAX`.
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// Who the executor is, whom it belongs to and how long it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `MESOS_FRAMEWORK_ID`.
    pub framework_id: String,
    /// `MESOS_EXECUTOR_ID`.
    pub executor_id: String,
    /// `MESOS_AGENT_ENDPOINT`: where the agent listens.
    pub agent: Address,
    /// `MESOS_SANDBOX`, else `MESOS_DIRECTORY`: where the task starts.
    pub sandbox: PathBuf,
    /// `MESOS_CHECKPOINT`: the executor outlives a restart of the agent.
    pub checkpoint: bool,
    /// `MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD`: the agent kills us so long after SHUTDOWN.
    pub shutdown_grace: Duration,
    /// `MESOS_RECOVERY_TIMEOUT`: how long to wait for an agent that is away.
    pub recovery_timeout: Duration,
    /// `MESOS_SUBSCRIPTION_BACKOFF_MAX`: the longest pause between two tries to subscribe.
    pub backoff_max: Duration,
    /// `MESOS_EXECUTOR_AUTHENTICATION_TOKEN`, to be sent with every call.
    pub token: Option<String>,
    /// The whole environment, which the task inherits.
    pub environment: Vec<(String, String)>,
}

/// Why an environment is not one that an agent gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A variable without which nothing can be done.
    #[error("{variable} is not set: expected {expected}")]
    Missing {
        /// The variable's name.
        variable: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A variable of another form.
    #[error("{variable} has the value '{value}': expected {expected}")]
    Invalid {
        /// The variable's name.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
}

impl Settings {
    /// Reads the environment of an executor.
    ///
    /// # Errors
    /// An id, the endpoint or the sandbox is missing, or a value has the wrong form.
    pub fn from_environment(environment: Vec<(String, String)>) -> Result<Self, SettingsError> {
        let variables = Variables(
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
        );
        let sandbox = match variables.get("MESOS_SANDBOX") {
            Some(sandbox) => sandbox,
            None => variables.required("MESOS_DIRECTORY", "the sandbox's path")?,
        };
        let agent = variables.required("MESOS_AGENT_ENDPOINT", "the agent's HOST:PORT")?;
        Ok(Self {
            framework_id: variables.required("MESOS_FRAMEWORK_ID", "an id")?.to_owned(),
            executor_id: variables.required("MESOS_EXECUTOR_ID", "an id")?.to_owned(),
            agent: agent.parse().map_err(|_| SettingsError::Invalid {
                variable: "MESOS_AGENT_ENDPOINT",
                value: agent.to_owned(),
                expected: "the agent's HOST:PORT",
            })?,
            sandbox: sandbox.into(),
            checkpoint: variables.get("MESOS_CHECKPOINT") == Some("1"),
            shutdown_grace: variables
                .duration("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", SHUTDOWN_GRACE)?,
            recovery_timeout: variables.duration("MESOS_RECOVERY_TIMEOUT", RECOVERY_TIMEOUT)?,
            backoff_max: variables.duration("MESOS_SUBSCRIPTION_BACKOFF_MAX", BACKOFF_MAX)?,
            token: variables.get("MESOS_EXECUTOR_AUTHENTICATION_TOKEN").map(str::to_owned),
            environment,
        })
    }
}

struct Variables<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Variables<'a> {
    /// An empty variable counts as unset.
    fn get(&self, variable: &str) -> Option<&'a str> {
        self.0.get(variable).copied().filter(|value| !value.is_empty())
    }

    fn required(
        &self,
        variable: &'static str,
        expected: &'static str,
    ) -> Result<&'a str, SettingsError> {
        self.get(variable).ok_or(SettingsError::Missing { variable, expected })
    }

    fn duration(
        &self,
        variable: &'static str,
        default: Duration,
    ) -> Result<Duration, SettingsError> {
        let Some(value) = self.get(variable) else {
            return Ok(default);
        };
        duration::parse(value).map_err(|_| SettingsError::Invalid {
            variable,
            value: value.to_owned(),
            expected: "a duration such as 5secs",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    const LEAST: [(&str, &str); 4] = [
        ("MESOS_FRAMEWORK_ID", "f"),
        ("MESOS_EXECUTOR_ID", "e"),
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
        ("MESOS_DIRECTORY", "/run"),
    ];

    #[test]
    fn what_is_not_set_has_mesos_defaults() {
        let settings = Settings::from_environment(environment(&LEAST)).expect("complete");
        assert!(!settings.checkpoint);
        assert_eq!(settings.agent, Address::new("127.0.0.1", 5051));
        assert_eq!(settings.sandbox, PathBuf::from("/run"));
        assert_eq!(settings.shutdown_grace, Duration::from_secs(5));
        assert_eq!(settings.recovery_timeout, Duration::from_secs(900));
        assert_eq!(settings.environment, environment(&LEAST));
    }

    #[test]
    fn every_needed_variable_is_asked_for_by_name() {
        for (missing, _) in LEAST {
            let rest: Vec<_> = LEAST.into_iter().filter(|(name, _)| *name != missing).collect();
            let error = Settings::from_environment(environment(&rest)).expect_err(missing);
            assert!(error.to_string().starts_with(missing), "{error}");
        }
    }

    #[test]
    fn a_wrong_form_is_named() {
        for (variable, value) in [
            ("MESOS_RECOVERY_TIMEOUT", "15"),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "soon"),
            ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "-1secs"),
            ("MESOS_AGENT_ENDPOINT", "nowhere"),
        ] {
            let mut pairs = LEAST.to_vec();
            pairs.retain(|(name, _)| *name != variable);
            pairs.push((variable, value));
            let error = Settings::from_environment(environment(&pairs)).expect_err(variable);
            let start = format!("{variable} has the value '{value}'");
            assert!(error.to_string().starts_with(&start), "{error}");
        }
    }
}
