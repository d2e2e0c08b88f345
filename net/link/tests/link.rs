//! Both sides of the link over in-memory pipes and virtual time.

#[path = "../../http/tests/support/mod.rs"]
mod support;
#[path = "../../http/tests/support/wire.rs"]
mod wire;

use core::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use orrery_api::link::{FromAgent, FromMaster, Shutdown, from_agent, from_master};
use orrery_api::{link, v1};
use orrery_link::{
    Acceptor, LINGER, LinkError, LinkReceiver, LinkSender, LinkService, PROTOCOL_VERSION,
    QUEUE_MAX, SendError, connect,
};
use orrery_runtime::{Address, Runtime};
use support::{BLACK_HOLE, World, run, settle};
use tokio::sync::mpsc;
use wire::{Wire, start};

type MasterEnds = (LinkSender<FromMaster>, LinkReceiver<FromAgent>);
type AgentEnds = (LinkSender<FromAgent>, LinkReceiver<FromMaster>);

struct Ends(mpsc::UnboundedSender<MasterEnds>);

impl Acceptor for Ends {
    fn accept(
        &self,
        peer: SocketAddr,
        sender: LinkSender<FromMaster>,
        receiver: LinkReceiver<FromAgent>,
    ) {
        assert!(peer.port() > 0);
        self.0.send((sender, receiver)).expect("the test listens");
    }
}

/// A master that hands its ends of every link to the test.
async fn master(runtime: &Runtime) -> (SocketAddr, mpsc::UnboundedReceiver<MasterEnds>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let service = LinkService::new(runtime.clone(), Arc::new(Ends(sender)));
    let address = start(runtime, move |request| {
        let link = LinkService::handles(request.uri().path()).then(|| service.call(request));
        async move {
            match link {
                Some(answer) => answer.await,
                None => orrery_http::respond::not_found(),
            }
        }
    });
    (address.await, receiver)
}

async fn pair(runtime: &Runtime) -> (AgentEnds, MasterEnds) {
    let (address, mut links) = master(runtime).await;
    let agent = connect(runtime, &address.into()).await.expect("a link");
    (agent, links.recv().await.expect("the master's ends"))
}

fn text(data: impl Into<Vec<u8>>) -> FromMaster {
    let message = link::FrameworkMessage { data: data.into().into(), ..Default::default() };
    FromMaster { body: Some(from_master::Body::FrameworkMessage(message)), ..Default::default() }
}

