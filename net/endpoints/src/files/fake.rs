//! A small disk in memory that only reads.

use std::collections::BTreeMap;
use std::future::ready;
use std::io;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use orrery_runtime::{
    BoxFuture, DirectoryEntry, Disk, File, FileKind, Metadata, OpenOptions, WallTime,
};

/// What is on the disk, by its path without links.
#[derive(Default)]
pub struct FakeDisk {
    nodes: BTreeMap<PathBuf, Node>,
}

enum Node {
    Folder,
    File(Bytes),
    Link(PathBuf),
    Pipe,
}

impl FakeDisk {
    pub fn folder(mut self, path: &str) -> Self {
        self.nodes.insert(path.into(), Node::Folder);
        self
    }

    pub fn file(mut self, path: &str, content: impl Into<Bytes>) -> Self {
        self.nodes.insert(path.into(), Node::File(content.into()));
        self
    }

    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.nodes.insert(path.into(), Node::Link(target.into()));
        self
    }

    pub fn pipe(mut self, path: &str) -> Self {
        self.nodes.insert(path.into(), Node::Pipe);
        self
    }

    /// Follows links and `..`, as realpath(3) does.
    fn real(&self, path: &Path, links: usize) -> io::Result<PathBuf> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let mut real = PathBuf::from("/");
        for part in path.components() {
            match part {
                Component::ParentDir => {
                    real.pop();
                }
                Component::Normal(name) => {
                    real.push(name);
                    match self.nodes.get(&real) {
                        Some(Node::Link(target)) if links < 8 => {
                            real = self.real(target, links + 1)?;
                        }
                        Some(_) => {}
                        None => return Err(missing()),
                    }
                }
                _ => {}
            }
        }
        Ok(real)
    }

    fn node(&self, path: &Path) -> io::Result<&Node> {
        let real = self.real(path, 0)?;
        self.nodes.get(&real).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn answer<T: Send + 'static>(result: io::Result<T>) -> BoxFuture<'static, io::Result<T>> {
    Box::pin(ready(result))
}

fn refuse<T: Send + 'static>() -> BoxFuture<'static, io::Result<T>> {
    answer(Err(io::ErrorKind::Unsupported.into()))
}

impl Disk for FakeDisk {
    fn open(&self, path: &Path, _: OpenOptions) -> BoxFuture<'static, io::Result<Box<dyn File>>> {
        answer(match self.node(path) {
            Ok(Node::File(content)) => Ok(Box::new(FakeFile(content.clone()))),
            Ok(_) => Err(io::ErrorKind::IsADirectory.into()),
            Err(error) => Err(error),
        })
    }

    fn rename(&self, _: &Path, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        refuse()
    }

    fn remove_file(&self, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        refuse()
    }

    fn create_directories(&self, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        refuse()
    }

    fn remove_directory(&self, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        refuse()
    }

    fn sync_directory(&self, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        refuse()
    }

    fn list(&self, path: &Path) -> BoxFuture<'static, io::Result<Vec<DirectoryEntry>>> {
        let list = || {
            let Node::Folder = self.node(path)? else {
                return Err(io::ErrorKind::NotADirectory.into());
            };
            let folder = self.real(path, 0)?;
            let inside = self.nodes.iter().filter(|(path, _)| path.parent() == Some(&folder));
            let entries = inside.filter_map(|(path, node)| {
                let name = path.file_name()?.to_string_lossy().into_owned();
                Some(DirectoryEntry { name, kind: kind(node) })
            });
            Ok(entries.collect())
        };
        answer(list())
    }

    fn metadata(&self, path: &Path) -> BoxFuture<'static, io::Result<Metadata>> {
        answer(self.node(path).map(|node| Metadata {
            kind: kind(node),
            length: match node {
                Node::File(content) => content.len() as u64,
                _ => 4096,
            },
            links: 1,
            permissions: if matches!(node, Node::Folder) { 0o755 } else { 0o640 },
            user: "root".into(),
            group: "users".into(),
            modified: WallTime::from_nanoseconds(1_795_165_906_123_456_789),
        }))
    }

    fn symbolic_link(&self, _: &Path, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        refuse()
    }

    fn canonicalize(&self, path: &Path) -> BoxFuture<'static, io::Result<PathBuf>> {
        answer(self.real(path, 0))
    }
}

fn kind(node: &Node) -> FileKind {
    match node {
        Node::Folder => FileKind::Directory,
        Node::File(_) => FileKind::File,
        Node::Link(_) => FileKind::Link,
        Node::Pipe => FileKind::Other,
    }
}

struct FakeFile(Bytes);

impl File for FakeFile {
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(self.0.len());
        let end = start.saturating_add(length).min(self.0.len());
        answer(Ok(self.0.slice(start..end)))
    }

    fn write_at(&self, _: u64, _: Bytes) -> BoxFuture<'_, io::Result<()>> {
        refuse()
    }

    fn length(&self) -> BoxFuture<'_, io::Result<u64>> {
        answer(Ok(self.0.len() as u64))
    }

    fn truncate(&self, _: u64) -> BoxFuture<'_, io::Result<()>> {
        refuse()
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        refuse()
    }
}
