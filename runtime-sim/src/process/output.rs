//! Where a simulated program's output goes.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use orrery_runtime::OpenOptions;

use crate::disk::Handle;
use crate::host::Host;

/// An open file that text is appended to, or nowhere.
#[derive(Clone, Default)]
pub(crate) struct Output {
    file: Option<Arc<Handle>>,
}

impl Output {
    /// Opens the file at `path` for appending; `None` goes nowhere.
    pub(crate) fn open(host: &Host, path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let file = Handle::open(host, path, OpenOptions::UPDATE)?;
        Ok(Self { file: Some(Arc::new(file)) })
    }

    /// Opens the file at `path` for writing it anew.
    pub(crate) fn create(host: &Host, path: &Path) -> io::Result<Self> {
        let file = Handle::open(host, path, OpenOptions::CREATE)?;
        Ok(Self { file: Some(Arc::new(file)) })
    }

    /// Appends `text`. A full disk swallows it, as it does for most programs.
    pub(crate) fn write(&self, text: String) {
        if let Some(file) = &self.file {
            let length = file.length();
            let _ = file.write(length, Bytes::from(text));
        }
    }
}