fn data(message: FromMaster) -> Vec<u8> {
    match message.body {
        Some(from_master::Body::FrameworkMessage(message)) => message.data.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn pong() -> FromAgent {
    FromAgent { body: Some(from_agent::Body::Pong(link::Pong {})), ..Default::default() }
}

/// Nothing but the server's own task is left once a link is gone.
async fn assert_gone(world: &World) {
    settle().await;
    assert_eq!(world.tasks(), 1);
}

#[test]
fn messages_go_both_ways_with_their_version() {
    run(|_, runtime| async move {
        let (mut agent, mut master) = pair(&runtime).await;
        let register = link::Register {
            agent_info: Some(v1::AgentInfo { hostname: "a".to_owned(), ..Default::default() }),
            ..Default::default()
        };
        let body = from_agent::Body::Register(register);
        let message = FromAgent { protocol_version: 0, body: Some(body) };
        agent.0.try_send(message.clone()).expect("room");
        let received = master.1.receive().await.expect("a message");
        assert_eq!(received, FromAgent { protocol_version: PROTOCOL_VERSION, ..message });
        master.0.try_send(text("hello")).expect("room");
        assert_eq!(data(agent.1.receive().await.expect("a message")), b"hello");
    });
}

#[test]
fn ten_thousand_messages_arrive_in_order() {
    run(|_, runtime| async move {
        let (mut agent, master) = pair(&runtime).await;
        for number in 0..10_000_u32 {
            master.0.try_send(text(number.to_string())).expect("room");
        }
        for number in 0..10_000_u32 {
            let message = agent.1.receive().await.expect("a message");
            assert_eq!(data(message), number.to_string().into_bytes());
        }
    });
}

#[test]
fn closing_flushes_and_ends_both_sides() {
    run(|world, runtime| async move {
        let (mut agent, mut master) = pair(&runtime).await;
        let goodbye = Shutdown { message: "bye".to_owned(), ..Default::default() };
        let goodbye = from_master::Body::Shutdown(goodbye);
        let goodbye = FromMaster { body: Some(goodbye), ..Default::default() };
        master.0.try_send(goodbye).expect("room");
        master.0.close();
        assert_eq!(master.0.try_send(text("late")), Err(SendError::Closed));
        let before = runtime.clock.now();
        assert!(master.1.receive().await.is_none());
        assert!(agent.1.receive().await.is_some());
        assert!(agent.1.receive().await.is_none());
        assert!(agent.1.receive().await.is_none(), "the end is the end");
        assert_eq!(agent.0.try_send(pong()), Err(SendError::Closed));
        assert!(runtime.clock.now().since(before) < Duration::from_millis(10));
        runtime.sleep(LINGER).await;
        assert_gone(&world).await;
    });
}

#[test]
fn an_agent_that_drops_its_ends_is_gone_at_once() {
    run(|world, runtime| async move {
        let (agent, mut master) = pair(&runtime).await;
        agent.0.try_send(pong()).expect("room");
        let before = runtime.clock.now();
        drop(agent);
        assert!(master.1.receive().await.is_some(), "what was queued still comes");
        assert!(master.1.receive().await.is_none());
        assert!(runtime.clock.now().since(before) < Duration::from_millis(10));
        assert_eq!(master.0.try_send(text("late")), Err(SendError::Closed));
        runtime.sleep(LINGER).await;
        assert_gone(&world).await;
    });
}

#[test]
fn a_master_that_drops_its_ends_is_gone_at_once() {
    run(|world, runtime| async move {
        let (mut agent, master) = pair(&runtime).await;
        drop(master);
        let before = runtime.clock.now();
        assert!(agent.1.receive().await.is_none());
        assert!(runtime.clock.now().since(before) < Duration::from_millis(10));
        runtime.sleep(LINGER).await;
        assert_gone(&world).await;
    });
}

#[test]
fn a_link_lives_as_long_as_one_end_is_held() {
    run(|_, runtime| async move {
        let (agent, mut master) = pair(&runtime).await;
        let (sender, receiver) = agent;
        drop(receiver);
        runtime.sleep(Duration::from_secs(60)).await;
        sender.clone().try_send(pong()).expect("room");
        assert!(master.1.receive().await.is_some());
    });
}

#[test]
fn a_peer_that_does_not_read_fills_the_queue() {
    run(|world, runtime| async move {
        let (mut agent, mut master) = pair(&runtime).await;
        let message = text(vec![b'x'; 1000]);
        let mut sent = 0;
        while master.0.try_send(message.clone()) != Err(SendError::Full) {
            sent += 1;
            if sent % 1000 == 0 {
                settle().await;
            }
            assert!(sent < 2 * QUEUE_MAX, "nothing pushes back");
        }
        assert!(sent >= QUEUE_MAX);
        for _ in 0..sent {
            assert_eq!(data(agent.1.receive().await.expect("a message")).len(), 1000);
        }
        // A stuck peer does not hold the connection for longer than it may.
        while master.0.try_send(message.clone()) != Err(SendError::Full) {}
        master.0.close();
        assert!(master.1.receive().await.is_none());
        runtime.sleep(LINGER).await;
        drop(agent);
        runtime.sleep(LINGER).await;
        assert_gone(&world).await;
    });
}

#[test]
fn large_messages_pass_and_too_large_ones_end_the_link() {
    run(|_, runtime| async move {
        let (mut agent, master) = pair(&runtime).await;
        let large = 3 << 20;
        master.0.try_send(text(vec![1; large])).expect("room");
        assert_eq!(data(agent.1.receive().await.expect("a message")).len(), large);
        master.0.try_send(text(vec![1; orrery_link::MESSAGE_MAX])).expect("room");
        assert!(agent.1.receive().await.is_none());
        assert_eq!(master.0.try_send(text("late")), Err(SendError::Closed));
    });
}

#[test]
fn connecting_fails_in_time_and_says_why() {
    run(|world, runtime| async move {
        let before = runtime.clock.now();
        let error = connect(&runtime, &Address::new(BLACK_HOLE, 1)).await.expect_err("no link");
        assert_eq!(error.to_string(), "no link to black.hole:1: no answer within 5 s");
        assert_eq!(runtime.clock.now().since(before), Duration::from_secs(5));
        let error = connect(&runtime, &Address::new("127.0.0.1", 9)).await.expect_err("no link");
        assert!(matches!(error, LinkError::Connect { .. }), "{error}");
        let error = connect(&runtime, &Address::new("a b", 9)).await.expect_err("no link");
        assert!(matches!(error, LinkError::Address { .. }), "{error}");
        let refuse = async |_| {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            orrery_http::respond::text(status, "not the leader")
        };
        let address = start(&runtime, refuse).await;
        let error = connect(&runtime, &address.into()).await.expect_err("no link");
        assert!(matches!(error, LinkError::Refused { leader: None, .. }), "{error}");
        assert!(
            error.to_string().ends_with("refuses the link: it answers 503 Service Unavailable")
        );
        runtime.sleep(LINGER).await;
        assert_gone(&world).await;
    });
}

#[test]
fn a_redirect_names_the_leader() {
    run(|_, runtime| async move {
        let redirect = async |_| {
            let mut response = orrery_http::respond::empty(StatusCode::TEMPORARY_REDIRECT);
            let location = http::HeaderValue::from_static("//10.0.0.7:5050/orrery.link.v1");
            response.headers_mut().insert(http::header::LOCATION, location);
            response
        };
        let address = start(&runtime, redirect).await;
        match connect(&runtime, &address.into()).await {
            Err(LinkError::Refused { leader, .. }) => {
                assert_eq!(leader, Some(Address::new("10.0.0.7", 5050)));
            }
            other => panic!("{other:?}"),
        }
    });
}

#[test]
fn what_speaks_no_http2_is_refused() {
    run(|world, runtime| async move {
        for nonsense in ["", "HTTP/1.1 400 Bad Request\r\n\r\n", "\0\0\0\0\0\0\0\0\0\0\0\0\0"] {
            let mut listener =
                runtime.network.listen(([127, 0, 0, 1], 0).into()).await.expect("a listener");
            let address = listener.local_address();
            let task = runtime.spawn("nonsense", async move {
                if let Ok(connection) = listener.accept().await {
                    let mut wire = Wire(connection.stream);
                    wire.write(nonsense).await;
                    wire.finish().await;
                    std::future::pending().await
                }
            });
            connect(&runtime, &address.into()).await.expect_err("no link");
            task.abort();
        }
        runtime.sleep(LINGER).await;
        settle().await;
        assert_eq!(world.tasks(), 0);
    });
}

/// An HTTP/2 frame.
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let mut bytes = length.to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags, 0, 0, 0, stream]);
    bytes.extend(payload);
    bytes
}

