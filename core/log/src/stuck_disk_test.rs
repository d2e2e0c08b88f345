//! A replica on a disk that does nothing for a while.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use orrery_runtime::disk::{Around, AroundSync};
use orrery_runtime::{Address, BoxFuture, Runtime};
use tokio::sync::{Mutex, mpsc};

use crate::backlog::BACKLOG_MAX;
use crate::{
    Ballot, Log, Membership, Options, Origin, Position, Request, Response, Responses, Timing,
    Transport, Value, Verdict, initialize,
};

/// Payload of a write.
const LENGTH: usize = 1 << 20;

/// Nothing becomes durable while somebody holds this.
#[derive(Default)]
struct Gate(Mutex<()>);

impl AroundSync for Gate {
    fn around<'a>(
        &'a self,
        _: &'a Path,
        _: Option<&Bytes>,
        sync: BoxFuture<'a, io::Result<()>>,
    ) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            drop(self.0.lock().await);
            sync.await
        })
    }
}

/// Carries nothing.
struct Nowhere;

impl Transport for Nowhere {
    fn start(&self, _: Responses) {}

    fn send(&self, _: &Address, _: Request) {}

    fn members(&self, _: &BTreeSet<Address>) {}
}

/// Counts what waits for an answer.
struct Waits(Arc<AtomicUsize>);

impl Waits {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn address(number: u16) -> Address {
    Address::new("replica", number)
}

async fn replica(folder: &Path, gate: &Arc<Gate>) -> (Runtime, Log, Origin) {
    let mut runtime = orrery_runtime_real::runtime();
    let disk = Arc::clone(&runtime.disk);
    runtime.disk = Arc::new(Around::new(disk, Arc::clone(gate)));
    initialize(&runtime, folder, false).await.expect("it is initialised");
    let members: BTreeSet<_> = (1..=3).map(address).collect();
    let options = Options {
        folder: folder.to_owned(),
        address: address(1),
        quorum: 2,
        membership: Membership::Fixed(members.clone()),
        auto_initialize: false,
        timing: Timing::default(),
    };
    let cluster = options.membership.cluster(&address(2), 2);
    let log = Log::start(&runtime, options, Arc::new(Nowhere)).await.expect("it starts");
    (runtime, log, Origin { address: address(2), cluster })
}

#[tokio::test]
async fn what_waits_for_a_stuck_disk_is_bounded_and_answered_afterwards() {
    let (folder, gate) = (tempfile::tempdir().expect("a folder"), Arc::<Gate>::default());
    let (runtime, log, from) = replica(folder.path(), &gate).await;
    let stuck = gate.0.lock().await;
    let (waiting, (sender, mut answers)) = (Arc::default(), mpsc::unbounded_channel());
    let ask = async |position: u64| {
        let ballot = Ballot { round: 1, proposer: 2 };
        let data = Bytes::from(vec![position as u8; LENGTH]);
        let (values, learned) = (vec![Value::Append(data)], Position::ZERO);
        let request = Request::Write { ballot, first: Position(position), values, learned };
        let (waits, sender) = (Waits::new(&waiting), sender.clone());
        let answer = move |response| {
            drop(waits);
            sender.send(response).expect("the test listens");
        };
        log.request(from.clone(), request, answer).await.expect("it runs");
        // The machine has taken it.
        log.status().await.expect("it runs")
    };
    let kept = BACKLOG_MAX / LENGTH;
    for position in 1..=3 * kept as u64 {
        ask(position).await;
    }
    let count = waiting.load(Ordering::Relaxed);
    assert!((kept - 2..=kept).contains(&count), "{count} answers wait");
    assert!(answers.try_recv().is_err(), "nothing is durable");
    drop(stuck);
    let limit = Duration::from_secs(30);
    for _ in 0..count {
        let answer = runtime.timeout(limit, answers.recv()).await.expect("it is answered");
        let Some(Response::Written { verdict, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(verdict, Verdict::Accepted);
    }
    // What was dropped left nothing behind, and is taken when it comes again.
    ask(count as u64 + 1).await;
    let again = runtime.timeout(limit, answers.recv()).await.expect("it is answered");
    assert!(matches!(again, Some(Response::Written { verdict: Verdict::Accepted, .. })));
    assert_eq!(log.status().await.expect("it runs").missing, count as u64 + 1);
}
