//! What only real sockets do: resets, and answers to peers that are still sending.

#[path = "support/wire.rs"]
mod wire;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use orrery_http::{Client, MediaType, body, respond};
use orrery_runtime::Runtime;
use tokio::sync::mpsc;
use wire::{Wire, echo, start};

/// Far longer than anything here takes; a test that needs it has failed.
const LIMIT: Duration = Duration::from_secs(60);

fn run<F: Future<Output = ()>>(test: impl FnOnce(Runtime) -> F) {
    let tokio = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    tokio.block_on(async {
        let runtime = orrery_runtime_real::runtime();
        let finished = runtime.timeout(LIMIT, test(runtime.clone())).await;
        finished.expect("the test ends");
    });
}

#[test]
fn a_client_and_a_server_understand_each_other() {
    run(|runtime| async move {
        let to = start(&runtime, echo).await.into();
        let client = Client::new(runtime.clone());
        for _ in 0..100 {
            let request = Request::post("/a").body(Bytes::from_static(b"hi"));
            let response = client.send(&to, request.expect("a request")).await;
            let body = response.expect("an answer").into_body().collect(100).await;
            assert_eq!(body.expect("a body"), "/a hi");
        }
    });
}

#[test]
fn an_early_refusal_reaches_a_peer_that_is_still_sending() {
    run(|runtime| async move {
        let to = start(&runtime, async |request: orrery_http::Request| {
            match request.into_body().collect(10).await {
                Ok(_) => respond::empty(StatusCode::OK),
                Err(error) => error.response(),
            }
        });
        let to = to.await;
        let size = 8 << 20;
        let mut wire = Wire::open(&runtime, to).await;
        wire.write(format!("POST / HTTP/1.1\r\nContent-Length: {size}\r\n\r\n")).await;
        // Many peers read nothing before they have written everything.
        wire.write(vec![b'x'; size]).await;
        let answer = wire.read_all().await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer:?}");
    });
}

#[test]
fn a_reset_closes_the_stream() {
    run(|runtime| async move {
        let (sender, mut streams) = mpsc::unbounded_channel();
        let address = start(&runtime, move |_| {
            let (stream, body) = body::channel(1 << 20);
            sender.send(stream).expect("the test listens");
            std::future::ready(respond::stream(MediaType::Json, body))
        });
        let address = address.await;
        for unread in [false, true] {
            let mut wire = Wire::open(&runtime, address).await;
            wire.write("GET / HTTP/1.1\r\n\r\n").await;
            let stream = streams.recv().await.expect("a stream");
            wire.read_until("\r\n\r\n").await;
            if unread {
                // A socket that is closed with something unread resets its connection.
                stream.try_send(Bytes::from_static(b"x")).expect("room");
                wire.read_until("x").await;
            }
            drop(wire);
            stream.closed().await;
        }
    });
}
