//! Connections between two requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Clock, Instant, Runtime};

/// Connections kept for one address. More requests at a time open more; the rest is closed after.
const KEPT_PER_ADDRESS: usize = 4;

/// Connections kept for all addresses together.
const KEPT: usize = 256;

/// Age at which a kept connection is given up. Many servers close theirs after 60 s of silence: to
/// be well before them is what keeps a request from meeting a connection that is just closing.
const KEPT_TIME: Duration = Duration::from_secs(30);

/// How long a kept connection may need to become ready. It needs longer only when its server
/// answered before it had read the request, and then it may never become ready.
const READY_TIME: Duration = Duration::from_millis(100);

/// A connection in use. Dropping it closes the connection; [`Lease::release`] keeps it.
pub(super) struct Lease {
    pub(super) sender: SendRequest<Full<Bytes>>,
    pub(super) _task: AbortOnDrop,
    pub(super) address: Address,
    pub(super) pool: Option<Arc<Pool>>,
}

impl Lease {
    /// Whether another request can go out on this connection, as far as anyone can know.
    pub(super) async fn is_usable(&mut self, runtime: &Runtime) -> bool {
        if self.sender.is_ready() {
            return true;
        }
        matches!(runtime.timeout(READY_TIME, self.sender.ready()).await, Some(Ok(())))
    }

    /// The response was read to its end: the connection is free for the next request.
    pub(super) fn release(mut self) {
        if let Some(pool) = self.pool.take() {
            pool.put(self);
        }
    }
}

struct Kept {
    lease: Lease,
    since: Instant,
}

/// The kept connections of one client, the most recently used last.
pub(super) struct Pool {
    clock: Arc<dyn Clock>,
    kept: Mutex<BTreeMap<Address, Vec<Kept>>>,
}

impl Pool {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, kept: Mutex::new(BTreeMap::new()) }
    }

    /// The connection to `address` that was used last. The pool forgets it until it is released.
    pub(super) fn take(self: &Arc<Self>, address: &Address) -> Option<Lease> {
        let mut kept = self.lock();
        self.drop_old(&mut kept);
        let connections = kept.get_mut(address)?;
        let mut lease = connections.pop()?.lease;
        if connections.is_empty() {
            kept.remove(address);
        }
        lease.pool = Some(Arc::clone(self));
        Some(lease)
    }

    fn put(&self, lease: Lease) {
        if lease.sender.is_closed() {
            return reachable!("a connection closes before it can be kept");
        }
        let mut kept = self.lock();
        self.drop_old(&mut kept);
        let total: usize = kept.values().map(Vec::len).sum();
        if total >= KEPT {
            return;
        }
        let connections = kept.entry(lease.address.clone()).or_default();
        if connections.len() < KEPT_PER_ADDRESS {
            sometimes!(!connections.is_empty(), "several connections to one address are kept");
            connections.push(Kept { lease, since: self.clock.now() });
        }
    }

    fn drop_old(&self, kept: &mut BTreeMap<Address, Vec<Kept>>) {
        let now = self.clock.now();
        kept.retain(|_, connections| {
            connections
                .retain(|kept| now.since(kept.since) < KEPT_TIME && !kept.lease.sender.is_closed());
            !connections.is_empty()
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, Vec<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
