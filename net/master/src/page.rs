//! The master's page: a few files that ask the endpoints and draw what they say.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use orrery_http::{Response, body, respond};

/// The files, by their path, with their type.
const FILES: [(&str, &str, &[u8]); 5] = [
    ("", "text/html; charset=utf-8", include_bytes!("../page/index.html")),
    ("page.css", "text/css; charset=utf-8", include_bytes!("../page/page.css")),
    ("page.js", "text/javascript; charset=utf-8", include_bytes!("../page/page.js")),
    ("draw.js", "text/javascript; charset=utf-8", include_bytes!("../page/draw.js")),
    ("viewer.js", "text/javascript; charset=utf-8", include_bytes!("../page/viewer.js")),
];

/// Answers with one of the page's files.
pub(crate) fn file(name: &str, method: &Method) -> Response {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return respond::method_not_allowed(&[Method::GET, Method::HEAD], method);
    }
    let Some((_, kind, content)) = FILES.iter().find(|(path, ..)| *path == name) else {
        return respond::not_found();
    };
    let mut response = respond::empty(StatusCode::OK);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    *response.body_mut() = body::full(Bytes::from_static(content));
    response
}
