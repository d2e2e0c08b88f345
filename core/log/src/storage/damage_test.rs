//! What is done to the files of a replica that does not run is found when it starts.
#![allow(clippy::disallowed_methods, reason = "files are damaged behind the disk port's back")]

use std::path::Path;

use orrery_runtime::Runtime;
use tempfile::TempDir;

use super::spare_test::{entry, fill, metadata, reopen};
use super::{Opened, manifest, open, segment_path};
use crate::{Damage, Defect, Record, ReplicaState};

/// Three segments, of which the last is not full.
async fn folder(runtime: &Runtime, marked: bool) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut storage, _) = reopen(runtime, folder.path()).await;
    storage.write_durably(vec![metadata(1)]).await.expect("it is written");
    let first = fill(&mut storage, 0).await;
    let second = fill(&mut storage, first).await;
    for position in second + 1..second + 4 {
        storage.write_durably(vec![entry(position)]).await.expect("it is written");
    }
    assert_eq!(storage.current.sequence, 3);
    if marked {
        storage.mark().await.expect("it is written");
    }
    storage.close().await;
    folder
}

async fn damage(runtime: &Runtime, folder: &Path) -> (Vec<Damage>, Vec<Record>) {
    let mut records = Vec::new();
    let mut restore = |record| records.push(record);
    let Opened { storage, damage } = open(runtime, folder, &mut restore).await.expect("it opens");
    storage.close().await;
    (damage, records)
}

/// What is wrong after `harm`, by segment, which is 0 for the manifest. The next start knows of it.
async fn found(marked: bool, harm: impl FnOnce(&Path)) -> Vec<(u64, Defect)> {
    let runtime = orrery_runtime_real::runtime();
    let folder = folder(&runtime, marked).await;
    harm(folder.path());
    let (found, _) = damage(&runtime, folder.path()).await;
    let (again, records) = damage(&runtime, folder.path()).await;
    assert_eq!(again, [], "it is met once");
    let metadata = records.iter().rev().find_map(|record| match record {
        Record::Metadata(metadata) => Some(metadata),
        _ => None,
    });
    let state = metadata.map(|metadata| (metadata.damaged, metadata.state));
    assert_eq!(state, Some((!found.is_empty(), expected_state(&found))));
    let sequence = |damage: &Damage| {
        let name = damage.file.file_name().and_then(|name| name.to_str()).expect("a name");
        (super::sequence(name).unwrap_or(0), damage.defect)
    };
    found.iter().map(sequence).collect()
}

fn expected_state(found: &[Damage]) -> ReplicaState {
    if found.is_empty() { ReplicaState::Voting } else { ReplicaState::Recovering }
}

fn read(folder: &Path, sequence: u64) -> Vec<u8> {
    std::fs::read(segment_path(folder, sequence)).expect("it is there")
}

fn write(folder: &Path, sequence: u64, bytes: &[u8]) {
    std::fs::write(segment_path(folder, sequence), bytes).expect("it is written");
}

fn cut(folder: &Path, sequence: u64, length: usize) {
    let bytes = read(folder, sequence);
    write(folder, sequence, &bytes[..length]);
}

fn remove(folder: &Path, sequence: u64) {
    std::fs::remove_file(segment_path(folder, sequence)).expect("it was there");
}

/// Bytes that look like nothing.
fn noise(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u8).collect()
}

/// Where a record of the segment begins that is not the first one.
fn boundary(bytes: &[u8]) -> usize {
    let begins = |offset: &usize| bytes[*offset..].starts_with(b"Rec1");
    (1000..bytes.len()).step_by(8).find(begins).expect("it holds some")
}

#[tokio::test]
async fn what_nobody_touched_is_whole() {
    for marked in [true, false] {
        assert_eq!(found(marked, |_| {}).await, []);
    }
}

