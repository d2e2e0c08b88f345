//! The server: accepts connections and keeps them as tasks of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orrery_coverage::{reachable, sometimes};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Connection, Listener, Runtime};
use tokio::sync::mpsc;

use crate::{Service, connection, limits};

/// Pause after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Answers HTTP/1.1 and HTTP/2 on `listener` for ever. Dropping the future closes the listener and
/// every connection.
pub async fn serve(runtime: Runtime, listener: Box<dyn Listener>, service: Arc<dyn Service>) {
    serve_up_to(limits::CONNECTIONS, runtime, listener, service).await;
}

/// As [`serve`], with at most `connections_max` connections at a time; further ones wait until one
/// has ended.
pub async fn serve_up_to(
    connections_max: usize,
    runtime: Runtime,
    mut listener: Box<dyn Listener>,
    service: Arc<dyn Service>,
) {
    let mut connections = Connections::new(runtime.clone(), service);
    loop {
        let open = connections.tasks.len();
        sometimes!(open >= connections_max, "a server has as many connections as it takes");
        tokio::select! {
            biased;
            ended = connections.ended.recv() => connections.remove(ended),
            accepted = listener.accept(), if open < connections_max => match accepted {
                Ok(connection) => connections.add(connection),
                Err(error) => {
                    reachable!("a server cannot accept a connection");
                    tracing::warn!(%error, address = %listener.local_address(), "accept failed");
                    runtime.sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// The open connections of one server.
struct Connections {
    runtime: Runtime,
    service: Arc<dyn Service>,
    next: u64,
    tasks: BTreeMap<u64, AbortOnDrop>,
    /// Numbers of connections that have ended; holds no more than there are connections.
    ended: mpsc::UnboundedReceiver<u64>,
    end: mpsc::UnboundedSender<u64>,
}

impl Connections {
    fn new(runtime: Runtime, service: Arc<dyn Service>) -> Self {
        let (end, ended) = mpsc::unbounded_channel();
        Self { runtime, service, next: 0, tasks: BTreeMap::new(), ended, end }
    }

    fn add(&mut self, connection: Connection) {
        let number = self.next;
        self.next += 1;
        let end = End { number, sender: self.end.clone() };
        let run = connection::run(self.runtime.clone(), connection, Arc::clone(&self.service));
        let task = self.runtime.spawn("http connection", async move {
            let _end = end;
            run.await;
        });
        self.tasks.insert(number, task.abort_on_drop());
    }

    fn remove(&mut self, number: Option<u64>) {
        if let Some(number) = number {
            self.tasks.remove(&number);
        }
    }
}

/// Reports the end of a connection's task, however it ends.
struct End {
    number: u64,
    sender: mpsc::UnboundedSender<u64>,
}

impl Drop for End {
    fn drop(&mut self) {
        // Nobody listens once the server itself was dropped.
        let _ = self.sender.send(self.number);
    }
}
