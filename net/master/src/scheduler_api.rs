//! `POST /api/v1/scheduler`.

use std::sync::Arc;

use http::{HeaderValue, Method, StatusCode};
use orrery_api::v1::scheduler::{Call, call};
use orrery_coverage::reachable;
use orrery_http::{MediaType, Request, Response, limits, media, respond, wire_log};
use orrery_master::{Answer, Input, validate_call};

use crate::daemon::Shared;

/// The header that ties a scheduler's calls to its event stream.
const STREAM_ID: &str = "mesos-stream-id";

/// What a body may be written in.
const MEDIA_TYPES: [MediaType; 2] = [MediaType::Json, MediaType::Protobuf];

/// Answers one scheduler call.
pub(crate) async fn handle(shared: Arc<Shared>, request: Request) -> Response {
    match answer(shared, request).await {
        Ok(response) | Err(response) => response,
    }
}

async fn answer(shared: Arc<Shared>, request: Request) -> Result<Response, Response> {
    if request.method() != Method::POST {
        return Err(respond::method_not_allowed(&[Method::POST], request.method()));
    }
    let (parts, body) = request.into_parts();
    let content_type =
        media::content_type_of(&parts.headers, &MEDIA_TYPES).map_err(|error| error.response())?;
    let body = body.collect(limits::BODY).await.map_err(|error| error.response())?;
    let call: Call = media::decode(content_type, &body)
        .map_err(|error| respond::text(StatusCode::BAD_REQUEST, error))?;
    let kind = validate_call(&call).map_err(|invalid| {
        let text = format!("Failed to validate scheduler::Call: {invalid}");
        respond::text(StatusCode::BAD_REQUEST, text)
    })?;
    let stream_id = parts.headers.get(STREAM_ID);
    let channel = stream_id.and_then(|id| id.to_str().ok()).unwrap_or("scheduler");
    wire_log::received(channel, &call);
    match kind {
        call::Type::Unknown => {
            Err(respond::text(StatusCode::NOT_IMPLEMENTED, "Received 'UNKNOWN' call"))
        }
        call::Type::Subscribe => {
            let media_type =
                media::accept(&parts.headers, &MEDIA_TYPES).map_err(|error| error.response())?;
            if stream_id.is_some() {
                reachable!("SUBSCRIBE comes with a stream id");
                let text = "Subscribe calls should not include the 'Mesos-Stream-Id' header";
                return Err(respond::text(StatusCode::BAD_REQUEST, text));
            }
            subscribe(&shared, media_type, call).await
        }
        _ => {
            let stream_id = stream_id.map(|value| String::from_utf8_lossy(value.as_bytes()));
            let stream_id = stream_id.map(|value| value.into_owned());
            Ok(response(pass_on(&shared, kind, stream_id, call).await))
        }
    }
}

/// Feeds a call to the machine; `None` when it is stopping.
async fn pass_on(
    shared: &Shared,
    kind: call::Type,
    stream_id: Option<String>,
    call: Call,
) -> Option<Answer> {
    let framework_id = call.framework_id.as_ref().map_or("", |id| id.value.as_str());
    let subscribed =
        stream_id.as_ref().is_some_and(|stream_id| shared.is_subscribed(stream_id, framework_id));
    let answer_is_known = subscribed && is_always_accepted(kind);
    let call = Box::new(call);
    if answer_is_known {
        let call = Input::Call { request: None, stream_id, call };
        return shared.feeder.feed(call).await.ok().map(|()| Answer::Accepted);
    }
    shared.ask(|request| Input::Call { request: Some(request), stream_id, call }).await
}

/// Whether all that can be wrong with such a call of a subscribed framework is told in events.
/// These are the calls that come by the thousand, one after the other on one connection. Answered
/// without waiting for the machine, many of them reach it together, and what it has to say about
/// them leaves together.
fn is_always_accepted(kind: call::Type) -> bool {
    matches!(kind, call::Type::Accept | call::Type::Decline | call::Type::Acknowledge)
}

async fn subscribe(
    shared: &Arc<Shared>,
    media_type: MediaType,
    call: Call,
) -> Result<Response, Response> {
    let stream_id = shared.new_stream_id();
    let (connection, body) = shared.open_stream(media_type, &stream_id);
    let header = HeaderValue::try_from(&stream_id).map_err(|_| stopping())?;
    let subscribe = Box::new(call.subscribe.unwrap_or_default());
    let input = Input::Subscribe { connection, stream_id, subscribe };
    shared.feeder.feed(input).await.map_err(|_| stopping())?;
    let mut response = respond::stream(media_type, body);
    response.headers_mut().insert(STREAM_ID, header);
    Ok(response)
}

/// The machine's answer as HTTP; `None` when it gave none because it is stopping.
pub(crate) fn response(answer: Option<Answer>) -> Response {
    match answer {
        Some(Answer::Accepted) => respond::empty(StatusCode::ACCEPTED),
        Some(Answer::Done) => respond::empty(StatusCode::OK),
        Some(Answer::Refused(refusal)) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            respond::text(status, refusal.text)
        }
        None => stopping(),
    }
}

/// 503, because the daemon is about to end.
pub(crate) fn stopping() -> Response {
    respond::text(StatusCode::SERVICE_UNAVAILABLE, "The master is stopping")
}
