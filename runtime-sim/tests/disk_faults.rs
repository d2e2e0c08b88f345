//! The disk model's finer faults: errors, torn and misplaced writes, old states.
#![cfg(feature = "sim")]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use bytes::Bytes;
use orrery_runtime::disk::read_file;
use orrery_runtime::{Disk, File, OpenOptions};
use orrery_runtime_sim::{Config, DiskOperation, Host, Latency, Probability, Tearing, simulate};
use support::{run, run_all, seconds};

const EIO: Option<i32> = Some(5);

async fn open(disk: &dyn Disk, path: &str) -> Box<dyn File> {
    disk.open(Path::new(path), OpenOptions::UPDATE).await.expect("opens")
}

async fn text(disk: &dyn Disk, path: &str) -> String {
    let content = read_file(disk, Path::new(path)).await.expect("reads");
    String::from_utf8_lossy(&content).into_owned()
}

fn reboot(host: &Host) {
    host.crash();
    host.boot();
}

#[test]
fn the_nth_operation_fails_and_the_others_do_not() {
    run_all(|world| async move {
        let host = world.host("a");
        let (_, runtime) = host.attach("writer");
        let file = open(&*runtime.disk, "/tmp/file").await;
        host.disk().fail_nth(DiskOperation::Write, 3);
        host.disk().fail_nth(DiskOperation::Sync, 2);
        host.disk().fail_nth(DiskOperation::Read, 1);
        let mut failed = Vec::new();
        for number in 1..=4 {
            let written = file.write_at(0, Bytes::from_static(b"x")).await;
            let synced = file.sync().await;
            let read = file.read_at(0, 1).await.map(drop);
            for (kind, result) in [("write", written), ("sync", synced), ("read", read)] {
                if let Err(error) = result {
                    assert_eq!(error.raw_os_error(), EIO);
                    failed.push((kind, number));
                }
            }
        }
        assert_eq!(failed, [("read", 1), ("sync", 2), ("write", 3)]);
    });
}

#[test]
fn some_operations_fail() {
    run(1, Config::default(), |world| async move {
        let host = world.host("a");
        let (_, runtime) = host.attach("writer");
        let file = open(&*runtime.disk, "/tmp/file").await;
        host.disk().set_error_rate(DiskOperation::Write, Probability::from_percent(10));
        let mut failures = 0;
        for _ in 0..500 {
            failures += u32::from(file.write_at(0, Bytes::from_static(b"x")).await.is_err());
            file.sync().await.expect("only writes fail");
        }
        assert!((25..80).contains(&failures), "{failures}");
        host.disk().mend();
        file.write_at(0, Bytes::from_static(b"x")).await.expect("mended");
    });
}

#[test]
fn writes_are_torn_at_the_chosen_block() {
    for (tearing, block) in [(Tearing::Blocks(512), 512), (Tearing::Blocks(4_096), 4_096)] {
        let mut lengths = BTreeSet::new();
        for seed in 0..32 {
            let report = simulate(seed, Config::default(), move |world| async move {
                let host = world.host("a");
                host.disk().install("/tmp/file", "").expect("a new disk");
                host.disk().set_tearing(tearing);
                let (_, runtime) = host.attach("writer");
                let file = open(&*runtime.disk, "/tmp/file").await;
                file.write_at(0, Bytes::from(vec![1; 20_000])).await.expect("writes");
                reboot(&host);
                host.disk().read("/tmp/file").expect("reads").len()
            });
            lengths.insert(report.outcome.expect("runs"));
        }
        assert!(lengths.len() > 3, "{lengths:?}");
        let torn = lengths.iter().filter(|length| **length != 20_000);
        assert!(torn.clone().all(|length| length % block == 0), "{lengths:?}");
    }
}

#[test]
fn what_was_never_synced_is_empty_after_the_crash() {
    run_all(|world| async move {
        let host = world.host("a");
        host.disk().set_empty_at_crash(true);
        let (_, runtime) = host.attach("writer");
        let disk = &*runtime.disk;
        let synced = open(disk, "/tmp/synced").await;
        synced.write_at(0, Bytes::from_static(b"x")).await.expect("writes");
        synced.sync().await.expect("syncs");
        let new = open(disk, "/tmp/state.new").await;
        new.write_at(0, Bytes::from_static(b"x")).await.expect("writes");
        disk.rename(Path::new("/tmp/state.new"), Path::new("/tmp/state")).await.expect("renames");
        reboot(&host);
        assert_eq!(host.disk().read_text("/tmp/synced"), "x");
        assert!(host.disk().exists("/tmp/state"), "its name is there");
        assert_eq!(host.disk().read_text("/tmp/state"), "");
    });
}

