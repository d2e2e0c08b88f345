//! A framework against a master over real sockets: what travels, in what order, and what happens
//! when masters redirect, refuse and go away.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use orrery_api::v1::scheduler::call::Type;
use orrery_http::MediaType;
use orrery_net_scheduler::{Encoding, Options, Scheduler, run};
use orrery_runtime::{Address, ByteStream, Listener};
use orrery_runtime_real::runtime;
use orrery_scheduler::{Context, Ending, Event, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn options(master: &Address) -> Options {
    Options::new(vec![master.clone()], Default::default())
}

fn stream_or_accept(call: &orrery_api::v1::scheduler::Call) -> Reply {
    match call.r#type() {
        Type::Subscribe => Reply::Stream("stream-1", vec![subscribed(), update("t", 7)]),
        _ => Reply::Accepted,
    }
}

#[tokio::test]
async fn a_session_in_both_encodings() {
    for (encoding, media_type) in
        [(Encoding::Json, MediaType::Json), (Encoding::Protobuf, MediaType::Protobuf)]
    {
        let runtime = runtime();
        let mut master = Master::start(&runtime, stream_or_accept).await;
        let framework = Closure(|context: &mut Context<'_>, event| {
            if let Event::Update(_) = event {
                context.teardown();
            }
        });
        let options = Options { encoding, ..options(&master.address) };
        let outcome = run(runtime, options, framework).await;
        assert_eq!(outcome.ending, Ending::TornDown);
        let subscribe = master.expect(Type::Subscribe).await;
        assert_eq!(subscribe.stream_id, None);
        assert_eq!(subscribe.media_type, media_type);
        for kind in [Type::Acknowledge, Type::Teardown] {
            let received = master.expect(kind).await;
            assert_eq!(received.stream_id.as_deref(), Some("stream-1"));
            assert_eq!(received.call.framework_id.unwrap().value, "F");
            assert_eq!(received.media_type, media_type);
        }
    }
}

#[tokio::test]
async fn calls_arrive_in_the_order_in_which_they_were_made() {
    const CALLS: usize = 20_000;
    let runtime = runtime();
    let mut master = Master::start(&runtime, stream_or_accept).await;
    let framework = Closure(|context: &mut Context<'_>, event| {
        if let Event::Update(_) = event {
            for number in 0..CALLS {
                context.kill(&task_id(number), None);
            }
            context.stop();
        }
    });
    let outcome = run(runtime, options(&master.address), framework).await;
    assert_eq!(outcome.ending, Ending::Stopped);
    master.expect(Type::Subscribe).await;
    for number in 0..CALLS {
        let received = master.expect(Type::Kill).await;
        assert_eq!(received.call.kill.unwrap().task_id, task_id(number));
    }
    master.expect(Type::Acknowledge).await;
}

#[tokio::test]
async fn a_redirect_leads_to_the_leader() {
    let runtime = runtime();
    let mut leader = Master::start(&runtime, stream_or_accept).await;
    let address = leader.address.clone();
    let redirect = move |_: &_| Reply::Redirect(address.clone());
    let mut other = Master::start(&runtime, redirect).await;
    let framework = Closure(|context: &mut Context<'_>, event| {
        if let Event::Update(_) = event {
            context.teardown();
        }
    });
    run(runtime, options(&other.address), framework).await;
    other.expect(Type::Subscribe).await;
    leader.expect(Type::Subscribe).await;
    leader.expect(Type::Acknowledge).await;
    leader.expect(Type::Teardown).await;
}

#[tokio::test]
async fn masters_are_asked_until_one_is_ready() {
    let runtime = runtime();
    let mut ready = Master::start(&runtime, stream_or_accept).await;
    let leader = ready.address.clone();
    let asked = AtomicBool::new(false);
    let mut starting = Master::start(&runtime, move |_| {
        if !asked.swap(true, Ordering::Relaxed) {
            Reply::Status(503, "recovering")
        } else {
            Reply::Redirect(leader.clone())
        }
    })
    .await;
    let options = options(&starting.address);
    let framework = Closure(|context: &mut Context<'_>, event| {
        assert!(!matches!(event, Event::CallRefused { .. }), "503 is no refusal");
        if let Event::Update(_) = event {
            context.stop();
        }
    });
    run(runtime, options, framework).await;
    starting.expect(Type::Subscribe).await;
    starting.expect(Type::Subscribe).await;
    ready.expect(Type::Subscribe).await;
}

#[tokio::test]
async fn refusals_are_told_with_their_text_and_do_not_end_the_session() {
    let runtime = runtime();
    let mut master = Master::start(&runtime, |call| match call.r#type() {
        Type::Subscribe => Reply::Stream("s", vec![subscribed()]),
        Type::Revive => Reply::Status(400, "no such role"),
        _ => Reply::Accepted,
    })
    .await;
    let framework = Closure(|context: &mut Context<'_>, event| match event {
        Event::Subscribed { .. } => {
            context.revive(&["x".to_owned()]);
            context.suppress(&[]);
        }
        Event::CallRefused { call, status, text } => {
            assert_eq!((call, status, text.as_str()), (Type::Revive, 400, "no such role"));
            context.teardown();
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(run(runtime, options(&master.address), framework).await.ending, Ending::TornDown);
    for kind in [Type::Subscribe, Type::Revive, Type::Suppress, Type::Teardown] {
        master.expect(kind).await;
    }
}

#[tokio::test]
async fn a_refused_subscription_is_told() {
    let runtime = runtime();
    let master = Master::start(&runtime, |_| Reply::Status(403, "not you")).await;
    let framework = Closure(|context: &mut Context<'_>, event| match event {
        Event::CallRefused { call: Type::Subscribe, status: 403, text } if text == "not you" => {
            context.stop();
        }
        other => panic!("{other:?}"),
    });
    assert_eq!(run(runtime, options(&master.address), framework).await.ending, Ending::Stopped);
}

