//! `POST /api/v1`: the operator's calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::{Method, StatusCode};
use orrery_api::v1::{self, master};
use orrery_http::{MediaType, Request, Response, limits, media, respond};
use orrery_master::{Agent, Framework, Input, Master, Task};
use orrery_model::{Resources, Scalar};
use orrery_runtime::WallTime;

use crate::Options;
use crate::daemon::Shared;
use crate::scheduler_api::{response, stopping};
use crate::state::{offered_to, used_by};

use master::call::Type as CallType;
use master::response::{self as answers, Type as AnswerType};

/// What a body may be written in.
const MEDIA_TYPES: [MediaType; 2] = [MediaType::Json, MediaType::Protobuf];

/// Answers one operator call.
pub(crate) async fn handle(
    shared: Arc<Shared>,
    options: Arc<Options>,
    request: Request,
) -> Response {
    match answer(shared, options, request).await {
        Ok(response) | Err(response) => response,
    }
}

async fn answer(
    shared: Arc<Shared>,
    options: Arc<Options>,
    request: Request,
) -> Result<Response, Response> {
    if request.method() != Method::POST {
        return Err(respond::method_not_allowed(&[Method::POST], request.method()));
    }
    let (parts, body) = request.into_parts();
    let content_type =
        media::content_type_of(&parts.headers, &MEDIA_TYPES).map_err(|error| error.response())?;
    let body = body.collect(limits::BODY).await.map_err(|error| error.response())?;
    let bad_request = |text: String| respond::text(StatusCode::BAD_REQUEST, text);
    let call: master::Call = media::decode(content_type, &body).map_err(bad_request)?;
    let kind = call.r#type.ok_or_else(|| {
        bad_request("Failed to validate master::Call: Expecting 'type' to be present".to_owned())
    })?;
    let kind = CallType::try_from(kind).unwrap_or(CallType::Unknown);
    let media_type =
        media::accept(&parts.headers, &MEDIA_TYPES).map_err(|error| error.response())?;
    if kind == CallType::Teardown {
        let Some(teardown) = call.teardown else {
            let text = "Failed to validate master::Call: Expecting 'teardown' to be present";
            return Err(bad_request(text.to_owned()));
        };
        let framework_id = teardown.framework_id.value;
        let answer = shared.ask(|request| Input::Teardown { request, framework_id }).await;
        return Ok(response(answer));
    }
    if kind == CallType::MarkAgentGone {
        let Some(mark) = call.mark_agent_gone else {
            let text = "Failed to validate master::Call: Expecting 'mark_agent_gone' to be present";
            return Err(bad_request(text.to_owned()));
        };
        let agent_id = mark.agent_id.value;
        let answer = shared.ask(|request| Input::MarkGone { request, agent_id }).await;
        return Ok(response(answer));
    }
    if kind == CallType::GetMetrics && call.get_metrics.is_none() {
        let text = "Failed to validate master::Call: Expecting 'get_metrics' to be present";
        return Err(bad_request(text.to_owned()));
    }
    let looked = match kind {
        CallType::GetMetrics => shared.metrics().await.map(|all| Some(get_metrics(all))),
        _ => shared.feeder.inspect(move |master| look(master, &options, kind)).await,
    };
    match looked.map_err(|_| stopping())? {
        Some(answer) => {
            let body = media::encode(media_type, &answer);
            Ok(respond::content(StatusCode::OK, media_type, orrery_http::body::full(body)))
        }
        None => Err(respond::text(
            StatusCode::NOT_IMPLEMENTED,
            format!("The call {} is not supported by this master", kind.as_str_name()),
        )),
    }
}