#[test]
fn a_misdirected_write_shows_once_the_caches_are_gone() {
    for crash in [false, true] {
        run(1, Config::default(), move |world| async move {
            let host = world.host("a");
            host.disk().install("/tmp/one", "1111").expect("a new disk");
            host.disk().install("/tmp/two", "2222").expect("a new disk");
            let (_, runtime) = host.attach("writer");
            let file = open(&*runtime.disk, "/tmp/one").await;
            host.disk().misdirect_next_write(Some(Path::new("/tmp/two")));
            file.write_at(1, Bytes::from_static(b"xx")).await.expect("all seems well");
            file.sync().await.expect("all seems well");
            assert_eq!(host.disk().read_text("/tmp/one"), "1xx1");
            host.disk().misdirect_next_write(None);
            file.write_at(0, Bytes::from_static(b"y")).await.expect("all seems well");
            if crash {
                reboot(&host);
            } else {
                host.disk().drop_caches();
            }
            assert_eq!(host.disk().read_text("/tmp/one"), "1111");
            assert_eq!(host.disk().read_text("/tmp/two"), "2xx2");
        });
    }
}

#[test]
fn a_stall_ends_when_the_disk_is_mended() {
    run_all(|world| async move {
        let host = world.host("a");
        host.disk().install("/tmp/file", "").expect("a new disk");
        let (_, runtime) = host.attach("writer");
        let file = open(&*runtime.disk, "/tmp/file").await;
        host.disk().stall(seconds(60));
        let mending = host.clone();
        let clock = world.clone();
        world.spawn(async move {
            clock.sleep(seconds(2)).await;
            mending.disk().mend();
        });
        let start = world.now();
        file.write_at(0, Bytes::from_static(b"x")).await.expect("writes");
        let waited = world.now() - start;
        assert!(waited >= seconds(2) && waited < seconds(3), "{waited:?}");
    });
}

#[test]
fn a_tail_is_lost_for_good() {
    run_all(|world| async move {
        let host = world.host("a");
        host.disk().install("/tmp/log", "0123456789").expect("a new disk");
        let (_, runtime) = host.attach("writer");
        let file = open(&*runtime.disk, "/tmp/log").await;
        file.write_at(10, Bytes::from_static(b"unsynced")).await.expect("writes");
        assert!(host.disk().truncate_tail("/tmp/log", 12));
        assert_eq!(host.disk().read_text("/tmp/log"), "012345");
        file.sync().await.expect("syncs");
        reboot(&host);
        assert_eq!(host.disk().read_text("/tmp/log"), "012345");
        assert!(!host.disk().truncate_tail("/tmp/none", 1));
    });
}

#[test]
fn a_slow_disk_takes_its_time() {
    run_all(|world| async move {
        let host = world.host("a");
        host.disk().install("/tmp/file", "x").expect("a new disk");
        host.disk().set_latency(Some(Latency::from_millis(1_000, 2_000)));
        let (_, runtime) = host.attach("reader");
        let start = world.now();
        text(&*runtime.disk, "/tmp/file").await;
        let took = world.now() - start;
        assert!(took >= seconds(2) && took <= seconds(6), "{took:?}");
    });
}

#[test]
fn an_old_state_comes_back() {
    run_all(|world| async move {
        let host = world.host("a");
        host.disk().install("/tmp/log", "old").expect("a new disk");
        let (_, runtime) = host.attach("writer");
        let disk = &*runtime.disk;
        let file = open(disk, "/tmp/log").await;
        file.write_at(3, Bytes::from_static(b"+dirty")).await.expect("writes");
        let snapshot = host.disk().snapshot();
        file.sync().await.expect("syncs");
        open(disk, "/tmp/later").await.sync().await.expect("syncs");
        disk.sync_directory(Path::new("/tmp")).await.expect("syncs");
        disk.remove_file(Path::new("/tmp/log")).await.expect("removes");
        host.crash();
        host.disk().restore(&snapshot);
        host.boot();
        assert_eq!(host.disk().read_text("/tmp/log"), "old", "only what was durable");
        assert!(!host.disk().exists("/tmp/later"));
        let (_, runtime) = host.attach("writer");
        let file = open(&*runtime.disk, "/tmp/log").await;
        file.write_at(3, Bytes::from_static(b"+new")).await.expect("writes");
        file.sync().await.expect("syncs");
        reboot(&host);
        assert_eq!(host.disk().read_text("/tmp/log"), "old+new");
        assert!(host.disk().files().iter().any(|path| path == Path::new("/tmp/log")));
    });
}

#[test]
fn what_survives_is_known_before_the_power_fails() {
    run_all(|world| async move {
        let host = world.host("a");
        let (_, runtime) = host.attach("writer");
        let disk = &*runtime.disk;
        let survives = |bytes: &[u8]| host.disk().survives("/tmp", bytes);
        let file = open(disk, "/tmp/log").await;
        file.write_at(0, Bytes::from_static(b"some words")).await.expect("writes");
        file.sync().await.expect("syncs");
        assert!(!survives(b"words") && !survives(b"log"), "its name is not durable");
        disk.sync_directory(Path::new("/tmp")).await.expect("syncs");
        assert!(survives(b"words") && survives(b"log") && !survives(b"lo"));
        file.write_at(5, Bytes::from_static(b"other")).await.expect("writes");
        assert!(survives(b"words") && !survives(b"other"));
        disk.remove_file(Path::new("/tmp/log")).await.expect("removes");
        assert!(survives(b"words"), "that it is gone is not durable");
        disk.sync_directory(Path::new("/tmp")).await.expect("syncs");
        assert!(!survives(b"words") && !host.disk().survives("/nowhere", b"words"));
    });
}
