//! One connection to the agent, from SUBSCRIBE to its end.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use orrery_api::protobuf;
use orrery_api::v1::executor::{Call, Event};
use orrery_coverage::reachable;
use orrery_executor::{CommandExecutor, Input, Settings};
use orrery_http::recordio::Decoder;
use orrery_http::{Client, MediaType, ResponseBody, limits, wire_log};
use orrery_runtime::machine::Feeder;
use orrery_runtime::{Address, Runtime};
use tokio::sync::mpsc;
use tracing::warn;

/// How long the agent has for an answer's headers. It answers from memory or, for an update, after
/// one write to its disk.
const ANSWER: Duration = Duration::from_secs(30);
/// The pause before a call that got no answer is sent again.
const RETRY: Duration = Duration::from_millis(500);
/// The most that is read of an answer which says why a call failed.
const REASON: usize = 4096;

/// Where the agent is and how it knows us.
#[derive(Clone)]
pub(crate) struct Endpoint {
    agent: Address,
    authorization: Option<String>,
}

impl Endpoint {
    pub(crate) fn new(settings: &Settings) -> Self {
        let authorization = settings.token.as_ref().map(|token| format!("Bearer {token}"));
        Self { agent: settings.agent.clone(), authorization }
    }

    fn request(&self, call: &Call) -> Result<Request<Bytes>, http::Error> {
        let mut request = Request::post("/api/v1/executor")
            .header(CONTENT_TYPE, MediaType::Protobuf.header_value())
            .header(ACCEPT, MediaType::Protobuf.header_value());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(protobuf::encode(call).into())
    }
}

/// How SUBSCRIBE, or the stream after it, ended.
enum End {
    /// It may work another time.
    Disconnected(String),
    /// It will not.
    Refused(String),
    /// The machine has stopped.
    Stopped,
}

pub(crate) struct Connection {
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    pub(crate) endpoint: Endpoint,
    pub(crate) feeder: Feeder<CommandExecutor>,
}

impl Connection {
    /// Subscribes with `call`, then hears events and sends what comes from `queue`; tells the
    /// machine how it ended.
    pub(crate) async fn run(self, call: Call, queue: mpsc::Receiver<Call>) {
        let end = match self.subscribe(&call).await {
            Ok(stream) => tokio::select! {
                biased;
                end = self.hear(stream) => end,
                never = self.send_all(queue) => match never {},
            },
            Err(end) => end,
        };
        let input = match end {
            End::Disconnected(reason) => Input::Disconnected(reason),
            End::Refused(reason) => Input::Refused(reason),
            End::Stopped => return,
        };
        // Nobody listens when the executor is exiting.
        let _ = self.feeder.feed(input).await;
    }

    async fn subscribe(&self, call: &Call) -> Result<ResponseBody, End> {
        let request = self.endpoint.request(call).map_err(|error| {
            let reason = format!("the call cannot be written: {error}");
            End::Refused(reason)
        })?;
        wire_log::sent("executor", call);
        let answer = self.client.stream(&self.endpoint.agent, request);
        let answer = match self.runtime.timeout(ANSWER, answer).await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => {
                reachable!("an executor cannot send SUBSCRIBE");
                return Err(End::Disconnected(error.to_string()));
            }
            None => {
                reachable!("an executor's SUBSCRIBE gets no answer in time");
                return Err(End::Disconnected("SUBSCRIBE got no answer".to_owned()));
            }
        };
        let status = answer.status();
        if status == StatusCode::OK {
            return Ok(answer.into_body());
        }
        let reason = format!("SUBSCRIBE got {status}: {}", self.reason(answer).await);
        if status.is_client_error() {
            reachable!("an executor's SUBSCRIBE is refused");
            return Err(End::Refused(reason));
        }
        Err(End::Disconnected(reason))
    }

    async fn hear(&self, mut stream: ResponseBody) -> End {
        let mut decoder = Decoder::new(limits::BODY);
        loop {
            let piece = match stream.next().await {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    reachable!("an executor's event stream breaks");
                    return End::Disconnected(error.to_string());
                }
                None => {
                    reachable!("an agent ends an executor's event stream");
                    return End::Disconnected("the agent ended the stream".to_owned());
                }
            };
            decoder.push(&piece);
            loop {
                let event = match decoder.next() {
                    Ok(Some(record)) => protobuf::decode::<Event>(&record),
                    Ok(None) => break,
                    Err(error) => return End::Disconnected(error.to_string()),
                };
                let event = match event {
                    Ok(event) => event,
                    Err(error) => return End::Disconnected(error.to_string()),
                };
                wire_log::received("executor", &event);
                if self.feeder.feed(Input::Event(Box::new(event))).await.is_err() {
                    return End::Stopped;
                }
            }
        }
    }

    /// Never returns: what ends it is the end of the stream.
    async fn send_all(&self, mut queue: mpsc::Receiver<Call>) -> Infallible {
        while let Some(call) = queue.recv().await {
            while !self.send(&call).await {
                self.runtime.sleep(RETRY).await;
            }
        }
        std::future::pending().await
    }

    /// Sends one call; false when it is worth another try.
    async fn send(&self, call: &Call) -> bool {
        let request = match self.endpoint.request(call) {
            Ok(request) => request,
            Err(error) => {
                warn!(%error, "a call cannot be written");
                return true;
            }
        };
        wire_log::sent("executor", call);
        let answer = self.client.send(&self.endpoint.agent, request);
        let answer = match self.runtime.timeout(ANSWER, answer).await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => {
                reachable!("an executor's call fails and is sent again");
                warn!(%error, "a call failed");
                return false;
            }
            None => {
                reachable!("an executor's call gets no answer in time");
                warn!("a call got no answer");
                return false;
            }
        };
        let status = answer.status();
        // Read to its end, an answer leaves its connection open for the next call.
        let reason = self.reason(answer).await;
        if !status.is_success() {
            reachable!("the agent refuses an executor's call");
            warn!(%status, reason, "the agent refuses a call");
        }
        !status.is_server_error()
    }

    async fn reason(&self, answer: Response<ResponseBody>) -> String {
        let body = self.runtime.timeout(ANSWER, answer.into_body().collect(REASON)).await;
        match body {
            Some(Ok(body)) => String::from_utf8_lossy(&body).into_owned(),
            Some(Err(error)) => error.to_string(),
            None => "no reason came".to_owned(),
        }
    }
}
