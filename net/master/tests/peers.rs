//! Three masters that elect their leader among themselves, over real sockets and on a real disk.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use orrery_detector::{Detector, Masters};
use orrery_http::{Client, client};
use orrery_net_master::{Elections, Options, Running, start};
use orrery_runtime::{Address, Runtime};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Ports that nobody has at the moment.
async fn free_ports(runtime: &Runtime, count: usize) -> Vec<u16> {
    let mut listeners = Vec::new();
    for _ in 0..count {
        listeners.push(runtime.network.listen(SocketAddr::new(HERE, 0)).await.unwrap());
    }
    listeners.iter().map(|listener| listener.local_address().port()).collect()
}

async fn master(runtime: &Runtime, ports: &[u16], me: usize, folder: &Path) -> Running {
    let addresses = ports.iter().map(|port| Address::new("127.0.0.1", *port)).collect();
    let options = Options {
        elections: Elections::Peers { addresses, me, timing: Default::default() },
        quorum: ports.len() / 2 + 1,
        work_dir: Some(folder.join(me.to_string())),
        ..Options::new(HERE, ports[me])
    };
    start(runtime.clone(), options).await.unwrap()
}

async fn leader(runtime: &Runtime, masters: &[Option<Running>]) -> usize {
    loop {
        let leads = |master: &Option<Running>| master.as_ref().is_some_and(Running::leads);
        if let Some(leader) = masters.iter().position(leads) {
            return leader;
        }
        runtime.sleep(Duration::from_millis(5)).await;
    }
}

async fn get(client: &Client, port: u16, path: &str) -> (StatusCode, Option<Address>) {
    let request = Request::get(path).body(Bytes::new()).unwrap();
    let response = client.send(&Address::new("127.0.0.1", port), request).await.unwrap();
    let (parts, _) = response.into_parts();
    (parts.status, client::redirect_target(&parts))
}

/// Those of a master whose log votes: a quorum's do before there is a leader, and the rest follow.
async fn metrics(runtime: &Runtime, client: &Client, port: u16) -> BTreeMap<String, f64> {
    loop {
        let request = Request::get("/metrics/snapshot").body(Bytes::new()).unwrap();
        let response = client.send(&Address::new("127.0.0.1", port), request).await.unwrap();
        let body = response.into_body().collect(1 << 20).await.unwrap();
        let all: BTreeMap<String, f64> = serde_json::from_slice(&body).unwrap();
        if all["registrar/log/recovered"] == 1.0 {
            return all;
        }
        runtime.sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_leader_is_replaced_and_comes_back_as_a_follower() {
    let runtime = orrery_runtime_real::runtime();
    let folder = tempfile::tempdir().unwrap();
    let ports = free_ports(&runtime, 3).await;
    let mut masters = Vec::new();
    for me in 0..3 {
        masters.push(Some(master(&runtime, &ports, me, folder.path()).await));
    }
    let first = leader(&runtime, &masters).await;
    let peers = ports.iter().map(|port| Address::new("127.0.0.1", *port)).collect();
    let detector = Detector::new(runtime.clone(), Masters::Peers(peers));
    assert_eq!(detector.leader().await.port, ports[first]);
    let client = Client::new(runtime.clone());
    let follower = ports[(first + 1) % 3];
    for path in ["/state", "/master/slaves?x=1", "/redirect", "/api/v1", "/quota", "/machine/up"] {
        let (status, target) = get(&client, follower, path).await;
        assert_eq!(status, StatusCode::TEMPORARY_REDIRECT, "{path}");
        assert_eq!(target, Some(Address::new("127.0.0.1", ports[first])), "{path}");
    }
    assert_eq!(get(&client, follower, "/health").await.0, StatusCode::OK);
    assert_eq!(get(&client, ports[first], "/state").await.0, StatusCode::OK);
    let leads = metrics(&runtime, &client, ports[first]).await;
    let follows = metrics(&runtime, &client, follower).await;
    assert_eq!((leads["master/elected"], follows["master/elected"]), (1.0, 0.0));
    assert!(follows["master/uptime_secs"] > 0.0);
    for all in [&leads, &follows] {
        assert_eq!(all["registrar/log/ensemble_size"], 3.0);
    }
    // Whoever draws a master's counters sees zeros while it does not lead, and no gaps.
    let missing: Vec<_> = leads.keys().filter(|name| !follows.contains_key(*name)).collect();
    let of_leaders = |name: &&String| name.starts_with("registrar/");
    assert!(missing.iter().all(of_leaders), "{missing:?}");

    let known = Address::new("127.0.0.1", ports[first]);
    let (tell, replaced) = tokio::sync::oneshot::channel();
    let _watching = runtime.spawn("watch", async move {
        detector.replaced(&known).await;
        let _ = tell.send(());
    });
    let mut replaced = Some(replaced);
    let mut last = first;
    for round in 0..3 {
        if round == 1 {
            masters[last].take().unwrap().stop().await;
        } else {
            drop(masters[last].take());
        }
        let next = leader(&runtime, &masters).await;
        assert_ne!(next, last);
        if let Some(replaced) = replaced.take() {
            replaced.await.unwrap();
        }
        masters[last] = Some(master(&runtime, &ports, last, folder.path()).await);
        last = next;
    }
}