/// A call on the link, after which anything can follow in DATA frames.
fn call() -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/orrery.link.v1.AgentLink/Connect"),
        (":authority", "a"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ] {
        // A literal that is not indexed, its name in full (RFC 7541, 6.2.2).
        headers.extend([0, name.len() as u8]);
        headers.extend(name.as_bytes());
        headers.push(value.len() as u8);
        headers.extend(value.as_bytes());
    }
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frame(1, 4, 1, &headers));
    bytes
}

/// Sends a call and `payload` on it by hand; whether a message came out on the master's side.
async fn receives(runtime: &Runtime, payload: &[u8]) -> bool {
    let (address, mut links) = master(runtime).await;
    let mut wire = Wire::open(runtime, address).await;
    wire.write(call()).await;
    wire.write(frame(0, 0, 1, payload)).await;
    let mut master = links.recv().await.expect("the master's ends");
    let received = master.1.receive().await.is_some();
    if !received {
        assert_eq!(master.0.try_send(text("late")), Err(SendError::Closed));
    }
    received
}

#[test]
fn wrong_versions_and_garbage_end_the_link() {
    run(|_, runtime| async move {
        // A gRPC message: not compressed, two bytes, field 1 (the version).
        assert!(receives(&runtime, &[0, 0, 0, 0, 2, 8, 1]).await);
        for (what, payload) in [
            ("version 0", vec![0, 0, 0, 0, 0]),
            ("version 2", vec![0, 0, 0, 0, 2, 8, 2]),
            ("no protobuf", vec![0, 0, 0, 0, 2, 0xff, 0xff]),
            ("a compressed message", vec![1, 0, 0, 0, 2, 8, 1]),
            ("a flag that does not exist", vec![9, 0, 0, 0, 2, 8, 1]),
            ("4 GiB announced", vec![0, 0xff, 0xff, 0xff, 0xff]),
        ] {
            assert!(!receives(&runtime, &payload).await, "{what}");
        }
    });
}

#[test]
fn random_bytes_end_links_and_nothing_else() {
    let mut random = orrery_runtime::Generator::from_number(3);
    run(|world, runtime| async move {
        let (address, mut links) = master(&runtime).await;
        for _ in 0..300 {
            let mut bytes = call();
            bytes.extend(frame(0, 0, 1, &[0, 0, 0, 0, 2, 8, 1]));
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] = random.next_u64() as u8;
            }
            let mut wire = Wire::open(&runtime, address).await;
            wire.write(&bytes).await;
            wire.finish().await;
            settle().await;
            while let Ok((_, mut receiver)) = links.try_recv() {
                while receiver.receive().await.is_some() {}
            }
        }
        runtime.sleep(LINGER).await;
        assert_gone(&world).await;
    });
}

#[test]
fn http1_is_told_what_the_link_needs() {
    run(|_, runtime| async move {
        let (address, _links) = master(&runtime).await;
        let mut wire = Wire::open(&runtime, address).await;
        wire.write("POST /orrery.link.v1.AgentLink/Connect HTTP/1.1\r\n\r\n").await;
        wire.finish().await;
        assert!(wire.read_all().await.starts_with("HTTP/1.1 505 "));
    });
}
