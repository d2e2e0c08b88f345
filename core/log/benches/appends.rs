//! Appends to a log of three replicas in one process, which hand their messages to each other
//! without a network and keep what they agree upon on this disk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use orrery_log::{Log, Membership, Options, Origin, Request, Responses, Timing, Transport, Writer};
use orrery_runtime::{Address, Runtime};

/// How long an append may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Appends that are made at a time.
const BATCH: usize = 1000;

/// Length of an append, in bytes.
const LENGTH: usize = 1000;

/// The replicas, by their addresses.
type Replicas = Arc<Mutex<BTreeMap<Address, Log>>>;

/// Hands requests to the replicas themselves.
struct Direct {
    runtime: Runtime,
    own: Origin,
    replicas: Replicas,
    responses: Mutex<Option<Responses>>,
}

impl Transport for Direct {
    fn start(&self, responses: Responses) {
        *self.responses.lock().unwrap_or_else(PoisonError::into_inner) = Some(responses);
    }

    fn send(&self, to: &Address, request: Request) {
        let replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner);
        let responses = self.responses.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (Some(replica), Some(responses)) = (replicas.get(to).cloned(), responses) else {
            return;
        };
        let (runtime, from, to) = (self.runtime.clone(), self.own.clone(), to.clone());
        let exchange = self.runtime.clone();
        exchange.spawn("request", async move {
            let answer = move |response| {
                runtime.spawn("response", async move {
                    responses.deliver(to, response).await;
                });
            };
            // A replica that has ended answers nothing.
            let _ = replica.request(from, request, answer).await;
        });
    }

    fn members(&self, _: &BTreeSet<Address>) {}
}

async fn start(runtime: &Runtime, folder: &std::path::Path, count: u16) -> (Replicas, Writer) {
    let replicas = Replicas::default();
    let members: BTreeSet<_> = (1..=count).map(|port| Address::new("replica", port)).collect();
    let mut logs = BTreeMap::new();
    for address in &members {
        let options = Options {
            folder: folder.join(address.port.to_string()),
            address: address.clone(),
            quorum: members.len() / 2 + 1,
            membership: Membership::Fixed(members.clone()),
            auto_initialize: true,
            timing: Timing::default(),
        };
        let cluster = options.membership.cluster(address, options.quorum);
        let own = Origin { address: address.clone(), cluster };
        let (runtime, responses) = (runtime.clone(), Mutex::default());
        let transport = Direct { runtime, own, replicas: Arc::clone(&replicas), responses };
        let system = transport.runtime.clone();
        let log = Log::start(&system, options, Arc::new(transport)).await.expect("a replica");
        logs.insert(address.clone(), log);
    }
    replicas.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&logs);
    let first = logs.values().next().expect("a replica").clone();
    (replicas, first.writer().await.expect("a writer"))
}

fn appends(criterion: &mut Criterion) {
    let system = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("tokio");
    let _inside = system.enter();
    let runtime = orrery_runtime_real::runtime();
    let data = Bytes::from(vec![7; LENGTH]);
    for count in [1, 3] {
        let folder = tempfile::tempdir().expect("a folder");
        let (_replicas, writer) = system.block_on(start(&runtime, folder.path(), count));
        let append = || writer.append(data.clone(), LIMIT);
        let mut group = criterion.benchmark_group(format!("log of {count}"));
        group.throughput(Throughput::Elements(1)).sample_size(20);
        group.bench_function("one append at a time", |bencher| {
            bencher.iter(|| system.block_on(append()).expect("it is appended"));
        });
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function("a thousand appends", |bencher| {
            bencher.iter(|| {
                let all = futures_util::future::try_join_all((0..BATCH).map(|_| append()));
                system.block_on(all).expect("all are appended")
            });
        });
        group.finish();
    }
}

criterion_group!(benches, appends);
criterion_main!(benches);
