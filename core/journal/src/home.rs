//! The files themselves: what is still to be written to them, and writing it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use orrery_runtime::{Disk, FileKind, OpenOptions};

use crate::{Change, DiskError};

/// What a file is to become.
#[derive(Debug)]
enum Target {
    /// Content from some offsets on; all else is gone when `whole` is set.
    Content {
        whole: Option<Bytes>,
        pieces: Vec<(u64, Bytes)>,
    },
    Link(String),
    Gone,
}

/// Changes that wait, with those left out that a later one undid.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// To be removed before anything is written.
    folders: Vec<String>,
    files: BTreeMap<String, Target>,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.folders.is_empty() && self.files.is_empty()
    }

    pub(crate) fn add(&mut self, change: Change) {
        match change {
            Change::Write { path, content } => {
                let target = Target::Content { whole: Some(content), pieces: Vec::new() };
                self.files.insert(path, target);
            }
            Change::Append { path, offset, content } => {
                match self.files.get_mut(&path) {
                    Some(Target::Content { pieces, .. }) => return pieces.push((offset, content)),
                    Some(Target::Link(_)) | None => {}
                    // What was there is gone, so this is all of it.
                    Some(Target::Gone) => {
                        let pieces = vec![(offset, content)];
                        let target = Target::Content { whole: Some(Bytes::new()), pieces };
                        self.files.insert(path, target);
                        return;
                    }
                }
                let target = Target::Content { whole: None, pieces: vec![(offset, content)] };
                self.files.insert(path, target);
            }
            Change::Link { path, target } => drop(self.files.insert(path, Target::Link(target))),
            Change::RemoveFile { path } => drop(self.files.insert(path, Target::Gone)),
            Change::RemoveFolder { path } => {
                let from = self.files.range(path.clone()..).map(|(inside, _)| inside);
                for inside in under(from, &path) {
                    self.files.remove(&inside);
                }
                self.folders.push(path);
            }
        }
    }
}

