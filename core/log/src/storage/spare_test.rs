//! Segments that follow each other on a real disk.

use std::path::Path;

use bytes::Bytes;
use orrery_runtime::{OpenOptions, Runtime};

use super::{Opened, Storage, open, segment_path};
use crate::{Ballot, KnownEntry, Metadata, Position, Record, ReplicaState, Value};

/// Length of an entry's data: not few fit into a segment.
const DATA: usize = 60_000;

pub(super) fn entry(position: u64) -> Record {
    let value = Value::Append(Bytes::from(vec![position as u8; DATA]));
    let ballot = Ballot { round: 1, proposer: 2 };
    Record::Entry(KnownEntry { position: Position(position), ballot, learned: true, value })
}

pub(super) fn metadata(begin: u64) -> Record {
    let state = ReplicaState::Voting;
    Record::Metadata(Metadata { id: 1, state, begin: Position(begin), ..Metadata::default() })
}

pub(super) async fn reopen(runtime: &Runtime, folder: &Path) -> (Storage, Vec<Record>) {
    let mut records = Vec::new();
    let mut restore = |record| records.push(record);
    let opened = open(runtime, folder, &mut restore).await.expect("it opens");
    let Opened { storage, damage } = opened;
    assert_eq!(damage, []);
    (storage, records)
}

/// Writes until the next segment has begun. Returns the position of the last entry.
pub(super) async fn fill(storage: &mut Storage, mut position: u64) -> u64 {
    let sequence = storage.current.sequence;
    while storage.current.sequence == sequence {
        position += 1;
        storage.write_durably(vec![entry(position)]).await.expect("it is written");
        // The disk makes the next one in its own time.
        let late = |storage: &Storage| {
            let full = storage.current.length * 8 > storage.current.allocated * 7;
            full && storage.spare.as_ref().is_some_and(|spare| !spare.is_made())
        };
        while late(storage) {
            tokio::task::yield_now().await;
        }
    }
    position
}

fn entries(records: &[Record]) -> Vec<u64> {
    let position = |record: &Record| match record {
        Record::Entry(entry) => Some(entry.position.0),
        _ => None,
    };
    records.iter().filter_map(position).collect()
}

#[tokio::test]
async fn the_next_segment_is_made_before_it_is_needed() {
    let runtime = orrery_runtime_real::runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let (mut storage, _) = reopen(&runtime, folder.path()).await;
    storage.write_durably(vec![metadata(1)]).await.expect("it is written");
    let first = fill(&mut storage, 0).await;
    let made = storage.current.allocated;
    let second = fill(&mut storage, first).await;
    assert_eq!(storage.current.sequence, 3);
    // Records made it no longer than it was made.
    let path = segment_path(folder.path(), 2);
    assert_eq!(std::fs::metadata(path).expect("it stays").len(), made);
    storage.close().await;
    let (mut storage, records) = reopen(&runtime, folder.path()).await;
    assert_eq!(entries(&records), (1..=second).collect::<Vec<_>>());
    // The older segments hold nothing that is not truncated, and what is remembered stands again.
    storage.write_durably(vec![metadata(second)]).await.expect("it is written");
    storage.mark().await.expect("it is written");
    assert!(!segment_path(folder.path(), 2).exists());
    storage.close().await;
    let (_storage, records) = reopen(&runtime, folder.path()).await;
    assert_eq!(records.first(), Some(&metadata(1)));
    assert_eq!(records.last(), Some(&metadata(second)));
    assert_eq!(entries(&records), [second]);
}

/// A crash leaves the spare segment as it is, whole or not, or with a beginning that was torn.
#[tokio::test]
async fn a_segment_without_records_is_made_anew() {
    for left in [vec![], vec![0; 100_000], [&b"ORRERYLG"[..], &[0; 4000]].concat()] {
        let runtime = orrery_runtime_real::runtime();
        let folder = tempfile::tempdir().expect("a folder");
        let (mut storage, _) = reopen(&runtime, folder.path()).await;
        storage.write_durably(vec![entry(1)]).await.expect("it is written");
        storage.close().await;
        let path = segment_path(folder.path(), 2);
        let file = runtime.disk.open(&path, OpenOptions::CREATE).await.expect("it is made");
        file.write_at(0, left.into()).await.expect("it is written");
        let (mut storage, records) = reopen(&runtime, folder.path()).await;
        assert_eq!(entries(&records), [1]);
        assert_eq!(storage.current.sequence, 1);
        let last = fill(&mut storage, 1).await;
        storage.close().await;
        let (_storage, records) = reopen(&runtime, folder.path()).await;
        assert_eq!(entries(&records), (1..=last).collect::<Vec<_>>());
    }
}
