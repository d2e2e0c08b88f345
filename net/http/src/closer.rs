//! Ending a connection from inside one of its requests.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orrery_runtime::Runtime;
use tokio::sync::oneshot;

/// Ends the connection that a request came on; stands in each request's extensions. Without it, a
/// long-lived stream to a host that died would stay until the network gives up on it.
#[derive(Clone, Debug)]
pub struct Closer(Arc<Mutex<Option<oneshot::Sender<Duration>>>>);

impl Closer {
    /// Lets the connection finish what it can, and cuts it once `time` has passed. Without effect
    /// after the first call.
    pub fn close_within(&self, time: Duration) {
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(sender) = sender {
            // Nobody listens when the connection has ended by itself.
            let _ = sender.send(time);
        }
    }
}

/// A closer, and the future that completes when the time that it was given has passed. Whoever
/// drives the connection waits for that future beside it.
pub fn closer(runtime: Runtime) -> (Closer, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = oneshot::channel();
    let closed = async move {
        match receiver.await {
            Ok(time) => runtime.sleep(time).await,
            // Nobody can close it any more.
            Err(_) => std::future::pending().await,
        }
    };
    (Closer(Arc::new(Mutex::new(Some(sender)))), closed)
}
