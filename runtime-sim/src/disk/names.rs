//! Paths: finding what they name, and changing names.

use std::collections::VecDeque;
use std::io;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use orrery_runtime::{FileKind, WallTime};

use super::tree::{Body, Disk, Folder, Id, Inode, NameChange, ROOT};

const MAXIMUM_LINKS: u32 = 40;

/// Where a path leads.
#[derive(Debug)]
pub(crate) struct Place {
    /// The folder that holds, or would hold, the name.
    pub(crate) folder: Id,
    /// The last name; empty for the root.
    pub(crate) name: String,
    /// What it names, if anything.
    pub(crate) id: Option<Id>,
    /// The path without links.
    pub(crate) path: PathBuf,
}

/// Where a path leads that has neither links nor `..` on it.
struct Straight<'a> {
    folder: Id,
    name: &'a str,
    id: Option<Id>,
}

impl Disk {
    /// The content of the file at `path`, past all faults: nobody on the host reads it.
    pub(crate) fn peek(&self, path: &Path) -> io::Result<Bytes> {
        self.content(path).map(Bytes::copy_from_slice)
    }

    /// How many lines the file at `path` has, past all faults.
    pub(crate) fn count_lines(&self, path: &Path) -> usize {
        let Ok(content) = self.content(path) else { return 0 };
        let ends = content.iter().filter(|byte| **byte == b'\n').count();
        ends + usize::from(content.last().is_some_and(|byte| *byte != b'\n'))
    }

    fn content(&self, path: &Path) -> io::Result<&[u8]> {
        let id = match self.straight(path) {
            Some(place) => place.id,
            None => self.wind(path, true)?.id,
        };
        Ok(&self.file(id.ok_or(io::ErrorKind::NotFound)?)?.current)
    }

    /// Finds what `path` names. Links on the way are followed, one at its end only if `follow`
    /// says so.
    pub(crate) fn find(&self, path: &Path, follow: bool) -> io::Result<Place> {
        match self.straight(path) {
            Some(Straight { folder, name, id }) => {
                Ok(Place { folder, name: name.to_owned(), id, path: path.to_path_buf() })
            }
            None => self.wind(path, follow),
        }
    }

