//! The lines of a trace: their columns, and what daemons log among them.
#![cfg(feature = "sim")]

mod support;

use std::time::Duration;

use orrery_runtime::Runtime;
use orrery_runtime_sim::line::Line;
use orrery_runtime_sim::{Config, Latency, Report, World, simulate};
use support::{connect, echo_server, ping};

async fn chatter(runtime: Runtime) -> i32 {
    let mut connection = connect(&runtime, "server", 7).await;
    tracing::info!(target: "orrery_chatter", task_id = "t1", "hello");
    tracing::debug!(target: "somebody_else", "never seen");
    tracing::trace!(target: "orrery_chatter", "too much detail");
    tracing::trace!(
        target: "orrery::wire",
        wire_name = "PING", wire_channel = "c", wire_content = "A { b: None }",
        "send"
    );
    ping(&mut connection, 1).await.map_or(1, |_| 0)
}

async fn scenario(world: World) {
    let (server, client) = (world.host("server"), world.host("client"));
    let process = server.start("echo", |runtime| echo_server(runtime, 7));
    world.network().cut(&server, &client);
    world.network().set_latency_one_way(&server, &client, Latency::from_millis(2, 2));
    let talk = client.start("chatter one", chatter);
    world.sleep(Duration::from_millis(10)).await;
    world.network().heal_all();
    client.wait(talk).await;
    server.pause(process);
    server.resume(process);
    world.network().set_latency(&server, &client, world.config().network.latency);
    server.crash();
}

fn run(trace: bool) -> Report<()> {
    simulate(3, Config { trace, ..Config::default() }, scenario)
}

#[test]
fn every_line_has_its_columns() {
    let report = run(true);
    assert_eq!(report.outcome, Ok(()));
    let lines: Vec<Line<'_>> =
        report.lines.iter().map(|line| Line::parse(line).expect("a line")).collect();
    assert!(lines.is_sorted_by_key(|line| line.time));
    let find = |kind: &str| *lines.iter().find(|line| line.kind == kind).expect(kind);
    let start = find("start");
    assert_eq!((start.host, start.process, start.text), ("server", 1000, "echo"));
    assert_eq!(find("cut").text, "server -> client");
    assert_eq!(find("slow").text, "server -> client latency=2ms..2ms bandwidth=any");
    assert!(find("normal").text.starts_with("server -> client"));
    let data = find("data");
    assert_eq!((data.host, data.process), ("server", 1000));
    assert!(data.text.starts_with("#1 sent=") && data.text.ends_with(" bytes=1"), "{data:?}");
    for kind in ["connect", "accept", "heal", "pause", "resume", "exit", "crash", "boot"] {
        find(kind);
    }
}

#[test]
fn what_daemons_log_is_in_the_trace_and_changes_nothing() {
    let report = run(true);
    let said: Vec<Line<'_>> = report
        .lines
        .iter()
        .filter_map(|line| Line::parse(line))
        .filter(|line| ["log", "send"].contains(&line.kind))
        .collect();
    let said: Vec<_> = said.iter().map(|line| (line.host, line.process, line.text)).collect();
    assert_eq!(
        said,
        [
            ("client", 1000, "INFO orrery_chatter: hello task_id=t1"),
            ("client", 1000, "PING c A {  }"),
        ]
    );
    let silent = run(false);
    assert_eq!((report.hash, report.events), (silent.hash, silent.events));
    assert_eq!(report.lines, run(true).lines);
}
