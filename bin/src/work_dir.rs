//! A work directory belongs to one process at a time: two masters or agents in one would write over
//! each other's files.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use orrery_flags::FlagError;

/// A folder that is this process' until the value is dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct Held {
    _locked: Option<File>,
}

/// Makes `folder`, unless it is there, and holds it.
///
/// # Errors
/// It cannot be made, or another process holds it.
pub fn hold(folder: &Path) -> Result<Held, FlagError> {
    let wrong = |expected: String| FlagError::Invalid {
        flag: "--work_dir".to_owned(),
        value: folder.display().to_string(),
        expected,
    };
    let opened = fs::create_dir_all(folder).and_then(|()| File::open(folder));
    let file = opened.map_err(|error| wrong(format!("a folder that can be used: {error}")))?;
    match file.try_lock() {
        Ok(()) => Ok(Held { _locked: Some(file) }),
        Err(TryLockError::WouldBlock) => {
            let text = "a folder of its own: another master or agent that runs has this one";
            Err(wrong(text.to_owned()))
        }
        // Some file systems know no locks.
        Err(TryLockError::Error(error)) => {
            tracing::warn!(folder = %folder.display(), %error, "the folder cannot be locked");
            Ok(Held { _locked: None })
        }
    }
}
