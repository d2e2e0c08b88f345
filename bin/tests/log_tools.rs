//! `orrery log` from outside: what it refuses, and what it says of a replica that was damaged.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "it runs processes")]

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn log(tool: &str, folder: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orrery"));
    command.args(["log", tool]).arg(format!("--path={}", folder.display())).args(flags);
    command.env_clear().output().expect("the program runs")
}

/// That it ends with exit code 1, and its last line.
fn refused(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    text.lines().last().unwrap_or_default().to_owned()
}

/// The numbers in a line, in their order.
fn numbers(line: &str) -> Vec<f64> {
    line.split([' ', ',', '/']).filter_map(|word| word.parse().ok()).collect()
}

#[test]
fn a_benchmark_compares_appends_with_the_syncs_that_they_wait_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let flags = ["--appends=200", "--size=1KB", "--replicas=1", "--writers=1"];
    let output = log("benchmark", folder.path(), &flags);
    let text = String::from_utf8_lossy(&output.stdout);
    let line = |begin: &str| text.lines().find(|line| line.starts_with(begin)).expect("a line");
    let [bytes, rate, median, ..] = numbers(line("the log's syncs"))[..] else { panic!("{text}") };
    // One append at a time, with the header of its record.
    assert!((1024.0..4096.0).contains(&bytes), "{text}");
    assert!(rate > 0.0 && median > 0.0, "{text}");
    let [took, _, in_syncs] = numbers(line("median:"))[..] else { panic!("{text}") };
    // An append takes a sync at least; both are rounded.
    assert!(took + 0.01 >= median && in_syncs >= 0.9, "{text}");
    let none = log("benchmark", folder.path(), &["--appends=0"]);
    assert!(none.status.success() && !String::from_utf8_lossy(&none.stdout).contains("NaN"));
}

/// A single replica that holds entries.
fn replica(folder: &Path) -> PathBuf {
    let written = log("benchmark", folder, &["--appends=50", "--size=1KB"]);
    assert!(written.status.success(), "{written:?}");
    folder.join("replica-0")
}

#[test]
fn flags_that_cannot_be_right_are_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let replica = |flags: &[&str]| refused(&log("replica", folder, flags));
    let (quorum, address) = ("--quorum=2", "--address=h1:1");
    let twice = replica(&[quorum, address, "--peers=h1:1,h1:1,h2:1"]);
    assert!(twice.contains("--peers=h1:1,h1:1,h2:1 names h1:1 twice"), "{twice}");
    let empty = replica(&[quorum, address, "--peers=h1:1,,h2:1"]);
    assert!(empty.contains("--peers: '' is not an address"), "{empty}");
    let portless = replica(&[quorum, "--address=h1", "--peers=h1:1"]);
    assert!(portless.contains("--address: 'h1' is not an address"), "{portless}");
    let large = refused(&log("benchmark", folder, &["--size=10GB"]));
    assert!(large.contains("--size: 10737418240 bytes, expected at most 16777216"), "{large}");
    let output = refused(&log("benchmark", folder, &["--output=/nowhere/x"]));
    assert!(output.contains("--output=/nowhere/x: "), "{output}");
    assert!(refused(&log("benchmark", folder, &["--catch_up"])).contains("--replicas=3"));
    let homeless = replica(&[quorum]);
    assert!(homeless.contains("expected one of --peers, --zk and --servers"), "{homeless}");
    let half = replica(&[quorum, "--servers=h1:2181"]);
    assert!(half.contains("expected only one of --peers, --zk and --servers with"), "{half}");
    let root = replica(&[quorum, "--servers=h1:2181", "--znode=/"]);
    assert!(root.contains("--servers=h1:2181 and --znode=/: "), "{root}");
    let nameless = replica(&[quorum, "--peers=h1:1"]);
    assert!(nameless.contains("--address: expected the one of --peers"), "{nameless}");
    let voteless = refused(&log("benchmark", folder, &["--peers=h1:1"]));
    assert!(voteless.contains("--quorum is required"), "{voteless}");
    let both = refused(&log("benchmark", folder, &["--peers=h1:1", "--replicas=3"]));
    assert!(both.contains("--replicas: expected none where other"), "{both}");
}

#[test]
fn a_folder_without_a_log_is_no_replica() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("letter"), "dear").expect("it is written");
    let read = refused(&log("read", folder.path(), &[]));
    assert!(read.contains("holds no replicated log"), "{read}");
    let initialize = refused(&log("initialize", folder.path(), &[]));
    assert!(initialize.contains("holds 'letter' and no replicated log"), "{initialize}");
}

#[test]
fn positions_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let replica = replica(folder.path());
    let swapped = refused(&log("read", &replica, &["--from=5", "--to=3"]));
    assert!(swapped.contains("--from=5: expected at most --to=3"), "{swapped}");
    let beyond = refused(&log("read", &replica, &["--from=5000"]));
    assert!(beyond.contains("--from=5000: the replica holds nothing after"), "{beyond}");
}

/// The only replica: it says what was cut, at every start, and what to do; doing that helps.
#[test]
fn a_replica_that_was_cut_refuses_until_the_loss_is_accepted() {
    let folder = tempfile::tempdir().expect("a folder");
    let replica = replica(folder.path());
    let segment = replica.join("segment-0000000000000001.log");
    let file = fs::File::options().write(true).open(&segment).expect("it is there");
    file.set_len(8192).expect("it is cut");
    let read = log("read", &replica, &[]);
    refused(&read);
    let damaged = format!("damaged: {} at byte ", segment.display());
    assert!(String::from_utf8_lossy(&read.stdout).contains(&damaged), "{read:?}");
    for _ in 0..2 {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let own = port.expect("a port is free");
        let flags = [format!("--address={own}"), format!("--peers={own}")];
        let started = log("replica", &replica, &["--quorum=1", &flags[0], &flags[1]]);
        let advice = refused(&started);
        assert!(advice.contains("`orrery log initialize --accept_loss --path="), "{advice}");
        let told = String::from_utf8_lossy(&started.stderr).into_owned();
        assert!(told.contains(&segment.display().to_string()), "{told}");
    }
    assert!(refused(&log("initialize", &replica, &[])).contains("the replica is RECOVERING"));
    assert!(log("initialize", &replica, &["--accept_loss"]).status.success());
    let read = log("read", &replica, &[]);
    assert!(String::from_utf8_lossy(&read.stdout).starts_with("VOTING"), "{read:?}");
}
