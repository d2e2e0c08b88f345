//! Responses that are written while the peer reads, over both versions.

mod support;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use orrery_http::adapter::{Executor, Io, Timer};
use orrery_http::{Client, Closer, MediaType, SendError, StreamSender};
use orrery_http::{body, closer, recordio, respond};
use orrery_runtime::{Address, Runtime};
use support::{run, settle};
use tokio::sync::mpsc;
use wire::{Wire, start};

/// A server whose every answer is a stream; the test gets the writing ends.
async fn streams(
    runtime: &Runtime,
    capacity: usize,
) -> (core::net::SocketAddr, mpsc::UnboundedReceiver<StreamSender>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let address = start(runtime, move |_| {
        let (stream, body) = body::channel(capacity);
        sender.send(stream).expect("the test listens");
        std::future::ready(respond::stream(MediaType::Json, body))
    });
    (address.await, receiver)
}

#[test]
fn each_record_is_a_chunk_and_the_end_is_proper() {
    run(|_, runtime| async move {
        let (address, mut streams) = streams(&runtime, 1000).await;
        let mut wire = Wire::open(&runtime, address).await;
        wire.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
        let stream = streams.recv().await.expect("a stream");
        let head = wire.read_until("\r\n\r\n").await;
        assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
        assert!(head.contains("Content-Type: application/json\r\n"), "{head}");
        stream.try_send(recordio::encode(b"{}")).expect("room");
        assert_eq!(wire.read_until("{}\r\n").await, "4\r\n2\n{}\r\n");
        stream.try_send(recordio::encode(b"[1]")).expect("room");
        stream.try_send(recordio::encode(b"[2]")).expect("room");
        assert_eq!(wire.read_until("[2]\r\n").await, "5\r\n3\n[1]\r\n5\r\n3\n[2]\r\n");
        drop(stream);
        assert_eq!(wire.read_until("0\r\n\r\n").await, "0\r\n\r\n");
        // The connection is good for more.
        wire.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
        wire.read_until("\r\n\r\n").await;
    });
}

#[test]
fn a_silent_stream_notices_a_peer_that_hangs_up() {
    run(|world, runtime| async move {
        let (address, mut streams) = streams(&runtime, 1000).await;
        for half in [false, true] {
            let mut wire = Wire::open(&runtime, address).await;
            wire.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").await;
            let stream = streams.recv().await.expect("a stream");
            stream.try_send(Bytes::from_static(b"x")).expect("room");
            wire.read_until("x\r\n").await;
            runtime.sleep(Duration::from_secs(1000)).await;
            assert!(!stream.is_closed());
            let before = runtime.clock.now();
            if half {
                wire.finish().await;
            } else {
                drop(wire);
            }
            stream.closed().await;
            assert!(runtime.clock.now().since(before) < Duration::from_millis(1));
            assert_eq!(stream.try_send(Bytes::from_static(b"y")), Err(SendError::Closed));
        }
        settle().await;
        assert_eq!(world.tasks(), 1);
    });
}

#[test]
fn a_request_sent_during_a_stream_is_answered_after_it() {
    run(|_, runtime| async move {
        let (address, mut streams) = streams(&runtime, 1000).await;
        let mut wire = Wire::open(&runtime, address).await;
        let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
        wire.write(request).await;
        let first = streams.recv().await.expect("a stream");
        settle().await;
        wire.write(&request[..20]).await;
        settle().await;
        wire.write(&request[20..]).await;
        settle().await;
        assert!(streams.try_recv().is_err());
        drop(first);
        let second = streams.recv().await.expect("a second stream");
        drop(second);
        wire.read_until("0\r\n\r\n").await;
        wire.read_until("0\r\n\r\n").await;
    });
}

#[test]
fn a_peer_that_does_not_read_fills_the_stream() {
    run(|_, runtime| async move {
        let capacity = 100_000;
        let (address, mut streams) = streams(&runtime, capacity).await;
        let mut wire = Wire::open(&runtime, address).await;
        wire.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
        let stream = streams.recv().await.expect("a stream");
        let mut sent = 0;
        let piece = Bytes::from(vec![b'x'; 1000]);
        while stream.try_send(piece.clone()).is_ok() {
            sent += piece.len();
            settle().await;
            assert!(sent < 1_000_000, "nothing pushes back");
        }
        assert_eq!(stream.try_send(piece.clone()), Err(SendError::Full));
        assert_eq!(stream.waiting(), capacity);
        // Once it reads, there is room again, and nothing was lost.
        drop(stream);
        let text = wire.read_until("0\r\n\r\n").await;
        assert_eq!(text.matches('x').count(), sent);
    });
}

async fn open_http2(
    runtime: &Runtime,
    address: core::net::SocketAddr,
) -> (http2::SendRequest<Empty<Bytes>>, Closer) {
    let (closer, closed) = closer(runtime.clone());
    let stream = runtime.network.connect(&address.into()).await.expect("a connection").stream;
    let (sender, driver) = http2::Builder::new(Executor::new(runtime.clone()))
        .timer(Timer::new(Arc::clone(&runtime.clock)))
        .handshake(Io::until(stream, closed))
        .await
        .expect("a handshake");
    runtime.spawn("driver", async move {
        let _ = driver.await;
    });
    (sender, closer)
}

fn http2_request() -> http::Request<Empty<Bytes>> {
    http::Request::get("http://any/").body(Empty::new()).expect("a request")
}

#[test]
fn streams_over_http2_side_by_side() {
    run(|world, runtime| async move {
        let (address, mut streams) = streams(&runtime, 1000).await;
        let (mut sender, closer) = open_http2(&runtime, address).await;
        let mut first = sender.send_request(http2_request()).await.expect("headers");
        let mut second = sender.send_request(http2_request()).await.expect("headers");
        assert_eq!(first.version(), http::Version::HTTP_2);
        assert!(first.headers().contains_key("date"));
        let (one, two) = (streams.recv().await.expect("one"), streams.recv().await.expect("two"));
        two.try_send(Bytes::from_static(b"second")).expect("room");
        one.try_send(Bytes::from_static(b"first")).expect("room");
        for (response, expected) in [(&mut first, "first"), (&mut second, "second")] {
            let frame = response.body_mut().frame().await.expect("a frame").expect("no error");
            assert_eq!(frame.into_data().expect("data"), expected);
        }
        drop(first);
        one.closed().await;
        assert!(!two.is_closed());
        closer.close_within(Duration::from_secs(1));
        two.closed().await;
        settle().await;
        assert_eq!(world.tasks(), 1);
    });
}

#[test]
fn dropping_a_clients_stream_tells_the_server() {
    run(|_, runtime| async move {
        let (address, mut streams) = streams(&runtime, 1000).await;
        let client = Client::new(runtime.clone());
        let request = http::Request::post("/").body(Bytes::new()).expect("a request");
        let to = Address::from(address);
        let mut response = client.stream(&to, request).await.expect("a response");
        let stream = streams.recv().await.expect("a stream");
        stream.try_send(Bytes::from_static(b"abc")).expect("room");
        let piece = response.body_mut().next().await.expect("a piece").expect("no error");
        assert_eq!(piece, "abc");
        drop(response);
        stream.closed().await;
    });
}
