//! Listing folders.

use orrery_api::v1;
use orrery_runtime::{FileKind, Metadata};
use serde_json::{Value, json};

use super::{Files, FilesError};
use crate::objects::seconds;

/// One entry of a folder: the virtual path and what the disk tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The virtual path.
    pub path: String,
    /// What is there, links followed.
    pub metadata: Metadata,
}

impl Files {
    /// The entries of a folder, sorted by name. What is no folder, or cannot be read, has none; an
    /// entry that is gone or leads nowhere is left out.
    ///
    /// # Errors
    /// [`FilesError::NotFound`] and [`FilesError::Inaccessible`].
    pub async fn list(&self, path: &str) -> Result<Vec<Listed>, FilesError> {
        let folder = self.resolve(path).await?;
        let Ok(names) = self.disk.list(&folder).await else {
            return Ok(Vec::new());
        };
        let shown = path.trim_end_matches('/');
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            if let Ok(metadata) = self.disk.metadata(&folder.join(&name.name)).await {
                entries.push(Listed { path: format!("{shown}/{}", name.name), metadata });
            }
        }
        Ok(entries)
    }
}

impl Listed {
    /// The form of the `v1` call LIST_FILES.
    pub fn message(&self) -> v1::FileInfo {
        let metadata = &self.metadata;
        v1::FileInfo {
            path: self.path.clone(),
            nlink: Some(i32::try_from(metadata.links).unwrap_or(i32::MAX)),
            size: Some(metadata.length),
            mtime: Some(v1::TimeInfo { nanoseconds: modified(metadata) }),
            mode: Some(kind_bits(metadata.kind) | metadata.permissions),
            uid: Some(metadata.user.clone()),
            gid: Some(metadata.group.clone()),
        }
    }
}

/// The form of `/files/browse`.
pub fn entry_object(entry: &Listed) -> Value {
    let metadata = &entry.metadata;
    json!({
        "path": entry.path,
        "nlink": metadata.links,
        "size": metadata.length,
        "mtime": seconds(&v1::TimeInfo { nanoseconds: modified(metadata) }),
        "mode": mode(metadata),
        "uid": metadata.user,
        "gid": metadata.group,
    })
}

/// The time of the last change in nanoseconds, cut to whole seconds as Mesos does.
fn modified(metadata: &Metadata) -> i64 {
    const SECOND: i64 = 1_000_000_000;
    metadata.modified.as_nanoseconds().div_euclid(SECOND).saturating_mul(SECOND)
}

/// The text that ls(1) shows, such as `-rw-r--r--`.
fn mode(metadata: &Metadata) -> String {
    let kind = match metadata.kind {
        FileKind::Directory => 'd',
        FileKind::Link => 'l',
        FileKind::File | FileKind::Other => '-',
    };
    let allowed = |index: u32| metadata.permissions & (0o400 >> index) != 0;
    let letters = (0..9).zip("rwxrwxrwx".chars());
    let letters = letters.map(|(index, letter)| if allowed(index) { letter } else { '-' });
    std::iter::once(kind).chain(letters).collect()
}

/// The part of `st_mode` that tells what a path names.
fn kind_bits(kind: FileKind) -> u32 {
    match kind {
        FileKind::File => 0o100_000,
        FileKind::Directory => 0o040_000,
        FileKind::Link => 0o120_000,
        FileKind::Other => 0,
    }
}
