//! Around the state machine: what carries its outputs to sockets and disk, and events to it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use core::net::SocketAddr;

use orrery_api::link;
use orrery_api::v1::scheduler::Event;
use orrery_coverage::{reachable, sometimes};
use orrery_http::body::SendError;
use orrery_http::{MediaType, StreamSender, media, recordio, wire_log};
use orrery_link::{Acceptor, LinkReceiver, LinkSender};
use orrery_master::{
    Answer, ConnectionId, Input, LinkId, Master, Output, RegistryOperation, RequestId, Ticket,
};
use orrery_runtime::machine::{Feeder, Stopped};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Generator, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::measures::Measures;
use crate::planted::PlantedBug;
use crate::registrar::Statistics;
use crate::snapshot;

/// How many bytes of events may wait for a scheduler that reads slowly. One that falls further
/// behind is disconnected; it then subscribes again and reconciles.
const EVENT_QUEUE_BYTES: usize = 64 << 20;

/// An open event stream.
struct Subscriber {
    sender: StreamSender,
    media_type: MediaType,
    /// Its `Mesos-Stream-Id`.
    stream_id: String,
    /// Notices when the peer goes away. It holds the stream open, so it must end with it.
    _watcher: AbortOnDrop,
}

/// What the HTTP side, the links and the driver share.
pub(crate) struct Shared {
    pub(crate) runtime: Runtime,
    pub(crate) feeder: Feeder<Master>,
    next_id: AtomicU64,
    generator: Mutex<Generator>,
    subscribers: Mutex<BTreeMap<ConnectionId, Subscriber>>,
    /// Ids of subscribed frameworks by `Mesos-Stream-Id`. May lag behind the machine.
    streams: Mutex<BTreeMap<String, String>>,
    links: Mutex<BTreeMap<LinkId, LinkSender<link::FromMaster>>>,
    requests: Mutex<BTreeMap<RequestId, oneshot::Sender<Answer>>>,
    changes: mpsc::UnboundedSender<(Ticket, RegistryOperation)>,
    /// Told when the machine wants to end.
    failed: Mutex<Option<oneshot::Sender<String>>>,
    registrar: Statistics,
    measures: Measures,
}

impl Shared {
    pub(crate) fn new(
        runtime: Runtime,
        feeder: Feeder<Master>,
        changes: mpsc::UnboundedSender<(Ticket, RegistryOperation)>,
        failed: oneshot::Sender<String>,
        registrar: Statistics,
        measures: Measures,
    ) -> Arc<Self> {
        let generator = Mutex::new(runtime.random.generator());
        Arc::new(Self {
            runtime,
            feeder,
            next_id: AtomicU64::new(1),
            generator,
            subscribers: Mutex::default(),
            streams: Mutex::default(),
            links: Mutex::default(),
            requests: Mutex::default(),
            changes,
            failed: Mutex::new(Some(failed)),
            registrar,
            measures,
        })
    }

    /// All metrics of this master.
    pub(crate) async fn metrics(&self) -> Result<BTreeMap<String, f64>, Stopped> {
        let now = self.runtime.now();
        let mut all = self.feeder.inspect(move |master| snapshot::metrics(master, now)).await?;
        self.registrar.add_metrics(&mut all);
        self.measures.add_metrics(&mut all).await;
        Ok(all)
    }

    fn next_id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// A new `Mesos-Stream-Id`.
    pub(crate) fn new_stream_id(&self) -> String {
        lock(&self.generator).uuid_text()
    }

    /// Opens an event stream and watches for its end.
    pub(crate) fn open_stream(
        self: &Arc<Self>,
        media_type: MediaType,
        stream_id: &str,
    ) -> (ConnectionId, orrery_http::Body) {
        let connection = ConnectionId(self.next_id());
        let (sender, body) = orrery_http::body::channel(EVENT_QUEUE_BYTES);
        let watched = sender.clone();
        let shared = Arc::downgrade(self);
        // The watcher waits for this, so that it can only find the stream in the table.
        let (opened, is_open) = oneshot::channel::<()>();
        let watcher = self.runtime.spawn("subscriber watcher", async move {
            let _ = is_open.await;
            watched.closed().await;
            if let Some(shared) = shared.upgrade() {
                shared.subscriber_gone(connection).await;
            }
        });
        let (stream_id, _watcher) = (stream_id.to_owned(), watcher.abort_on_drop());
        let subscriber = Subscriber { sender, media_type, stream_id, _watcher };
        lock(&self.subscribers).insert(connection, subscriber);
        let _ = opened.send(());
        (connection, body)
    }

    /// Whether `stream_id` is that of the open event stream of the framework `framework_id`.
    pub(crate) fn is_subscribed(&self, stream_id: &str, framework_id: &str) -> bool {
        lock(&self.streams).get(stream_id).is_some_and(|id| id == framework_id)
    }

    /// The peer went away, or could not keep up.
    async fn subscriber_gone(&self, connection: ConnectionId) {
        // First, so that calls which come from now on are judged by the machine.
        if let Some(subscriber) = lock(&self.subscribers).get(&connection) {
            lock(&self.streams).remove(&subscriber.stream_id);
        }
        // A stopping master needs no inputs any more.
        let _ = self.feeder.feed(Input::SubscriberGone { connection }).await;
        // Last, because this ends the watcher, which may be who is calling.
        self.forget_subscriber(connection);
    }

