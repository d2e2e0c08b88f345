//! `POST /api/v1/executor`.

use std::sync::Arc;

use http::{Method, StatusCode};
use orrery_agent::{Input, validate};
use orrery_api::v1::executor::{Call, call};
use orrery_http::{MediaType, Request, Response, limits, media, respond, wire_log};

use crate::daemon::{Answer, Shared};

/// What calls and events may be written in.
const MEDIA_TYPES: [MediaType; 2] = [MediaType::Json, MediaType::Protobuf];

/// Answers one executor call.
pub(crate) async fn handle(shared: Arc<Shared>, request: Request) -> Response {
    match answer(&shared, request).await {
        Ok(response) | Err(response) => response,
    }
}

async fn answer(shared: &Arc<Shared>, request: Request) -> Result<Response, Response> {
    if request.method() != Method::POST {
        return Err(respond::method_not_allowed(&[Method::POST], request.method()));
    }
    let (parts, body) = request.into_parts();
    let content_type =
        media::content_type_of(&parts.headers, &MEDIA_TYPES).map_err(|error| error.response())?;
    let body = body.collect(limits::BODY).await.map_err(|error| error.response())?;
    let call: Call = media::decode(content_type, &body)
        .map_err(|error| respond::text(StatusCode::BAD_REQUEST, error))?;
    let kind = validate(&call).map_err(response)?;
    wire_log::received("executor", &call);
    let call = Box::new(call);
    if kind != call::Type::Subscribe {
        let answer = shared.ask(|request| Input::ExecutorCall { request, call }).await;
        return Ok(answer.map_or_else(stopping, response));
    }
    let media_type =
        media::accept(&parts.headers, &MEDIA_TYPES).map_err(|error| error.response())?;
    let (connection, body) = shared.open_stream(media_type);
    let subscribe = |request| Input::ExecutorSubscribe { request, connection, call };
    match shared.ask(subscribe).await {
        Some((200, _)) => Ok(respond::stream(media_type, body)),
        refused => {
            shared.close_stream(connection);
            Err(refused.map_or_else(stopping, response))
        }
    }
}

/// The machine's answer as HTTP.
fn response((status, text): Answer) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    if status.is_success() { respond::empty(status) } else { respond::text(status, text) }
}

/// 503, because the daemon is about to end.
pub(crate) fn stopping() -> Response {
    respond::text(StatusCode::SERVICE_UNAVAILABLE, "The agent is stopping")
}
