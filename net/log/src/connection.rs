//! One HTTP/2 connection to another replica.

use orrery_grpc::Channel;
use orrery_http::adapter::Io;
use orrery_http::{Closer, closer};
use orrery_runtime::{Address, Runtime};

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
    let channel = Channel::begin(runtime, "replicated log connection", WINDOW, io)
        .await
        .map_err(ConnectionError::Handshake)?;
    let client = ReplicatedLogClient::with_origin(channel, origin)
        .max_decoding_message_size(MESSAGE_MAX)
        .max_encoding_message_size(MESSAGE_MAX);
    Ok((client, closer))
}
