//! A folder of failures: of each kind the fastest, as a plan that can be played again, beside a
//! text that tells what went wrong.

use std::io;
use std::path::{Path, PathBuf};

use super::failed::{EVENTS, Failed};

/// A failure could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the failure in {path}: {source}")]
pub struct KeepError {
    path: PathBuf,
    source: io::Error,
}

/// Writes the failure to `folder`, unless a failure of its kind with no more events is there; the
/// folder is made when it is missing. Returns the plan's file when it was written.
///
/// # Errors
/// The folder or the files cannot be written.
#[allow(clippy::disallowed_methods, reason = "the folder is the user's, outside of any simulation")]
pub fn keep(folder: &Path, failed: &Failed) -> Result<Option<PathBuf>, KeepError> {
    let path = folder.join(failed.kind().slug()).with_extension("plan");
    let write = || {
        std::fs::create_dir_all(folder)?;
        let known = match std::fs::read_to_string(&path) {
            Ok(text) => events_of(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if known.is_some_and(|events| events <= failed.events) {
            return Ok(None);
        }
        let failed = Failed { file: Some(path.clone()), ..failed.clone() };
        std::fs::write(&path, failed.plan_file())?;
        std::fs::write(path.with_extension("txt"), format!("{failed}\n"))?;
        Ok(Some(path.clone()))
    };
    write().map_err(|source| KeepError { path: path.clone(), source })
}

fn events_of(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(EVENTS))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::runner::failed::sample;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "files of the real system are what it is about")]
    fn of_each_kind_the_fastest_is_kept() {
        let name = format!("orrery-keep-{}", std::process::id());
        let folder = std::env::temp_dir().join(name).join("inside");
        let slow = Failed { events: 900, ..sample() };
        let fast =
            Failed { events: 20, seed: 3, plan: Plan { seed: 3, ..Plan::default() }, ..sample() };
        let path = keep(&folder, &slow).expect("kept").expect("the first");
        assert_eq!(keep(&folder, &fast).expect("kept"), Some(path.clone()));
        assert_eq!(keep(&folder, &slow).expect("not needed"), None);
        assert_eq!(Plan::read(&path).expect("a plan"), fast.plan);
        let text = std::fs::read_to_string(path.with_extension("txt")).expect("a text");
        assert!(text.contains("SIM_PLAN=") && text.contains("seed 3 failed"), "{text}");
        let mut other = sample();
        other.violation.message = "something else".to_owned();
        keep(&folder, &other).expect("kept").expect("the first of its kind");
        let files = std::fs::read_dir(&folder).expect("a folder").count();
        std::fs::remove_dir_all(folder.parent().expect("it has one")).expect("removed");
        assert_eq!(files, 4);
    }
}
