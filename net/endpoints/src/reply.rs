//! Answers in JSON, in the form that the client asked for.

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, StatusCode};
use orrery_http::{Response, body, respond};
use serde_json::Value;

use crate::query::{Query, QueryError};

/// Bodies from this size on are compressed for clients that take gzip.
pub const GZIP_MINIMUM: usize = 1024;

/// What of a request decides the form of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The method. Endpoints that only read answer all methods alike.
    pub method: Method,
    /// The parameters.
    pub query: Query,
    /// Whether the client takes gzip.
    pub gzip: bool,
}

impl Asked {
    /// Looks at a request.
    ///
    /// # Errors
    /// A query that cannot be decoded.
    pub fn of<B>(request: &Request<B>) -> Result<Self, QueryError> {
        Ok(Self {
            method: request.method().clone(),
            query: Query::of(request.uri())?,
            gzip: takes_gzip(request.headers()),
        })
    }

    /// 200 with a JSON value.
    pub fn json(&self, value: &Value) -> Response {
        self.json_text(value.to_string())
    }

    /// 200 with a JSON text. `?jsonp=name` makes it a call of that function, also with an empty
    /// name.
    pub fn json_text(&self, text: impl Into<Bytes>) -> Response {
        let text = text.into();
        let (media_type, mut content) = match self.query.get("jsonp") {
            None => (HeaderValue::from_static("application/json"), text),
            Some(function) => {
                let call = [function.as_bytes(), b"(", &text, b")"].concat();
                (HeaderValue::from_static("text/javascript"), Bytes::from(call))
            }
        };
        let mut response = respond::empty(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, media_type);
        if self.gzip && content.len() >= GZIP_MINIMUM {
            content = compress(&content);
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if self.method == Method::HEAD {
            headers.insert(CONTENT_LENGTH, content.len().into());
        } else {
            *response.body_mut() = body::full(content);
        }
        response
    }
}

/// Whether `Accept-Encoding` allows gzip.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|choice| {
        let mut parts = choice.split(';').map(str::trim);
        let named =
            parts.next().is_some_and(|name| name == "*" || name.eq_ignore_ascii_case("gzip"));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        named && weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0))
    })
}

fn compress(content: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to a vector cannot fail, so there is no error to pass on.
    let _infallible = encoder.write_all(content);
    encoder.finish().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http_body::Body as _;

    use super::*;
    use crate::testing::{header, text};

    fn asked(method: Method, path: &str, accept_encoding: &str) -> Asked {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(ACCEPT_ENCODING, accept_encoding)
            .body(());
        Asked::of(&request.expect("a request")).expect("a good query")
    }

    #[test]
    fn plain_json() {
        let response = asked(Method::PUT, "/state", "").json(&serde_json::json!({"a": 1.0}));
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(text(response), r#"{"a":1.0}"#);
    }

    #[test]
    fn jsonp_calls_a_function() {
        let response = asked(Method::GET, "/state?jsonp=cb", "").json_text("{}");
        assert_eq!(header(&response, "content-type"), Some("text/javascript"));
        assert_eq!(text(response), "cb({})");
        let response = asked(Method::GET, "/state?jsonp=", "").json_text("{}");
        assert_eq!(text(response), "({})");
    }

    #[test]
    fn large_answers_are_compressed_when_asked() {
        let large = format!("\"{}\"", "a".repeat(GZIP_MINIMUM - 2));
        let response = asked(Method::GET, "/", "deflate, GZIP;q=0.5").json_text(large.clone());
        assert_eq!(header(&response, "content-encoding"), Some("gzip"));
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        let compressed = crate::testing::bytes(response);
        let mut plain = String::new();
        flate2::read::GzDecoder::new(&compressed[..]).read_to_string(&mut plain).expect("gzip");
        assert_eq!(plain, large);
        for refusal in ["", "deflate", "gzip;q=0", "identity", "gzip; q=x"] {
            let response = asked(Method::GET, "/", refusal).json_text(large.clone());
            assert_eq!(header(&response, "content-encoding"), None, "{refusal}");
            assert_eq!(text(response), large);
        }
        let response = asked(Method::GET, "/", "gzip").json_text(large[1..].to_owned());
        assert_eq!(header(&response, "content-encoding"), None);
    }

    #[test]
    fn head_tells_the_length_and_sends_nothing() {
        let response = asked(Method::HEAD, "/state", "").json_text("[1,2,3]");
        assert_eq!(header(&response, "content-length"), Some("7"));
        assert_eq!(response.body().size_hint().exact(), Some(0));
    }
}
