//! Plans that are kept because they failed once.

use std::path::{Path, PathBuf};

use crate::runner::Failed;

/// A plan could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the plan {path}: {source}")]
pub struct WritePlanError {
    path: PathBuf,
    source: std::io::Error,
}

/// Writes the plan of a failure into a folder, as `<invariant>-<seed>.plan`, with what was wrong as
/// a comment ahead of it. `seed` is that of the run which was found first: a plan that was made
/// smaller may have another. Returns where it stands.
///
/// # Errors
/// The file cannot be written.
#[allow(clippy::disallowed_methods, reason = "the file is for people, outside of any simulation")]
pub fn write(folder: &Path, failed: &Failed, seed: u64) -> Result<PathBuf, WritePlanError> {
    let path = folder.join(format!("{}-{}.plan", failed.violation.invariant, seed));
    let error = |source| WritePlanError { path: path.clone(), source };
    std::fs::create_dir_all(folder).map_err(error)?;
    std::fs::write(&path, failed.plan_file()).map_err(error)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::checks::{Invariant, Violation};
    use crate::plan::Plan;
    use crate::runner::{self, Settings};

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a file of the real system is what it is about")]
    fn the_file_is_read_back_and_tells_what_was_wrong() {
        let plan = Plan { seed: 1, ..Plan::draw(5) };
        let mut run = runner::run_plan(Plan::default(), &Settings::default());
        run.outcome = Ok(Err(Box::new(Violation {
            invariant: Invariant::Tasks,
            at: Duration::from_millis(2_500),
            message: "first\nsecond".to_owned(),
            before: Vec::new(),
        })));
        run.plan = plan.clone();
        let failed = runner::failure(&run).expect("a failure");
        let folder = std::env::temp_dir().join(format!("orrery-plans-{}", std::process::id()));
        let path = write(&folder, &failed, 77).expect("it can be written");
        let text = std::fs::read_to_string(&path).expect("it can be read");
        std::fs::remove_dir_all(&folder).expect("it can be removed");
        assert!(path.ends_with("tasks-77.plan"), "{path:?}");
        assert!(text.starts_with("# tasks at 2.500s: first\n# second\n# events "), "{text}");
        assert_eq!(text.parse(), Ok(plan));
    }
}
