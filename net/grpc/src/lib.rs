//! gRPC on a connection of one's own: what the agent link and the replicated log have in common.
//!
//! The generated clients and services of tonic run on whatever takes and answers HTTP requests.
//! Here they run on hyper, with tasks, timers and byte streams of the runtime's ports, so that they
//! are the same bytes in a simulation as in production.
//!
//! - [`Channel`]: one HTTP/2 connection as a generated client wants it.
//! - [`answer`]: hands a request of the daemon's port to a generated service.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{StatusCode, Version};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use orrery_http::adapter::{Executor, Io, Timer};
use orrery_http::body::BoxError;
use orrery_http::client::redirect_target;
use orrery_http::{Body, limits, respond};
use orrery_runtime::{Address, BoxFuture, Runtime};
use tower_service::Service;

/// One HTTP/2 connection as a generated client wants it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Channel(SendRequest<tonic::body::Body>);

impl Channel {
    /// Begins HTTP/2 on a connection and leaves it to tasks of its own, which are called `name`.
    /// `window` is how much the peer may send before it is read, in bytes.
    ///
    /// # Errors
    /// What answers does not speak HTTP/2.
    pub async fn begin(
        runtime: &Runtime,
        name: &'static str,
        window: u32,
        io: Io,
    ) -> hyper::Result<Self> {
        let (sender, driver) = http2::Builder::new(Executor::new(runtime.clone()))
            .timer(Timer::new(Arc::clone(&runtime.clock)))
            .initial_stream_window_size(window)
            .initial_connection_window_size(window)
            .max_send_buf_size(limits::WRITE_BUFFER)
            .handshake(io)
            .await?;
        runtime.spawn(name, async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, name, "a connection ended");
            }
        });
        Ok(Self(sender))
    }
}

impl Service<http::Request<tonic::body::Body>> for Channel {
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
            if response.status() == StatusCode::OK {
                return Ok(response);
            }
            let (parts, _) = response.into_parts();
            let leader = redirect_target(&parts);
            Err(Refusal { status: parts.status, leader }.into())
        })
    }
}

/// An answer that is none of gRPC's, such as a redirect to the leader. It is the source of the
/// status that the generated client returns.
#[derive(Debug, thiserror::Error)]
#[error("it answers {status}")]
pub struct Refusal {
    /// What was answered.
    pub status: StatusCode,
    /// To whom the answer redirects.
    pub leader: Option<Address>,
}

/// Has a generated service answer a request of the daemon's port. `None` when the request came
/// over HTTP/1.1, which gRPC cannot: then [`needs_http2`] is the answer.
pub fn answer<S>(
    mut server: S,
    request: orrery_http::Request,
) -> Option<BoxFuture<'static, orrery_http::Response>>
where
    S: Service<
            orrery_http::Request,
            Response = http::Response<tonic::body::Body>,
            Error = Infallible,
            Future: Send,
        > + Send
        + 'static,
{
    if request.version() != Version::HTTP_2 {
        return None;
    }
    Some(Box::pin(async move {
        match server.call(request).await {
            Ok(response) => response.map(Body::new),
            Err(never) => match never {},
        }
    }))
}

/// What is answered to a request over HTTP/1.1 for `service`.
pub fn needs_http2(service: &str) -> BoxFuture<'static, orrery_http::Response> {
    let text = format!("{service} needs HTTP/2 (prior knowledge)");
    let response = respond::text(StatusCode::HTTP_VERSION_NOT_SUPPORTED, text);
    Box::pin(std::future::ready(response))
}
