//! Where the masters are, from the flags that say so.

use orrery_detector::Masters;
use orrery_flags::{FlagError, Flags};

/// The masters of `--master`.
///
/// # Errors
/// The flag is missing, or its value is none of the forms that masters are given in.
pub fn master(flags: &Flags) -> Result<Masters, FlagError> {
    given(flags, "master")?.ok_or_else(|| FlagError::required("master", "a master's address"))
}

/// The masters of the flag `name`, if it is given.
///
/// # Errors
/// Its value is none of the forms that masters are given in.
pub fn given(flags: &Flags, name: &str) -> Result<Option<Masters>, FlagError> {
    let Some(text) = flags.get::<String>(name) else { return Ok(None) };
    let invalid = |error: orrery_detector::MastersError| FlagError::Invalid {
        flag: format!("--{name}"),
        // As it was given: a file may hold a password.
        value: flags.effective().get(name).cloned().unwrap_or_default(),
        expected: format!("HOST:PORT, several of them with commas, or zk://…: {error}"),
    };
    text.parse().map(Some).map_err(invalid)
}
