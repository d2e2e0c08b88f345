//! The answering side.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use orrery_api::log as proto;
use orrery_http::{Service, respond};
use orrery_log::Log;
use orrery_log::wire::{decode_request, encode_response};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{BoxFuture, Runtime};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

use crate::MESSAGE_MAX;
use crate::generated::replicated_log_server::{ReplicatedLog, ReplicatedLogServer};

/// The path below which the calls of other replicas come.
const PATH: &str = "/orrery.log.v1.ReplicatedLog/";

/// Answers that may wait for a peer that does not read. Further ones are lost.
const ANSWERS: usize = 256;

/// Answers the HTTP/2 requests of other replicas. Cheap to clone.
#[derive(Clone)]
pub struct LogService {
    server: ReplicatedLogServer<Exchanges>,
    /// What makes sure that the replica is set up as the others are, for as long as this answers.
    _watches: Arc<Vec<AbortOnDrop>>,
}

impl std::fmt::Debug for LogService {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LogService")
    }
}

impl LogService {
    /// A service that asks `log`.
    pub(crate) fn new(runtime: Runtime, log: Log, watches: Vec<AbortOnDrop>) -> Self {
        let server = ReplicatedLogServer::new(Exchanges { runtime, log })
            .max_decoding_message_size(MESSAGE_MAX)
            .max_encoding_message_size(MESSAGE_MAX);
        Self { server, _watches: Arc::new(watches) }
    }

    /// Whether a request to `path` is of another replica.
    pub fn handles(path: &str) -> bool {
        path.starts_with(PATH)
    }
}

/// On a port of its own it answers 404 to whoever is no replica.
impl Service for LogService {
    fn call(&self, request: orrery_http::Request) -> BoxFuture<'static, orrery_http::Response> {
        if !Self::handles(request.uri().path()) {
            return Box::pin(std::future::ready(respond::not_found()));
        }
        orrery_grpc::answer(self.server.clone(), request)
            .unwrap_or_else(|| orrery_grpc::needs_http2("the replicated log"))
    }
}

/// The generated service's implementation.
struct Exchanges {
    runtime: Runtime,
    log: Log,
}

#[tonic::async_trait]
impl ReplicatedLog for Exchanges {
    type ExchangeStream = Answers;

    async fn exchange(
        &self,
        request: Request<Streaming<proto::Request>>,
    ) -> Result<Response<Answers>, Status> {
        let (sender, receiver) = mpsc::channel(ANSWERS);
        let log = self.log.clone();
        let task = serve(log, request.into_inner(), sender);
        self.runtime.spawn("replicated log exchange", task);
        Ok(Response::new(Answers(receiver)))
    }
}

/// Puts what a peer asks to the log until the peer is gone or says what is not understood.
async fn serve(
    log: Log,
    mut requests: Streaming<proto::Request>,
    answers: mpsc::Sender<Result<proto::Response, Status>>,
) {
    loop {
        let request = tokio::select! {
            biased;
            () = answers.closed() => return,
            request = requests.message() => request,
        };
        let request = match request {
            Ok(Some(request)) => request,
            Ok(None) => return,
            Err(status) => {
                tracing::debug!(reason = status.message(), "a peer's exchange broke");
                return;
            }
        };
        let (from, request) = match decode_request(request) {
            Ok(request) => request,
            Err(error) => {
                tracing::warn!(%error, "a peer's request is not understood");
                let status = Status::invalid_argument(error.to_string());
                // The peer may be gone by now.
                let _ = answers.try_send(Err(status));
                return;
            }
        };
        let answers = answers.clone();
        let answer = move |response| {
            // A peer that does not read asks again.
            let _ = answers.try_send(Ok(encode_response(response)));
        };
        if log.request(from, request, answer).await.is_err() {
            return;
        }
    }
}

/// The stream of answers to one peer.
#[derive(Debug)]
pub struct Answers(mpsc::Receiver<Result<proto::Response, Status>>);

impl Stream for Answers {
    type Item = Result<proto::Response, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
