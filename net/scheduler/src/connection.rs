//! One subscription: the event stream and, beside it, the calls.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, Request, Response, StatusCode};
use orrery_api::v1::scheduler::{Call, Event, call};
use orrery_coverage::{reachable, sometimes};
use orrery_detector::Detector;
use orrery_http::recordio::{Decoder, RecordError};
use orrery_http::{
    BodyError, Client, ClientError, MediaType, ResponseBody, client, media, wire_log,
};
use orrery_runtime::machine::Feeder;
use orrery_runtime::{Address, Runtime};
use orrery_scheduler::{Framework, Input, SchedulerMachine};
use tokio::sync::mpsc;

use crate::pipeline::{Pipeline, PipelineError, Refusal};
use crate::queue::{CallReceiver, Gauge};

/// Largest event, in bytes: room for the offers of some ten thousand agents at once.
const EVENT_BYTES: usize = 64 << 20;

/// Largest text of a refusal that is read, in bytes.
const TEXT_BYTES: usize = 64 << 10;

/// How many masters may point to another one before an attempt counts as failed.
const REDIRECTS: usize = 5;

/// How many refused calls may wait to be told to the framework.
const REFUSALS: usize = 64;

/// How long a refusal's text may take to arrive.
const TEXT_TIME: Duration = Duration::from_secs(5);

const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");