    fn forget_subscriber(&self, connection: ConnectionId) {
        let subscriber = lock(&self.subscribers).remove(&connection);
        if let Some(subscriber) = subscriber {
            lock(&self.streams).remove(&subscriber.stream_id);
        }
    }

    /// Feeds the input that `make` builds and waits for the machine's answer.
    pub(crate) async fn ask(&self, make: impl FnOnce(RequestId) -> Input) -> Option<Answer> {
        let request = RequestId(self.next_id());
        let (sender, receiver) = oneshot::channel();
        lock(&self.requests).insert(request, sender);
        if self.feeder.feed(make(request)).await.is_err() {
            lock(&self.requests).remove(&request);
            return None;
        }
        receiver.await.ok()
    }

    /// Carries out what the machine wants done. Never waits.
    pub(crate) fn carry(self: &Arc<Self>, output: Output) -> ControlFlow<()> {
        match output {
            Output::Event { connection, event } => self.send_event(connection, &event),
            Output::CloseConnection { connection } => {
                self.forget_subscriber(connection);
            }
            Output::Reply { request, answer } => {
                if let Some(sender) = lock(&self.requests).remove(&request) {
                    // Whoever asked may have gone meanwhile.
                    let _ = sender.send(answer);
                }
            }
            Output::ToAgent { link, body } => self.send_to_agent(link, *body),
            Output::CloseLink { link } => {
                if let Some(sender) = lock(&self.links).remove(&link) {
                    sender.close();
                }
            }
            Output::Fail { reason } => {
                if let Some(failed) = lock(&self.failed).take() {
                    // Nobody listens when the term is ending anyhow.
                    let _ = failed.send(reason);
                }
                return ControlFlow::Break(());
            }
            Output::Store { ticket, operation } => {
                if self.changes.send((ticket, operation)).is_err() {
                    tracing::error!("the registry does not take changes any more");
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Ends the term: closes every stream and link, and gives up every request.
    pub(crate) fn end(&self) {
        lock(&self.streams).clear();
        let subscribers = std::mem::take(&mut *lock(&self.subscribers));
        let requests = std::mem::take(&mut *lock(&self.requests));
        let links = std::mem::take(&mut *lock(&self.links));
        // Outside the locks, because each closes something.
        drop((subscribers, requests));
        links.into_values().for_each(|sender| sender.close());
    }

    fn send_event(self: &Arc<Self>, connection: ConnectionId, event: &Event) {
        let subscribers = lock(&self.subscribers);
        let Some(subscriber) = subscribers.get(&connection) else { return };
        wire_log::sent(&subscriber.stream_id, event);
        if let Some(subscribed) = &event.subscribed {
            let framework_id = subscribed.framework_id.value.clone();
            lock(&self.streams).insert(subscriber.stream_id.clone(), framework_id);
        }
        let record = recordio::encode(&media::encode(subscriber.media_type, event));
        if let Err(error) = subscriber.sender.try_send(record) {
            reachable!("a subscriber is given up");
            sometimes!(
                error == SendError::Full,
                "a subscriber is given up because it reads too slowly"
            );
            tracing::warn!(connection = connection.0, %error, "event stream given up");
            drop(subscribers);
            let shared = Arc::clone(self);
            self.runtime.spawn("subscriber given up", async move {
                shared.subscriber_gone(connection).await;
            });
        }
    }

    fn send_to_agent(&self, link: LinkId, body: link::from_master::Body) {
        let first = matches!(body, link::from_master::Body::Registered(_));
        if first && PlantedBug::FirstMessageIsLost.is_planted() {
            return;
        }
        let mut links = lock(&self.links);
        let Some(sender) = links.get(&link) else { return };
        let message = link::FromMaster { body: Some(body), ..Default::default() };
        if let Err(error) = sender.try_send(message) {
            reachable!("an agent's link is given up");
            tracing::warn!(link = link.0, %error, "link given up");
            sender.close();
            links.remove(&link);
        }
    }

    async fn serve_link(
        self: Arc<Self>,
        link: LinkId,
        mut receiver: LinkReceiver<link::FromAgent>,
    ) {
        while let Some(message) = receiver.receive().await {
            let Some(body) = message.body else { continue };
            if self.feeder.feed(Input::AgentMessage { link, body: Box::new(body) }).await.is_err() {
                return;
            }
        }
        lock(&self.links).remove(&link);
        // A stopping master needs no inputs any more.
        let _ = self.feeder.feed(Input::LinkClosed { link }).await;
    }
}

/// Takes links from agents.
pub(crate) struct Links(pub(crate) Arc<Shared>);

impl Acceptor for Links {
    fn accept(
        &self,
        peer: SocketAddr,
        sender: LinkSender<link::FromMaster>,
        receiver: LinkReceiver<link::FromAgent>,
    ) {
        let link = LinkId(self.0.next_id());
        tracing::debug!(link = link.0, %peer, "link opened");
        lock(&self.0.links).insert(link, sender);
        let shared = Arc::clone(&self.0);
        self.0.runtime.spawn("agent link", shared.serve_link(link, receiver));
    }
}

/// The tables hold plain data, which a panic elsewhere cannot leave half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
