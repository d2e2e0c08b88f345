//! A replica on a disk that does nothing for a while.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use orrery_runtime::disk::{DirectoryEntry, Disk, File, Metadata, OpenOptions};
use orrery_runtime::{Address, BoxFuture, DiskLock, Runtime};
use tokio::sync::{Mutex, mpsc};

use crate::backlog::BACKLOG_MAX;
use crate::{
    Ballot, Log, Membership, Options, Origin, Position, Request, Response, Responses, Timing,
    Transport, Value, Verdict, initialize,
};

/// Payload of a write.
const LENGTH: usize = 1 << 20;

/// A disk on which nothing becomes durable while somebody holds the gate.
struct Stuck {
    disk: Arc<dyn Disk>,
    gate: Arc<Mutex<()>>,
}

struct StuckFile {
    file: Box<dyn File>,
    gate: Arc<Mutex<()>>,
}

impl Disk for Stuck {
    fn open(
        &self,
        path: &Path,
        options: OpenOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn File>>> {
        let (opening, gate) = (self.disk.open(path, options), Arc::clone(&self.gate));
        Box::pin(async move {
            let file = opening.await?;
            Ok(Box::new(StuckFile { file, gate }) as Box<dyn File>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.remove_file(path)
    }

    fn create_directories(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.create_directories(path)
    }

    fn remove_directory(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.remove_directory(path)
    }

    fn sync_directory(&self, path: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.sync_directory(path)
    }

    fn list(&self, path: &Path) -> BoxFuture<'static, io::Result<Vec<DirectoryEntry>>> {
        self.disk.list(path)
    }

    fn metadata(&self, path: &Path) -> BoxFuture<'static, io::Result<Metadata>> {
        self.disk.metadata(path)
    }

    fn symbolic_link(&self, target: &Path, link: &Path) -> BoxFuture<'static, io::Result<()>> {
        self.disk.symbolic_link(target, link)
    }

    fn lock(&self, path: &Path) -> BoxFuture<'static, io::Result<DiskLock>> {
        self.disk.lock(path)
    }

    fn canonicalize(&self, path: &Path) -> BoxFuture<'static, io::Result<PathBuf>> {
        self.disk.canonicalize(path)
    }
}

impl File for StuckFile {
    fn read_at(&self, offset: u64, length: usize) -> BoxFuture<'_, io::Result<Bytes>> {
        self.file.read_at(offset, length)
    }

    fn write_at(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        self.file.write_at(offset, data)
    }

    fn length(&self) -> BoxFuture<'_, io::Result<u64>> {
        self.file.length()
    }

    fn truncate(&self, length: u64) -> BoxFuture<'_, io::Result<()>> {
        self.file.truncate(length)
    }

    fn sync(&self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async {
            drop(self.gate.lock().await);
            self.file.sync().await
        })
    }

    fn write_and_sync(&self, offset: u64, data: Bytes) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            drop(self.gate.lock().await);
            self.file.write_and_sync(offset, data).await
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

async fn replica(folder: &Path, gate: &Arc<Mutex<()>>) -> (Runtime, Log, Origin) {
    let mut runtime = orrery_runtime_real::runtime();
    let disk = Arc::clone(&runtime.disk);
    runtime.disk = Arc::new(Stuck { disk, gate: Arc::clone(gate) });
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
    let (folder, gate) = (tempfile::tempdir().expect("a folder"), Arc::default());
    let (runtime, log, from) = replica(folder.path(), &gate).await;
    let stuck = gate.lock().await;
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