/// Why a subscription ended or did not come about.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the subscription cannot be written as a request: {0}")]
    Request(#[from] http::Error),
    #[error("the master is not ready: it answers 503")]
    NotReady,
    #[error("masters point to each other more than {REDIRECTS} times")]
    Redirects,
    #[error("the master refuses the subscription with {0}")]
    Refused(u16),
    #[error("the master's answer has no header Mesos-Stream-Id")]
    NoStreamId,
    #[error("the event stream ended")]
    Ended,
    #[error("another master leads")]
    Replaced,
    #[error("the event stream broke: {0}")]
    Body(#[from] BodyError),
    #[error("the event stream is malformed: {0}")]
    Record(#[from] RecordError),
    #[error("an event is malformed: {0}")]
    Event(String),
    #[error("the masters cannot be found")]
    NoMaster,
    #[error(transparent)]
    Calls(#[from] PipelineError),
}

/// Everything that one attempt needs.
pub(crate) struct Attempt<F: Framework> {
    pub(crate) runtime: Runtime,
    pub(crate) feeder: Feeder<SchedulerMachine<F>>,
    pub(crate) connection: u64,
    pub(crate) detector: Detector,
    pub(crate) media_type: MediaType,
    pub(crate) authorization: Option<String>,
    pub(crate) calls: CallReceiver,
    pub(crate) gauge: Gauge,
}

impl<F: Framework> Attempt<F> {
    /// Subscribes and carries events and calls until something breaks or the calls' sender is
    /// gone and all of them were answered.
    pub(crate) async fn run(self, subscribe: Call) {
        let Self { feeder, connection, .. } = &self;
        let (feeder, connection) = (feeder.clone(), *connection);
        if let Err(broken) = self.subscribe_and_carry(subscribe).await {
            let reason = broken.to_string();
            // Nobody wants to know once the session is over.
            let _ = feeder.feed(Input::Disconnected { connection, reason }).await;
        }
    }

    async fn subscribe_and_carry(mut self, subscribe: Call) -> Result<(), Broken> {
        let (master, response) = self.subscribe(&subscribe).await?;
        let stream_id = response.headers().get(STREAM_ID).and_then(|id| id.to_str().ok());
        let stream_id = stream_id.ok_or(Broken::NoStreamId)?.to_owned();
        let (sender, refusals) = mpsc::channel(REFUSALS);
        let (detector, leader) = (self.detector, master.clone());
        let pipeline = Pipeline {
            runtime: self.runtime,
            master,
            media_type: self.media_type,
            stream_id: stream_id.clone(),
            authorization: self.authorization,
            calls: self.calls,
            refusals: sender,
        };
        let events = Events {
            feeder: self.feeder.clone(),
            connection: self.connection,
            media_type: self.media_type,
            gauge: self.gauge,
            stream_id,
        };
        tokio::select! {
            biased;
            carried = pipeline.run() => Ok(carried?),
            broken = events.read(response.into_body()) => Err(broken),
            () = detector.replaced(&leader) => Err(Broken::Replaced),
            never = tell_refusals(self.feeder, self.connection, refusals) => match never {},
        }
    }

    /// Finds the leading master and opens the stream.
    async fn subscribe(
        &mut self,
        call: &Call,
    ) -> Result<(Address, Response<ResponseBody>), Broken> {
        let client = Client::new(self.runtime.clone());
        let mut master = tokio::select! {
            biased;
            master = self.detector.leader() => master,
            reason = self.detector.refused() => {
                // Nobody wants to know once the session is over.
                let _ = self.feeder.feed(Input::NoMaster { reason }).await;
                return Err(Broken::NoMaster);
            }
        };
        for _ in 0..=REDIRECTS {
            let request = self.request(call)?;
            wire_log::sent("scheduler", call);
            let response = client.stream(&master, request).await?;
            let (parts, body) = response.into_parts();
            if let Some(leader) = client::redirect_target(&parts) {
                reachable!("a framework is sent to the leading master");
                tracing::debug!(from = %master, to = %leader, "redirected");
                master = leader;
                continue;
            }
            match parts.status {
                StatusCode::OK => return Ok((master, Response::from_parts(parts, body))),
                StatusCode::SERVICE_UNAVAILABLE => {
                    reachable!("a framework finds a master that is not ready");
                    return Err(Broken::NotReady);
                }
                status => return Err(self.refused(status.as_u16(), body).await),
            }
        }
        reachable!("masters send a framework to and fro");
        Err(Broken::Redirects)
    }

    fn request(&self, call: &Call) -> Result<Request<Bytes>, http::Error> {
        let body = media::encode(self.media_type, call);
        let mut request = Request::post("/api/v1/scheduler")
            .header(CONTENT_TYPE, self.media_type.header_value())
            .header(ACCEPT, self.media_type.header_value());
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.body(Bytes::from(body))
    }

    async fn refused(&self, status: u16, body: ResponseBody) -> Broken {
        reachable!("a subscription is refused with a status");
        let text = self.runtime.timeout(TEXT_TIME, body.collect(TEXT_BYTES)).await;
        let text = text.and_then(Result::ok).unwrap_or_default();
        let refused = Input::Refused {
            connection: self.connection,
            call: call::Type::Subscribe,
            status,
            text: String::from_utf8_lossy(&text).into_owned(),
        };
        // Nobody wants to know once the session is over.
        let _ = self.feeder.feed(refused).await;
        Broken::Refused(status)
    }
}

/// Passes refused calls on. Beside the pipeline rather than inside it, so that a busy framework
/// does not keep answers from being read.
async fn tell_refusals<F: Framework>(
    feeder: Feeder<SchedulerMachine<F>>,
    connection: u64,
    mut refusals: mpsc::Receiver<Refusal>,
) -> std::convert::Infallible {
    while let Some(Refusal { call, status, text }) = refusals.recv().await {
        if feeder.feed(Input::Refused { connection, call, status, text }).await.is_err() {
            break;
        }
    }
    // The pipeline waits for nobody to listen any more: what is refused now is of no interest.
    drop(refusals);
    std::future::pending().await
}

/// The event stream.
struct Events<F: Framework> {
    feeder: Feeder<SchedulerMachine<F>>,
    connection: u64,
    media_type: MediaType,
    gauge: Gauge,
    stream_id: String,
}

impl<F: Framework> Events<F> {
    async fn read(self, mut body: ResponseBody) -> Broken {
        let mut decoder = Decoder::new(EVENT_BYTES);
        loop {
            match body.next().await {
                Some(Ok(bytes)) => decoder.push(&bytes),
                Some(Err(error)) => {
                    reachable!("an event stream breaks");
                    return error.into();
                }
                None => {
                    sometimes!(!decoder.is_at_boundary(), "an event stream ends inside a record");
                    return Broken::Ended;
                }
            }
            if let Err(broken) = self.pass_on(&mut decoder).await {
                return broken;
            }
        }
    }

    async fn pass_on(&self, decoder: &mut Decoder) -> Result<(), Broken> {
        while let Some(record) = decoder.next()? {
            let event: Event = media::decode(self.media_type, &record).map_err(Broken::Event)?;
            wire_log::received(&self.stream_id, &event);
            self.gauge.low().await;
            let connection = self.connection;
            let input = Input::Event { connection, event: Box::new(event) };
            if self.feeder.feed(input).await.is_err() {
                reachable!("an event comes when its framework has ended");
                // The session is over; the last calls are still on their way beside this.
                std::future::pending::<()>().await;
            }
        }
        Ok(())
    }
}
