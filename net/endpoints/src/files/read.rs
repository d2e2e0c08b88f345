//! Reading a piece of a file.

use std::path::Path;

use bytes::Bytes;
use orrery_runtime::{File, FileKind, OpenOptions};
use serde_json::{Value, json};

use super::{Files, FilesError, required_path};
use crate::query::Query;

/// The most that one answer holds: 16 pages of 4 KiB.
pub const MAX_READ: u64 = 16 * 4096;

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where the piece begins; the file's length if only that was asked for.
    pub offset: u64,
    /// The file's length.
    pub size: u64,
    /// The content.
    pub data: Bytes,
}

impl Piece {
    /// The form of `/files/read`. What is no UTF-8, such as a character that the piece cuts in
    /// two, is replaced.
    pub fn object(&self) -> Value {
        json!({ "offset": self.offset, "data": String::from_utf8_lossy(&self.data) })
    }
}

impl Files {
    /// Reads up to `length` bytes (everything without it, never more than [`MAX_READ`]) from
    /// `offset` on. Without an offset only the file's length is told. Beyond the end there is
    /// nothing, which is no error.
    ///
    /// # Errors
    /// [`FilesError`] but for [`FilesError::NoPath`] and [`FilesError::Parameter`].
    pub async fn read_piece(
        &self,
        path: &str,
        offset: Option<u64>,
        length: Option<u64>,
    ) -> Result<Piece, FilesError> {
        let disk = |source| FilesError::Disk { path: path.to_owned(), source };
        let file = self.open(path).await?;
        let size = file.length().await.map_err(disk)?;
        let Some(offset) = offset else {
            return Ok(Piece { offset: size, size, data: Bytes::new() });
        };
        let length = length.unwrap_or(u64::MAX).min(MAX_READ).min(size.saturating_sub(offset));
        // At most `MAX_READ`, so it fits.
        let length = usize::try_from(length).unwrap_or_default();
        let data = match length {
            0 => Bytes::new(),
            _ => file.read_at(offset, length).await.map_err(disk)?,
        };
        Ok(Piece { offset, size, data })
    }

    /// What `/files/read` asks for. -1 stands for a parameter that is not there.
    pub(super) async fn read_asked(&self, query: &Query) -> Result<Piece, FilesError> {
        const EXPECTED: &str = "a whole number, or -1";
        let path = required_path(query)?;
        let offset = query.integer("offset", -1, EXPECTED)?.and_then(|it| u64::try_from(it).ok());
        let length = query.integer("length", -1, EXPECTED)?.and_then(|it| u64::try_from(it).ok());
        self.read_piece(path, offset, length).await
    }

    /// Opens the file under a virtual path.
    pub(super) async fn open(&self, path: &str) -> Result<Box<dyn File>, FilesError> {
        let real = self.resolve(path).await?;
        self.open_resolved(path, &real).await
    }

    async fn open_resolved(&self, path: &str, real: &Path) -> Result<Box<dyn File>, FilesError> {
        let disk = |source| FilesError::Disk { path: path.to_owned(), source };
        let metadata = self.disk.metadata(real).await.map_err(disk)?;
        match metadata.kind {
            FileKind::File => self.disk.open(real, OpenOptions::READ).await.map_err(disk),
            FileKind::Directory => Err(FilesError::Directory(path.to_owned())),
            // Reading a pipe or a terminal would wait for ever.
            FileKind::Link | FileKind::Other => Err(FilesError::Inaccessible(path.to_owned())),
        }
    }
}