    /// Finds what nearly every path names, at a fraction of the cost of [`Disk::wind`]; `None`
    /// when that has to look, or has to say what is wrong.
    fn straight<'a>(&self, path: &'a Path) -> Option<Straight<'a>> {
        let mut names = path.to_str()?.strip_prefix('/')?.split('/').peekable();
        let mut folder = ROOT;
        while let Some(name) = names.next() {
            if matches!(name, "" | "." | "..") {
                return None;
            }
            let id = self.folder(folder).ok()?.current.get(name).copied();
            if names.peek().is_some() {
                folder = id?;
            } else if id.is_some_and(|id| self.kind(id) == FileKind::Link) {
                return None;
            } else {
                return Some(Straight { folder, name, id });
            }
        }
        None
    }

    /// Walks along any path, as [`Disk::find`] says.
    fn wind(&self, path: &Path, follow: bool) -> io::Result<Place> {
        if !path.is_absolute() {
            let message = format!("path '{}': expected an absolute path", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let mut todo: VecDeque<String> = names(path).collect();
        let mut trail: Vec<(String, Id)> = vec![(String::new(), ROOT)];
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            let folder = trail.last().map_or(ROOT, |(_, id)| *id);
            let entries = &self.folder(folder)?.current;
            if name == ".." {
                trail.truncate(trail.len().saturating_sub(1).max(1));
                continue;
            }
            let last = todo.is_empty();
            let id = entries.get(&name).copied();
            let body = id.and_then(|id| self.inodes.get(&id)).map(|inode| &inode.body);
            match (id, body) {
                (Some(_), Some(Body::Link(target))) if !last || follow => {
                    links += 1;
                    if links > MAXIMUM_LINKS {
                        return Err(too_many_links());
                    }
                    if target.is_absolute() {
                        trail.truncate(1);
                    }
                    for name in names(target).collect::<Vec<_>>().into_iter().rev() {
                        todo.push_front(name);
                    }
                }
                (Some(id), _) => trail.push((name, id)),
                (None, _) if last => {
                    return Ok(Place { folder, path: join(&trail).join(&name), name, id: None });
                }
                (None, _) => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        let path = join(&trail);
        let (name, id) = trail.pop().unwrap_or_default();
        let folder = trail.last().map_or(ROOT, |(_, id)| *id);
        Ok(Place { folder, name, id: Some(id), path })
    }

    /// The paths of all files, sorted.
    pub(crate) fn paths(&self) -> Vec<PathBuf> {
        let mut paths = Vec::new();
        let mut todo = vec![(PathBuf::from("/"), ROOT)];
        while let Some((path, id)) = todo.pop() {
            match self.inodes.get(&id).map(|inode| &inode.body) {
                Some(Body::File(_)) => paths.push(path),
                Some(Body::Folder(folder)) => {
                    let inside = folder.current.iter();
                    todo.extend(inside.map(|(name, id)| (path.join(name), *id)));
                }
                Some(Body::Link(_)) | None => {}
            }
        }
        paths.sort();
        paths
    }

    /// Adds a reference.
    pub(crate) fn retain(&mut self, id: Id) {
        if let Some(inode) = self.inodes.get_mut(&id) {
            inode.references += 1;
        }
    }

    /// Takes a reference away; what has none is forgotten, with all that only it refers to.
    pub(crate) fn release(&mut self, id: Id) {
        let mut todo = vec![id];
        while let Some(id) = todo.pop() {
            let Some(inode) = self.inodes.get_mut(&id) else { continue };
            inode.references = inode.references.saturating_sub(1);
            if inode.references > 0 {
                continue;
            }
            if let Some(Inode { body: Body::Folder(folder), .. }) = self.inodes.remove(&id) {
                todo.extend(folder.current.into_values());
                todo.extend(folder.durable.into_values());
            }
        }
    }

    /// Changes names now, and notes in the journal that this is not durable yet.
    pub(crate) fn rename_entries(&mut self, changes: Vec<(Id, String, Option<Id>)>, now: WallTime) {
        for (_, _, target) in &changes {
            if let Some(id) = target {
                // Once for the name and once for the journal.
                self.retain(*id);
                self.retain(*id);
                self.count_link(*id, 1);
            }
        }
        for (folder, name, target) in &changes {
            let Some(inode) = self.inodes.get_mut(folder) else { continue };
            inode.modified = now;
            let Body::Folder(entries) = &mut inode.body else { continue };
            let before = match target {
                Some(id) => entries.current.insert(name.clone(), *id),
                None => entries.current.remove(name),
            };
            if let Some(before) = before {
                self.count_link(before, -1);
                self.release(before);
            }
        }
        self.sequence += 1;
        self.journal.push_back(NameChange { sequence: self.sequence, changes });
    }

    fn count_link(&mut self, id: Id, change: i32) {
        if let Some(inode) = self.inodes.get_mut(&id) {
            inode.links = inode.links.saturating_add_signed(change);
        }
    }

    /// As rename(2).
    pub(crate) fn rename(&mut self, from: &Path, to: &Path, now: WallTime) -> io::Result<()> {
        if self.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let source = self.find(from, false)?;
        let target = self.find(to, false)?;
        let id = source.id.ok_or(io::ErrorKind::NotFound)?;
        if source.path == target.path || target.id == Some(id) {
            return Ok(());
        }
        if source.name.is_empty() || target.path.starts_with(&source.path) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let is_folder = self.kind(id) == FileKind::Directory;
        if let Some(existing) = target.id {
            match (is_folder, &self.inodes.get(&existing).map(|inode| &inode.body)) {
                (true, Some(Body::Folder(folder))) if !folder.current.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                (true, Some(Body::Folder(_))) => {}
                (true, _) => return Err(io::ErrorKind::NotADirectory.into()),
                (false, Some(Body::Folder(_))) => return Err(io::ErrorKind::IsADirectory.into()),
                (false, _) => {}
            }
        }
        let changes =
            vec![(target.folder, target.name, Some(id)), (source.folder, source.name, None)];
        self.rename_entries(changes, now);
        Ok(())
    }

    /// As unlink(2).
    pub(crate) fn remove_file(&mut self, path: &Path, now: WallTime) -> io::Result<()> {
        if self.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let place = self.find(path, false)?;
        let id = place.id.ok_or(io::ErrorKind::NotFound)?;
        if self.kind(id) == FileKind::Directory {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.rename_entries(vec![(place.folder, place.name, None)], now);
        Ok(())
    }

    /// Makes a folder and all that lead to it.
    pub(crate) fn create_directories(&mut self, path: &Path, now: WallTime) -> io::Result<()> {
        let existing = self.straight(path).and_then(|place| place.id);
        if existing.is_some_and(|id| self.kind(id) == FileKind::Directory) {
            return Ok(());
        }
        let mut so_far = PathBuf::from("/");
        for component in path.components() {
            so_far.push(component);
            let place = self.find(&so_far, true)?;
            match place.id {
                Some(id) if self.kind(id) == FileKind::Directory => {}
                Some(_) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => {
                    self.check_room()?;
                    let id = self.create(Body::Folder(Folder::default()), now);
                    self.rename_entries(vec![(place.folder, place.name, Some(id))], now);
                }
            }
        }
        if path.is_absolute() { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    /// Removes a folder with everything inside.
    pub(crate) fn remove_directory(&mut self, path: &Path, now: WallTime) -> io::Result<()> {
        if self.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        let place = self.find(path, false)?;
        let id = place.id.ok_or(io::ErrorKind::NotFound)?;
        self.folder(id)?;
        if id == ROOT {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut changes = Vec::new();
        let mut folders = vec![id];
        while let Some(id) = folders.pop() {
            for (name, inside) in &self.folder(id)?.current {
                changes.push((id, name.clone(), None));
                if self.kind(*inside) == FileKind::Directory {
                    folders.push(*inside);
                }
            }
        }
        // Children go before the folders that hold them.
        changes.reverse();
        changes.push((place.folder, place.name, None));
        self.rename_entries(changes, now);
        Ok(())
    }

    /// Makes `link` a symbolic link to `target`.
    pub(crate) fn symbolic_link(
        &mut self,
        target: &Path,
        link: &Path,
        now: WallTime,
    ) -> io::Result<()> {
        self.check_room()?;
        let place = self.find(link, false)?;
        if place.id.is_some_and(|id| self.kind(id) != FileKind::Link) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = self.create(Body::Link(target.to_path_buf()), now);
        self.rename_entries(vec![(place.folder, place.name, Some(id))], now);
        Ok(())
    }

    /// The path without links.
    pub(crate) fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        let place = self.find(path, true)?;
        place.id.ok_or(io::ErrorKind::NotFound)?;
        Ok(place.path)
    }
}

/// The names along a path, `..` among them.
fn names(path: &Path) -> impl Iterator<Item = String> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        Component::ParentDir => Some("..".to_owned()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn join(trail: &[(String, Id)]) -> PathBuf {
    let mut path = PathBuf::from("/");
    path.extend(trail.iter().skip(1).map(|(name, _)| name));
    path
}

/// ELOOP, which `io::ErrorKind` has no stable name for.
fn too_many_links() -> io::Error {
    const ELOOP: i32 = 40;
    io::Error::from_raw_os_error(ELOOP)
}
