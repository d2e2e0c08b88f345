//! The client against servers that keep, close and break connections.

mod support;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use orrery_http::{Client, ClientError, respond};
use orrery_runtime::{Address, Runtime};
use support::{BLACK_HOLE, run, settle};
use wire::{Wire, echo, start};

fn request(method: Method, path: &str, body: &'static str) -> Request<Bytes> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(Bytes::from_static(body.as_bytes()))
        .expect("ok")
}

async fn text(
    client: &Client,
    to: &Address,
    request: Request<Bytes>,
) -> Result<String, ClientError> {
    let response = client.send(to, request).await?;
    let body = response.into_body().collect(1 << 20).await.expect("a whole body");
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// A server by hand: for its n-th connection and each request on it, `plan(connection, request)`
/// says whether to answer (`true`) or to hang up after the request was read.
async fn crude(runtime: &Runtime, plan: fn(usize, usize) -> bool) -> (Address, Arc<AtomicUsize>) {
    let mut listener = runtime.network.listen(([127, 0, 0, 1], 0).into()).await.expect("listener");
    let address = listener.local_address();
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    let ports = runtime.clone();
    runtime.spawn("crude server", async move {
        let mut number = 0;
        while let Ok(connection) = listener.accept().await {
            let mut wire = Wire(connection.stream);
            let (this, count) = (number, Arc::clone(&count));
            number += 1;
            ports.spawn("crude connection", async move {
                for nth in 0.. {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        match tokio::io::AsyncReadExt::read(&mut wire.0, &mut byte).await {
                            Ok(1) => head.push(byte[0]),
                            _ => return,
                        }
                    }
                    count.fetch_add(1, Ordering::SeqCst);
                    if !plan(this, nth) {
                        return;
                    }
                    wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                }
            });
        }
    });
    (address.into(), requests)
}

#[test]
fn keeps_one_connection_for_many_requests() {
    run(|world, runtime| async move {
        let to = Address::from(start(&runtime, echo).await);
        let client = Client::new(runtime.clone());
        for _ in 0..10 {
            let answer = text(&client, &to, request(Method::POST, "/a?b=c", "hi")).await;
            assert_eq!(answer.expect("an answer"), "/a hi");
        }
        assert_eq!(world.connects(), 1);
        // Age: after half a minute it is not trusted any more.
        runtime.sleep(Duration::from_secs(31)).await;
        text(&client, &to, request(Method::POST, "/", "")).await.expect("an answer");
        assert_eq!(world.connects(), 2);
    });
}

#[test]
fn empty_answers_need_not_be_read() {
    run(|world, runtime| async move {
        let address = start(&runtime, async |_| respond::empty(StatusCode::ACCEPTED)).await;
        let client = Client::new(runtime.clone());
        for _ in 0..3 {
            let response = client.send(&address.into(), request(Method::POST, "/", "x")).await;
            assert_eq!(response.expect("an answer").status(), StatusCode::ACCEPTED);
        }
        assert_eq!(world.connects(), 1);
    });
}

#[test]
fn keeps_few_connections_and_none_without_need() {
    run(|world, runtime| async move {
        let to = Address::from(start(&runtime, echo).await);
        let client = Client::new(runtime.clone());
        let requests = (0..20).map(|_| text(&client, &to, request(Method::GET, "/", "")));
        for answer in futures_util::future::join_all(requests).await {
            answer.expect("an answer");
        }
        settle().await;
        assert_eq!(world.connects(), 20);
        // The server, and four connections with a task on both sides.
        assert_eq!(world.tasks(), 1 + 4 * 2);
        drop(client);
        settle().await;
        assert_eq!(world.tasks(), 1);
    });
}

#[test]
fn sends_the_host_and_the_path_alone() {
    run(|_, runtime| async move {
        let address = start(&runtime, async |request: orrery_http::Request| {
            let host = request.headers().get("host").map(|host| host.to_str().map(str::to_owned));
            respond::text(StatusCode::OK, format!("{:?} {}", host, request.uri()))
        });
        let address = address.await;
        let client = Client::new(runtime.clone());
        let uri = "http://elsewhere:1/p?q=1";
        let answer = text(&client, &address.into(), request(Method::GET, uri, "")).await;
        assert_eq!(answer.expect("an answer"), format!("Some(Ok(\"{address}\")) /p?q=1"));
    });
}

