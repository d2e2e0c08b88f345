//! `POST /api/v1`: the operator API.

use std::sync::Arc;

use http::{Method, StatusCode};
use orrery_agent::Snapshot;
use orrery_api::v1;
use orrery_api::v1::agent::call::Type;
use orrery_api::v1::agent::{Call, Response as Answer, response};
use orrery_http::{MediaType, Request, Response, limits, media, respond};

use crate::daemon::Shared;
use crate::executor_api::stopping;
use crate::{monitor, operator_state};

/// What calls and answers may be written in.
const MEDIA_TYPES: [MediaType; 2] = [MediaType::Json, MediaType::Protobuf];

const PREFIX: &str = "Failed to validate agent::Call";

/// Answers one operator call.
pub(crate) async fn handle(shared: Arc<Shared>, request: Request) -> Response {
    match answer(&shared, request).await {
        Ok(response) | Err(response) => response,
    }
}

async fn answer(shared: &Shared, request: Request) -> Result<Response, Response> {
    if let Some(refusal) = shared.refuse_recovering().await {
        return Err(refusal);
    }
    if request.method() != Method::POST {
        return Err(respond::method_not_allowed(&[Method::POST], request.method()));
    }
    let (parts, body) = request.into_parts();
    let content_type =
        media::content_type_of(&parts.headers, &MEDIA_TYPES).map_err(|error| error.response())?;
    let body = body.collect(limits::BODY).await.map_err(|error| error.response())?;
    let call: Call = media::decode(content_type, &body)
        .map_err(|error| respond::text(StatusCode::BAD_REQUEST, error))?;
    let kind = validate(&call).map_err(|(status, text)| respond::text(status, text))?;
    let media_type =
        media::accept(&parts.headers, &MEDIA_TYPES).map_err(|error| error.response())?;
    let answer = match kind {
        Type::GetMetrics => Answer {
            r#type: Some(response::Type::GetMetrics as i32),
            get_metrics: Some(get_metrics(shared).await?),
            ..Default::default()
        },
        Type::ListFiles => list_files(shared, &call).await?,
        Type::ReadFile => read_file(shared, &call).await?,
        _ => of_state(shared, kind).await?,
    };
    Ok(write(media_type, &answer))
}

/// Checks the call's type and that its body is there.
fn validate(call: &Call) -> Result<Type, (StatusCode, String)> {
    let expecting = |field: &str| {
        Err((StatusCode::BAD_REQUEST, format!("{PREFIX}: Expecting '{field}' to be present")))
    };
    let kind = match call.r#type.map(Type::try_from) {
        None | Some(Err(_)) => return expecting("type"),
        Some(Ok(kind)) => kind,
    };
    match kind {
        Type::Unknown => Err((StatusCode::NOT_IMPLEMENTED, "Received 'UNKNOWN' call".to_owned())),
        Type::GetMetrics if call.get_metrics.is_none() => expecting("get_metrics"),
        Type::ListFiles if call.list_files.is_none() => expecting("list_files"),
        Type::ReadFile if call.read_file.is_none() => expecting("read_file"),
        _ => Ok(kind),
    }
}

/// The calls that show what the machine knows, or what never changes.
async fn of_state(shared: &Shared, kind: Type) -> Result<Answer, Response> {
    let mut answer = Answer::default();
    let kind = match kind {
        Type::GetHealth => {
            answer.get_health = Some(response::GetHealth { healthy: true });
            response::Type::GetHealth
        }
        Type::GetFlags => {
            answer.get_flags = Some(get_flags(shared));
            response::Type::GetFlags
        }
        Type::GetVersion => {
            let version_info = shared.options.version.clone();
            answer.get_version = Some(response::GetVersion { version_info });
            response::Type::GetVersion
        }
        Type::GetLoggingLevel => {
            answer.get_logging_level = Some(response::GetLoggingLevel { level: 0 });
            response::Type::GetLoggingLevel
        }
        Type::GetState => {
            answer.get_state = Some(operator_state::get_state(&snapshot(shared).await?));
            response::Type::GetState
        }
        Type::GetFrameworks => {
            answer.get_frameworks = Some(operator_state::get_frameworks(&snapshot(shared).await?));
            response::Type::GetFrameworks
        }
        Type::GetExecutors => {
            answer.get_executors = Some(operator_state::get_executors(&snapshot(shared).await?));
            response::Type::GetExecutors
        }
        Type::GetTasks => {
            answer.get_tasks = Some(operator_state::get_tasks(&snapshot(shared).await?));
            response::Type::GetTasks
        }
        Type::GetOperations => {
            answer.get_operations = Some(response::GetOperations::default());
            response::Type::GetOperations
        }
        Type::GetResourceProviders => {
            answer.get_resource_providers = Some(response::GetResourceProviders::default());
            response::Type::GetResourceProviders
        }
        Type::GetAgent => {
            let agent_info = Some(snapshot(shared).await?.agent_info);
            answer.get_agent = Some(response::GetAgent { agent_info, ..Default::default() });
            response::Type::GetAgent
        }
        Type::GetContainers => {
            let usages = monitor::usages(&shared.runtime).await;
            let time = shared.runtime.clock.wall().as_seconds();
            let snapshot = snapshot(shared).await?;
            answer.get_containers = monitor::get_containers(&snapshot, &usages, time);
            response::Type::GetContainers
        }
        other => return Err(not_available(other)),
    };
    answer.r#type = Some(kind as i32);
    Ok(answer)
}

fn not_available(kind: Type) -> Response {
    let text = format!("'{}' is not available in this version", kind.as_str_name());
    respond::text(StatusCode::NOT_IMPLEMENTED, text)
}

async fn snapshot(shared: &Shared) -> Result<Snapshot, Response> {
    shared.snapshot().await.ok_or_else(stopping)
}

fn get_flags(shared: &Shared) -> response::GetFlags {
    let flag = |(name, value): (&String, &String)| v1::Flag {
        name: name.clone(),
        value: Some(value.clone()),
    };
    response::GetFlags { flags: shared.options.flags.iter().map(flag).collect() }
}

async fn get_metrics(shared: &Shared) -> Result<response::GetMetrics, Response> {
    let metrics = shared.metrics().await.ok_or_else(stopping)?;
    let metric = |(name, value)| v1::Metric { name, value: Some(value) };
    Ok(response::GetMetrics { metrics: metrics.into_iter().map(metric).collect() })
}

async fn list_files(shared: &Shared, call: &Call) -> Result<Answer, Response> {
    let path = call.list_files.as_ref().map_or("", |list| &list.path);
    let listed = shared.files.list(path).await.map_err(|error| error.response())?;
    let file_infos = listed.iter().map(|entry| entry.message()).collect();
    Ok(Answer {
        r#type: Some(response::Type::ListFiles as i32),
        list_files: Some(response::ListFiles { file_infos }),
        ..Default::default()
    })
}

async fn read_file(shared: &Shared, call: &Call) -> Result<Answer, Response> {
    let Some(read) = &call.read_file else {
        return Err(not_available(Type::ReadFile));
    };
    let piece = shared.files.read_piece(&read.path, Some(read.offset), read.length).await;
    let piece = piece.map_err(|error| error.response())?;
    Ok(Answer {
        r#type: Some(response::Type::ReadFile as i32),
        read_file: Some(response::ReadFile { size: piece.size, data: piece.data }),
        ..Default::default()
    })
}

fn write(media_type: MediaType, answer: &Answer) -> Response {
    respond::content(StatusCode::OK, media_type, media::encode(media_type, answer))
}
