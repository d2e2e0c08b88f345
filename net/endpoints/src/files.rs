//! `/files/{browse,read,download,debug}`: reading sandboxes and logs over HTTP.
//!
//! A daemon attaches folders and files under virtual paths, and clients name those. A path is
//! looked up under the longest attached beginning and then followed on the disk; what it finally
//! leads to, links and `..` included, must lie inside what was attached there. A path that leads
//! out is refused with 400 when something is there, and is not found otherwise.

mod browse;
mod download;
#[cfg(test)]
mod fake;
mod read;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use orrery_http::{Response, respond};
use orrery_runtime::Disk;
use serde_json::Value;

use crate::query::{ParameterError, Query};
use crate::reply::Asked;
use table::Table;

pub use browse::Listed;
pub use read::{MAX_READ, Piece};

/// What a daemon lets clients read. Clones share it.
#[derive(Clone)]
pub struct Files {
    disk: Arc<dyn Disk>,
    table: Arc<Mutex<Table>>,
}

/// Why a file cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The request names no path.
    #[error("Expecting 'path=value' in query.")]
    NoPath,
    /// A parameter that is wrong.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// Nothing is there, or nothing of that name is attached.
    #[error("nothing is attached or found under '{0}'")]
    NotFound(String),
    /// The path leads out of what is attached.
    #[error("Path '{0}' is inaccessible")]
    Inaccessible(String),
    /// A folder where a file is needed.
    #[error("'{0}' is a directory; expected a file")]
    Directory(String),
    /// The disk failed.
    #[error("cannot read '{path}': {source}")]
    Disk {
        /// The virtual path.
        path: String,
        /// What the disk said.
        source: std::io::Error,
    },
}

impl FilesError {
    /// The answer to a client. One that found nothing has no text, as in Mesos.
    pub fn response(&self) -> Response {
        let (status, text) = match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, String::new()),
            Self::Disk { .. } => (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()),
            _ => (StatusCode::BAD_REQUEST, self.to_string()),
        };
        respond::text(status, text)
    }
}

impl Files {
    /// Nothing attached yet, on that disk.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, table: Arc::default() }
    }

    /// Shows the file or folder `real` under the virtual path `shown`, in place of what was shown
    /// there before. `real` is absolute; it may come to exist later.
    pub fn attach(&self, shown: &str, real: impl Into<PathBuf>) {
        self.table().attach(shown, real.into());
    }

    /// Stops showing what stands under the virtual path `shown`.
    pub fn detach(&self, shown: &str) {
        self.table().detach(shown);
    }

    /// `/files/browse`: the entries of a folder. What is no folder, or cannot be read, has none.
    pub async fn browse(&self, asked: &Asked) -> Response {
        let listing = match required_path(&asked.query) {
            Ok(path) => self.list(path).await,
            Err(error) => Err(error),
        };
        match listing {
            Ok(entries) => asked.json(&entries.iter().map(browse::entry_object).collect()),
            Err(error) => error.response(),
        }
    }

    /// `/files/read`: a piece of a file as text, with its offset.
    pub async fn read(&self, asked: &Asked) -> Response {
        match self.read_asked(&asked.query).await {
            Ok(piece) => asked.json(&piece.object()),
            Err(error) => error.response(),
        }
    }

    /// `/files/download`: a whole file as it is.
    pub async fn download(&self, asked: &Asked) -> Response {
        match self.open_download(&asked.query).await {
            Ok(download) => download.response(&asked.method),
            Err(error) => error.response(),
        }
    }

    /// `/files/debug`: which real path each virtual one stands for.
    pub fn debug(&self, asked: &Asked) -> Response {
        let table = self.table();
        let entries = table.entries().map(|(shown, real)| {
            (shown.to_owned(), Value::from(real.to_string_lossy().into_owned()))
        });
        asked.json(&Value::Object(entries.collect()))
    }

    /// The real path that a virtual one leads to.
    async fn resolve(&self, path: &str) -> Result<PathBuf, FilesError> {
        let not_found = || FilesError::NotFound(path.to_owned());
        let (root, rest) = self.table().find(path).ok_or_else(not_found)?;
        let root = self.disk.canonicalize(&root).await.map_err(|_| not_found())?;
        let wanted = if rest.is_empty() { root.clone() } else { root.join(rest) };
        let found = self.disk.canonicalize(&wanted).await.map_err(|_| not_found())?;
        if found.starts_with(&root) {
            Ok(found)
        } else {
            Err(FilesError::Inaccessible(path.to_owned()))
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        // Every change of the table is a single insertion or removal, so it is whole even after a
        // panic elsewhere.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Files {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Files").finish_non_exhaustive()
    }
}

/// The parameter `path`.
fn required_path(query: &Query) -> Result<&str, FilesError> {
    query.get("path").filter(|path| !path.is_empty()).ok_or(FilesError::NoPath)
}
