//! Promises of [`crate::Disk`] and [`crate::File`].

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::failure;
use crate::disk::{read_file, replace_file};
use crate::{DirectoryEntry, Disk, File, FileKind, OpenOptions, Runtime};

/// Checks the disk of `runtime` inside `folder`, which exists and is empty, and empties it again.
///
/// # Panics
/// Where a promise is broken.
pub async fn check(runtime: &Runtime, folder: &Path) {
    let disk = &*runtime.disk;
    let root = disk.canonicalize(folder).await.expect("the folder exists");
    opening(disk, &root.join("opening")).await;
    reading_and_writing(disk, &root.join("writing")).await;
    truncating(disk, &root.join("truncating")).await;
    open_files_outlive_their_names(disk, &root.join("names")).await;
    renaming(disk, &root.join("renaming")).await;
    listing(disk, &root.join("listing")).await;
    linking(disk, &root.join("linking")).await;
    metadata(disk, &root.join("metadata")).await;
    removing(disk, &root.join("removing")).await;
    syncing(disk, &root.join("syncing")).await;
    replacing_durably(disk, &root.join("replacing")).await;
    for entry in disk.list(&root).await.expect("lists") {
        disk.remove_directory(&root.join(entry.name)).await.expect("removes what was made");
    }
    disk.sync_directory(&root).await.expect("syncs the folder");
}

async fn write(disk: &dyn Disk, path: &Path, content: &'static str) {
    let file = disk.open(path, OpenOptions::CREATE).await.expect("creates a file");
    file.write_at(0, Bytes::from_static(content.as_bytes())).await.expect("writes");
}

async fn read(disk: &dyn Disk, path: &Path) -> String {
    let content = read_file(disk, path).await.expect("reads a file");
    String::from_utf8(content.to_vec()).expect("text was written")
}

async fn make(disk: &dyn Disk, folder: &Path) -> PathBuf {
    disk.create_directories(folder).await.expect("makes a folder");
    folder.to_owned()
}

async fn opening(disk: &dyn Disk, folder: &Path) {
    let file = make(disk, folder).await.join("file");
    for options in [OpenOptions::READ, OpenOptions { create: false, ..OpenOptions::UPDATE }] {
        let missing = failure("opening a missing file", disk.open(&file, options).await);
        assert_eq!(missing, ErrorKind::NotFound);
    }
    let nowhere = disk.open(&folder.join("no/file"), OpenOptions::CREATE).await;
    assert_eq!(failure("creating in a missing folder", nowhere), ErrorKind::NotFound);
    let as_folder = disk.open(&folder.join("file"), OpenOptions::UPDATE).await;
    as_folder.expect("makes the file");
    let inside_file = disk.open(&file.join("inside"), OpenOptions::UPDATE).await;
    assert_eq!(failure("creating inside a file", inside_file), ErrorKind::NotADirectory);
    let folder_as_file = disk.open(folder, OpenOptions::UPDATE).await;
    assert_eq!(failure("writing a folder", folder_as_file), ErrorKind::IsADirectory);

    write(disk, &file, "first").await;
    drop(disk.open(&file, OpenOptions::UPDATE).await.expect("opens"));
    assert_eq!(read(disk, &file).await, "first", "opening for update keeps the content");
    let reader = disk.open(&file, OpenOptions::READ).await.expect("opens");
    failure("writing where only reading is allowed", reader.write_at(0, "x".into()).await);
    drop(disk.open(&file, OpenOptions::CREATE).await.expect("opens"));
    assert_eq!(read(disk, &file).await, "", "opening anew empties");
}

async fn text_at(file: &dyn File, offset: u64, length: usize) -> Bytes {
    file.read_at(offset, length).await.expect("reads")
}

async fn reading_and_writing(disk: &dyn Disk, folder: &Path) {
    let path = make(disk, folder).await.join("file");
    let file = disk.open(&path, OpenOptions::CREATE).await.expect("creates");
    assert_eq!(text_at(&*file, 0, 10).await, "", "a new file is empty");
    file.write_at(0, "hello".into()).await.expect("writes");
    file.write_at(5, " world".into()).await.expect("appends");
    file.write_at(0, "J".into()).await.expect("overwrites");
    assert_eq!(file.length().await.expect("has a length"), 11);
    assert_eq!(text_at(&*file, 0, 11).await, "Jello world");
    assert_eq!(text_at(&*file, 6, 3).await, "wor");
    assert_eq!(text_at(&*file, 6, usize::MAX).await, "world", "up to the end");
    assert_eq!(text_at(&*file, 11, 1).await, "", "at the end");
    assert_eq!(text_at(&*file, 1 << 40, 1).await, "", "behind the end");
    assert_eq!(text_at(&*file, 0, 0).await, "");

    file.write_at(13, "!".into()).await.expect("writes behind the end");
    assert_eq!(text_at(&*file, 10, 9).await, "d\0\0!", "the gap is zeros");
    file.write_at(99, Bytes::new()).await.expect("writes nothing");
    assert_eq!(file.length().await.expect("has a length"), 14, "nothing grows by nothing");

    let large: Bytes = (0..3_000_000_u32).map(|number| (number % 253) as u8).collect();
    file.write_at(7, large.clone()).await.expect("writes much");
    assert!(text_at(&*file, 7, large.len()).await == large, "much comes back as it was");

    let other = disk.open(&path, OpenOptions::READ).await.expect("opens twice");
    file.write_at(0, "seen".into()).await.expect("writes");
    assert_eq!(text_at(&*other, 0, 4).await, "seen", "writes show in other handles at once");
    file.sync().await.expect("syncs");
}

