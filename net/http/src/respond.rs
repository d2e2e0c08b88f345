//! The common answers, worded and labelled as Mesos' clients know them.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};

use crate::{Body, MediaType, Response, body};

/// What Mesos labels its texts with.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A status alone, without `Content-Type`: how a 202 and an empty 200 look.
pub fn empty(status: StatusCode) -> Response {
    build(status, None, body::empty())
}

/// A status and a text for people.
pub fn text(status: StatusCode, text: impl Into<String>) -> Response {
    build(status, Some(TEXT), body::full(text.into()))
}

/// A status and a JSON document.
pub fn json(status: StatusCode, document: impl Into<Bytes>) -> Response {
    build(status, Some(MediaType::Json.header_value()), body::full(document))
}

/// A status and a body of a given type.
pub fn content(status: StatusCode, media_type: MediaType, body: impl Into<Body>) -> Response {
    build(status, Some(media_type.header_value()), body.into())
}

/// 200 and a stream; `media_type` is that of its records.
pub fn stream(media_type: MediaType, body: Body) -> Response {
    build(StatusCode::OK, Some(media_type.header_value()), body)
}

/// 404 with the text that Mesos has for a path that nothing serves.
pub fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 Not Found.")
}

/// 405, naming in `Allow` and in its text what would have been right.
pub fn method_not_allowed(allowed: &[Method], received: &Method) -> Response {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let expecting = quoted.join(", ");
    let mut response = text(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "405 Method Not Allowed. Expecting one of {{ {expecting} }}, but received '{received}'."
        ),
    );
    if let Ok(value) = HeaderValue::try_from(names.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

fn build(status: StatusCode, content_type: Option<HeaderValue>, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some(content_type) = content_type {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}
