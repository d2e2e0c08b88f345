//! One seed, one run: in this process, in another, and however often.
#![cfg(feature = "sim")]

#[path = "support/http.rs"]
mod http_support;
mod support;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_support::{Version, ping_pong, serve};
use orrery_runtime::{Address, Command, OpenOptions, Runtime};
use orrery_runtime_sim::{Config, Host, Report, World, simulate};

const SEED_VARIABLE: &str = "RUNTIME_SIM_PRINT_HASH_OF";

/// Talks HTTP to every server in turn, for ever, through whatever happens to the network.
async fn client(runtime: Runtime, servers: Vec<String>) -> i32 {
    let mut random = runtime.random.generator();
    loop {
        let server = &servers[random.below(servers.len() as u64) as usize];
        let version = if random.below(2) == 0 { Version::Http1 } else { Version::Http2 };
        let port = if version == Version::Http1 { 80 } else { 81 };
        let address = Address::new(server.as_str(), port);
        let count = random.below(40);
        let talk = ping_pong(&runtime, &address, version, count);
        let _ = runtime.timeout(Duration::from_secs(5), talk).await;
        runtime.sleep(Duration::from_micros(random.below(200_000))).await;
    }
}

/// Writes a log and launches scripts, for ever.
async fn worker(runtime: Runtime) -> i32 {
    let mut random = runtime.random.generator();
    for number in 0.. {
        let path = PathBuf::from(format!("/tmp/log-{}", random.below(3)));
        let Ok(file) = runtime.disk.open(&path, OpenOptions::UPDATE).await else { return 1 };
        let length = file.length().await.unwrap_or(0);
        let _ = file.write_at(length, Bytes::from(format!("line {number}\n"))).await;
        let _ = file.sync().await;
        let script = format!("sleep 0.{}; echo {number}; exit 1", random.below(9));
        let command = Command {
            program: PathBuf::from("/bin/sh"),
            arguments: vec!["sh".to_owned(), "-c".to_owned(), script],
            stdout: Some(PathBuf::from("/tmp/out")),
            ..Command::default()
        };
        if let Ok(process) = runtime.processes.launch(command).await {
            let _ = runtime.processes.wait(process).await;
        }
    }
    0
}

fn start_all(host: &Host, servers: &[String]) {
    host.start("http1", |runtime| serve(runtime, 80, Version::Http1));
    host.start("http2", |runtime| serve(runtime, 81, Version::Http2));
    host.start("client", |runtime| client(runtime, servers.to_vec()));
    host.start("worker", worker);
}

async fn disturb(world: &World, hosts: &[Host], servers: &[String]) {
    let mut random = world.generator("faults");
    for _ in 0..30 {
        world.sleep(Duration::from_millis(random.below(1_000))).await;
        let one = &hosts[random.below(hosts.len() as u64) as usize];
        let other = &hosts[random.below(hosts.len() as u64) as usize];
        match random.below(7) {
            0 => world.network().cut(one, other),
            1 => world.network().cut_one_way(one, other),
            2 => world.network().reset_all(one, other),
            3 => {
                one.crash();
                world.sleep(Duration::from_millis(100)).await;
                one.boot();
                start_all(one, servers);
            }
            4 => {
                for process in one.processes() {
                    one.pause(process.id);
                }
                world.sleep(Duration::from_millis(700)).await;
                for process in one.processes() {
                    one.resume(process.id);
                }
            }
            _ => world.network().heal_all(),
        }
    }
}

fn busy(seed: u64, trace: bool) -> Report<()> {
    let config = Config { trace, ..Config::default() };
    simulate(seed, config, |world| async move {
        let servers: Vec<String> = (0..4).map(|number| format!("host-{number}")).collect();
        let hosts: Vec<Host> = servers.iter().map(|name| world.host(name)).collect();
        for host in &hosts {
            start_all(host, &servers);
        }
        disturb(&world, &hosts, &servers).await;
    })
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in 0..2 {
        let (one, two) = (busy(seed, true), busy(seed, true));
        let differs = one.lines.iter().zip(&two.lines).find(|(one, two)| one != two);
        assert_eq!(differs, None, "the first line that differs");
        assert_eq!((one.hash, one.events, one.elapsed), (two.hash, two.events, two.elapsed));
        assert_eq!(one.outcome, Ok(()));
        assert!(one.events > 10_000, "only {} events", one.events);
        assert_eq!(one.events, one.lines.len() as u64);
    }
}

#[test]
fn keeping_lines_changes_nothing() {
    assert_eq!(busy(9, true).hash, busy(9, false).hash);
}

#[test]
fn different_seeds_give_different_runs() {
    let hashes: BTreeSet<u64> = (20..23).map(|seed| busy(seed, false).hash).collect();
    assert_eq!(hashes.len(), 3);
}

/// Not a check of its own: the other process of the next test.
#[allow(clippy::disallowed_methods, reason = "how the other process is told its seed")]
#[test]
fn print_hash() {
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        let report = busy(seed.parse().expect("a number"), false);
        println!("hash={:016x}", report.hash);
    }
}

#[allow(clippy::disallowed_methods, reason = "another process of the real system is needed")]
#[test]
fn another_process_gives_the_same_run() {
    let program = std::env::current_exe().expect("this test is a program");
    let output = std::process::Command::new(program)
        .args(["--exact", "print_hash", "--nocapture"])
        .env(SEED_VARIABLE, "11")
        .output()
        .expect("runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let expected = format!("hash={:016x}", busy(11, false).hash);
    assert!(text.contains(&expected), "expected {expected} in {text}");
}