async fn truncating(disk: &dyn Disk, folder: &Path) {
    let path = make(disk, folder).await.join("file");
    let file = disk.open(&path, OpenOptions::CREATE).await.expect("creates");
    file.write_at(0, "0123456789".into()).await.expect("writes");
    file.truncate(4).await.expect("cuts");
    assert_eq!(text_at(&*file, 0, 10).await, "0123");
    file.truncate(6).await.expect("grows");
    assert_eq!(text_at(&*file, 0, 10).await, "0123\0\0", "what was cut does not come back");
    file.truncate(0).await.expect("empties");
    assert_eq!(file.length().await.expect("has a length"), 0);
}

async fn open_files_outlive_their_names(disk: &dyn Disk, folder: &Path) {
    let path = make(disk, folder).await.join("file");
    write(disk, &path, "old").await;
    let old = disk.open(&path, OpenOptions::READ).await.expect("opens");
    disk.remove_file(&path).await.expect("removes");
    write(disk, &path, "new").await;
    assert_eq!(text_at(&*old, 0, 9).await, "old");
    assert_eq!(read(disk, &path).await, "new");
}

async fn renaming(disk: &dyn Disk, folder: &Path) {
    let folder = make(disk, folder).await;
    let (one, two) = (folder.join("one"), folder.join("two"));
    write(disk, &one, "1").await;
    write(disk, &two, "2").await;
    disk.rename(&one, &two).await.expect("replaces");
    assert_eq!(read(disk, &two).await, "1");
    let gone = disk.rename(&one, &two).await;
    assert_eq!(failure("renaming what is gone", gone), ErrorKind::NotFound);
    assert_eq!(read(disk, &two).await, "1", "a failed rename changes nothing");

    let inner = make(disk, &folder.join("a/b")).await;
    write(disk, &inner.join("file"), "inside").await;
    disk.rename(&folder.join("a"), &folder.join("moved")).await.expect("moves a folder");
    assert_eq!(read(disk, &folder.join("moved/b/file")).await, "inside");
}

async fn listing(disk: &dyn Disk, folder: &Path) {
    let folder = make(disk, folder).await;
    assert_eq!(disk.list(&folder).await.expect("lists"), [], "a new folder is empty");
    for name in ["b", "a10", "B", "a9", ".hidden"] {
        write(disk, &folder.join(name), "").await;
    }
    make(disk, &folder.join("c/inner")).await;
    let target = folder.join("c");
    disk.symbolic_link(&target, &folder.join("link")).await.expect("links");
    let expected = [
        (".hidden", FileKind::File),
        ("B", FileKind::File),
        ("a10", FileKind::File),
        ("a9", FileKind::File),
        ("b", FileKind::File),
        ("c", FileKind::Directory),
        ("link", FileKind::Link),
    ];
    let expected = expected.map(|(name, kind)| DirectoryEntry { name: name.to_owned(), kind });
    assert_eq!(disk.list(&folder).await.expect("lists"), expected);
    assert_eq!(disk.list(&folder.join("link")).await.expect("follows links").len(), 1);
    let missing = failure("listing nothing", disk.list(&folder.join("none")).await);
    assert_eq!(missing, ErrorKind::NotFound);
    let file = failure("listing a file", disk.list(&folder.join("b")).await);
    assert_eq!(file, ErrorKind::NotADirectory);
}

