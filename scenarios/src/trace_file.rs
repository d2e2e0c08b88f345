//! Traces as files. [`orrery_runtime_sim::line`] tells what stands in their lines.

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
#[allow(clippy::disallowed_methods, reason = "how a test run is told where its trace goes")]
pub fn wanted() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
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
