//! HTTP ping-pong with hyper over the ports, for the tests and the example.
#![allow(dead_code)]

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::service::service_fn;
use orrery_runtime::{Address, ByteStream, Runtime};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Which version to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Http1,
    Http2,
}

struct Io(Box<dyn ByteStream>);

impl hyper::rt::Read for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let mut space = [0; 4096];
        let length = cursor.remaining().min(space.len());
        let mut buffer = ReadBuf::new(&mut space[..length]);
        ready!(Pin::new(&mut self.0).poll_read(context, &mut buffer))?;
        cursor.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[derive(Clone)]
struct Spawner(Runtime);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Spawner {
    fn execute(&self, future: F) {
        drop(self.0.spawn("http2", future));
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    Ok(Response::new(Full::new(body)))
}

/// Answers every request with its own body.
pub async fn serve(runtime: Runtime, port: u16, version: Version) -> i32 {
    let address = SocketAddr::from(([0, 0, 0, 0], port));
    let mut listener = runtime.network.listen(address).await.expect("the port is free");
    loop {
        let Ok(connection) = listener.accept().await else { return 1 };
        let io = Io(connection.stream);
        let spawner = Spawner(runtime.clone());
        drop(runtime.spawn("serve", async move {
            // The end of a connection is the client's business.
            let _ = match version {
                Version::Http1 => {
                    let builder = hyper::server::conn::http1::Builder::new();
                    builder.serve_connection(io, service_fn(answer)).await
                }
                Version::Http2 => {
                    let builder = hyper::server::conn::http2::Builder::new(spawner);
                    builder.serve_connection(io, service_fn(answer)).await
                }
            };
        }));
    }
}

fn request(number: u64) -> Request<Full<Bytes>> {
    let body = Bytes::from(format!("ping {number}"));
    Request::post("http://server/ping").body(Full::new(body)).expect("is valid")
}

async fn check(response: hyper::Result<Response<Incoming>>, number: u64) -> hyper::Result<()> {
    let body = response?.into_body().collect().await?.to_bytes();
    assert_eq!(body, format!("ping {number}"), "another request's answer");
    Ok(())
}

/// Sends `count` requests over one connection, one after another.
///
/// # Errors
/// What hyper makes of a broken connection.
pub async fn ping_pong(
    runtime: &Runtime,
    server: &Address,
    version: Version,
    count: u64,
) -> hyper::Result<()> {
    let Ok(connection) = runtime.network.connect(server).await else { return Ok(()) };
    let io = Io(connection.stream);
    match version {
        Version::Http1 => {
            let (mut sender, driver) = hyper::client::conn::http1::handshake(io).await?;
            let driver = runtime.spawn("client", async move {
                let _ = driver.await;
            });
            let _guard = driver.abort_on_drop();
            for number in 0..count {
                sender.ready().await?;
                check(sender.send_request(request(number)).await, number).await?;
            }
        }
        Version::Http2 => {
            let spawner = Spawner(runtime.clone());
            let (mut sender, driver) = hyper::client::conn::http2::handshake(spawner, io).await?;
            let driver = runtime.spawn("client", async move {
                let _ = driver.await;
            });
            let _guard = driver.abort_on_drop();
            for number in 0..count {
                sender.ready().await?;
                check(sender.send_request(request(number)).await, number).await?;
            }
        }
    }
    Ok(())
}
