//! Two replicas that were told the same address, and two processes in one folder: the one that is
//! wrong ends and says why, the other one goes on.

mod common;

use std::time::Duration;

use orrery_log::{LogError, StartError};
use orrery_runtime::Address;

use common::{options, replicas};

#[tokio::test]
async fn whoever_is_not_reached_at_its_own_address_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = orrery_runtime_real::runtime();
    let (addresses, logs) = replicas(&runtime, folder.path()).await;
    let limit = Duration::from_secs(30);
    let writer = logs[0].writer().await.expect("a writer");
    let before = writer.append("before".into(), limit).await.expect("an append");

    // It has a folder of its own, and the address of the first.
    let claimed = &addresses[0];
    let impostor = options(&folder.path().join("impostor"), claimed, &addresses);
    let (impostor, _service) = orrery_net_log::start(&runtime, impostor).await.expect("it starts");
    let why = runtime.timeout(limit, impostor.ended()).await.expect("it ends");
    assert_eq!(why, LogError::Conflict(claimed.clone()));
    assert!(why.to_string().contains("two masters have one address"), "{why}");

    // Whatever it did to the first one's name, nothing is lost and the log goes on.
    let writer = logs[1].writer().await.expect("a writer");
    assert!(writer.position() >= before);
    let read = logs[1].reader().read(before, before).await.expect("an entry");
    assert_eq!(read.len(), 1);
    writer.append("after".into(), limit).await.expect("an append");
    logs[0].ready().await.expect("it votes");
}

#[tokio::test]
async fn two_processes_do_not_share_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = orrery_runtime_real::runtime();
    let own = Address::new("localhost", 1);
    let options = || options(folder.path(), &own, std::slice::from_ref(&own));
    let (log, _service) = orrery_net_log::start(&runtime, options()).await.expect("a replica");
    let second = orrery_net_log::start(&runtime, options()).await;
    assert!(matches!(second, Err(StartError::InUse { .. })), "the folder is in use");
    log.stop().await;
    orrery_net_log::start(&runtime, options()).await.expect("it is free again");
}