#[test]
fn replaces_a_kept_connection_that_was_closed_meanwhile() {
    run(|world, runtime| async move {
        // Every connection serves one request and is then closed by the time-out of the server.
        let (to, requests) = crude(&runtime, |_, nth| nth == 0).await;
        let client = Client::new(runtime.clone()).with_connect_time(Duration::from_secs(1));
        assert_eq!(text(&client, &to, request(Method::GET, "/", "")).await.expect("first"), "ok");
        // Nobody has closed it yet, so the repetition of a GET is what saves the second one.
        assert_eq!(text(&client, &to, request(Method::GET, "/", "")).await.expect("second"), "ok");
        assert_eq!(world.connects(), 2);
        assert_eq!(requests.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn never_repeats_a_post_that_was_written() {
    run(|world, runtime| async move {
        let (to, requests) = crude(&runtime, |_, nth| nth == 0).await;
        let client = Client::new(runtime.clone());
        text(&client, &to, request(Method::POST, "/", "")).await.expect("first");
        let second = text(&client, &to, request(Method::POST, "/", "")).await;
        assert!(matches!(second, Err(ClientError::Request { .. })), "{second:?}");
        assert_eq!((world.connects(), requests.load(Ordering::SeqCst)), (1, 2));
    });
}

#[test]
fn repeats_a_get_at_most_once() {
    run(|_, runtime| async move {
        let (to, requests) = crude(&runtime, |connection, nth| connection == 0 && nth == 0).await;
        let client = Client::new(runtime.clone());
        text(&client, &to, request(Method::GET, "/", "")).await.expect("first");
        let second = text(&client, &to, request(Method::GET, "/", "")).await;
        assert!(matches!(second, Err(ClientError::Request { .. })), "{second:?}");
        assert_eq!(requests.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn a_post_moves_to_a_new_connection_when_the_kept_one_is_closed() {
    run(|world, runtime| async move {
        let listener = runtime.network.listen(([127, 0, 0, 1], 0).into()).await.expect("listener");
        let to = Address::from(listener.local_address());
        let mut listener = listener;
        runtime.spawn("server", async move {
            while let Ok(connection) = listener.accept().await {
                let mut wire = Wire(connection.stream);
                wire.read_until("\r\n\r\n").await;
                wire.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            }
        });
        let client = Client::new(runtime.clone());
        for _ in 0..3 {
            assert_eq!(text(&client, &to, request(Method::POST, "/", "")).await.expect("ok"), "ok");
            settle().await;
        }
        assert_eq!(world.connects(), 3);
    });
}

#[test]
fn gives_up_connecting_and_says_so() {
    run(|_, runtime| async move {
        let client = Client::new(runtime.clone());
        let before = runtime.clock.now();
        let error = client.send(&Address::new(BLACK_HOLE, 1), request(Method::GET, "/", "")).await;
        let error = error.expect_err("no connection");
        assert_eq!(error.to_string(), "cannot connect to black.hole:1: no answer within 10 s");
        assert_eq!(runtime.clock.now().since(before), Duration::from_secs(10));
        let refused =
            client.send(&Address::new("127.0.0.1", 9), request(Method::GET, "/", "")).await;
        assert!(matches!(refused, Err(ClientError::Connect { .. })));
    });
}

#[test]
fn an_answer_that_is_no_http_is_an_error() {
    run(|_, runtime| async move {
        for nonsense in ["", "\0\0", "HTTP/1.1 abc\r\n\r\n", "220 smtp ready\r\n\r\n"] {
            let listener = runtime.network.listen(([127, 0, 0, 1], 0).into()).await.expect("ok");
            let to = Address::from(listener.local_address());
            let mut listener = listener;
            runtime.spawn("server", async move {
                while let Ok(connection) = listener.accept().await {
                    let mut wire = Wire(connection.stream);
                    wire.read_until("\r\n\r\n").await;
                    wire.write(nonsense).await;
                }
            });
            let client = Client::new(runtime.clone());
            let answer = client.send(&to, request(Method::GET, "/", "")).await;
            assert!(matches!(answer, Err(ClientError::Request { .. })), "{nonsense:?}");
        }
    });
}
