//! Sending a whole file.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use http_body::{Frame, SizeHint};
use orrery_http::{Body, Response, respond};
use orrery_runtime::{BoxFuture, File};

use super::{Files, FilesError, required_path};
use crate::query::Query;

/// How much is read from the disk at a time.
const CHUNK: u64 = 64 * 1024;

/// Types of content by the ending of a name; all others are sent as plain bytes.
const TYPES: [(&str, &str); 14] = [
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("gz", "application/x-gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpg", "image/jpeg"),
    ("js", "application/javascript"),
    ("json", "application/json"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("xml", "application/xml"),
];

/// A file that is about to be sent.
pub struct Download {
    name: String,
    file: Box<dyn File>,
    length: u64,
}

impl Files {
    /// Opens the file that `/files/download` asks for.
    pub(super) async fn open_download(&self, query: &Query) -> Result<Download, FilesError> {
        let path = required_path(query)?;
        let file = self.open(path).await?;
        let length = file.length().await;
        let length = length.map_err(|source| FilesError::Disk { path: path.to_owned(), source })?;
        let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Download { name, file, length })
    }
}

impl Download {
    /// The answer; for HEAD only its headers.
    pub fn response(self, method: &Method) -> Response {
        let mut response = respond::empty(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, content_type(&self.name));
        headers.insert(CONTENT_DISPOSITION, disposition(&self.name));
        headers.insert(CONTENT_LENGTH, self.length.into());
        if method != Method::HEAD {
            *response.body_mut() = Body::new(FileBody::new(self.file, self.length));
        }
        response
    }
}

/// The type of the content, told by the ending of the name.
fn content_type(name: &str) -> HeaderValue {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let known = TYPES.iter().find(|(known, _)| *known == ending);
    HeaderValue::from_static(known.map_or("application/octet-stream", |(_, media)| media))
}

/// Asks to save the file under its name, which is quoted unless it is a plain one.
fn disposition(name: &str) -> HeaderValue {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte);
    let mut value = b"attachment; filename=".to_vec();
    if name.bytes().all(is_plain) {
        value.extend_from_slice(name.as_bytes());
    } else {
        value.push(b'"');
        for byte in name.bytes().filter(|byte| !byte.is_ascii_control()) {
            if byte == b'"' || byte == b'\\' {
                value.push(b'\\');
            }
            value.push(byte);
        }
        value.push(b'"');
    }
    let plain = HeaderValue::from_static("attachment");
    HeaderValue::from_bytes(&value).unwrap_or(plain)
}

/// A file read piece by piece as the client takes it, so that a large one is never in memory.
struct FileBody {
    position: u64,
    length: u64,
    state: State,
}

/// A read under way holds the file, and gives it back with what it read.
enum State {
    Idle(Box<dyn File>),
    Reading(BoxFuture<'static, (Box<dyn File>, io::Result<Bytes>)>),
    Ended,
}

impl FileBody {
    fn new(file: Box<dyn File>, length: u64) -> Self {
        Self { position: 0, length, state: State::Idle(file) }
    }

    fn left(&self) -> u64 {
        self.length - self.position
    }

    /// Starts the next read, unless all was sent.
    fn advance(&mut self) {
        let left = self.left();
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Idle(file) if left > 0 => {
                let offset = self.position;
                // At most `CHUNK`, so it fits.
                let length = usize::try_from(left.min(CHUNK)).unwrap_or_default();
                State::Reading(Box::pin(async move {
                    let result = file.read_at(offset, length).await;
                    (file, result)
                }))
            }
            State::Idle(_) => State::Ended,
            other => other,
        };
    }
}

impl http_body::Body for FileBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.advance();
        let State::Reading(reading) = &mut self.state else {
            return Poll::Ready(None);
        };
        let (file, result) = ready!(reading.as_mut().poll(context));
        self.state = State::Ended;
        let data = match result {
            Ok(data) if data.is_empty() => {
                let shrunk = "the file became shorter while it was sent";
                return Poll::Ready(Some(Err(io::Error::other(shrunk))));
            }
            Ok(data) => data,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        self.position = self.position.saturating_add(data.len() as u64).min(self.length);
        self.state = State::Idle(file);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_the_type() {
        assert_eq!(content_type("stdout"), "application/octet-stream");
        assert_eq!(content_type("a.tar.GZ"), "application/x-gzip");
        assert_eq!(content_type("x.html"), "text/html");
        assert_eq!(content_type(".json"), "application/json");
        assert_eq!(content_type(""), "application/octet-stream");
    }

    #[test]
    fn odd_names_are_quoted() {
        let text = |name| String::from_utf8_lossy(disposition(name).as_bytes()).into_owned();
        assert_eq!(text("stdout"), "attachment; filename=stdout");
        assert_eq!(text("a b"), "attachment; filename=\"a b\"");
        assert_eq!(text("a\"\\\r\nX: y"), "attachment; filename=\"a\\\"\\\\X: y\"");
        assert_eq!(text("é"), "attachment; filename=\"é\"");
    }
}
