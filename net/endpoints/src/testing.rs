//! Helpers of this crate's tests.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use orrery_http::Response;

/// The result of a future that never has to wait.
pub fn now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("the future waits"),
    }
}

/// A header of a response.
pub fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().expect("a readable header"))
}

/// The body of a response.
pub fn bytes(response: Response) -> Bytes {
    now(response.into_body().collect(1 << 30)).expect("a whole body")
}

/// The body of a response as text.
pub fn text(response: Response) -> String {
    String::from_utf8(bytes(response).to_vec()).expect("UTF-8")
}