#[tokio::test]
async fn a_newest_segment_that_was_cut_is_found() {
    for marked in [true, false] {
        for length in [8192, 100_000] {
            let found = found(marked, |folder| cut(folder, 3, length)).await;
            assert!(matches!(found[..], [(3, Defect::Cut | Defect::Record)]), "{found:?}");
        }
        let one_byte = |folder: &Path| cut(folder, 3, read(folder, 3).len() - 1);
        assert_eq!(found(marked, one_byte).await, [(3, Defect::Cut)]);
        for length in [0, 20] {
            let found = found(marked, |folder| cut(folder, 3, length)).await;
            assert!(found.contains(&(3, Defect::Header)), "{found:?}");
        }
    }
}

/// Leaves of a segment its first records, and zeros.
fn blank_end(folder: &Path, sequence: u64) {
    let mut bytes = read(folder, sequence);
    let boundary = boundary(&bytes);
    bytes[boundary..].fill(0);
    write(folder, sequence, &bytes);
}

#[tokio::test]
async fn a_newest_segment_that_lost_its_records_is_found() {
    assert_eq!(found(true, |folder| blank_end(folder, 3)).await, [(3, Defect::Cut)]);
    for marked in [true, false] {
        let blank = |folder: &Path| write(folder, 3, &vec![0; read(folder, 3).len()]);
        let random = |folder: &Path| write(folder, 3, &noise(read(folder, 3).len()));
        let blank = found(marked, blank).await;
        assert!(blank.contains(&(3, Defect::Header)), "{blank:?}");
        let random = found(marked, random).await;
        assert!(random.contains(&(3, Defect::Header)), "{random:?}");
        assert_eq!(found(marked, |folder| remove(folder, 3)).await, [(3, Defect::Missing)]);
    }
}

#[tokio::test]
async fn an_older_segment_that_ends_between_two_records_is_found() {
    let shorter = |folder: &Path| cut(folder, 1, boundary(&read(folder, 1)));
    assert_eq!(found(true, shorter).await, [(1, Defect::Cut)]);
    assert_eq!(found(true, |folder| blank_end(folder, 2)).await, [(2, Defect::Cut)]);
}

#[tokio::test]
async fn segments_that_are_gone_are_found() {
    for sequence in [1, 2] {
        let found = found(true, |folder| remove(folder, sequence)).await;
        assert_eq!(found, [(sequence, Defect::Missing)]);
    }
    let all = |folder: &Path| (1..=3).for_each(|sequence| remove(folder, sequence));
    assert_eq!(found(true, all).await, [1, 2, 3].map(|sequence| (sequence, Defect::Missing)));
}

#[tokio::test]
async fn segments_in_each_other_s_place_are_found() {
    for (one, other) in [(1, 2), (2, 3)] {
        let swap = |folder: &Path| {
            let (first, second) = (read(folder, one), read(folder, other));
            write(folder, one, &second);
            write(folder, other, &first);
        };
        let found = found(true, swap).await;
        assert!(found.contains(&(one, Defect::Header)), "{found:?}");
        assert!(found.contains(&(other, Defect::Header)), "{found:?}");
    }
}

#[tokio::test]
async fn a_manifest_that_is_gone_or_cannot_be_read_is_found() {
    let remove =
        |folder: &Path| std::fs::remove_file(manifest::path(folder)).expect("it was there");
    assert_eq!(found(true, remove).await, [(0, Defect::Manifest)]);
    for bytes in [vec![], vec![0; 8192], noise(8192)] {
        let harm = |folder: &Path| std::fs::write(manifest::path(folder), bytes).expect("written");
        assert_eq!(found(true, harm).await, [(0, Defect::Manifest)]);
    }
}

