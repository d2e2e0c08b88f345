//! Mesos' rules for media types, and messages to bytes and back.
//!
//! `Content-Type` is compared exactly: neither parameters nor another case are understood. `Accept`
//! is read as RFC 9110 has it, and among what the peer takes, the order of the offer decides.

use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use orrery_api::json::JsonMessage;
use orrery_api::protobuf::Checked;
use orrery_api::{json, protobuf};
use orrery_coverage::reachable;

use crate::{Response, respond};

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/x-protobuf`
    Protobuf,
    /// `application/recordio`: a stream of records, whose own type stands in another header.
    RecordIo,
}

impl MediaType {
    /// As it stands in headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf => "application/x-protobuf",
            Self::RecordIo => "application/recordio",
        }
    }

    /// As a header's value.
    pub const fn header_value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    /// The type of exactly this name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        [Self::Json, Self::Protobuf, Self::RecordIo]
            .into_iter()
            .find(|media_type| media_type.name().as_bytes() == name)
    }
}

impl std::fmt::Display for MediaType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// Why no media type could be agreed on. The texts are those that peers of Mesos know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// The header is missing: 400.
    #[error("Expecting '{header}' to be present")]
    Missing {
        /// Its name.
        header: &'static str,
    },
    /// The content is of a type that is not understood here: 415.
    #[error("Expecting 'Content-Type' of {}", either(.expected, ""))]
    Unsupported {
        /// What is understood.
        expected: Vec<MediaType>,
    },
    /// The peer takes nothing of what is offered: 406.
    #[error("Expecting 'Accept' to allow {}", either(&reversed(.offered), "'"))]
    NotAcceptable {
        /// What is offered, best first.
        offered: Vec<MediaType>,
    },
}

impl MediaError {
    /// The answer: the status and the text.
    pub fn response(&self) -> Response {
        reachable!("no media type can be agreed on with a client");
        let status = match self {
            Self::Missing { .. } => StatusCode::BAD_REQUEST,
            Self::Unsupported { .. } => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotAcceptable { .. } => StatusCode::NOT_ACCEPTABLE,
        };
        respond::text(status, self.to_string())
    }
}

/// Mesos names what it prefers last.
fn reversed(media_types: &[MediaType]) -> Vec<MediaType> {
    media_types.iter().rev().copied().collect()
}

fn either(media_types: &[MediaType], quote: &str) -> String {
    let names: Vec<String> =
        media_types.iter().map(|media_type| format!("{quote}{media_type}{quote}")).collect();
    names.join(" or ")
}

/// The type of a request's content, any of the three.
///
/// # Errors
/// [`MediaError::Missing`] or [`MediaError::Unsupported`].
pub fn content_type(headers: &HeaderMap) -> Result<MediaType, MediaError> {
    let supported = [MediaType::Json, MediaType::Protobuf, MediaType::RecordIo];
    content_type_of(headers, &supported).map_err(|error| match error {
        // Most endpoints take messages only, and this is what they say.
        MediaError::Unsupported { .. } => unsupported(&[MediaType::Json, MediaType::Protobuf]),
        error => error,
    })
}

/// The type of a request's content, which must be one of `supported`.
///
/// # Errors
/// [`MediaError::Missing`] or [`MediaError::Unsupported`].
pub fn content_type_of(
    headers: &HeaderMap,
    supported: &[MediaType],
) -> Result<MediaType, MediaError> {
    let value = headers.get(CONTENT_TYPE).ok_or(MediaError::Missing { header: "Content-Type" })?;
    MediaType::from_name(value.as_bytes())
        .filter(|media_type| supported.contains(media_type))
        .ok_or_else(|| unsupported(supported))
}

fn unsupported(expected: &[MediaType]) -> MediaError {
    MediaError::Unsupported { expected: expected.to_vec() }
}

/// The first of `offered` that the peer takes according to `Accept`; without that header it takes
/// everything.
///
/// # Errors
/// [`MediaError::NotAcceptable`].
pub fn accept(headers: &HeaderMap, offered: &[MediaType]) -> Result<MediaType, MediaError> {
    offered
        .iter()
        .copied()
        .find(|media_type| accepts(headers, &ACCEPT, media_type.name()))
        .ok_or_else(|| MediaError::NotAcceptable { offered: offered.to_vec() })
}

/// Whether the header `name` (`Accept` or one of its kind) allows `media_type`. The most specific
/// range that matches decides; `q=0` forbids.
pub fn accepts(headers: &HeaderMap, name: &HeaderName, media_type: &str) -> bool {
    if !headers.contains_key(name) {
        return true;
    }
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let ranges = values.flat_map(|value| value.split(','));
    let mut best = (0, false);
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let specificity = specificity(parts.next().unwrap_or_default(), media_type);
        if specificity > best.0 {
            best = (specificity, !parts.any(is_zero_quality));
        }
    }
    best.1
}

/// How exactly a range names a media type: 0 not at all, 1 `*/*`, 2 `type/*`, 3 by its name.
fn specificity(range: &str, media_type: &str) -> u8 {
    if range == "*/*" {
        return 1;
    }
    if range.eq_ignore_ascii_case(media_type) {
        return 3;
    }
    let wanted = media_type.split_once('/').map(|(kind, _)| kind);
    match (range.strip_suffix("/*"), wanted) {
        (Some(kind), Some(wanted)) if kind.eq_ignore_ascii_case(wanted) => 2,
        _ => 0,
    }
}

/// Whether a parameter is `q=0`, `q=0.0` and so on.
fn is_zero_quality(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return false;
    };
    name.trim().eq_ignore_ascii_case("q")
        && value.trim().parse::<f32>().is_ok_and(|quality| quality <= 0.0)
}

/// Reads a message.
///
/// # Errors
/// What is wrong with the bytes, for the answer's text.
pub fn decode<M>(media_type: MediaType, bytes: &[u8]) -> Result<M, String>
where
    M: Checked + JsonMessage,
{
    match media_type {
        MediaType::Json => {
            json::decode(bytes).map_err(|error| format!("Failed to parse body into JSON: {error}"))
        }
        MediaType::Protobuf => protobuf::decode(bytes)
            .map_err(|error| format!("Failed to parse body into protobuf: {error}")),
        MediaType::RecordIo => Err("Expecting a message, not a stream of records".to_owned()),
    }
}

/// Writes a message. A record of a RecordIO stream without a type of its own is JSON.
pub fn encode<M>(media_type: MediaType, message: &M) -> Vec<u8>
where
    M: prost::Message + JsonMessage,
{
    match media_type {
        MediaType::Json | MediaType::RecordIo => json::encode(message),
        MediaType::Protobuf => protobuf::encode(message),
    }
}

#[cfg(test)]
mod tests;
