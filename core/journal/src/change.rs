//! What can be done to a file, and how it stands in the journal.

use bytes::Bytes;
use prost::Message;

/// One change. Paths are relative to the journal's folder, with `/` between their parts. Doing a
/// change a second time changes nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The file has this content and no other.
    Write {
        /// Which one; it is made, with the folders that lead to it, where it is missing.
        path: String,
        /// All of it.
        content: Bytes,
    },
    /// The file has this content from `offset` on.
    Append {
        /// Which one; it is made, with the folders that lead to it, where it is missing.
        path: String,
        /// In bytes.
        offset: u64,
        /// What stands there.
        content: Bytes,
    },
    /// The symbolic link names `target`.
    Link {
        /// Which one; it is made, with the folders that lead to it, where it is missing.
        path: String,
        /// As it stands in the link.
        target: String,
    },
    /// The file or link is gone.
    RemoveFile {
        /// Which one; one that is not there is gone already.
        path: String,
    },
    /// The folder and everything in it is gone.
    RemoveFolder {
        /// Which one; one that is not there is gone already.
        path: String,
    },
}

impl Change {
    /// What it changes.
    pub fn path(&self) -> &str {
        match self {
            Self::Write { path, .. }
            | Self::Append { path, .. }
            | Self::Link { path, .. }
            | Self::RemoveFile { path }
            | Self::RemoveFolder { path } => path,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    Unknown = 0,
    Write = 1,
    Append = 2,
    Link = 3,
    RemoveFile = 4,
    RemoveFolder = 5,
}

/// One change as it stands in the journal.
#[derive(Clone, PartialEq, Eq, Message)]
struct Record {
    #[prost(enumeration = "Kind", tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    path: String,
    #[prost(uint64, tag = "3")]
    offset: u64,
    /// A link's target, in UTF-8, or content.
    #[prost(bytes = "bytes", tag = "4")]
    content: Bytes,
}

/// What is committed together.
#[derive(Clone, PartialEq, Eq, Message)]
struct Batch {
    #[prost(message, repeated, tag = "1")]
    records: Vec<Record>,
}

pub(crate) fn encode(changes: &[Change]) -> Vec<u8> {
    let record = |change: &Change| {
        let (kind, offset, content) = match change {
            Change::Write { content, .. } => (Kind::Write, 0, content.clone()),
            Change::Append { offset, content, .. } => (Kind::Append, *offset, content.clone()),
            Change::Link { target, .. } => {
                (Kind::Link, 0, Bytes::copy_from_slice(target.as_bytes()))
            }
            Change::RemoveFile { .. } => (Kind::RemoveFile, 0, Bytes::new()),
            Change::RemoveFolder { .. } => (Kind::RemoveFolder, 0, Bytes::new()),
        };
        Record { kind: kind.into(), path: change.path().to_owned(), offset, content }
    };
    Batch { records: changes.iter().map(record).collect() }.encode_to_vec()
}

/// `None` when the bytes are not those of a batch, or lead out of the journal's folder.
pub(crate) fn decode(bytes: Bytes) -> Option<Vec<Change>> {
    let change = |record: Record| {
        let Record { path, offset, content, .. } = &record;
        let (path, content) = (path.clone(), content.clone());
        if !is_inside(&path) {
            return None;
        }
        Some(match record.kind() {
            Kind::Unknown => return None,
            Kind::Write => Change::Write { path, content },
            Kind::Append => Change::Append { path, offset: *offset, content },
            Kind::Link => Change::Link { path, target: String::from_utf8(content.into()).ok()? },
            Kind::RemoveFile => Change::RemoveFile { path },
            Kind::RemoveFolder => Change::RemoveFolder { path },
        })
    };
    Batch::decode(bytes).ok()?.records.into_iter().map(change).collect()
}

fn is_inside(path: &str) -> bool {
    path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_as_it_was_written() {
        let path = || "a/b".to_owned();
        let batch = [
            Change::Write { path: path(), content: Bytes::from_static(b"whole") },
            Change::Append { path: path(), offset: 5, content: Bytes::from_static(b"!") },
            Change::Link { path: "latest".into(), target: "a".into() },
            Change::RemoveFile { path: path() },
            Change::RemoveFolder { path: "a".into() },
        ];
        assert_eq!(decode(encode(&batch).into()).unwrap(), batch);
        assert_eq!(decode(encode(&[]).into()).unwrap(), []);
    }

    #[test]
    fn a_path_that_leads_out_of_the_folder_is_no_change() {
        for path in ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/"] {
            let batch = encode(&[Change::RemoveFolder { path: path.to_owned() }]);
            assert_eq!(decode(batch.into()), None, "{path}");
        }
        assert_eq!(decode(Bytes::from_static(b"\xff\xff")), None);
    }
}