async fn linking(disk: &dyn Disk, folder: &Path) {
    let folder = make(disk, folder).await;
    let (one, two, link) = (folder.join("one"), folder.join("two"), folder.join("latest"));
    make(disk, &one).await;
    make(disk, &two).await;
    write(disk, &one.join("file"), "1").await;
    write(disk, &two.join("file"), "2").await;
    for target in [&one, &two] {
        disk.symbolic_link(target, &link).await.expect("links, replacing an older link");
        assert_eq!(disk.canonicalize(&link).await.expect("resolves"), **target);
    }
    assert_eq!(read(disk, &link.join("file")).await, "2");
    disk.symbolic_link(Path::new("one"), &link).await.expect("links to a relative path");
    assert_eq!(read(disk, &link.join("file")).await, "1");
    assert_eq!(disk.list(&folder).await.expect("lists").len(), 3, "nothing else is left behind");

    let roundabout = folder.join("two/../latest/./file");
    let plain = disk.canonicalize(&roundabout).await.expect("resolves");
    assert_eq!(plain, one.join("file"));
    let over_file = disk.symbolic_link(&two, &one.join("file")).await;
    assert_eq!(failure("a link in place of a file", over_file), ErrorKind::AlreadyExists);
    let missing = disk.canonicalize(&folder.join("none")).await;
    assert_eq!(failure("resolving nothing", missing), ErrorKind::NotFound);
    disk.remove_file(&link).await.expect("removes the link only");
    assert_eq!(read(disk, &one.join("file")).await, "1");
}

async fn metadata(disk: &dyn Disk, folder: &Path) {
    let folder = make(disk, folder).await;
    let (file, link) = (folder.join("file"), folder.join("link"));
    write(disk, &file, "12345").await;
    disk.symbolic_link(&file, &link).await.expect("links");
    let facts = disk.metadata(&file).await.expect("is there");
    assert_eq!((facts.kind, facts.length, facts.links), (FileKind::File, 5, 1));
    assert_ne!(facts.permissions & 0o600, 0, "its maker can use it");
    assert!(facts.permissions <= 0o7777);
    assert!(!facts.user.is_empty() && !facts.group.is_empty());
    assert_eq!(disk.metadata(&link).await.expect("follows links"), facts);
    let of_folder = disk.metadata(&folder).await.expect("is there");
    assert_eq!((of_folder.kind, of_folder.user), (FileKind::Directory, facts.user));
    let missing = disk.metadata(&folder.join("none")).await;
    assert_eq!(failure("facts about nothing", missing), ErrorKind::NotFound);
}

async fn removing(disk: &dyn Disk, folder: &Path) {
    let folder = make(disk, folder).await;
    let (file, tree, kept) = (folder.join("file"), folder.join("tree"), folder.join("kept"));
    write(disk, &file, "").await;
    disk.remove_file(&file).await.expect("removes a file");
    let again = disk.remove_file(&file).await;
    assert_eq!(failure("removing what is gone", again), ErrorKind::NotFound);

    make(disk, &kept).await;
    write(disk, &kept.join("file"), "kept").await;
    make(disk, &tree.join("a/b/c")).await;
    disk.create_directories(&tree.join("a/b")).await.expect("an existing folder is no error");
    write(disk, &tree.join("a/file"), "").await;
    disk.symbolic_link(&kept, &tree.join("a/link")).await.expect("links");
    failure("a folder is not removed as a file", disk.remove_file(&tree).await);
    disk.remove_directory(&tree).await.expect("removes a tree");
    let gone = disk.remove_directory(&tree).await;
    assert_eq!(failure("removing what is gone", gone), ErrorKind::NotFound);
    assert_eq!(read(disk, &kept.join("file")).await, "kept", "links are not followed");
    failure("a folder below a file", disk.create_directories(&kept.join("file/x")).await);
}

/// What has no name any more can still be written and synced.
async fn syncing(disk: &dyn Disk, folder: &Path) {
    let path = make(disk, folder).await.join("file");
    let file = disk.open(&path, OpenOptions::CREATE).await.expect("creates");
    file.write_at(0, "kept".into()).await.expect("writes");
    disk.remove_file(&path).await.expect("removes");
    disk.sync_directory(folder).await.expect("syncs");
    file.write_at(4, " on".into()).await.expect("writes without a name");
    file.sync().await.expect("syncs without a name");
    assert_eq!(text_at(&*file, 0, 9).await, "kept on");
    let missing = failure("syncing nothing", disk.sync_directory(&folder.join("none")).await);
    assert_eq!(missing, ErrorKind::NotFound);
}

async fn replacing_durably(disk: &dyn Disk, folder: &Path) {
    let path = make(disk, folder).await.join("file");
    for content in ["first, longer", "second"] {
        replace_file(disk, &path, content.into()).await.expect("replaces");
        assert_eq!(read(disk, &path).await, content);
    }
    assert_eq!(disk.list(folder).await.expect("lists").len(), 1, "nothing is left behind");
    let nowhere = replace_file(disk, &folder.join("no/file"), Bytes::new()).await;
    assert_eq!(failure("replacing in a missing folder", nowhere), ErrorKind::NotFound);
}
