//! A master whose answers a test chooses, over real sockets.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use orrery_api::v1;
use orrery_api::v1::scheduler::{Call, Event as Message, call, event};
use orrery_http::{MediaType, Request, Response, StreamSender, body, media, recordio, respond};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};
use orrery_scheduler::{Context, Event, Framework};
use tokio::sync::mpsc;

/// How the master answers one call.
pub enum Reply {
    /// Opens an event stream with this id, beginning with these events.
    Stream(&'static str, Vec<Message>),
    /// 202
    Accepted,
    /// Any other status, with its text.
    Status(u16, &'static str),
    /// 307 to another master.
    Redirect(Address),
}

/// A call as the master got it.
pub struct Received {
    pub call: Call,
    pub stream_id: Option<String>,
    pub media_type: MediaType,
}

/// A running master.
pub struct Master {
    pub address: Address,
    pub calls: mpsc::UnboundedReceiver<Received>,
    /// The open end of each event stream.
    pub streams: mpsc::UnboundedReceiver<StreamSender>,
    _server: AbortOnDrop,
}

type Answer = dyn Fn(&Call) -> Reply + Send + Sync;

impl Master {
    pub async fn start(
        runtime: &Runtime,
        answer: impl Fn(&Call) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = runtime.network.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
        let address = Address::from(listener.local_address());
        let (calls_sender, calls) = mpsc::unbounded_channel();
        let (streams_sender, streams) = mpsc::unbounded_channel();
        let answer: Arc<Answer> = Arc::new(answer);
        let service = orrery_http::service_fn(move |request| {
            serve(request, answer.clone(), calls_sender.clone(), streams_sender.clone())
        });
        let serve = orrery_http::serve(runtime.clone(), listener, service);
        let server = runtime.spawn("master", serve).abort_on_drop();
        Self { address, calls, streams, _server: server }
    }

    /// The next call, which must be of this kind.
    pub async fn expect(&mut self, kind: call::Type) -> Received {
        let received = self.calls.recv().await.unwrap();
        assert_eq!(received.call.r#type(), kind);
        received
    }
}

async fn serve(
    request: Request,
    answer: Arc<Answer>,
    calls: mpsc::UnboundedSender<Received>,
    streams: mpsc::UnboundedSender<StreamSender>,
) -> Response {
    assert_eq!(request.uri().path(), "/api/v1/scheduler");
    let media_type = media::content_type(request.headers()).unwrap();
    let stream_id = request.headers().get("mesos-stream-id");
    let stream_id = stream_id.map(|id| id.to_str().unwrap().to_owned());
    let bytes = request.into_body().collect(1 << 20).await.unwrap();
    let call: Call = media::decode(media_type, &bytes).unwrap();
    let reply = answer(&call);
    let _ = calls.send(Received { call, stream_id, media_type });
    match reply {
        Reply::Accepted => respond::empty(StatusCode::ACCEPTED),
        Reply::Status(status, text) => respond::text(StatusCode::from_u16(status).unwrap(), text),
        Reply::Redirect(address) => {
            let mut response = respond::empty(StatusCode::TEMPORARY_REDIRECT);
            let location = format!("//{address}/api/v1/scheduler");
            response.headers_mut().insert("location", location.try_into().unwrap());
            response
        }
        Reply::Stream(id, events) => {
            let (sender, body) = body::channel(1 << 20);
            for event in events {
                sender.try_send(record(media_type, &event)).unwrap();
            }
            let _ = streams.send(sender);
            let mut response = Response::new(body);
            let headers = response.headers_mut();
            headers.insert("mesos-stream-id", HeaderValue::from_static(id));
            headers.insert("content-type", media_type.header_value());
            response
        }
    }
}

/// One event as it stands in the stream.
pub fn record(media_type: MediaType, event: &Message) -> Bytes {
    recordio::encode(&media::encode(media_type, event))
}

pub fn subscribed() -> Message {
    Message {
        r#type: Some(event::Type::Subscribed as i32),
        subscribed: Some(event::Subscribed {
            framework_id: v1::FrameworkId { value: "F".to_owned() },
            heartbeat_interval_seconds: Some(15.0),
            master_info: None,
        }),
        ..Default::default()
    }
}

pub fn update(task_id: &str, uuid: u8) -> Message {
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: task_id.to_owned() },
        state: v1::TaskState::TaskRunning as i32,
        agent_id: Some(v1::AgentId { value: "S".to_owned() }),
        uuid: Some(Bytes::from(vec![uuid; 16])),
        ..Default::default()
    };
    Message {
        r#type: Some(event::Type::Update as i32),
        update: Some(event::Update { status }),
        ..Default::default()
    }
}

/// A framework made of one closure.
pub struct Closure<C>(pub C);

impl<C: FnMut(&mut Context<'_>, Event) + Send + 'static> Framework for Closure<C> {
    fn event(&mut self, context: &mut Context<'_>, event: Event) {
        self.0(context, event);
    }
}

/// What a framework was told, where a test can see it.
pub type Told = Arc<Mutex<Vec<Event>>>;

/// A framework that keeps what it is told.
pub fn recorder() -> (Told, Closure<impl FnMut(&mut Context<'_>, Event)>) {
    let told = Told::default();
    let writer = told.clone();
    (told, Closure(move |_: &mut Context<'_>, event| writer.lock().unwrap().push(event)))
}

pub fn task_id(number: usize) -> v1::TaskId {
    v1::TaskId { value: number.to_string() }
}
