//! The server as a peer sees it that writes its bytes by hand.

mod support;
#[path = "support/wire.rs"]
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use orrery_http::{Peer, Request, body, limits, respond, serve, server, service_fn};
use support::{run, settle};
use wire::{Wire, echo, start};

#[test]
fn keeps_the_connection_and_answers_like_mesos() {
    run(|_, runtime| async move {
        let address = start(&runtime, async |request: Request| match request.uri().path() {
            "/accepted" => respond::empty(StatusCode::ACCEPTED),
            _ => respond::text(StatusCode::OK, "hello"),
        });
        let mut wire = Wire::open(&runtime, address.await).await;
        wire.write("POST /accepted HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
        let head = wire.read_until("\r\n\r\n").await;
        assert_eq!(
            head,
            "HTTP/1.1 202 Accepted\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             Content-Length: 0\r\n\r\n"
        );
        wire.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let text = wire.read_until("hello").await;
        assert!(text.contains("Content-Type: text/plain; charset=utf-8\r\n"), "{text}");
        assert!(text.contains("Content-Length: 5\r\n"), "{text}");
    });
}

#[test]
fn answers_pipelined_requests_in_order() {
    run(|_, runtime| async move {
        let address = start(&runtime, {
            let runtime = runtime.clone();
            move |request: Request| {
                let runtime = runtime.clone();
                async move {
                    // The first is the slowest: the second must still come second.
                    let slow = request.uri().path() == "/one";
                    runtime.sleep(Duration::from_secs(if slow { 9 } else { 0 })).await;
                    echo(request).await
                }
            }
        });
        let mut wire = Wire::open(&runtime, address.await).await;
        wire.write(
            "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1\
             POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\n2",
        )
        .await;
        let text = wire.read_all().await;
        let first = text.find("/one 1").expect("the first answer");
        let second = text.find("/two 2").expect("the second answer");
        assert!(first < second, "{text}");
    });
}

#[test]
fn takes_an_empty_host_and_none_at_all() {
    run(|_, runtime| async move {
        let address = start(&runtime, echo).await;
        for head in [
            "GET /x HTTP/1.1\r\nHost:\r\n\r\n",
            "GET /x HTTP/1.1\r\nHost: \r\n\r\n",
            "GET /x HTTP/1.1\r\n\r\n",
            "GET /x HTTP/1.0\r\n\r\n",
        ] {
            let mut wire = Wire::open(&runtime, address).await;
            wire.write(head).await;
            assert!(wire.read_until("/x ").await.contains(" 200 OK\r\n"), "{head}");
        }
    });
}

#[test]
fn answers_head_with_the_length_of_get() {
    run(|_, runtime| async move {
        let address = start(&runtime, async |_| respond::text(StatusCode::OK, "hello")).await;
        let mut wire = Wire::open(&runtime, address).await;
        wire.write("HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let text = wire.read_all().await;
        assert!(text.contains("Content-Length: 5\r\n") && text.ends_with("\r\n\r\n"), "{text}");
    });
}

#[test]
fn tells_the_service_who_asks() {
    run(|_, runtime| async move {
        let address = start(&runtime, async |request: Request| {
            let peer = request.extensions().get::<Peer>().copied();
            respond::text(StatusCode::OK, format!("{:?};", peer.map(|peer| peer.local)))
        });
        let address = address.await;
        let mut wire = Wire::open(&runtime, address).await;
        wire.write("GET / HTTP/1.1\r\n\r\n").await;
        wire.read_until(&format!("Some({address});")).await;
    });
}

#[test]
fn answers_a_peer_that_has_closed_its_direction() {
    run(|world, runtime| async move {
        let address = start(&runtime, {
            let runtime = runtime.clone();
            move |request: Request| {
                let runtime = runtime.clone();
                async move {
                    runtime.sleep(Duration::from_secs(5)).await;
                    echo(request).await
                }
            }
        });
        let mut wire = Wire::open(&runtime, address.await).await;
        wire.write("POST /late HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi").await;
        wire.finish().await;
        assert!(wire.read_all().await.ends_with("/late hi"));
        settle().await;
        assert_eq!(world.tasks(), 1, "only the server itself is left");
    });
}

#[test]
fn refuses_large_headers_and_lives_on() {
    run(|world, runtime| async move {
        let address = start(&runtime, echo).await;
        let mut wire = Wire::open(&runtime, address).await;
        let (mut reader, mut writer) = tokio::io::split(wire.0);
        // The server may hang up before all of it was written.
        let flood = async move {
            let head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(limits::HEADERS));
            let _ = tokio::io::AsyncWriteExt::write_all(&mut writer, head.as_bytes()).await;
            writer
        };
        let mut text = String::new();
        let read = tokio::io::AsyncReadExt::read_to_string(&mut reader, &mut text);
        let (_writer, _) = tokio::join!(flood, read);
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 431 "), "{text}");
        runtime.sleep(limits::LINGER).await;
        settle().await;
        assert_eq!(world.tasks(), 1);
        wire = Wire::open(&runtime, address).await;
        wire.write("GET /y HTTP/1.1\r\n\r\n").await;
        wire.read_until("/y ").await;
    });
}

#[test]
fn refuses_large_bodies_declared_or_not() {
    run(|_, runtime| async move {
        let address =
            start(&runtime, async |request: Request| match request.into_body().collect(10).await {
                Ok(body) => respond::text(StatusCode::OK, format!("{} bytes", body.len())),
                Err(error) => error.response(),
            });
        let address = address.await;
        for (request, status) in [
            ("Content-Length: 10\r\n\r\n0123456789", "200 OK"),
            ("Content-Length: 11\r\n\r\n01234567890", "413 "),
            ("Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n01234\r\n0\r\n\r\n", "200 OK"),
            ("Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n6\r\n012345\r\n0\r\n\r\n", "413 "),
            ("Transfer-Encoding: chunked\r\n\r\nzz\r\n01234\r\n", "400 "),
        ] {
            let mut wire = Wire::open(&runtime, address).await;
            wire.write(format!("POST / HTTP/1.1\r\n{request}")).await;
            wire.finish().await;
            let text = wire.read_all().await;
            assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {text}");
        }
    });
}

#[test]
fn cuts_headers_that_never_end_but_not_silence() {
    run(|world, runtime| async move {
        let address = start(&runtime, echo).await;
        let mut silent = Wire::open(&runtime, address).await;
        let mut between = Wire::open(&runtime, address).await;
        between.write("GET /first HTTP/1.1\r\n\r\n").await;
        between.read_until("/first ").await;
        let mut slow = Vec::new();
        for beginning in ["G", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nX: y\r\n"] {
            let mut wire = Wire::open(&runtime, address).await;
            wire.write(beginning).await;
            slow.push(wire);
        }
        runtime.sleep(limits::HEADERS_TIME - Duration::from_secs(1)).await;
        assert_eq!(world.tasks(), 1 + 6);
        runtime.sleep(Duration::from_secs(2)).await;
        assert_eq!(world.tasks(), 1 + 2, "the slow ones are gone");
        runtime.sleep(Duration::from_secs(100_000)).await;
        for (wire, path) in [(&mut silent, "/silent"), (&mut between, "/second")] {
            wire.write(format!("GET {path} HTTP/1.1\r\n\r\n")).await;
            wire.read_until(&format!("{path} ")).await;
        }
    });
}

#[test]
fn cuts_headers_that_drip() {
    run(|world, runtime| async move {
        let address = start(&runtime, echo).await;
        let mut wire = Wire::open(&runtime, address).await;
        wire.write("GET /first HTTP/1.1\r\n\r\nGET").await;
        wire.read_until("/first ").await;
        wire.write(" /second HTTP/1.1\r\n").await;
        for _ in 0..13 {
            runtime.sleep(Duration::from_secs(5)).await;
            let line = "X: y\r\n".as_bytes();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut wire.0, line).await;
        }
        assert_eq!(world.tasks(), 1, "each byte alone was in time, the whole was not");
    });
}

