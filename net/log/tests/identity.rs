//! Two replicas that were told the same address, two processes in one folder, one replica under two
//! addresses, and a folder that was copied: who is wrong ends and says why, others go on.
#![allow(clippy::disallowed_methods, reason = "a folder is copied behind the disk port's back")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use orrery_http::serve;
use orrery_log::{Log, LogError, StartError};
use orrery_runtime::{Address, Listener, Runtime};

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

/// The replica at `own`, which answers on `listener`.
async fn answering(
    runtime: &Runtime,
    folder: &Path,
    own: &Address,
    members: &[Address],
    listener: Box<dyn Listener>,
) -> Log {
    let options = options(folder, own, members);
    let (log, service) = orrery_net_log::start(runtime, options).await.expect("a replica");
    runtime.spawn("replica's port", serve(runtime.clone(), listener, Arc::new(service)));
    log
}

/// Any port, at all addresses of this host.
async fn listen(runtime: &Runtime) -> (Box<dyn Listener>, u16) {
    let listener = runtime.network.listen(([0, 0, 0, 0], 0).into()).await.expect("a port");
    let port = listener.local_address().port();
    (listener, port)
}

#[tokio::test]
async fn a_replica_under_two_addresses_of_the_list_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = orrery_runtime_real::runtime();
    let (listener, port) = listen(&runtime).await;
    let own = Address::new("127.0.0.1", port);
    let other = Address::new("127.0.0.2", port);
    let members = [own.clone(), other.clone(), Address::new("127.0.0.1", 1)];
    let log = answering(&runtime, folder.path(), &own, &members, listener).await;
    let limit = Duration::from_secs(30);
    let why = runtime.timeout(limit, log.ended()).await.expect("it ends");
    assert_eq!(why, LogError::Twice { own: own.clone(), other: other.clone() });
    let text = format!("{own} and {other} of --peers are both this replica, or its folder was");
    assert!(why.to_string().starts_with(&text), "{why}");
    let ready = runtime.timeout(limit, log.ready()).await.expect("it does not wait for ever");
    assert_eq!(ready, Err(why));
}

#[tokio::test]
async fn a_replica_whose_folder_was_copied_ends() {
    let folders = tempfile::tempdir().expect("a folder");
    let [first, second] = ["first", "second"].map(|name| folders.path().join(name));
    let runtime = orrery_runtime_real::runtime();
    orrery_log::initialize(&runtime, &first, false).await.expect("a replica");
    std::fs::create_dir(&second).expect("a folder");
    for file in std::fs::read_dir(&first).expect("a folder") {
        let file = file.expect("a file");
        std::fs::copy(file.path(), second.join(file.file_name())).expect("it is copied");
    }
    let (one, other) = (listen(&runtime).await, listen(&runtime).await);
    let addresses = [one.1, other.1, 1].map(|port| Address::new("127.0.0.1", port));
    let logs = [
        answering(&runtime, &first, &addresses[0], &addresses, one.0).await,
        answering(&runtime, &second, &addresses[1], &addresses, other.0).await,
    ];
    let limit = Duration::from_secs(30);
    let either = async {
        tokio::select! {
            biased;
            why = logs[0].ended() => (0, why),
            why = logs[1].ended() => (1, why),
        }
    };
    let (ended, why) = runtime.timeout(limit, either).await.expect("one of them ends");
    let [own, other] = [ended, 1 - ended].map(|number| addresses[number].clone());
    assert_eq!(why, LogError::Twice { own, other });
}
