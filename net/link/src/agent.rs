//! The agent's side: opens the link.

use std::error::Error as _;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use orrery_api::link;
use orrery_coverage::{reachable, sometimes};
use orrery_http::adapter::{Executor, Io, Timer};
use orrery_http::body::BoxError;
use orrery_http::client::redirect_target;
use orrery_http::{closer, limits};
use orrery_runtime::{Address, BoxFuture, Runtime};
use tokio::sync::oneshot;
use tonic::Status;

use crate::ends::{drain, half_link};
use crate::generated::agent_link_client::AgentLinkClient;
use crate::{LinkReceiver, LinkSender, MESSAGE_MAX};

/// How long opening may take, from the first packet to the master's answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// Why no link came about.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection came about.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The master.
        address: Address,
        /// What the network says.
        source: std::io::Error,
    },
    /// The master did not answer in time.
    #[error("no link to {address}: no answer within {} s", .limit.as_secs_f64())]
    Timeout {
        /// The master.
        address: Address,
        /// How long was waited.
        limit: Duration,
    },
    /// The address cannot stand in a request.
    #[error("no link to {address}: {source}")]
    Address {
        /// The master.
        address: Address,
        /// What is wrong with it.
        source: http::uri::InvalidUri,
    },
    /// What answers does not speak HTTP/2.
    #[error("no link to {address}: {source}")]
    Handshake {
        /// The master.
        address: Address,
        /// What happened.
        source: hyper::Error,
    },
    /// What answers is no leading master.
    #[error("{address} refuses the link: {reason}")]
    Refused {
        /// The master.
        address: Address,
        /// Its answer.
        reason: String,
        /// Whom it takes for the leader, if it says so.
        leader: Option<Address>,
    },
}

/// Opens a link to the master at `to`. Dropping both ends closes the connection.
///
/// # Errors
/// See [`LinkError`]; decided within 5 s.
pub async fn connect(
    runtime: &Runtime,
    to: &Address,
) -> Result<(LinkSender<link::FromAgent>, LinkReceiver<link::FromMaster>), LinkError> {
    match runtime.timeout(CONNECT_TIME, open(runtime, to)).await {
        Some(result) => result,
        None => {
            reachable!("a link does not open in time");
            Err(LinkError::Timeout { address: to.clone(), limit: CONNECT_TIME })
        }
    }
}

async fn open(
    runtime: &Runtime,
    to: &Address,
) -> Result<(LinkSender<link::FromAgent>, LinkReceiver<link::FromMaster>), LinkError> {
    let address = to.clone();
    let origin = match format!("http://{to}").parse() {
        Ok(origin) => origin,
        Err(source) => return Err(LinkError::Address { address, source }),
    };
    let connection = match runtime.network.connect(to).await {
        Ok(connection) => connection,
        Err(source) => {
            reachable!("an agent cannot connect to its master");
            return Err(LinkError::Connect { address, source });
        }
    };
    // The connection ends with the ends of the link: `half` holds the closer.
    let (closer, closed) = closer(runtime.clone());
    let (half, outgoing) = half_link(closer, connection.local);
    let sender = match handshake(runtime, Io::until(connection.stream, closed)).await {
        Ok(sender) => sender,
        Err(source) => {
            reachable!("a link breaks before HTTP/2 is agreed on");
            return Err(LinkError::Handshake { address, source });
        }
    };
    let mut client = AgentLinkClient::with_origin(Channel(sender), origin)
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    match client.connect(outgoing).await {
        Ok(response) => {
            let (rest, ended) = oneshot::channel();
            runtime.spawn("agent link end", drain(ended));
            Ok(half.join(response.into_inner(), Some(rest)))
        }
        Err(status) => Err(refused(address, &status)),
    }
}

fn refused(address: Address, status: &Status) -> LinkError {
    let refusal = status.source().and_then(|source| source.downcast_ref::<Refusal>());
    let leader = refusal.and_then(|refusal| refusal.leader.as_ref());
    sometimes!(leader.is_some(), "a master sends an agent to the leading one");
    sometimes!(refusal.is_none(), "a link breaks before the master has taken it");
    match refusal {
        Some(refusal) => {
            let (reason, leader) = (refusal.to_string(), refusal.leader.clone());
            LinkError::Refused { address, reason, leader }
        }
        None => LinkError::Refused { address, reason: status.message().to_owned(), leader: None },
    }
}

/// Begins HTTP/2 and leaves the connection to tasks of its own.
async fn handshake(runtime: &Runtime, io: Io) -> hyper::Result<SendRequest<tonic::body::Body>> {
    let (sender, driver) = http2::Builder::new(Executor::new(runtime.clone()))
        .timer(Timer::new(Arc::clone(&runtime.clock)))
        .initial_stream_window_size(limits::HTTP2_WINDOW)
        .initial_connection_window_size(limits::HTTP2_WINDOW)
        .max_send_buf_size(limits::WRITE_BUFFER)
        .handshake(io)
        .await?;
    runtime.spawn("agent link", async move {
        if let Err(error) = driver.await {
            tracing::debug!(%error, "link connection ended");
        }
    });
    Ok(sender)
}

/// One HTTP/2 connection as the generated client wants it.
struct Channel(SendRequest<tonic::body::Body>);

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
            if response.status() == StatusCode::OK {
                return Ok(response);
            }
            let (parts, _) = response.into_parts();
            let leader = redirect_target(&parts);
            Err(Refusal { status: parts.status, leader }.into())
        })
    }
}

/// An answer that is none of gRPC's, such as a redirect to the leader.
#[derive(Debug, thiserror::Error)]
#[error("it answers {status}")]
struct Refusal {
    status: StatusCode,
    leader: Option<Address>,
}
