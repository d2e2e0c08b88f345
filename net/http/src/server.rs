//! The server: accepts connections and keeps them as tasks of its own.
//!
//! Accepting, and finding out what a connection begins with, is done by prompt tasks. Then a task
//! of the other kind takes the connection over, unless it begins with a question whose answer must
//! not wait for all that thousands of other connections may have to say at the moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use orrery_coverage::{reachable, sometimes};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Connection, Listener, Runtime};
use tokio::sync::mpsc;

use crate::connection::{self, Recognised};
use crate::{Service, limits};

/// Pause after a failed accept, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Answers HTTP/1.1 and HTTP/2 on `listener` for ever. Dropping the future closes the listener and
/// every connection. It is best run as a prompt task ([`Runtime::prompt`]); `runtime` itself is
/// where the connections run.
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
            Some(event) = connections.events.recv() => connections.take(event),
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

/// What happens to a connection.
enum Event {
    /// It is known what it begins with.
    Recognised(Box<Recognised>),
    /// Its task has ended.
    Ended,
}

/// The open connections of one server.
struct Connections {
    runtime: Runtime,
    prompt: Runtime,
    service: Arc<dyn Service>,
    next: u64,
    tasks: BTreeMap<u64, AbortOnDrop>,
    /// By the number of the connection. Holds at most two for each.
    events: mpsc::UnboundedReceiver<(u64, Event)>,
    sender: mpsc::UnboundedSender<(u64, Event)>,
}

impl Connections {
    fn new(runtime: Runtime, service: Arc<dyn Service>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let prompt = runtime.prompt();
        Self { runtime, prompt, service, next: 0, tasks: BTreeMap::new(), events, sender }
    }

    fn add(&mut self, connection: Connection) {
        let number = self.next;
        self.next += 1;
        let mut report = self.report(number);
        let recognising = connection::recognise(self.prompt.clone(), connection);
        let task = self.prompt.spawn("new http connection", async move {
            if let Some(recognised) = recognising.await {
                report.set(Event::Recognised(Box::new(recognised)));
            }
        });
        self.tasks.insert(number, task.abort_on_drop());
    }

    fn take(&mut self, (number, event): (u64, Event)) {
        match event {
            Event::Recognised(connection) => self.run(number, *connection),
            Event::Ended => drop(self.tasks.remove(&number)),
        }
    }

    fn run(&mut self, number: u64, connection: Recognised) {
        let report = self.report(number);
        let prompt = connection.path().is_some_and(|path| self.service.is_prompt(path));
        let runtime = if prompt { &self.prompt } else { &self.runtime };
        let run = connection::run(runtime.clone(), connection, Arc::clone(&self.service));
        let task = runtime.spawn("http connection", async move {
            let _report = report;
            run.await;
        });
        self.tasks.insert(number, task.abort_on_drop());
    }

    fn report(&self, number: u64) -> Report {
        Report { number, event: Event::Ended, sender: self.sender.clone() }
    }
}

/// Reports what a connection's task has come to, however it ends.
struct Report {
    number: u64,
    event: Event,
    sender: mpsc::UnboundedSender<(u64, Event)>,
}

impl Report {
    fn set(&mut self, event: Event) {
        self.event = event;
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let event = std::mem::replace(&mut self.event, Event::Ended);
        // Nobody listens once the server itself was dropped.
        let _ = self.sender.send((self.number, event));
    }
}
