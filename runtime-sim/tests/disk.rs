//! The disk model: what a crash leaves, and faults.
#![cfg(feature = "sim")]

mod support;

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

use bytes::Bytes;
use orrery_runtime::disk::{read_file, replace_file};
use orrery_runtime::{Disk, OpenOptions};
use orrery_runtime_sim::{Config, simulate};
use support::{run_all, seconds};

async fn write(disk: &dyn Disk, path: &str, offset: u64, data: &'static [u8], sync: bool) {
    let file = disk.open(Path::new(path), OpenOptions::UPDATE).await.expect("opens");
    file.write_at(offset, Bytes::from_static(data)).await.expect("writes");
    if sync {
        file.sync().await.expect("syncs");
    }
}

#[test]
fn what_was_synced_survives_a_crash_and_the_rest_is_a_torn_prefix() {
    let mut lengths = BTreeSet::new();
    for seed in 0..64 {
        let report = simulate(seed, Config::default(), |world| async move {
            let host = world.host("a");
            let (_, runtime) = host.attach("writer");
            let disk = &*runtime.disk;
            write(disk, "/tmp/log", 0, b"synced", true).await;
            disk.sync_directory(Path::new("/tmp")).await.expect("syncs");
            write(disk, "/tmp/log", 6, b"-first", false).await;
            write(disk, "/tmp/log", 12, b"-second", false).await;
            assert_eq!(host.disk().read_text("/tmp/log"), "synced-first-second");
            host.crash();
            host.boot();
            host.disk().read_text("/tmp/log")
        });
        let text = report.outcome.expect("runs");
        assert!("synced-first-second".starts_with(&text), "seed {seed}: {text:?}");
        assert!(text.len() >= 6, "seed {seed}: {text:?}");
        lengths.insert(text.len());
    }
    assert!(lengths.contains(&6), "sometimes all of it is lost");
    assert!(lengths.contains(&19), "sometimes nothing is lost");
    assert!(lengths.len() > 5, "sometimes it is torn: {lengths:?}");
}

#[test]
fn names_are_durable_only_once_their_folder_was_synced() {
    let mut seen = BTreeSet::new();
    for seed in 0..32 {
        let report = simulate(seed, Config::default(), |world| async move {
            let host = world.host("a");
            let (_, runtime) = host.attach("writer");
            let disk = &*runtime.disk;
            write(disk, "/tmp/name", 0, b"content", true).await;
            host.crash();
            host.boot();
            host.disk().exists("/tmp/name")
        });
        seen.insert(report.outcome.expect("runs"));
    }
    assert_eq!(seen.len(), 2, "a name that was not synced is sometimes lost, sometimes kept");
}

#[test]
fn replacing_a_file_leaves_the_old_or_the_new_content_whenever_the_power_fails() {
    let mut seen = BTreeSet::new();
    for seed in 0..64 {
        let report = simulate(seed, Config::default(), |world| async move {
            let host = world.host("a");
            host.disk().install("/var/lib/state", "old").expect("a new disk");
            host.start("writer", |runtime| async move {
                let path = Path::new("/var/lib/state");
                let _ = replace_file(&*runtime.disk, path, Bytes::from_static(b"new")).await;
                0
            });
            let delay = world.random(|random| random.below(5_000));
            world.sleep(std::time::Duration::from_micros(delay)).await;
            host.crash();
            host.boot();
            host.disk().read_text("/var/lib/state")
        });
        seen.insert(report.outcome.expect("runs"));
    }
    assert_eq!(seen, BTreeSet::from(["new".to_owned(), "old".to_owned()]));
}

#[test]
fn a_process_kill_loses_nothing() {
    run_all(|world| async move {
        let host = world.host("a");
        let (process, runtime) = host.attach("writer");
        write(&*runtime.disk, "/tmp/file", 0, b"content", false).await;
        host.kill(process);
        assert_eq!(host.disk().read_text("/tmp/file"), "content");
    });
}

#[test]
fn a_full_disk_refuses_growth_and_reads_on() {
    run_all(|world| async move {
        let host = world.host("a");
        let (_, runtime) = host.attach("writer");
        let disk = &*runtime.disk;
        write(disk, "/tmp/file", 0, b"content", true).await;
        host.disk().set_full(true);
        let file = disk.open(Path::new("/tmp/file"), OpenOptions::UPDATE).await.expect("opens");
        let grow = file.write_at(7, Bytes::from_static(b"more")).await;
        assert_eq!(grow.expect_err("no room").kind(), ErrorKind::StorageFull);
        file.write_at(0, Bytes::from_static(b"C")).await.expect("needs no room");
        let new = disk.open(Path::new("/tmp/new"), OpenOptions::CREATE).await;
        assert_eq!(new.map(drop).expect_err("no room").kind(), ErrorKind::StorageFull);
        let content = read_file(disk, Path::new("/tmp/file")).await.expect("reads");
        assert!(content.starts_with(b"Content") && content.len() < 11, "{content:?}");
        host.disk().set_full(false);
        file.write_at(7, Bytes::from_static(b"more")).await.expect("room again");
    });
}

#[test]
fn after_a_failed_sync_the_data_is_lost_at_the_next_crash() {
    run_all(|world| async move {
        let host = world.host("a");
        host.disk().install("/tmp/file", "old").expect("a new disk");
        let (_, runtime) = host.attach("writer");
        let path = Path::new("/tmp/file");
        let file = runtime.disk.open(path, OpenOptions::UPDATE).await.expect("opens");
        file.write_at(0, Bytes::from_static(b"new")).await.expect("writes");
        host.disk().fail_next_sync();
        file.sync().await.expect_err("fails once");
        file.sync().await.expect("and then pretends");
        assert_eq!(host.disk().read_text(path), "new");
        host.crash();
        host.boot();
        assert_eq!(host.disk().read_text(path), "old");
    });
}

#[test]
fn a_stalled_disk_answers_late() {
    run_all(|world| async move {
        let host = world.host("a");
        let (_, runtime) = host.attach("writer");
        host.disk().stall(seconds(30));
        let start = world.now();
        write(&*runtime.disk, "/tmp/file", 0, b"x", true).await;
        assert!(world.now() - start >= seconds(30));
    });
}

#[test]
fn every_boot_has_an_id_of_its_own_where_linux_shows_it() {
    run_all(|world| async move {
        let host = world.host("a");
        let path = "/proc/sys/kernel/random/boot_id";
        let before = host.disk().read_text(path);
        assert_eq!(before.len(), 37);
        host.crash();
        host.boot();
        let after = host.disk().read_text(path);
        assert_eq!(after.len(), 37);
        assert_ne!(before, after);
    });
}

#[test]
fn one_bit_flips() {
    run_all(|world| async move {
        let host = world.host("a");
        host.disk().install("/tmp/file", vec![0; 16]).expect("a new disk");
        assert!(host.disk().flip_bit("/tmp/file"));
        assert!(!host.disk().flip_bit("/tmp/none"));
        let content = host.disk().read("/tmp/file").expect("reads");
        assert_eq!(content.iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
    });
}
