//! Two replicas that were told the same address, and two processes in one folder: the one that is
//! wrong ends and says why, the other one goes on.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use orrery_http::{respond, serve, service_fn};
use orrery_log::{Log, LogError, Membership, Options, StartError, Timing};
use orrery_net_log::LogService;
use orrery_runtime::{Address, Runtime};

fn options(folder: &Path, own: &Address, members: &[Address]) -> Options {
    Options {
        folder: folder.to_owned(),
        address: own.clone(),
        quorum: members.len() / 2 + 1,
        membership: Membership::Fixed(members.iter().cloned().collect::<BTreeSet<_>>()),
        auto_initialize: true,
        timing: Timing::default(),
    }
}

/// Replicas that answer on ports of this host, each in its own folder.
async fn replicas(runtime: &Runtime, folder: &Path) -> (Vec<Address>, Vec<Log>) {
    let mut listeners = Vec::new();
    for _ in 0..3 {
        let any = ([127, 0, 0, 1], 0).into();
        listeners.push(runtime.network.listen(any).await.expect("a port"));
    }
    let addresses: Vec<Address> =
        listeners.iter().map(|listener| listener.local_address().into()).collect();
    let mut logs = Vec::new();
    for (listener, own) in listeners.into_iter().zip(&addresses) {
        let options = options(&folder.join(own.port.to_string()), own, &addresses);
        let (log, service) = orrery_net_log::start(runtime, options).await.expect("a replica");
        let service = service_fn(move |request| {
            let answer = LogService::handles(request.uri().path()).then(|| service.call(request));
            async move {
                match answer {
                    Some(answer) => answer.await,
                    None => respond::not_found(),
                }
            }
        });
        runtime.spawn("replica's port", serve(runtime.clone(), listener, service));
        logs.push(log);
    }
    (addresses, logs)
}

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