/// A file that is called as a segment far away is none. It neither hides what is damaged nor makes
/// anything else go, and stays.
#[tokio::test]
async fn a_stray_file_changes_nothing() {
    let runtime = orrery_runtime_real::runtime();
    let positions = |records: &[Record]| {
        let position = |record: &Record| match record {
            Record::Entry(entry) => Some(entry.position),
            _ => None,
        };
        records.iter().filter_map(position).collect::<std::collections::BTreeSet<_>>()
    };
    let strays = ["ffffffffffffffff", "7fffffffffffffff", "4000000000000000", "00000000000000ff"];
    for (stray, harm) in strays.into_iter().flat_map(|stray| [(stray, true), (stray, false)]) {
        let folder = folder(&runtime, true).await;
        let (_, before) = damage(&runtime, folder.path()).await;
        let path = folder.path().join(format!("segment-{stray}.log"));
        let first = read(folder.path(), 1);
        std::fs::write(&path, &first).expect("it is written");
        if harm {
            std::fs::remove_file(manifest::path(folder.path())).expect("it was there");
        }
        for start in 0..3 {
            let (found, records) = damage(&runtime, folder.path()).await;
            assert_eq!(!found.is_empty(), harm && start == 0, "{stray}: {found:?}");
            assert_eq!(positions(&records), positions(&before), "{stray}, start {start}");
            assert_eq!(std::fs::read(&path).expect("it is there"), first, "{stray}");
        }
    }
}

/// A stray file alone is no log, and where it could be one it is told as damage.
#[tokio::test]
async fn a_stray_file_without_a_log_is_none() {
    let runtime = orrery_runtime_real::runtime();
    for (stray, damaged) in [("ffffffffffffffff", false), ("3fffffffffffffff", true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(format!("segment-{stray}.log"));
        std::fs::write(path, noise(1000)).expect("it is written");
        let (found, _) = damage(&runtime, folder.path()).await;
        assert_eq!(!found.is_empty(), damaged, "{found:?}");
        let (again, records) = damage(&runtime, folder.path()).await;
        assert_eq!(again, []);
        let state = records.iter().rev().find_map(|record| match record {
            Record::Metadata(metadata) => Some(metadata.damaged),
            _ => None,
        });
        assert_eq!(state, Some(damaged));
    }
}

/// The place that was written to last may be torn; what the other one says still holds.
#[tokio::test]
async fn a_torn_manifest_is_no_damage() {
    for slot in [0, 4096] {
        let tear = |folder: &Path| {
            let path = manifest::path(folder);
            let mut bytes = std::fs::read(&path).expect("it is there");
            bytes[slot + 30..slot + 64].fill(0xff);
            std::fs::write(path, bytes).expect("it is written");
        };
        assert_eq!(found(true, tear).await, []);
    }
}

/// A loss of power may bring back segments whose removal was not durable.
#[tokio::test]
async fn a_segment_that_came_back_is_removed_again() {
    let runtime = orrery_runtime_real::runtime();
    let folder = folder(&runtime, true).await;
    let first = read(folder.path(), 1);
    let (mut storage, records) = reopen(&runtime, folder.path()).await;
    let last = records.len() as u64;
    storage.write_durably(vec![metadata(last)]).await.expect("it is written");
    storage.mark().await.expect("it is written");
    assert!(!segment_path(folder.path(), 1).exists());
    storage.close().await;
    write(folder.path(), 1, &first);
    let (found, _) = damage(&runtime, folder.path()).await;
    assert_eq!(found, []);
    assert!(!segment_path(folder.path(), 1).exists());
}

/// What was torn is overwritten, also where it would be a record again at the place that the next
/// one ends at.
#[tokio::test]
async fn nothing_torn_comes_back() {
    let runtime = orrery_runtime_real::runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let (mut storage, _) = reopen(&runtime, folder.path()).await;
    storage.write_durably(vec![metadata(1)]).await.expect("it is written");
    let end = storage.current.length as usize;
    storage.write(vec![entry(1), entry(2)]).await.expect("it is written");
    storage.close().await;
    let mut bytes = read(folder.path(), 1);
    bytes[end] ^= 1;
    write(folder.path(), 1, &bytes);
    let (mut storage, records) = reopen(&runtime, folder.path()).await;
    assert_eq!(records.len(), 2);
    storage.write_durably(vec![entry(3)]).await.expect("it is written");
    storage.close().await;
    let (_, records) = reopen(&runtime, folder.path()).await;
    assert_eq!(records.last(), Some(&entry(3)));
}
