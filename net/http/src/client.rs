//! The client: HTTP/1.1, with connections kept alive per address.
//!
//! Once anything of a request may have reached the server, only methods that are harmless to repeat
//! are sent again, and only when a kept connection turned out to be dead. Everything else is the
//! caller's decision.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, HeaderValue, LOCATION};
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::client::conn::http1;
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::{Address, Runtime};

use crate::adapter::Io;
use crate::body::{self, BodyError};
use crate::limits;

mod pool;
mod response;

use pool::{Lease, Pool};
pub use response::ResponseBody;

/// How long connecting may take, unless [`Client::with_connect_time`] says otherwise.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Why a request has no response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection came about.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The server.
        address: Address,
        /// What the network says.
        source: std::io::Error,
    },
    /// The server's host did not answer in time.
    #[error("cannot connect to {address}: no answer within {} s", .limit.as_secs_f64())]
    ConnectTimeout {
        /// The server.
        address: Address,
        /// How long was waited.
        limit: Duration,
    },
    /// The request cannot be written as one.
    #[error("the request to {address} is malformed: {source}")]
    Malformed {
        /// The server.
        address: Address,
        /// What is wrong with it.
        source: http::Error,
    },
    /// The connection ended, or what came is no HTTP. The server may have processed the request.
    #[error("the request to {address} failed: {source}")]
    Request {
        /// The server.
        address: Address,
        /// What happened.
        source: hyper::Error,
    },
}

/// Sends requests. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    runtime: Runtime,
    pool: Arc<Pool>,
    connect_time: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Client")
    }
}

impl Client {
    /// A client without connections yet.
    pub fn new(runtime: Runtime) -> Self {
        let pool = Arc::new(Pool::new(Arc::clone(&runtime.clock)));
        Self { runtime, pool, connect_time: CONNECT_TIME }
    }

    /// The same client with another limit on connecting (10 s at first).
    pub fn with_connect_time(mut self, limit: Duration) -> Self {
        self.connect_time = limit;
        self
    }

    /// Sends a request, on a kept connection where there is one, and waits for the response's
    /// headers for as long as it takes: callers who cannot wait put their own limit on it. `Host`
    /// is filled in; the scheme and authority of the request's URI are not looked at.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn send(
        &self,
        to: &Address,
        request: Request<Bytes>,
    ) -> Result<Response<ResponseBody>, ClientError> {
        let mut request = prepare(to, request)?;
        while let Some(mut lease) = self.pool.take(to) {
            if !lease.is_usable(&self.runtime).await {
                reachable!("a kept connection turns out to be dead before it is used");
                continue;
            }
            let spare = is_repeatable(request.method()).then(|| request.clone());
            match lease.sender.try_send_request(request).await {
                Ok(response) => return Ok(self.receive(lease, response)),
                Err(mut error) => {
                    // What comes back was not begun to be written; else `spare` may go out again,
                    // once, on a connection that was not kept.
                    let unsent = error.take_message();
                    sometimes!(
                        unsent.is_some(),
                        "a request is sent again because nothing of it was written"
                    );
                    match unsent.or(spare) {
                        Some(again) => request = again,
                        None => {
                            reachable!("a request on a kept connection fails and is not repeated");
                            return Err(failed(to, error.into_error()));
                        }
                    }
                    break;
                }
            }
        }
        let lease = self.connect(to, Some(Arc::clone(&self.pool))).await?;
        self.send_on(lease, to, request).await
    }

    /// Sends a request on a connection of its own, which ends with the response. For event streams.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stream(
        &self,
        to: &Address,
        request: Request<Bytes>,
    ) -> Result<Response<ResponseBody>, ClientError> {
        let request = prepare(to, request)?;
        let lease = self.connect(to, None).await?;
        self.send_on(lease, to, request).await
    }

    async fn send_on(
        &self,
        mut lease: Lease,
        to: &Address,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<ResponseBody>, ClientError> {
        match lease.sender.send_request(request).await {
            Ok(response) => Ok(self.receive(lease, response)),
            Err(source) => Err(failed(to, source)),
        }
    }

    fn receive(
        &self,
        lease: Lease,
        response: Response<hyper::body::Incoming>,
    ) -> Response<ResponseBody> {
        response.map(|incoming| ResponseBody::new(incoming, lease))
    }

    /// Opens a connection. Once its response is read it goes into `pool`, if there is one.
    async fn connect(&self, to: &Address, pool: Option<Arc<Pool>>) -> Result<Lease, ClientError> {
        let connecting = self.runtime.network.connect(to);
        let connection = match self.runtime.timeout(self.connect_time, connecting).await {
            Some(Ok(connection)) => connection,
            Some(Err(source)) => {
                reachable!("a client cannot connect");
                return Err(ClientError::Connect { address: to.clone(), source });
            }
            None => {
                reachable!("a client waits for a connection in vain");
                let limit = self.connect_time;
                return Err(ClientError::ConnectTimeout { address: to.clone(), limit });
            }
        };
        let (sender, driver) = http1::Builder::new()
            .title_case_headers(true)
            .max_buf_size(limits::WRITE_BUFFER)
            .handshake(Io::new(connection.stream))
            .await
            .map_err(|source| failed(to, source))?;
        let task = self.runtime.spawn("http client connection", async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "client connection ended");
            }
        });
        Ok(Lease { sender, _task: task.abort_on_drop(), address: to.clone(), pool })
    }
}

fn failed(to: &Address, source: hyper::Error) -> ClientError {
    reachable!("a client's connection ends before the answer");
    ClientError::Request { address: to.clone(), source }
}

/// Whether a server may see a request twice without harm (RFC 9110, 9.2.2).
fn is_repeatable(method: &Method) -> bool {
    method.is_idempotent()
}

/// Brings a request into the form that travels: path and query alone, `Host` set.
fn prepare(to: &Address, request: Request<Bytes>) -> Result<Request<Full<Bytes>>, ClientError> {
    let malformed = |source| ClientError::Malformed { address: to.clone(), source };
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().cloned();
    parts.uri = Uri::from(path.unwrap_or(PathAndQuery::from_static("/")));
    if !parts.headers.contains_key(HOST) {
        let host =
            HeaderValue::try_from(to.to_string()).map_err(|error| malformed(error.into()))?;
        parts.headers.insert(HOST, host);
    }
    Ok(Request::from_parts(parts, Full::new(body)))
}

/// Where a redirect leads: the host and port of `Location`, whether written `//host:port/path`, as
/// Mesos does, or as a whole `http` URL. `None` when it is no redirect or leads nowhere else.
pub fn redirect_target(parts: &http::response::Parts) -> Option<Address> {
    match parts.status {
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => location_address(&parts.headers),
        _ => None,
    }
}

fn location_address(headers: &HeaderMap) -> Option<Address> {
    const HTTP_PORT: u16 = 80;
    let location = headers.get(LOCATION)?.to_str().ok()?;
    let rest = location.strip_prefix("http:").unwrap_or(location).strip_prefix("//")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority: http::uri::Authority = authority.parse().ok()?;
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.is_empty() {
        return None;
    }
    Some(Address::new(host, authority.port_u16().unwrap_or(HTTP_PORT)))
}

#[cfg(test)]
mod tests;
