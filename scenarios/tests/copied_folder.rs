//! A master is started on a copy of another one's folder, so that two of three are one replica.
#![cfg(feature = "sim")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use orrery_detector::Masters;
use orrery_net_master::{Elections, Options};
use orrery_runtime::ExitStatus;
use orrery_runtime_sim::{Config, Host, simulate};
use orrery_scenarios::checks::Checks;
use orrery_scenarios::cluster::Cluster;
use orrery_scenarios::plan::{self, Place, Shape};
use orrery_scenarios::planted::Bugs;
use orrery_scenarios::scenario::watched;

const SEEDS: u64 = 8;
const ORIGINAL: Place = Place::Master(1);
const COPY: Place = Place::Master(2);
const SESSION: Duration = Duration::from_secs(6);

/// Why a master ends that is started at the host's address by hand.
async fn end_of_master(cluster: &Cluster, host: &Host) -> String {
    let mut options = Options::new(host.ip(), 5050);
    let Masters::ZooKeeper(url) = cluster.masters() else { panic!("they meet in ZooKeeper") };
    options.elections = Elections::ZooKeeper { url, session_timeout: SESSION };
    options.quorum = 2;
    options.hostname = Some(host.name().to_owned());
    options.work_dir = Some("/var/lib/master".into());
    let why = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&why);
    let process = host.start("copy", move |runtime| async move {
        let mut running = orrery_net_master::start(runtime, options).await.expect("it starts");
        *told.lock().expect("nobody panics") = running.ended().await.to_string();
        1
    });
    assert_eq!(host.wait(process).await, Some(ExitStatus::Exited(1)));
    let why = why.lock().expect("nobody panics");
    why.clone()
}

async fn leader_is_there(cluster: &Cluster) {
    while cluster.inspect_master(|_| ()).await.is_none() {
        cluster.world().sleep(Duration::from_millis(100)).await;
    }
}

async fn copy_ends(cluster: Cluster) {
    leader_is_there(&cluster).await;
    let [original, copy] = [ORIGINAL, COPY].map(|place| cluster.host(place).expect("is there"));
    cluster.crash(COPY);
    copy.disk().restore(&original.disk().snapshot());
    copy.boot();
    let why = end_of_master(&cluster, &copy).await;
    let text = "are both this replica, or its folder was copied: expected";
    assert!(why.contains(text), "{why}");
    assert!(cluster.daemon(ORIGINAL).is_some(), "it goes on");
    leader_is_there(&cluster).await;
    // What it has now is its own, so any of the others may be missing.
    copy.disk().wipe();
    cluster.start_missing();
    cluster.world().sleep(Duration::from_secs(20)).await;
    cluster.kill_daemon(ORIGINAL);
    cluster.world().sleep(Duration::from_secs(20)).await;
    leader_is_there(&cluster).await;
}

#[test]
fn the_second_of_two_masters_with_one_folder_ends() {
    for seed in 0..SEEDS {
        let report = simulate(seed, Config::default(), move |world| async move {
            let elections = plan::Elections::ZooKeeper;
            let shape = Shape { masters: 3, elections, ..Shape::default() };
            watched(world, &shape, &Bugs::default(), Checks::all(), copy_ends).await
        });
        match report.outcome {
            Ok(Ok(())) => {}
            Ok(Err(violation)) => panic!("seed {seed}: {violation}"),
            Err(failure) => panic!("seed {seed}: {failure}"),
        }
    }
}
