//! Reads that a truncation overtakes.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use orrery_runtime::Address;

use super::*;
use crate::log::{Responses, Transport};
use crate::{KnownEntry, Membership, Options, Timing, driver};

/// There is nobody else.
struct Alone;

impl Transport for Alone {
    fn start(&self, _: Responses) {}

    fn send(&self, _: &Address, _: Request) {}

    fn members(&self, _: &BTreeSet<Address>) {}
}

#[tokio::test]
async fn what_is_truncated_before_it_is_read_from_the_disk_is_told_as_truncated() {
    const LIMIT: Duration = Duration::from_secs(30);
    let (folder, runtime) =
        (tempfile::tempdir().expect("a folder"), orrery_runtime_real::runtime());
    let options = Options {
        folder: folder.path().to_owned(),
        address: Address::new("replica", 1),
        quorum: 1,
        membership: Membership::Fixed(BTreeSet::new()),
        auto_initialize: true,
        timing: Timing::default(),
    };
    let handle = driver::start(&runtime, options, Arc::new(Alone)).await.expect("it starts");
    handle.voting().await.expect("it votes");
    let right = handle.elect().await.expect("it is elected");
    let write =
        async |value| handle.write(right.ballot, value, LIMIT).await.expect("it is written");
    for _ in 0..3 {
        write(Value::Append(Bytes::from_static(b"data"))).await;
    }
    let load = async |position| {
        let (ballot, value) = (right.ballot, Value::Nop);
        let entries = vec![KnownEntry { position, ballot, learned: true, value }];
        let (respond, loaded) = oneshot::channel();
        let job = Job::Load { entries, stored: vec![position], respond };
        handle.shared.jobs.send(job).expect("it runs");
        let loaded = loaded.await.expect("it is answered");
        loaded.map(|entries| entries.into_iter().map(|entry| entry.value).collect::<Vec<_>>())
    };
    let data = vec![Value::Append(Bytes::from_static(b"data"))];
    assert_eq!(load(Position(1)).await, Ok(data.clone()));
    write(Value::Truncate(Position(3))).await;
    let truncated = ReadError::Truncated { position: Position(1), beginning: Position(3) };
    assert_eq!(load(Position(1)).await, Err(truncated));
    assert_eq!(load(Position(3)).await, Ok(data));
    write(Value::Nop).await;
}