/// The answer to a call that only reads; `None` for a call that is not known here.
fn look(master: &Master, options: &Options, kind: CallType) -> Option<master::Response> {
    let response =
        |kind: AnswerType| master::Response { r#type: Some(kind as i32), ..Default::default() };
    Some(match kind {
        CallType::GetHealth => master::Response {
            get_health: Some(answers::GetHealth { healthy: true }),
            ..response(AnswerType::GetHealth)
        },
        CallType::GetVersion => master::Response {
            get_version: Some(answers::GetVersion { version_info: options.version.clone() }),
            ..response(AnswerType::GetVersion)
        },
        CallType::GetFlags => master::Response {
            get_flags: Some(answers::GetFlags { flags: flags(options) }),
            ..response(AnswerType::GetFlags)
        },
        CallType::GetLoggingLevel => master::Response {
            get_logging_level: Some(answers::GetLoggingLevel { level: 0 }),
            ..response(AnswerType::GetLoggingLevel)
        },
        CallType::GetMaster => master::Response {
            get_master: Some(get_master(master)),
            ..response(AnswerType::GetMaster)
        },
        CallType::GetAgents => master::Response {
            get_agents: Some(get_agents(master)),
            ..response(AnswerType::GetAgents)
        },
        CallType::GetFrameworks => master::Response {
            get_frameworks: Some(get_frameworks(master)),
            ..response(AnswerType::GetFrameworks)
        },
        CallType::GetExecutors => master::Response {
            get_executors: Some(get_executors(master)),
            ..response(AnswerType::GetExecutors)
        },
        CallType::GetTasks => master::Response {
            get_tasks: Some(get_tasks(master)),
            ..response(AnswerType::GetTasks)
        },
        CallType::GetRoles => master::Response {
            get_roles: Some(get_roles(master)),
            ..response(AnswerType::GetRoles)
        },
        CallType::GetOperations => master::Response {
            get_operations: Some(answers::GetOperations::default()),
            ..response(AnswerType::GetOperations)
        },
        CallType::GetState => master::Response {
            get_state: Some(answers::GetState {
                get_tasks: Some(get_tasks(master)),
                get_executors: Some(get_executors(master)),
                get_frameworks: Some(get_frameworks(master)),
                get_agents: Some(get_agents(master)),
            }),
            ..response(AnswerType::GetState)
        },
        _ => return None,
    })
}

fn flags(options: &Options) -> Vec<v1::Flag> {
    let flags = options.flags.iter();
    flags.map(|(name, value)| v1::Flag { name: name.clone(), value: Some(value.clone()) }).collect()
}

fn get_metrics(all: BTreeMap<String, f64>) -> master::Response {
    let metric = |(name, value)| v1::Metric { name, value: Some(value) };
    let metrics = all.into_iter().map(metric).collect();
    master::Response {
        r#type: Some(AnswerType::GetMetrics as i32),
        get_metrics: Some(answers::GetMetrics { metrics }),
        ..Default::default()
    }
}

fn get_master(master: &Master) -> answers::GetMaster {
    let started = Some(master.started().wall.as_seconds());
    answers::GetMaster {
        master_info: Some(master.options().master_info.clone()),
        start_time: started,
        elected_time: started,
    }
}

fn time(time: WallTime) -> Option<v1::TimeInfo> {
    Some(v1::TimeInfo { nanoseconds: time.as_nanoseconds() })
}

fn get_agents(master: &Master) -> answers::GetAgents {
    let agent = |key, agent: &Agent| answers::get_agents::Agent {
        agent_info: agent.info.message(),
        active: agent.is_active(),
        deactivated: Some(false),
        version: agent.version.as_ref().to_owned(),
        pid: Some(agent.pid.as_ref().to_owned()),
        registered_time: time(agent.registered),
        reregistered_time: agent.reregistered.and_then(time),
        total_resources: agent.total.to_endpoint_messages(),
        allocated_resources: master.used(key).to_endpoint_messages(),
        offered_resources: master.offered(key).to_endpoint_messages(),
        capabilities: agent.capabilities.clone(),
        ..Default::default()
    };
    answers::GetAgents {
        agents: master.agents().map(|(key, one)| agent(key, one)).collect(),
        recovered_agents: master.recovered_agents().values().map(|info| info.message()).collect(),
    }
}

fn get_frameworks(master: &Master) -> answers::GetFrameworks {
    let framework = |key, framework: &Framework| {
        let offers = framework
            .offers
            .iter()
            .filter_map(|number| Some(master.offer_message(*number, master.offers().get(number)?)));
        answers::get_frameworks::Framework {
            framework_info: framework.info.clone(),
            active: framework.is_active(),
            connected: framework.connection.is_some(),
            recovered: framework.recovered,
            registered_time: time(framework.registered),
            reregistered_time: time(framework.reregistered.unwrap_or(framework.registered)),
            unregistered_time: framework.unregistered.and_then(time),
            offers: offers.collect(),
            allocated_resources: used_by(master, framework, key).to_endpoint_messages(),
            offered_resources: offered_to(master, framework).to_endpoint_messages(),
            offer_constraints: Some(Default::default()),
            ..Default::default()
        }
    };
    answers::GetFrameworks {
        frameworks: master.frameworks().map(|(key, one)| framework(Some(key), one)).collect(),
        completed_frameworks: master
            .completed_frameworks()
            .map(|one| framework(None, one))
            .collect(),
        ..Default::default()
    }
}

fn get_executors(master: &Master) -> answers::GetExecutors {
    let executors = master.agents().flat_map(|(_, agent)| {
        let agent_id = agent.agent_id();
        agent.executors.values().map(move |executor| answers::get_executors::Executor {
            executor_info: executor.info.clone(),
            agent_id: agent_id.clone(),
        })
    });
    answers::GetExecutors { executors: executors.collect(), ..Default::default() }
}

fn get_tasks(master: &Master) -> answers::GetTasks {
    let mut found = answers::GetTasks::default();
    let current = master.frameworks().map(|(_, framework)| framework);
    for framework in current.chain(master.completed_frameworks()) {
        found.tasks.extend(framework.tasks.values().map(|task| task.message()));
        found.unreachable_tasks.extend(framework.unreachable_tasks.iter().map(Task::message));
        found.completed_tasks.extend(framework.completed_tasks.iter().map(Task::message));
    }
    found
}

fn get_roles(master: &Master) -> answers::GetRoles {
    let mut names: BTreeMap<String, Vec<v1::FrameworkId>> = Default::default();
    for (_, framework) in master.frameworks() {
        let id = framework.info.id.clone().unwrap_or_default();
        for role in framework.roles() {
            names.entry(role).or_default().push(id.clone());
        }
    }
    let roles = names.into_iter().map(|(name, frameworks)| {
        let (allocated, offered) = crate::state::role_resources(master, &name);
        let resources = scalars(&(allocated + offered));
        v1::Role { name, weight: 1.0, frameworks, resources }
    });
    answers::GetRoles { roles: roles.collect() }
}

/// The scalars alone, one of each name and sorted by it: of a role nothing else is told here.
fn scalars(resources: &Resources) -> Vec<v1::Resource> {
    let quantities = resources.quantities();
    let scalar = |(name, amount): (&str, Scalar)| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value: amount.as_f64() }),
        ..Default::default()
    };
    let mut scalars: Vec<v1::Resource> = quantities.iter().map(scalar).collect();
    scalars.sort_by(|a, b| a.name.cmp(&b.name));
    scalars
}
