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
/// a comment ahead of it. Returns where it stands.
///
/// # Errors
/// The file cannot be written.
#[allow(clippy::disallowed_methods, reason = "the file is for people, outside of any simulation")]
pub fn write(folder: &Path, failed: &Failed) -> Result<PathBuf, WritePlanError> {
    let path = folder.join(format!("{}-{}.plan", failed.violation.invariant, failed.seed));
    let error = |source| WritePlanError { path: path.clone(), source };
    std::fs::create_dir_all(folder).map_err(error)?;
    std::fs::write(&path, text(failed)).map_err(error)?;
    Ok(path)
}

/// The plan as a file.
fn text(failed: &Failed) -> String {
    let violation = &failed.violation;
    let at = violation.at.as_secs_f64();
    let found = format!("{} at {at:.3}s: {}", violation.invariant, violation.message);
    let comment: Vec<String> = found.lines().map(|line| format!("# {line}")).collect();
    format!("{}\n{}", comment.join("\n"), failed.plan)
}
