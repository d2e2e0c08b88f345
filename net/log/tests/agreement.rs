//! Replicas with another list than those that run: the one that is wrong ends and says what it was
//! told and what the others were, and nothing that it says is heeded.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use orrery_log::{Cluster, LogError};
use orrery_runtime::Address;

use common::{options, replicas};

const LIMIT: Duration = Duration::from_secs(30);

#[tokio::test]
async fn whoever_has_another_list_ends_and_the_others_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = orrery_runtime_real::runtime();
    let (addresses, logs) = replicas(&runtime, folder.path()).await;
    let writer = logs[0].writer().await.expect("a writer");
    writer.append("before".into(), LIMIT).await.expect("an append");
    let status = logs[1].status().await.expect("a status");

    // It names two of the three, and itself.
    let own = Address::new("127.0.0.1", 1);
    let list = [own.clone(), addresses[0].clone(), addresses[1].clone()];
    let newcomer = options(&folder.path().join("newcomer"), &own, &list);
    let (newcomer, _service) = orrery_net_log::start(&runtime, newcomer).await.expect("a start");
    let why = runtime.timeout(LIMIT, newcomer.ended()).await.expect("it ends");
    let LogError::Disagreement(disagreement) = &why else { panic!("{why:?}") };
    assert_eq!(disagreement.own, Cluster::fixed(2, &list.into_iter().collect()));
    let theirs = Cluster::fixed(2, &addresses.iter().cloned().collect());
    let others: BTreeSet<_> = addresses[..2].iter().cloned().collect();
    assert_eq!(disagreement.others.get(&theirs), Some(&others));
    assert!(why.to_string().contains(&format!("with {theirs}: expected the same")), "{why}");

    // The writer was not even disturbed.
    writer.append("after".into(), LIMIT).await.expect("an append");
    assert_eq!(logs[1].status().await.expect("a status").promised, status.promised);
}