#[tokio::test]
async fn a_lost_stream_leads_to_a_new_subscription_with_the_same_id() {
    let runtime = runtime();
    let mut master = Master::start(&runtime, |call| match call.r#type() {
        Type::Subscribe => Reply::Stream("s", vec![subscribed()]),
        _ => Reply::Accepted,
    })
    .await;
    let (events, framework) = recorder();
    let (scheduler, handle) = Scheduler::new(runtime.clone(), options(&master.address), framework);
    let (done, ended) = tokio::sync::oneshot::channel();
    runtime.spawn("framework", async move {
        let _ = done.send(scheduler.run().await.ending);
    });
    master.expect(Type::Subscribe).await;
    let stream = master.streams.recv().await.unwrap();
    stream.try_send(record(MediaType::Protobuf, &update("t", 1))).unwrap();
    master.expect(Type::Acknowledge).await;
    handle.act(|_, context| context.kill(&task_id(1), None)).await.unwrap();
    master.expect(Type::Kill).await;
    drop(stream);
    let again = master.expect(Type::Subscribe).await;
    assert_eq!(again.call.framework_id.unwrap().value, "F");
    master.expect(Type::Kill).await;
    master.expect(Type::Reconcile).await;
    assert!(events.lock().unwrap().iter().any(|event| matches!(event, Event::Disconnected { .. })));
    handle.stop(Stop::Disconnect).await.unwrap();
    assert_eq!(ended.await, Ok(Ending::Stopped));
    assert!(handle.stop(Stop::Disconnect).await.is_err());
}

/// Reads one request with its body.
async fn read_request(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().to_owned())
            });
            if length.is_some_and(|length| body.len() >= length.parse().unwrap()) {
                return text;
            }
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "the request ended early");
    }
}

/// Accepts a connection, and on it a subscription in JSON; returns the open stream.
async fn accept_subscription(listener: &mut dyn Listener) -> Box<dyn ByteStream> {
    let mut stream = listener.accept().await.unwrap().stream;
    read_request(&mut stream).await;
    let record = record(MediaType::Json, &subscribed());
    let head = "HTTP/1.1 200 OK\r\nMesos-Stream-Id: s\r\nTransfer-Encoding: chunked\r\n";
    let head = format!("{head}Content-Type: application/json\r\n\r\n{:x}\r\n", record.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&record).await.unwrap();
    stream.write_all(b"\r\n").await.unwrap();
    stream
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_ends_the_subscription() {
    let runtime = runtime();
    let mut listener = runtime.network.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = Address::from(listener.local_address());
    let framework = Closure(|context: &mut Context<'_>, event| {
        if let Event::Subscribed { .. } = event {
            context.revive(&[]);
        }
    });
    let options = Options { encoding: Encoding::Json, ..options(&address) };
    let (scheduler, _handle) = Scheduler::new(runtime.clone(), options, framework);
    let running = runtime.spawn("framework", async move {
        scheduler.run().await;
    });
    let _running = running.abort_on_drop();
    let mut stream = accept_subscription(listener.as_mut()).await;
    let mut calls = listener.accept().await.unwrap().stream;
    let request = read_request(&mut calls).await;
    assert!(request.contains("REVIVE") && request.contains("Mesos-Stream-Id: s\r\n"), "{request}");
    drop(calls);
    // Whether the call took effect cannot be known: the framework subscribes again.
    let mut again = listener.accept().await.unwrap().stream;
    let request = read_request(&mut again).await;
    assert!(request.contains(r#""framework_id":{"value":"F"}"#), "{request}");
    assert_eq!(stream.read(&mut [0; 16]).await.unwrap_or(0), 0, "the old stream is closed");
}

#[tokio::test]
async fn an_idle_connection_that_the_master_closes_is_made_anew() {
    let runtime = runtime();
    let mut listener = runtime.network.listen(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = Address::from(listener.local_address());
    let (_, framework) = recorder();
    let options = Options { encoding: Encoding::Json, ..options(&address) };
    let (scheduler, handle) = Scheduler::new(runtime.clone(), options, framework);
    let running = runtime.spawn("framework", async move {
        scheduler.run().await;
    });
    let _running = running.abort_on_drop();
    let _stream = accept_subscription(listener.as_mut()).await;
    // Calls need a subscription, which is there once the machine says so.
    while !handle.act(|_, context| context.is_subscribed()).await.unwrap() {
        tokio::task::yield_now().await;
    }
    for expected in ["REVIVE", "SUPPRESS"] {
        let suppress = expected == "SUPPRESS";
        handle
            .act(
                move |_, context| {
                    if suppress { context.suppress(&[]) } else { context.revive(&[]) }
                },
            )
            .await
            .unwrap();
        let mut calls = listener.accept().await.unwrap().stream;
        assert!(read_request(&mut calls).await.contains(expected));
        let accepted = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
        calls.write_all(accepted).await.unwrap();
        calls.shutdown().await.unwrap();
        // The framework's end closes too once it has seen the answer and the end.
        assert_eq!(calls.read(&mut [0; 16]).await.unwrap_or(0), 0);
    }
}
