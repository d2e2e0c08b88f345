//! Where the masters are, from the flags that say so.

use std::fmt::Display;
use std::str::FromStr;

use orrery_detector::Masters;
use orrery_flags::{FlagError, Flags};

/// The masters of `--master`.
///
/// # Errors
/// The flag is missing, or its value is none of the forms that masters are given in.
pub fn master(flags: &Flags) -> Result<Masters, FlagError> {
    let masters = given(flags, "master", "HOST:PORT, several of them with commas, or zk://…")?;
    masters.ok_or_else(|| FlagError::required("master", "a master's address"))
}

/// What the flag `name` says, if it is given. `form` is what it looks like when it is right.
///
/// # Errors
/// Its value has another form.
pub fn given<T>(flags: &Flags, name: &str, form: &str) -> Result<Option<T>, FlagError>
where
    T: FromStr<Err: Display>,
{
    let Some(text) = flags.get::<String>(name) else { return Ok(None) };
    let read = text.parse().map(Some);
    read.map_err(|error| invalid(flags, name, format!("{form}: {error}")))
}

/// That the flag `name` has another value than the one expected.
pub fn invalid(flags: &Flags, name: &str, expected: impl Into<String>) -> FlagError {
    FlagError::Invalid {
        flag: format!("--{name}"),
        // As it was given: a file may hold a password.
        value: flags.effective().get(name).cloned().unwrap_or_default(),
        expected: expected.into(),
    }
}
