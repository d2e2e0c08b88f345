use std::future::poll_fn;
use std::pin::pin;
use std::task::Waker;

use super::*;

/// The result of a future that must not need to wait.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).as_mut().poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn whole_bodies_state_their_length() {
    use http_body::Body as _;
    assert_eq!(full("abc").size_hint().exact(), Some(3));
    assert_eq!(empty().size_hint().exact(), Some(0));
    assert!(full("").is_end_stream());
    assert_eq!(channel(1).1.size_hint().exact(), None);
}

#[test]
fn collects_up_to_the_limit() {
    assert_eq!(now(full("abc").collect(3)).expect("within the limit"), "abc");
    let error = now(full("abc").collect(2)).expect_err("over the limit");
    assert!(matches!(error, BodyError::TooLarge { limit: 2 }));
    assert_eq!(error.response().status(), StatusCode::PAYLOAD_TOO_LARGE);
    let (sender, body) = channel(10);
    sender.try_send(Bytes::from_static(b"ab")).expect("room");
    sender.try_send(Bytes::from_static(b"cd")).expect("room");
    sender.try_send(Bytes::from_static(b"ef")).expect("room");
    drop(sender);
    assert!(matches!(now(body.collect(5)), Err(BodyError::TooLarge { limit: 5 })));
}

#[test]
fn a_stream_holds_its_capacity_and_no_more() {
    let (sender, mut body) = channel(5);
    assert_eq!(sender.try_send(Bytes::from_static(b"abc")), Ok(()));
    assert_eq!(sender.clone().try_send(Bytes::from_static(b"de")), Ok(()));
    assert_eq!(sender.try_send(Bytes::from_static(b"f")), Err(SendError::Full));
    assert_eq!(now(body.next()).expect("a piece").expect("no error"), "abc");
    assert_eq!(sender.waiting(), 2);
    assert_eq!(sender.try_send(Bytes::from_static(b"ghi")), Ok(()));
    assert_eq!(now(body.next()).expect("a piece").expect("no error"), "de");
    assert_eq!(now(body.next()).expect("a piece").expect("no error"), "ghi");
    // Larger than everything, but alone.
    assert_eq!(sender.try_send(Bytes::from_static(b"0123456789")), Ok(()));
    assert_eq!(sender.try_send(Bytes::from_static(b"0")), Err(SendError::Full));
    drop(sender);
    assert_eq!(now(body.next()).expect("a piece").expect("no error"), "0123456789");
    assert!(now(body.next()).is_none());
}

#[test]
fn a_dropped_body_closes_the_stream() {
    let (sender, body) = channel(5);
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(sender.closed()).as_mut().poll(&mut context).is_pending());
    drop(body);
    now(sender.closed());
    assert_eq!(sender.try_send(Bytes::from_static(b"a")), Err(SendError::Closed));
    assert_eq!(sender.waiting(), 0);
}

#[test]
fn other_bodies_keep_their_trailers() {
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
    let inner = http_body_util::Full::new(Bytes::from_static(b"x"));
    let mut body = Body::new(inner.with_trailers(std::future::ready(Some(Ok(trailers)))));
    let mut poll =
        || now(poll_fn(|context| http_body::Body::poll_frame(Pin::new(&mut body), context)));
    assert!(poll().expect("a frame").expect("no error").is_data());
    assert!(poll().expect("a frame").expect("no error").is_trailers());
}
