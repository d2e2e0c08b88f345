//! The journal on real files: whatever is cut off or flipped, what opens is a state that was.
#![allow(clippy::disallowed_methods)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use orrery_journal::{Change, Journal, JournalError};
use orrery_runtime::Runtime;
use proptest::prelude::*;
use tempfile::tempdir;

type Files = BTreeMap<String, Bytes>;

fn write(path: &str, content: &str) -> Change {
    Change::Write { path: path.into(), content: Bytes::copy_from_slice(content.as_bytes()) }
}

fn append(path: &str, offset: u64, content: &str) -> Change {
    let content = Bytes::copy_from_slice(content.as_bytes());
    Change::Append { path: path.into(), offset, content }
}

fn remove_folder(path: &str) -> Change {
    Change::RemoveFolder { path: path.into() }
}

fn text(files: &Files) -> BTreeMap<&str, &str> {
    let pairs = files.iter();
    pairs.map(|(path, content)| (path.as_str(), str::from_utf8(content).unwrap())).collect()
}

async fn open(runtime: &Runtime, root: &Path) -> Journal {
    Journal::open(runtime, root, false).await.unwrap()
}

async fn contents(runtime: &Runtime, root: &Path) -> Files {
    open(runtime, root).await.take_contents()
}

/// What a change does to files that are held in memory.
fn apply(files: &mut Files, change: &Change) {
    match change.clone() {
        Change::Write { path, content } => drop(files.insert(path, content)),
        Change::Append { path, offset, content } => {
            let file = files.entry(path).or_default();
            let mut bytes = file[..usize::try_from(offset).unwrap().min(file.len())].to_vec();
            bytes.extend(content);
            *file = bytes.into();
        }
        Change::RemoveFile { path } => drop(files.remove(&path)),
        Change::RemoveFolder { path } => {
            files.retain(|file, _| !file.starts_with(&format!("{path}/")));
        }
        Change::Link { .. } => {}
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_named_to_whoever_waits_and_to_whoever_commits() {
    let folder = tempdir().unwrap();
    let runtime = orrery_runtime_real::runtime();
    let mut journal = open(&runtime, folder.path()).await;
    let blocked = folder.path().join("task/info");
    fs::create_dir_all(blocked.join("is a folder")).unwrap();
    journal.commit(vec![write("task/info", "content")]).await.unwrap();
    let expected = format!("cannot use '{}': ", blocked.display());
    let failed = journal.failed().await;
    assert!(failed.to_string().starts_with(&expected), "{failed}");
    let refused = journal.commit(vec![write("other", "")]).await.unwrap_err();
    assert_eq!(refused.to_string(), failed.to_string());
    drop(journal);
    let Err(JournalError::Disk(again)) = Journal::open(&runtime, folder.path(), true).await else {
        panic!("it opens although it cannot write what was committed");
    };
    assert_eq!((again.path.as_path(), again.source.kind()), (&*blocked, failed.source.kind()));
    // What was committed waits until there is room for it.
    fs::remove_dir_all(&blocked).unwrap();
    assert_eq!(text(&contents(&runtime, folder.path()).await), [("task/info", "content")].into());
}

#[tokio::test]
async fn what_was_committed_is_found_again_at_once_and_later() {
    let (folder, runtime) = (tempdir().unwrap(), orrery_runtime_real::runtime());
    let root = folder.path().join("a/b");
    let mut journal = open(&runtime, &root).await;
    assert_eq!(journal.take_contents(), Files::new());
    journal.commit(vec![write("x/one", "1"), write("x/two", "2")]).await.unwrap();
    journal.commit(vec![append("x/one", 1, "23"), write("xy", "kept")]).await.unwrap();
    journal.commit(vec![append("x/one", 3, "4"), remove_folder("x")]).await.unwrap();
    journal.commit(vec![append("x/one", 0, "new")]).await.unwrap();
    drop(journal);
    for _ in 0..3 {
        let found = contents(&runtime, &root).await;
        assert_eq!(text(&found), BTreeMap::from([("x/one", "new"), ("xy", "kept")]));
    }
    assert_eq!(fs::read_to_string(root.join("x/one")).unwrap(), "new");
}

#[tokio::test]
async fn the_files_follow_and_links_with_them() {
    let (folder, runtime) = (tempdir().unwrap(), orrery_runtime_real::runtime());
    let mut journal = open(&runtime, folder.path()).await;
    let link = Change::Link { path: "runs/latest".into(), target: "1".into() };
    journal.commit(vec![write("runs/1/info", "first"), link]).await.unwrap();
    let linked = folder.path().join("runs/latest/info");
    while fs::read_to_string(&linked).is_err() {
        runtime.sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(fs::read_to_string(&linked).unwrap(), "first");
    drop(journal);
    let found = contents(&runtime, folder.path()).await;
    assert_eq!(text(&found), BTreeMap::from([("runs/1/info", "first")]));
}

#[tokio::test]
async fn a_long_journal_gives_way_and_nothing_is_lost() {
    let (folder, runtime) = (tempdir().unwrap(), orrery_runtime_real::runtime());
    let mut journal = open(&runtime, folder.path()).await;
    let large = "x".repeat(1 << 20);
    for number in 0..20 {
        journal.commit(vec![write(&format!("large/{number}"), &large)]).await.unwrap();
    }
    let first = folder.path().join("journal.1");
    while first.exists() {
        journal.commit(vec![write("small", "last")]).await.unwrap();
        runtime.sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(journal);
    let found = contents(&runtime, folder.path()).await;
    assert_eq!(found.len(), 21);
    assert!(found.values().filter(|content| content.len() == large.len()).count() == 20);
}

#[tokio::test]
async fn a_damaged_batch_is_told_with_its_position_or_left_out() {
    let (folder, runtime) = (tempdir().unwrap(), orrery_runtime_real::runtime());
    let mut journal = open(&runtime, folder.path()).await;
    journal.commit(vec![write("one", "1")]).await.unwrap();
    let second = fs::metadata(folder.path().join("journal.1")).unwrap().len();
    journal.commit(vec![write("two", "2")]).await.unwrap();
    journal.commit(vec![write("three", "3")]).await.unwrap();
    drop(journal);
    let path = folder.path().join("journal.1");
    let mut bytes = fs::read(&path).unwrap();
    let middle = usize::try_from(second).unwrap() + 21;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    match Journal::open(&runtime, folder.path(), false).await {
        Err(JournalError::Damaged { path: named, offset }) => {
            assert_eq!((named, offset), (path, second));
        }
        other => panic!("{other:?}"),
    }
    let mut journal = Journal::open(&runtime, folder.path(), true).await.unwrap();
    assert_eq!(journal.damages(), 1);
    let found = journal.take_contents();
    assert_eq!(text(&found), BTreeMap::from([("one", "1"), ("three", "3")]));
}

fn change() -> impl Strategy<Value = (u8, usize, String)> {
    (0..5_u8, 0..6_usize, "[a-z]{0,40}")
}

/// A batch of changes that are possible after `files`.
fn batch(files: &Files, drawn: &[(u8, usize, String)]) -> Vec<Change> {
    let mut files = files.clone();
    let mut changes = Vec::new();
    for (kind, number, content) in drawn {
        let path = format!("d{}/f{number}", number % 3);
        let length = files.get(&path).map_or(0, |it| it.len() as u64);
        let change = match kind {
            0 | 1 => append(&path, length, content),
            2 => write(&path, content),
            3 => Change::RemoveFile { path },
            _ => remove_folder(&format!("d{}", number % 3)),
        };
        apply(&mut files, &change);
        changes.push(change);
    }
    changes
}

async fn check_prefixes(drawn: Vec<Vec<(u8, usize, String)>>) {
    let runtime = orrery_runtime_real::runtime();
    let folder = tempdir().unwrap();
    let mut journal = open(&runtime, folder.path()).await;
    let path = folder.path().join("journal.1");
    let mut states = vec![(0, Files::new())];
    for drawn in drawn {
        let (_, mut files) = states.last().unwrap().clone();
        let changes = batch(&files, &drawn);
        changes.iter().for_each(|change| apply(&mut files, change));
        journal.commit(changes).await.unwrap();
        states.push((fs::metadata(&path).unwrap().len(), files));
    }
    drop(journal);
    let bytes = fs::read(&path).unwrap();
    for length in 0..=bytes.len() {
        let folder = tempdir().unwrap();
        fs::write(folder.path().join("journal.1"), &bytes[..length]).unwrap();
        // A file that a crash has torn while the journal still holds it.
        fs::create_dir(folder.path().join("d0")).unwrap();
        let found = contents(&runtime, folder.path()).await;
        let (_, expected) = states.iter().rfind(|(end, _)| *end <= length as u64).unwrap();
        assert_eq!(&found, expected, "cut to {length} bytes");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn every_prefix_opens_as_the_last_batch_that_is_whole_in_it(
        drawn in prop::collection::vec(prop::collection::vec(change(), 0..4), 1..6),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(check_prefixes(drawn));
    }
}
