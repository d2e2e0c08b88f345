//! The promises of the coordination port, kept by the client before three real ZooKeeper servers
//! that are killed, stopped and cut off. The same checks run before the model of it:
//! `runtime-sim/tests/coordination.rs`. And an election before them.
//!
//! They need Java and Debian's package `zookeeper`; `ci/test zookeeper` runs them.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod ensemble;
mod proxy;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ensemble::Ensemble;
use orrery_api::v1::MasterInfo;
use orrery_election::{Contender, ContenderEvent, Detector, Options};
use orrery_runtime::contract::coordination::{
    ServerFault, Servers, check, check_access, check_random,
};
use orrery_runtime::coordination::Coordination;
use orrery_zookeeper::ZooKeeper;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ZooKeeper: ci/test zookeeper"]
async fn promises() {
    let runtime = orrery_runtime_real::runtime();
    let client: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
    let mut servers = Ensemble::start(&runtime).await;
    check_access(&runtime, &client, &servers.addresses()).await;
    check(&runtime, &client, &mut servers).await;
    for seed in 1..=2 {
        check_random(&runtime, &client, &mut servers, seed, 6).await;
    }
}

/// Three masters contend; the leader stops cleanly, then its successor is cut off.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs ZooKeeper: ci/test zookeeper"]
async fn election() {
    let runtime = orrery_runtime_real::runtime();
    let client: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
    let mut servers = Ensemble::start(&runtime).await;
    let (_, _, direct) = servers.outside();
    let url = |addresses: &[orrery_runtime::Address]| {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let url = format!("zk://user:secret@{}/cluster/mesos", addresses.join(","));
        Options { session_timeout: servers.timeout(), ..Options::new(url.parse().expect("a URL")) }
    };
    let (cut_off, whole) = (url(&servers.addresses()), url(&direct));
    let contend = |options: &Options, id: &str| {
        let info = MasterInfo { id: id.to_owned(), ..MasterInfo::default() };
        Contender::start(&runtime, &client, options, &info)
    };
    let mut detector = Detector::start(&runtime, &client, &whole);
    assert_eq!(leader(&mut detector).await, None, "before anybody contends");

    let mut first = contend(&whole, "first");
    elected(&mut first).await;
    assert_eq!(leader(&mut detector).await.as_deref(), Some("first"));
    let mut second = contend(&cut_off, "second");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut third = contend(&whole, "third");
    tokio::time::sleep(Duration::from_millis(300)).await;

    let start = Instant::now();
    first.withdraw().await;
    elected(&mut second).await;
    println!("handed over in {:?}", start.elapsed());
    assert_eq!(leader(&mut detector).await.as_deref(), Some("second"));

    let start = Instant::now();
    for server in 0..3 {
        servers.inject(ServerFault::Cut(server)).await;
    }
    let lost = tokio::time::timeout(PATIENCE, async {
        tokio::select! {
            biased;
            event = second.next() => event,
            () = elected(&mut third) => panic!("the third leads before the second has lost"),
        }
    });
    let lost = lost.await.expect("the second loses");
    assert!(matches!(lost, Some(ContenderEvent::Lost(_))), "{lost:?}");
    let lost = start.elapsed();
    elected(&mut third).await;
    println!("cut off: lost after {lost:?}, the next leads after {:?}", start.elapsed());
    assert_eq!(leader(&mut detector).await.as_deref(), Some("third"));
}

async fn elected(contender: &mut Contender) {
    let event = tokio::time::timeout(PATIENCE, contender.next()).await;
    let event = event.expect("somebody is elected");
    assert!(matches!(event, Some(ContenderEvent::Elected { .. })), "{event:?}");
}

async fn leader(detector: &mut Detector) -> Option<String> {
    let seen = tokio::time::timeout(PATIENCE, detector.next()).await;
    seen.expect("a leader is detected").expect("ZooKeeper answers").map(|info| info.id)
}
