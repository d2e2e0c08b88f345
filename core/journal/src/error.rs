//! What can go wrong: the disk does not let us, or what is on it is not what was written.

use std::io;
use std::path::{Path, PathBuf};

/// The disk does not let a file or folder be used. Nothing that was on it is changed by that.
#[derive(Debug, thiserror::Error)]
#[error("cannot use '{path}': {source}")]
pub struct DiskError {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl DiskError {
    /// What makes an error of the system one of the file or folder at `path`.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { path, source }
    }

    /// The same error, to be told to one more.
    pub(crate) fn again(&self) -> Self {
        let Self { path, source } = self;
        let source = match source.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(source.kind(), source.to_string()),
        };
        Self { path: path.clone(), source }
    }
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk does not let us.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A batch is not what was written, though later ones are.
    #[error("'{path}' is damaged at byte {offset}: expected a whole batch")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the batch begins.
        offset: u64,
    },
}
