//! Traces as files. [`orrery_runtime_sim::line`] tells what stands in their lines. Also how a test
//! run is told of files: by environment variables.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// The environment variable that names the file for a run's trace.
pub const VARIABLE: &str = "SIM_TRACE";

/// A trace could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the trace to {path}: {source}")]
pub struct TraceFileError {
    path: PathBuf,
    source: std::io::Error,
}

/// Where the trace is wanted; `None` when it is not.
pub fn wanted() -> Option<PathBuf> {
    named_by(VARIABLE)
}

/// The file that an environment variable names; `None` when it is not set. `cargo` runs tests in
/// the folder of their package, but the user has named the file from where the shell is: `PWD`.
#[allow(clippy::disallowed_methods, reason = "how a test run is told of files")]
pub fn named_by(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable).filter(|path| !path.is_empty())?);
    Some(seen_from(std::env::var_os("PWD").map(PathBuf::from), path))
}

/// A path that was written down in `folder`, if that is known.
fn seen_from(folder: Option<PathBuf>, path: PathBuf) -> PathBuf {
    match folder.filter(|folder| folder.is_absolute()) {
        Some(folder) => folder.join(path),
        None => path,
    }
}

/// Writes the lines of a run, one event each, over whatever the file held before.
///
/// # Errors
/// The file cannot be written.
#[allow(clippy::disallowed_methods, reason = "the file is for the user, outside of any simulation")]
pub fn write(lines: &[String], path: &Path) -> Result<(), TraceFileError> {
    let write_all = || {
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        for line in lines {
            writeln!(file, "{line}")?;
        }
        file.flush()
    };
    write_all().map_err(|source| TraceFileError { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_shell() {
        let from = |folder: Option<&str>, path: &str| {
            seen_from(folder.map(PathBuf::from), PathBuf::from(path)).display().to_string()
        };
        assert_eq!(from(Some("/home/me"), "a/b.plan"), "/home/me/a/b.plan");
        assert_eq!(from(Some("/home/me"), "/tmp/x"), "/tmp/x");
        assert_eq!(from(Some("here"), "x"), "x");
        assert_eq!(from(None, "x"), "x");
    }
}
