//! What only real sockets and threads do: resets, answers to peers that are still sending, and
//! answers while all threads are busy.

#[path = "support/wire.rs"]
mod wire;

use std::sync::{Arc, Barrier};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use orrery_http::{Client, MediaType, Response, Service, body, respond, serve};
use orrery_runtime::{BoxFuture, Runtime};
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

/// Answers `/prompt` promptly, and everything else as well.
struct Prompt;

impl Service for Prompt {
    fn call(&self, request: orrery_http::Request) -> BoxFuture<'static, Response> {
        Box::pin(echo(request))
    }

    fn is_prompt(&self, path: &str) -> bool {
        path == "/prompt"
    }
}

#[test]
#[allow(clippy::disallowed_types, reason = "no task can run while all threads are held")]
fn what_is_prompt_is_answered_while_all_threads_are_busy() {
    use std::io::{Read, Write};
    run(|runtime| async move {
        let listener = runtime.network.listen(([127, 0, 0, 1], 0).into()).await.expect("a port");
        let address = listener.local_address();
        let serving = serve(runtime.clone(), listener, Arc::new(Prompt));
        runtime.prompt().spawn("server", serving);
        let (held, free) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
        for _ in 0..2 {
            let (held, free) = (Arc::clone(&held), Arc::clone(&free));
            runtime.spawn("busy", async move {
                held.wait();
                free.wait();
            });
        }
        held.wait();
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        for path in ["/prompt", "/prompt?a=b"] {
            let request = format!("GET {path} HTTP/1.1\r\nConnection: keep-alive\r\n\r\n");
            stream.write_all(request.as_bytes()).expect("written");
            let mut answer = String::new();
            while !answer.ends_with("/prompt ") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("an answer");
                answer.push(char::from(byte[0]));
            }
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
        }
        free.wait();
        // A connection that begins otherwise is taken over by the other threads.
        let mut wire = Wire::open(&runtime, address).await;
        wire.write("GET /other HTTP/1.1\r\n\r\n").await;
        assert!(wire.read_until("/other ").await.starts_with("HTTP/1.1 200 "));
    });
}
