//! The ports on tokio's paused clock and in-memory pipes: virtual time, no sockets, and a count of
//! the tasks that panicked.
#![allow(dead_code, clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use orrery_runtime::processes::{Command, ExitStatus, ProcessId, Processes, Signal, Target};
use orrery_runtime::*;
use tokio::sync::mpsc;

/// Bytes that a pipe holds in each direction.
const PIPE: usize = 16 << 10;

/// Connecting to a host of this name never completes.
pub const BLACK_HOLE: &str = "black.hole";

pub struct World {
    start: tokio::time::Instant,
    listeners: Mutex<BTreeMap<SocketAddr, mpsc::UnboundedSender<Connection>>>,
    next_port: AtomicUsize,
    pub connects: AtomicUsize,
    pub tasks: AtomicUsize,
    pub panics: AtomicUsize,
}

impl World {
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            start: tokio::time::Instant::now(),
            listeners: Mutex::default(),
            next_port: AtomicUsize::new(40_000),
            connects: AtomicUsize::new(0),
            tasks: AtomicUsize::new(0),
            panics: AtomicUsize::new(0),
        })
    }

    pub fn runtime(self: &Arc<Self>) -> Runtime {
        Runtime {
            clock: Arc::new(Ports(Arc::clone(self))),
            tasks: Arc::new(Ports(Arc::clone(self))),
            random: Arc::new(Ports(Arc::clone(self))),
            network: Arc::new(Ports(Arc::clone(self))),
            disk: Arc::new(Ports(Arc::clone(self))),
            processes: Arc::new(Ports(Arc::clone(self))),
        }
    }

    pub fn connects(&self) -> usize {
        self.connects.load(Ordering::SeqCst)
    }

    pub fn tasks(&self) -> usize {
        self.tasks.load(Ordering::SeqCst)
    }

    pub fn panics(&self) -> usize {
        self.panics.load(Ordering::SeqCst)
    }
}

/// Runs a test on a single thread with virtual time.
pub fn run<F: Future<Output = ()>>(test: impl FnOnce(Arc<World>, Runtime) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let world = World::new();
        let ports = world.runtime();
        let limit = std::time::Duration::from_secs(1_000_000);
        tokio::time::timeout(limit, test(Arc::clone(&world), ports)).await.expect("the test ends");
        assert_eq!(world.panics(), 0, "a task panicked");
    });
}

/// Lets every other task run until all of them wait.
pub async fn settle() {
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}

struct Ports(Arc<World>);

impl Clock for Ports {
    fn now(&self) -> Instant {
        Instant::from_nanoseconds(self.0.start.elapsed().as_nanos() as u64)
    }

    fn wall(&self) -> WallTime {
        let elapsed = self.0.start.elapsed().as_nanos() as i64;
        WallTime::from_nanoseconds(784_111_777_000_000_000 + elapsed)
    }

    fn sleep_until(&self, deadline: Instant) -> BoxFuture<'static, ()> {
        let duration = std::time::Duration::from_nanos(deadline.as_nanoseconds());
        Box::pin(tokio::time::sleep_until(self.0.start + duration))
    }
}

impl Tasks for Ports {
    fn spawn(&self, _: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        struct Count(Arc<World>);
        impl Drop for Count {
            fn drop(&mut self) {
                self.0.tasks.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.0.tasks.fetch_add(1, Ordering::SeqCst);
        let count = Count(Arc::clone(&self.0));
        let handle = tokio::spawn(async move {
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                count.0.panics.fetch_add(1, Ordering::SeqCst);
            }
        });
        TaskHandle::new(move || handle.abort())
    }
}

impl Random for Ports {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

impl Network for Ports {
    fn connect(&self, address: &Address) -> BoxFuture<'static, io::Result<Connection>> {
        let world = Arc::clone(&self.0);
        let address = address.clone();
        Box::pin(async move {
            if address.host == BLACK_HOLE {
                std::future::pending::<()>().await;
            }
            let to: SocketAddr = address.to_string().parse().map_err(io::Error::other)?;
            let port = world.next_port.fetch_add(1, Ordering::SeqCst) as u16;
            let from = SocketAddr::from(([127, 0, 0, 1], port));
            let (near, far) = tokio::io::duplex(PIPE);
            let far = Connection { stream: Box::new(far), local: to, peer: from };
            let listener = world.listeners.lock().expect("no panic").get(&to).cloned();
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            listener.ok_or_else(refused)?.send(far).map_err(|_| refused())?;
            world.connects.fetch_add(1, Ordering::SeqCst);
            Ok(Connection { stream: Box::new(near), local: from, peer: to })
        })
    }

    fn listen(&self, mut address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        if address.port() == 0 {
            address.set_port(self.0.next_port.fetch_add(1, Ordering::SeqCst) as u16);
        }
        let (sender, receiver) = mpsc::unbounded_channel();
        self.0.listeners.lock().expect("no panic").insert(address, sender);
        let listener: Box<dyn Listener> = Box::new(Pipes { address, receiver });
        Box::pin(std::future::ready(Ok(listener)))
    }
}

struct Pipes {
    address: SocketAddr,
    receiver: mpsc::UnboundedReceiver<Connection>,
}

impl Listener for Pipes {
    fn local_address(&self) -> SocketAddr {
        self.address
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        let closed = || io::Error::other("the world is over");
        Box::pin(async move { self.receiver.recv().await.ok_or_else(closed) })
    }
}

fn none<T: Send + 'static>() -> BoxFuture<'static, io::Result<T>> {
    Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())))
}

impl Disk for Ports {
    fn open(&self, _: &Path, _: OpenOptions) -> BoxFuture<'static, io::Result<Box<dyn File>>> {
        none()
    }
    fn rename(&self, _: &Path, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        none()
    }
    fn remove_file(&self, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        none()
    }
    fn create_directories(&self, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        none()
    }
    fn remove_directory(&self, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        none()
    }
    fn sync_directory(&self, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        none()
    }
    fn list(&self, _: &Path) -> BoxFuture<'static, io::Result<Vec<DirectoryEntry>>> {
        none()
    }
    fn metadata(&self, _: &Path) -> BoxFuture<'static, io::Result<Metadata>> {
        none()
    }
    fn symbolic_link(&self, _: &Path, _: &Path) -> BoxFuture<'static, io::Result<()>> {
        none()
    }
    fn canonicalize(&self, _: &Path) -> BoxFuture<'static, io::Result<std::path::PathBuf>> {
        none()
    }
}

impl Processes for Ports {
    fn launch(&self, _: Command) -> BoxFuture<'static, io::Result<ProcessId>> {
        none()
    }
    fn wait(&self, _: ProcessId) -> BoxFuture<'static, io::Result<ExitStatus>> {
        none()
    }
    fn signal(&self, _: Target, _: Signal) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn started(&self, _: ProcessId) -> io::Result<u64> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn adopt(&self, _: ProcessId, _: Option<u64>) -> BoxFuture<'static, io::Result<Adoption>> {
        none()
    }
    fn marked(&self, _: &str) -> BoxFuture<'static, io::Result<Vec<Marked>>> {
        none()
    }
}
