//! One accepted connection, from its first byte to its end.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::{Clock, Connection, Runtime};

use crate::adapter::{Executor, Io, Timer};
use crate::exchange::Exchange;
use crate::{Closer, Peer, RequestBody, Response, Service, closer, date, limits};

/// What an HTTP/2 client sends first (RFC 9113, 3.4). No HTTP/1 request begins like it.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[derive(Clone, Copy)]
enum Version {
    Http1,
    Http2,
}

/// A connection of which is known what it begins with.
pub(crate) struct Recognised {
    io: Io,
    version: Version,
    peer: Peer,
}

impl Recognised {
    /// What the first request asks for, if it is HTTP/1 and its first line came at once.
    pub(crate) fn path(&self) -> Option<&str> {
        let line = match self.version {
            Version::Http1 => self.io.ahead().split(|byte| *byte == b'\r').next()?,
            Version::Http2 => return None,
        };
        let mut words = line.split(|byte| *byte == b' ');
        let (_method, target, _version) = (words.next()?, words.next()?, words.next()?);
        let path = target.split(|byte| *byte == b'?').next()?;
        str::from_utf8(path).ok()
    }
}

/// Waits for the first bytes of `connection`; `None` when it ends without saying anything.
pub(crate) async fn recognise(runtime: Runtime, connection: Connection) -> Option<Recognised> {
    let peer = Peer { address: connection.peer, local: connection.local };
    let mut io = Io::new(connection.stream);
    match read_version(&runtime, &mut io).await {
        Ok(version) => Some(Recognised { io, version, peer }),
        Err(error) => {
            reachable!("a connection ends before its first request");
            tracing::debug!(peer = %peer.address, %error, "connection ended before a request");
            None
        }
    }
}

/// Answers requests on a connection until either side ends it.
pub(crate) async fn run(runtime: Runtime, connection: Recognised, service: Arc<dyn Service>) {
    let Recognised { io, version, peer } = connection;
    let (closer, closed) = closer(runtime.clone());
    let handler = Handler { clock: Arc::clone(&runtime.clock), service, peer, closer };
    let result = tokio::select! {
        biased;
        result = serve(runtime, io, version, handler) => result,
        () = closed => Ok(()),
    };
    if let Err(error) = result {
        reachable!("a connection to a server breaks");
        // Peers come and go and send nonsense: that is their business, not the operator's.
        tracing::debug!(peer = %peer.address, %error, "connection ended");
    }
}

/// Reads ahead until it is clear which version the peer speaks. The first byte may take for ever;
/// after it the limit for headers applies.
async fn read_version(runtime: &Runtime, io: &mut Io) -> io::Result<Version> {
    read_ahead(io).await?;
    let rest = async {
        loop {
            let ahead = io.ahead();
            sometimes!(
                !ahead.is_empty() && ahead.len() < PREFACE.len() && PREFACE.starts_with(ahead),
                "the beginning of an HTTP/2 connection comes in pieces"
            );
            if ahead.starts_with(PREFACE) {
                return Ok(Version::Http2);
            }
            if ahead.is_empty() || !PREFACE.starts_with(ahead) {
                return Ok(Version::Http1);
            }
            if read_ahead(io).await? == 0 {
                return Ok(Version::Http1);
            }
        }
    };
    match runtime.timeout(limits::HEADERS_TIME, rest).await {
        Some(version) => version,
        None => {
            reachable!("a connection does not say in time which HTTP it speaks");
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

async fn read_ahead(io: &mut Io) -> io::Result<usize> {
    poll_fn(|context| io.poll_read_ahead(context, usize::MAX)).await
}

async fn serve(runtime: Runtime, io: Io, version: Version, handler: Handler) -> hyper::Result<()> {
    match version {
        Version::Http1 => serve_http1(io, handler).await,
        Version::Http2 => serve_http2(runtime, io, handler).await,
    }
}

async fn serve_http1(io: Io, handler: Handler) -> hyper::Result<()> {
    let exchange = Exchange::new(io, Arc::clone(&handler.clock));
    let requests = exchange.clone();
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let in_flight = requests.begin();
        let answer = handler.call(request);
        async move {
            let response = answer.await;
            Ok::<_, Infallible>(response.map(|body| in_flight.attach(body)))
        }
    });
    http1::Builder::new()
        .half_close(true)
        .title_case_headers(true)
        .auto_date_header(false)
        .header_read_timeout(None)
        .max_header_size(limits::HEADERS)
        .max_buf_size(limits::HEADERS.max(limits::WRITE_BUFFER))
        .serve_connection(exchange, service)
        .await
}

async fn serve_http2(runtime: Runtime, io: Io, handler: Handler) -> hyper::Result<()> {
    let timer = Timer::new(Arc::clone(&runtime.clock));
    let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
        let answer = handler.call(request);
        async move { Ok::<Response, Infallible>(answer.await) }
    });
    http2::Builder::new(Executor::new(runtime))
        .timer(timer)
        .auto_date_header(false)
        .initial_stream_window_size(limits::HTTP2_WINDOW)
        .initial_connection_window_size(limits::HTTP2_WINDOW)
        .max_send_buf_size(limits::WRITE_BUFFER)
        .max_header_list_size(limits::HEADERS as u32)
        .serve_connection(io, service)
        .await
}

/// Hands the requests of one connection to the service.
struct Handler {
    clock: Arc<dyn Clock>,
    service: Arc<dyn Service>,
    peer: Peer,
    closer: Closer,
}

impl Handler {
    fn call(
        &self,
        request: http::Request<Incoming>,
    ) -> impl Future<Output = Response> + Send + use<> {
        let mut request = request.map(RequestBody::from);
        request.extensions_mut().insert(self.peer);
        request.extensions_mut().insert(self.closer.clone());
        let answer = self.service.call(request);
        let clock = Arc::clone(&self.clock);
        async move {
            let mut response = answer.await;
            date::insert(response.headers_mut(), clock.wall());
            response
        }
    }
}