#[test]
fn survives_nonsense() {
    run(|world, runtime| async move {
        let address = start(&runtime, echo).await;
        for nonsense in [
            "\r\n\r\n",
            "GET\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "GET /%zz?a=%q HTTP/1.1\r\n\r\n",
            "\u{0}\u{1}\u{2}",
            "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nshort",
            "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\u{0}\u{0}\u{0}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}\u{7f}",
            "\u{16}\u{3}\u{1} a TLS hello",
        ] {
            let mut wire = Wire::open(&runtime, address).await;
            wire.write(nonsense).await;
            wire.finish().await;
            wire.read_all().await;
        }
        settle().await;
        assert_eq!(world.tasks(), 1);
    });
}

#[test]
fn survives_random_bytes() {
    let mut random = orrery_runtime::Generator::from_number(1);
    run(|world, runtime| async move {
        let address = start(&runtime, echo).await;
        let seeds: [&[u8]; 3] = [
            b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\
              \0\0\x04\x01\x05\0\0\0\x01\x82\x86\x84A",
            b"",
        ];
        for round in 0..500 {
            let mut bytes = seeds[round % seeds.len()].to_vec();
            for _ in 0..random.below(8) {
                let at = random.below(bytes.len() as u64 + 1) as usize;
                bytes.insert(at, random.next_u64() as u8);
            }
            let mut wire = Wire::open(&runtime, address).await;
            wire.write(&bytes).await;
            wire.finish().await;
            wire.read_all().await;
        }
        settle().await;
        assert_eq!(world.tasks(), 1, "a connection was left over");
    });
}

#[test]
fn dropping_the_server_closes_all() {
    run(|world, runtime| async move {
        let listener = runtime.network.listen(([127, 0, 0, 1], 0).into()).await.expect("listener");
        let address = listener.local_address();
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        let service = service_fn(move |_| {
            let (stream, body) = body::channel(100);
            sender.send(stream).expect("the test listens");
            std::future::ready(respond::stream(orrery_http::MediaType::Json, body))
        });
        let task = runtime.spawn("server", serve(runtime.clone(), listener, service));
        let mut receiver = receiver;
        let mut wire = Wire::open(&runtime, address).await;
        wire.write("GET / HTTP/1.1\r\n\r\n").await;
        let stream = receiver.recv().await.expect("a stream");
        wire.read_until("\r\n\r\n").await;
        task.abort();
        stream.closed().await;
        assert_eq!(wire.read_all().await, "");
        settle().await;
        assert_eq!(world.tasks(), 0);
    });
}

#[test]
fn holds_no_more_connections_than_it_may() {
    run(|_, runtime| async move {
        let listener = runtime.network.listen(([127, 0, 0, 1], 0).into()).await.expect("listener");
        let address = listener.local_address();
        let answered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&answered);
        let service = service_fn(move |request| {
            count.fetch_add(1, Ordering::SeqCst);
            echo(request)
        });
        let run = server::serve_up_to(2, runtime.clone(), listener, service);
        runtime.spawn("server", run);
        let mut wires = Vec::new();
        for _ in 0..3 {
            let mut wire = Wire::open(&runtime, address).await;
            wire.write("GET /z HTTP/1.1\r\n\r\n").await;
            wires.push(wire);
        }
        settle().await;
        assert_eq!(answered.load(Ordering::SeqCst), 2);
        wires.remove(0);
        settle().await;
        assert_eq!(answered.load(Ordering::SeqCst), 3);
    });
}
