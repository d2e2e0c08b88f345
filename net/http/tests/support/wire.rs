//! A peer that writes and reads bytes of its own.
#![allow(dead_code)]

use std::net::SocketAddr;

use orrery_http::{Request, Response, serve, service_fn};
use orrery_runtime::{ByteStream, Runtime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Serves `answer` and returns where.
pub async fn start<F, R>(runtime: &Runtime, answer: F) -> SocketAddr
where
    F: Fn(Request) -> R + Send + Sync + 'static,
    R: Future<Output = Response> + Send + 'static,
{
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = runtime.network.listen(address).await.expect("a listener");
    let address = listener.local_address();
    runtime.spawn("server", serve(runtime.clone(), listener, service_fn(answer)));
    address
}

pub struct Wire(pub Box<dyn ByteStream>);

impl Wire {
    pub async fn open(runtime: &Runtime, to: SocketAddr) -> Self {
        Self(runtime.network.connect(&to.into()).await.expect("a connection").stream)
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.expect("written");
    }

    /// Says that nothing more will be written.
    pub async fn finish(&mut self) {
        self.0.shutdown().await.expect("shut down");
    }

    /// Reads until what was read ends with `end`; all of it.
    pub async fn read_until(&mut self, end: &str) -> String {
        let mut text = Vec::new();
        while !text.ends_with(end.as_bytes()) {
            let mut byte = [0];
            let length = self.0.read(&mut byte).await.expect("read");
            assert!(length > 0, "ended early after {:?}", String::from_utf8_lossy(&text));
            text.push(byte[0]);
        }
        String::from_utf8(text).expect("text")
    }

    /// Reads to the end; all that came, even when the end was none of the proper kind.
    pub async fn read_all(&mut self) -> String {
        let mut bytes = Vec::new();
        let _ = self.0.read_to_end(&mut bytes).await;
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Answers after the body was read: `path body`.
pub async fn echo(request: Request) -> Response {
    let path = request.uri().path().to_owned();
    match request.into_body().collect(1 << 20).await {
        Ok(body) => {
            let text = format!("{path} {}", String::from_utf8_lossy(&body));
            orrery_http::respond::text(http::StatusCode::OK, text)
        }
        Err(error) => error.response(),
    }
}
