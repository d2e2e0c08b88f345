//! How many operations a second the registrar stores, on a log of one replica on this disk, and
//! how many bytes it writes for each.

use std::collections::BTreeSet;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use orrery_api::v1;
use orrery_log::{Log, Membership, Options, Position, Timing, Value};
use orrery_master::{RegistryOperation, Ticket};
use orrery_net_master::{Limits, Registrar};
use orrery_runtime::{Address, Runtime, WallTime};
use prost::Message;
use tokio::sync::mpsc;

/// Operations in one round: each agent is admitted, lost and found again.
const AGENTS: usize = 10_000;

const LIMITS: Limits = Limits { fetch: Duration::from_secs(60), store: Duration::from_secs(60) };

async fn log(runtime: &Runtime, folder: &std::path::Path) -> Log {
    let address = Address::new("localhost", 1);
    let options = Options {
        folder: folder.to_owned(),
        membership: Membership::Fixed(BTreeSet::from([address.clone()])),
        address,
        quorum: 1,
        auto_initialize: true,
        timing: Timing::default(),
    };
    orrery_net_log::start(runtime, options).await.expect("a log").0
}

fn agent(number: usize) -> v1::AgentInfo {
    let scalar = |name: &str, value| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    v1::AgentInfo {
        hostname: format!("host-{number}.example.org"),
        port: Some(5051),
        resources: vec![scalar("cpus", 16.0), scalar("mem", 65_536.0), scalar("disk", 1e6)],
        id: Some(v1::AgentId { value: format!("5dba8e3e-36f6-4e6a-8a4e-7a2b4b1b4e1c-S{number}") }),
        ..Default::default()
    }
}

fn operations() -> Vec<RegistryOperation> {
    let mut all = Vec::with_capacity(3 * AGENTS);
    all.extend((0..AGENTS).map(|number| RegistryOperation::Admit(Box::new(agent(number)))));
    all.extend((0..AGENTS).map(|number| RegistryOperation::MarkUnreachable {
        agent_id: agent(number).id.map(|id| id.value).unwrap_or_default(),
        since: WallTime::from_nanoseconds(1),
    }));
    all.extend((0..AGENTS).map(|number| RegistryOperation::MarkReachable(Box::new(agent(number)))));
    all
}

/// Stores everything, as a leading master does.
async fn store(runtime: &Runtime, log: &Log, operations: &[RegistryOperation]) {
    let leader = v1::MasterInfo::default();
    let registrar = Registrar::recover(runtime, Some(log), &leader, LIMITS).await;
    let (sender, receiver) = mpsc::unbounded_channel();
    for (number, operation) in operations.iter().enumerate() {
        sender.send((Ticket(number as u64), operation.clone())).expect("it is taken");
    }
    drop(sender);
    registrar.expect("a registry").run(receiver, async |_| true).await.expect("all is stored");
}

/// Bytes of all that was ever appended to a log that nothing was cut from.
async fn appended(log: &Log) -> usize {
    let reader = log.reader();
    let (mut from, to) = (Position(1), reader.ending().await.expect("an end"));
    let mut bytes = 0;
    while from <= to {
        let entries = reader.read(from, to).await.expect("entries");
        let Some(last) = entries.last() else { break };
        from = last.position.next();
        bytes += entries.iter().map(|entry| entry.value.length()).sum::<usize>();
        assert!(!entries.iter().any(|entry| matches!(entry.value, Value::Truncate(_))));
    }
    bytes
}

fn registry(criterion: &mut Criterion) {
    let system = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("tokio");
    let _inside = system.enter();
    let runtime = orrery_runtime_real::runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let all = operations();
    let few = &all[..2_000];
    let change: usize = few.iter().map(|operation| operation.to_message().encoded_len()).sum();
    let written = system.block_on(async {
        let log = log(&runtime, &folder.path().join("sizes")).await;
        store(&runtime, &log, few).await;
        appended(&log).await
    });
    println!(
        "an operation has {:.1} bytes; {:.1} bytes are appended for it",
        change as f64 / few.len() as f64,
        written as f64 / few.len() as f64
    );
    let mut group = criterion.benchmark_group("registry");
    group.throughput(Throughput::Elements(all.len() as u64)).sample_size(10);
    let log = system.block_on(log(&runtime, &folder.path().join("log")));
    group.bench_function("store", |bencher| {
        bencher.iter(|| system.block_on(store(&runtime, &log, &all)));
    });
    group.finish();
}

criterion_group!(benches, registry);
criterion_main!(benches);
