//! The executor's side of the wire: one stream of events, calls beside it one after the other, and
//! what the agent has not acknowledged yet.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use orrery_api::protobuf;
use orrery_api::v1;
use orrery_api::v1::executor::{Call, Event, call, event};
use orrery_executor::Settings;
use orrery_http::recordio::Decoder;
use orrery_http::{Client, MediaType, ResponseBody, limits, wire_log};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};
use tokio::sync::mpsc;

use super::Heard;

/// How long the agent has for an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// The pause before a call that got no answer is sent again.
const RETRY: Duration = Duration::from_millis(500);

/// What traces call the wire between agents and executors.
const CHANNEL: &str = "executor";

/// Tasks and updates that the agent may not know of.
#[derive(Debug, Default)]
pub(crate) struct Unacknowledged {
    /// Tasks of which no update was acknowledged.
    pub(crate) tasks: Vec<v1::TaskInfo>,
    updates: Vec<call::Update>,
}

impl Unacknowledged {
    /// Whether the agent has taken all updates.
    pub(crate) fn is_empty(&self) -> bool {
        self.updates.is_empty()
    }

    /// Keeps an update, and gives the call that carries it.
    pub(crate) fn add(&mut self, settings: &Settings, status: v1::TaskStatus) -> Call {
        let update = call::Update { status };
        self.updates.push(update.clone());
        Call { update: Some(update), ..call(settings, call::Type::Update) }
    }

    /// The call that opens a connection.
    pub(crate) fn subscribe(&self, settings: &Settings) -> Call {
        let subscribe = call::Subscribe {
            unacknowledged_tasks: self.tasks.clone(),
            unacknowledged_updates: self.updates.clone(),
        };
        Call { subscribe: Some(subscribe), ..call(settings, call::Type::Subscribe) }
    }

    /// The agent has taken an update.
    pub(crate) fn acknowledged(&mut self, acknowledged: &event::Acknowledged) {
        let is_it = |update: &call::Update| update.status.uuid.as_ref() == Some(&acknowledged.uuid);
        self.updates.retain(|update| !is_it(update));
        self.tasks.retain(|task| task.task_id != acknowledged.task_id);
    }
}

fn call(settings: &Settings, kind: call::Type) -> Call {
    Call {
        executor_id: v1::ExecutorId { value: settings.executor_id.clone() },
        framework_id: v1::FrameworkId { value: settings.framework_id.clone() },
        r#type: Some(kind as i32),
        ..Call::default()
    }
}

/// Where the agent is.
#[derive(Clone)]
pub(crate) struct Endpoint {
    agent: Address,
    client: Client,
    runtime: Runtime,
}

/// An open connection, or one that is being opened: dropping it ends it.
pub(crate) struct Connection {
    calls: mpsc::UnboundedSender<Call>,
    _task: AbortOnDrop,
}

impl Connection {
    /// Sends a call after those before it. One on a connection that is over comes to nothing.
    pub(crate) fn send(&self, call: Call) {
        let _ = self.calls.send(call);
    }
}

impl Endpoint {
    pub(crate) fn new(runtime: &Runtime, settings: &Settings) -> Self {
        let client = Client::new(runtime.clone());
        Self { agent: settings.agent.clone(), client, runtime: runtime.clone() }
    }

    /// Subscribes with `subscribe`; what then comes goes to `inbox`.
    pub(crate) fn connect(
        &self,
        runtime: &Runtime,
        subscribe: Call,
        inbox: mpsc::UnboundedSender<Heard>,
    ) -> Connection {
        let (calls, queue) = mpsc::unbounded_channel();
        let endpoint = self.clone();
        let task = runtime.spawn("agent connection", async move {
            let end = match endpoint.subscribe(&subscribe).await {
                Ok(stream) => tokio::select! {
                    biased;
                    () = hear(stream, &inbox) => Heard::Broken,
                    never = endpoint.send_all(queue) => match never {},
                },
                Err(end) => end,
            };
            // Nobody listens once the executor has ended.
            let _ = inbox.send(end);
        });
        Connection { calls, _task: task.abort_on_drop() }
    }

    async fn subscribe(&self, call: &Call) -> Result<ResponseBody, Heard> {
        let request = request(call).map_err(|_| Heard::Refused)?;
        wire_log::sent(CHANNEL, call);
        let answer = self.client.stream(&self.agent, request);
        let answer = match self.runtime.timeout(ANSWER, answer).await {
            Some(Ok(answer)) => answer,
            Some(Err(_)) | None => return Err(Heard::Broken),
        };
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status if status.is_client_error() => Err(Heard::Refused),
            _ => Err(Heard::Broken),
        }
    }

    async fn send_all(&self, mut queue: mpsc::UnboundedReceiver<Call>) -> Infallible {
        while let Some(call) = queue.recv().await {
            while !self.send(&call).await {
                self.runtime.sleep(RETRY).await;
            }
        }
        std::future::pending().await
    }

    /// Sends one call; false when it is worth another try.
    async fn send(&self, call: &Call) -> bool {
        let Ok(request) = request(call) else { return true };
        wire_log::sent(CHANNEL, call);
        let answer = self.client.send(&self.agent, request);
        let Some(Ok(answer)) = self.runtime.timeout(ANSWER, answer).await else { return false };
        !is_server_error(answer, &self.runtime).await
    }
}

/// Reads an answer to its end, which leaves its connection open for the next call.
async fn is_server_error(answer: Response<ResponseBody>, runtime: &Runtime) -> bool {
    let status = answer.status();
    let _ = runtime.timeout(ANSWER, answer.into_body().collect(limits::BODY)).await;
    status.is_server_error()
}

fn request(call: &Call) -> Result<Request<Bytes>, http::Error> {
    Request::post("/api/v1/executor")
        .header(CONTENT_TYPE, MediaType::Protobuf.header_value())
        .header(ACCEPT, MediaType::Protobuf.header_value())
        .body(protobuf::encode(call).into())
}

/// Passes events on until the stream is over.
async fn hear(mut stream: ResponseBody, inbox: &mpsc::UnboundedSender<Heard>) {
    let mut decoder = Decoder::new(limits::BODY);
    while let Some(Ok(piece)) = stream.next().await {
        decoder.push(&piece);
        while let Ok(Some(record)) = decoder.next() {
            let Ok(event) = protobuf::decode::<Event>(&record) else { return };
            wire_log::received(CHANNEL, &event);
            let _ = inbox.send(Heard::Event(Box::new(event)));
        }
    }
}
