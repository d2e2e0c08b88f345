//! One HTTP/2 connection to another replica.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use orrery_http::adapter::{Executor, Io, Timer};
use orrery_http::body::BoxError;
use orrery_http::{Closer, closer, limits};
use orrery_runtime::{Address, BoxFuture, Runtime};

use crate::MESSAGE_MAX;
use crate::generated::replicated_log_client::ReplicatedLogClient;

/// What may be sent before the peer has read it, in bytes.
const WINDOW: u32 = 8 << 20;

/// Why no connection came about, or no exchange on it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    /// No connection came about.
    #[error("cannot connect: {0}")]
    Connect(std::io::Error),
    /// The address cannot stand in a request.
    #[error("the address is none: {0}")]
    Address(http::uri::InvalidUri),
    /// What answers does not speak HTTP/2.
    #[error("no HTTP/2: {0}")]
    Handshake(hyper::Error),
}

/// A client on a connection of its own, and what ends the connection.
pub(crate) async fn connect(
    runtime: &Runtime,
    to: &Address,
) -> Result<(ReplicatedLogClient<Channel>, Closer), ConnectionError> {
    let origin = format!("http://{to}").parse().map_err(ConnectionError::Address)?;
    let connection = runtime.network.connect(to).await.map_err(ConnectionError::Connect)?;
    let (closer, closed) = closer(runtime.clone());
    let io = Io::until(connection.stream, closed);
    let (sender, driver) = http2::Builder::new(Executor::new(runtime.clone()))
        .timer(Timer::new(Arc::clone(&runtime.clock)))
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_send_buf_size(limits::WRITE_BUFFER)
        .handshake(io)
        .await
        .map_err(ConnectionError::Handshake)?;
    runtime.spawn("replicated log connection", async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "a connection between replicas ended");
        }
    });
    let client = ReplicatedLogClient::with_origin(Channel(sender), origin)
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    Ok((client, closer))
}

/// One HTTP/2 connection as the generated client wants it.
pub(crate) struct Channel(SendRequest<tonic::body::Body>);

impl tower_service::Service<http::Request<tonic::body::Body>> for Channel {
    type Response = http::Response<Incoming>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let response = self.0.send_request(request);
        Box::pin(async move {
            let response = response.await?;
            match response.status() {
                StatusCode::OK => Ok(response),
                status => Err(format!("it answers {status}").into()),
            }
        })
    }
}