/// The paths that lie in a folder, or are its own. `from` is in order and begins with the folder.
fn under<'a>(from: impl Iterator<Item = &'a String>, folder: &str) -> Vec<String> {
    // Others whose names only begin like the folder's come between.
    let inside = |path: &&String| {
        path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    from.take_while(|path| path.starts_with(folder)).filter(inside).cloned().collect()
}

/// The folder of a path; `None` for one at the top.
fn parent(path: &str) -> Option<&str> {
    path.rsplit_once('/').map(|(folder, _)| folder)
}

/// The files on the disk.
pub(crate) struct Home {
    root: PathBuf,
    disk: std::sync::Arc<dyn Disk>,
    /// Files and links that are there.
    files: BTreeSet<String>,
    /// Folders that are there.
    folders: BTreeSet<String>,
    /// Of these content was not synced.
    unsynced_files: BTreeSet<String>,
    /// Of these names were not synced; the empty path is the root.
    unsynced_folders: BTreeSet<String>,
}

impl Home {
    /// Looks what there is, and removes what an earlier process left half written.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) async fn open(
        disk: std::sync::Arc<dyn Disk>,
        root: &Path,
    ) -> Result<Self, DiskError> {
        let (files, folders) = (BTreeSet::new(), BTreeSet::new());
        let (unsynced_files, unsynced_folders) = (BTreeSet::new(), BTreeSet::new());
        let root = root.to_owned();
        let mut home = Self { root, disk, files, folders, unsynced_files, unsynced_folders };
        let mut waiting = vec![String::new()];
        while let Some(folder) = waiting.pop() {
            let whole = home.path(&folder);
            for entry in home.disk.list(&whole).await.map_err(DiskError::at(&whole))? {
                let path = match folder.as_str() {
                    "" => entry.name.clone(),
                    folder => format!("{folder}/{}", entry.name),
                };
                match entry.kind {
                    FileKind::Directory => {
                        waiting.push(path.clone());
                        home.folders.insert(path);
                    }
                    FileKind::File if entry.name.ends_with(TEMPORARY) => {
                        let whole = home.path(&path);
                        home.disk.remove_file(&whole).await.map_err(DiskError::at(&whole))?;
                    }
                    _ if folder.is_empty() && entry.name.starts_with(crate::journal::PREFIX) => {}
                    _ => drop(home.files.insert(path)),
                }
            }
        }
        Ok(home)
    }

    /// Counts as not synced whatever `pending` is about, whether or not it looks done: an earlier
    /// process may have done it and ended before it was synced. What is gone by then, or what a
    /// folder that looks old lies in, would be forgotten with the journal.
    pub(crate) fn distrust(&mut self, pending: &Pending) {
        for path in pending.folders.iter().chain(pending.files.keys()) {
            let mut folder = parent(path);
            while let Some(path) = folder {
                if self.folders.contains(path) && !self.unsynced_folders.insert(path.to_owned()) {
                    break;
                }
                folder = parent(path);
            }
            self.unsynced_folders.insert(String::new());
        }
    }

    /// The content of every file.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) async fn read(&self) -> Result<BTreeMap<String, Bytes>, DiskError> {
        let mut contents = BTreeMap::new();
        for path in &self.files {
            let whole = self.path(path);
            // Links are for people; what they name is here under its own path.
            match self.disk.metadata(&whole).await {
                Ok(metadata) if metadata.kind == FileKind::File => {}
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(DiskError::at(&whole)(error)),
            }
            let content = orrery_runtime::disk::read_file(&*self.disk, &whole).await;
            let content = content.map_err(DiskError::at(&whole))?;
            contents.insert(path.clone(), content);
        }
        Ok(contents)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Carries out what waits, without syncing.
    ///
    /// # Errors
    /// The disk's; some of it is then done.
    pub(crate) async fn apply(&mut self, pending: Pending) -> Result<(), DiskError> {
        for folder in pending.folders {
            self.remove_folder(&folder).await?;
        }
        for (path, target) in pending.files {
            match target {
                Target::Content { whole: Some(whole), pieces } => {
                    self.write(&path, splice(whole, &pieces)).await?;
                }
                Target::Content { whole: None, pieces } => self.patch(&path, pieces).await?,
                Target::Link(target) => {
                    self.make_folders(&path).await?;
                    let link = self.path(&path);
                    let made = self.disk.symbolic_link(Path::new(&target), &link).await;
                    made.map_err(DiskError::at(&link))?;
                    self.made(path);
                }
                Target::Gone => self.remove_file(&path).await?,
            }
        }
        Ok(())
    }

    async fn write(&mut self, path: &str, content: Bytes) -> Result<(), DiskError> {
        self.make_folders(path).await?;
        let target = self.path(path);
        let temporary = self.path(&format!("{path}{TEMPORARY}"));
        let written = async {
            let file = self.disk.open(&temporary, OpenOptions::CREATE).await?;
            file.write_at(0, content).await?;
            self.disk.rename(&temporary, &target).await
        };
        written.await.map_err(DiskError::at(&target))?;
        self.unsynced_files.insert(path.to_owned());
        self.made(path.to_owned());
        Ok(())
    }

    async fn patch(&mut self, path: &str, pieces: Vec<(u64, Bytes)>) -> Result<(), DiskError> {
        self.make_folders(path).await?;
        let target = self.path(path);
        let written = async {
            let file = self.disk.open(&target, OpenOptions::UPDATE).await?;
            for (offset, content) in pieces {
                file.write_at(offset, content).await?;
            }
            Ok(())
        };
        written.await.map_err(DiskError::at(&target))?;
        self.unsynced_files.insert(path.to_owned());
        self.made(path.to_owned());
        Ok(())
    }

    fn made(&mut self, path: String) {
        self.unsynced_folders.insert(parent(&path).unwrap_or_default().to_owned());
        self.files.insert(path);
    }

    async fn make_folders(&mut self, path: &str) -> Result<(), DiskError> {
        let Some(folder) = parent(path).filter(|folder| !self.folders.contains(*folder)) else {
            return Ok(());
        };
        let whole = self.path(folder);
        self.disk.create_directories(&whole).await.map_err(DiskError::at(&whole))?;
        let mut folder = folder;
        loop {
            self.folders.insert(folder.to_owned());
            let above = parent(folder);
            self.unsynced_folders.insert(above.unwrap_or_default().to_owned());
            match above {
                Some(above) => folder = above,
                None => return Ok(()),
            }
        }
    }

    async fn remove_file(&mut self, path: &str) -> Result<(), DiskError> {
        if !self.files.remove(path) {
            return Ok(());
        }
        self.unsynced_files.remove(path);
        self.unsynced_folders.insert(parent(path).unwrap_or_default().to_owned());
        let whole = self.path(path);
        ignore_missing(self.disk.remove_file(&whole).await).map_err(DiskError::at(&whole))
    }

    async fn remove_folder(&mut self, folder: &str) -> Result<(), DiskError> {
        if !self.folders.contains(folder) {
            return Ok(());
        }
        for set in [
            &mut self.files,
            &mut self.folders,
            &mut self.unsynced_files,
            &mut self.unsynced_folders,
        ] {
            for inside in under(set.range(folder.to_owned()..), folder) {
                set.remove(&inside);
            }
        }
        self.unsynced_folders.insert(parent(folder).unwrap_or_default().to_owned());
        let whole = self.path(folder);
        ignore_missing(self.disk.remove_directory(&whole).await).map_err(DiskError::at(&whole))
    }

    /// Makes all that was applied durable.
    ///
    /// # Errors
    /// The disk's.
    pub(crate) async fn sync(&mut self) -> Result<(), DiskError> {
        for path in std::mem::take(&mut self.unsynced_files) {
            let whole = self.path(&path);
            let synced = async { self.disk.open(&whole, OpenOptions::READ).await?.sync().await };
            synced.await.map_err(DiskError::at(&whole))?;
        }
        for path in std::mem::take(&mut self.unsynced_folders) {
            let whole = self.path(&path);
            self.disk.sync_directory(&whole).await.map_err(DiskError::at(&whole))?;
        }
        Ok(())
    }
}

/// Ends the name of a file that is being written.
const TEMPORARY: &str = ".new";

fn splice(whole: Bytes, pieces: &[(u64, Bytes)]) -> Bytes {
    if pieces.is_empty() {
        return whole;
    }
    let mut content = BytesMut::from(whole.as_ref());
    for (offset, piece) in pieces {
        let start = usize::try_from(*offset).unwrap_or(usize::MAX).min(content.len());
        let end = (start + piece.len()).min(content.len());
        let (over, beyond) = piece.split_at(end - start);
        content[start..end].copy_from_slice(over);
        content.extend_from_slice(beyond);
    }
    content.freeze()
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
