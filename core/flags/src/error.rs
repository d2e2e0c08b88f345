//! Why a command line or an environment is not acceptable.

/// One clear line for the person who started the program. `flag` is the spelling that was used:
/// `--port` or `MESOS_PORT`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FlagError {
    /// No flag of that name.
    #[error("unknown flag '{flag}': see '{program} --help'")]
    Unknown {
        /// What was given.
        flag: String,
        /// The program as the user calls it.
        program: String,
    },
    /// The same flag twice, or under two of its names.
    #[error("flag '{name}' is given twice, as '{first}' and as '{second}': expected it once")]
    Duplicate {
        /// The flag's own name.
        name: String,
        /// The spelling met first.
        first: String,
        /// The spelling met second.
        second: String,
    },
    /// A flag that is not a boolean without `=value`.
    #[error("missing value for '{flag}': expected '{flag}=VALUE' with {expected}")]
    MissingValue {
        /// What was given.
        flag: String,
        /// The form of the value.
        expected: String,
    },
    /// `--no-x` where `x` is not a boolean.
    #[error("'{flag}' negates a flag that is not true or false: expected '--{name}=VALUE'")]
    NotBoolean {
        /// What was given.
        flag: String,
        /// The flag's own name.
        name: String,
    },
    /// `--no-x=value`.
    #[error("'{flag}' has the value '{value}': expected none, or '--{name}=true|false'")]
    NegatedWithValue {
        /// What was given.
        flag: String,
        /// The flag's own name.
        name: String,
        /// The superfluous value.
        value: String,
    },
    /// The value has not the form or lies outside the range that the flag wants.
    #[error("'{flag}' has the value '{value}': expected {expected}")]
    Invalid {
        /// What was given.
        flag: String,
        /// The value as given (or as read from the named file).
        value: String,
        /// The form and range of the value.
        expected: String,
    },
    /// The value names a file that cannot be read.
    #[error("'{flag}' has the value '{value}': the file cannot be read: {error}")]
    File {
        /// What was given.
        flag: String,
        /// The value as given.
        value: String,
        /// The system's reason.
        error: String,
    },
    /// A flag without which the program cannot run.
    #[error("missing flag '--{name}': expected {expected}, or {variable} in the environment")]
    Required {
        /// The flag's own name.
        name: String,
        /// The form of the value.
        expected: String,
        /// The variable that would do as well.
        variable: String,
    },
    /// A flag of Mesos that would promise what this version does not keep.
    #[error("'{flag}' has the value '{value}', which is not supported: {reason}")]
    Unsupported {
        /// What was given.
        flag: String,
        /// The value as given.
        value: String,
        /// What to do instead.
        reason: String,
    },
}

impl FlagError {
    /// That `name` has to be given, with a value of the form that `expected` says.
    pub fn required(name: &str, expected: impl Into<String>) -> Self {
        Self::Required {
            name: name.to_owned(),
            expected: expected.into(),
            variable: format!("MESOS_{}", name.to_uppercase()),
        }
    }
}
