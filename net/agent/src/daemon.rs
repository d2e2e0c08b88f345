//! Around the state machine: what carries its outputs to sockets and processes, and events to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orrery_agent::{Agent, ConnectionNumber, Input, Output, RequestNumber};
use orrery_api::v1::executor::{Event, event};
use orrery_coverage::reachable;
use orrery_detector::Detector;
use orrery_http::{Body, MediaType, StreamSender, media, recordio, wire_log};
use orrery_runtime::Runtime;
use orrery_runtime::machine::Feeder;
use orrery_runtime::tasks::AbortOnDrop;
use tokio::sync::oneshot;

use crate::Options;
use crate::checkpoints::Checkpoints;
use crate::link::Link;

/// How many bytes of events may wait for an executor that reads slowly. One that falls further
/// behind is disconnected and may subscribe again.
const EVENT_QUEUE_BYTES: usize = 64 << 20;

/// How often an executor hears a HEARTBEAT, so that no middle box takes its stream for dead.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30 * 60);

/// The machine's answer to an executor's call: HTTP status and text.
pub(crate) type Answer = (u16, String);

/// An open event stream.
struct Subscriber {
    sender: StreamSender,
    media_type: MediaType,
    /// Sends heartbeats and notices when the peer goes away. It holds the stream open, so it must
    /// end with it.
    _keeper: AbortOnDrop,
}

/// What the HTTP side, the link and the driver share.
pub(crate) struct Shared {
    pub(crate) runtime: Runtime,
    pub(crate) feeder: Feeder<Agent>,
    pub(crate) options: Options,
    pub(crate) files: orrery_endpoints::Files,
    pub(crate) detector: Detector,
    pub(crate) link: Mutex<Option<Link>>,
    next_number: AtomicU64,
    subscribers: Mutex<BTreeMap<ConnectionNumber, Subscriber>>,
    requests: Mutex<BTreeMap<RequestNumber, oneshot::Sender<Answer>>>,
    pub(crate) checkpoints: Checkpoints,
}

impl Shared {
    pub(crate) fn new(
        runtime: Runtime,
        feeder: Feeder<Agent>,
        options: Options,
        checkpoints: Checkpoints,
    ) -> Arc<Self> {
        let files = orrery_endpoints::Files::new(Arc::clone(&runtime.disk));
        let (masters, session_timeout) = (options.masters.clone(), options.zk_session_timeout);
        let detector = Detector::with_session_timeout(runtime.clone(), masters, session_timeout);
        Arc::new(Self {
            runtime,
            feeder,
            options,
            files,
            detector,
            link: Mutex::default(),
            next_number: AtomicU64::new(1),
            subscribers: Mutex::default(),
            requests: Mutex::default(),
            checkpoints,
        })
    }

    fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// Feeds the input that `make` builds and waits for the machine's answer; `None` when it gives
    /// none because it is stopping.
    pub(crate) async fn ask(&self, make: impl FnOnce(RequestNumber) -> Input) -> Option<Answer> {
        let request = self.next_number();
        let (sender, receiver) = oneshot::channel();
        lock(&self.requests).insert(request, sender);
        if self.feeder.feed(make(request)).await.is_err() {
            lock(&self.requests).remove(&request);
            return None;
        }
        receiver.await.ok()
    }

    /// Feeds from where nobody may wait.
    pub(crate) fn feed_later(&self, input: Input) {
        let feeder = self.feeder.clone();
        self.runtime.spawn("agent input", async move {
            // A stopping agent needs no inputs any more.
            let _ = feeder.feed(input).await;
        });
    }

    /// Opens an event stream, keeps it alive and watches for its end.
    pub(crate) fn open_stream(self: &Arc<Self>, media_type: MediaType) -> (ConnectionNumber, Body) {
        let connection = self.next_number();
        let (sender, body) = orrery_http::body::channel(EVENT_QUEUE_BYTES);
        let watched = sender.clone();
        let shared = Arc::downgrade(self);
        let runtime = self.runtime.clone();
        // The keeper waits for this, so that it can only find the stream in the table.
        let (opened, is_open) = oneshot::channel::<()>();
        let keeper = self.runtime.spawn("executor stream", async move {
            let _ = is_open.await;
            while runtime.timeout(HEARTBEAT_INTERVAL, watched.closed()).await.is_none() {
                let Some(shared) = shared.upgrade() else {
                    return;
                };
                reachable!("an executor hears a heartbeat");
                shared.send_event(connection, &heartbeat());
            }
            if let Some(shared) = shared.upgrade() {
                shared.close_stream(connection);
            }
        });
        let subscriber = Subscriber { sender, media_type, _keeper: keeper.abort_on_drop() };
        lock(&self.subscribers).insert(connection, subscriber);
        let _ = opened.send(());
        (connection, body)
    }

    /// Ends an event stream and tells the machine.
    pub(crate) fn close_stream(&self, connection: ConnectionNumber) {
        self.feed_later(Input::ExecutorDisconnected { connection });
        // Last, because this ends the keeper, which may be who is calling.
        drop(lock(&self.subscribers).remove(&connection));
    }

    /// Carries out what the machine wants done, once nothing stands before it. Never waits.
    pub(crate) fn perform(self: &Arc<Self>, output: Output) {
        match output {
            Output::Connect { link } => Link::open(self, link),
            Output::Disconnect { link } => self.close_link(link),
            Output::ToMaster(body) => self.send_to_master(*body),
            Output::Launch(launch) => self.launch(*launch),
            Output::Destroy { container, process } => self.destroy(container, process),
            Output::ExecutorEvent { connection, event } => self.send_event(connection, &event),
            Output::CloseConnection { connection } => {
                drop(lock(&self.subscribers).remove(&connection));
            }
            Output::Reply { request, status, text } => {
                if let Some(sender) = lock(&self.requests).remove(&request) {
                    // Whoever asked may have gone meanwhile.
                    let _ = sender.send((status, text));
                }
            }
            // For these there is [`Shared::carry_waiting`].
            Output::Checkpoint(_)
            | Output::Admitted { .. }
            | Output::Readmitted { .. }
            | Output::Forget
            | Output::Stop { .. } => {}
        }
    }

    fn send_event(&self, connection: ConnectionNumber, event: &Event) {
        let subscribers = lock(&self.subscribers);
        let Some(subscriber) = subscribers.get(&connection) else {
            return;
        };
        wire_log::sent("executor", event);
        let record = recordio::encode(&media::encode(subscriber.media_type, event));
        let sent = subscriber.sender.try_send(record);
        drop(subscribers);
        if let Err(error) = sent {
            reachable!("an executor's stream is given up");
            tracing::warn!(connection, %error, "executor stream given up");
            self.close_stream(connection);
        }
    }

    /// Ends what the machine leaves open.
    pub(crate) fn finish(&self) {
        lock(&self.subscribers).clear();
        lock(&self.requests).clear();
        if let Some(link) = lock(&self.link).take() {
            link.close();
        }
    }
}

fn heartbeat() -> Event {
    Event { r#type: Some(event::Type::Heartbeat as i32), ..Default::default() }
}

/// The tables hold plain data, which a panic elsewhere cannot leave half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
