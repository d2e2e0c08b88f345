//! Which handler answers which path.

use std::sync::Arc;

use http::{Method, StatusCode};
use orrery_endpoints::{Asked, Route, RouteError, Router, machine, metrics, system};
use orrery_http::{Request, Response, Service, respond};
use orrery_link::LinkService;
use orrery_master::Master;
use orrery_runtime::BoxFuture;
use serde_json::Value;

use crate::daemon::Shared;
use crate::info::public_address;
use crate::pulse::Pulse;
use crate::tasks::Selection;
use crate::{Options, operator_api, page, scheduler_api, standby, state, tasks};

pub(crate) const ROUTER: Router = Router::new(
    "master",
    &[
        "",
        "page.css",
        "page.js",
        "draw.js",
        "viewer.js",
        "api/v1",
        "api/v1/scheduler",
        "flags",
        "frameworks",
        "health",
        "redirect",
        "roles",
        "slaves",
        "state",
        "state-summary",
        "tasks",
    ],
    &["version", "metrics/snapshot", "system/stats.json"],
);

/// The HTTP service of a master.
pub(crate) struct Routes {
    shared: Arc<Shared>,
    links: LinkService,
    options: Arc<Options>,
    pulse: Pulse,
}

impl Routes {
    pub(crate) fn new(shared: Arc<Shared>, links: LinkService, options: Arc<Options>) -> Self {
        let pulse = Pulse::new(shared.runtime.clone(), shared.feeder.clone());
        Self { shared, links, options, pulse }
    }
}

impl Service for Routes {
    fn call(&self, request: Request) -> BoxFuture<'static, Response> {
        if LinkService::handles(request.uri().path()) {
            return self.links.call(request);
        }
        if self.is_prompt(request.uri().path()) {
            let response = self.health(request.method());
            return Box::pin(std::future::ready(response));
        }
        let (shared, options) = (Arc::clone(&self.shared), Arc::clone(&self.options));
        Box::pin(async move { answer(shared, options, request).await })
    }

    fn is_prompt(&self, path: &str) -> bool {
        ROUTER.route(path).is_ok_and(|route| route.endpoint == "health")
    }
}

impl Routes {
    fn health(&self, method: &Method) -> Response {
        match self.pulse.check() {
            Ok(()) => standby::health(method),
            Err(silence) => {
                let silence = silence.as_secs();
                let text = format!("The master has not taken its turn for {silence} s");
                respond::text(StatusCode::SERVICE_UNAVAILABLE, text)
            }
        }
    }
}

async fn answer(shared: Arc<Shared>, options: Arc<Options>, request: Request) -> Response {
    let Route { endpoint, rest } = match ROUTER.route(request.uri().path()) {
        Ok(route) => route,
        Err(RouteError::NotFound(_)) => return respond::not_found(),
        Err(error) => return respond::text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match endpoint {
        "api/v1/scheduler" => return scheduler_api::handle(shared, request).await,
        "api/v1" => return operator_api::handle(shared, options, request).await,
        "redirect" if rest.is_empty() => return redirect(&shared).await,
        "redirect" => return respond::not_found(),
        "" | "page.css" | "page.js" | "draw.js" | "viewer.js" => {
            return page::file(endpoint, request.method());
        }
        _ => {}
    }
    let asked = match Asked::of(&request) {
        Ok(asked) => asked,
        Err(error) => return error.response(),
    };
    match endpoint {
        "version" => asked.json(&Value::Object(system::version(&options.version))),
        "flags" => asked.json(&system::flags(&options.flags)),
        "system/stats.json" => asked.json(&machine::read(&shared.runtime).await.object()),
        "metrics/snapshot" => metrics_snapshot(&shared, &asked).await,
        _ => show(&shared, options, endpoint, asked).await,
    }
}

/// The endpoints that show what the machine knows.
async fn show(
    shared: &Shared,
    options: Arc<Options>,
    endpoint: &'static str,
    asked: Asked,
) -> Response {
    let query = asked.query.clone();
    let look = move |master: &Master| {
        let value = match endpoint {
            "state" => state::state(master, &options),
            "state-summary" => state::summary(master, &options),
            "slaves" => state::slaves(master, &query),
            "frameworks" => state::frameworks(master, &query),
            "roles" => state::roles(master),
            "tasks" => tasks::tasks(master, &Selection::of(&query)),
            _ => return None,
        };
        Some(value.to_string())
    };
    match shared.feeder.inspect(look).await {
        Ok(Some(text)) => asked.json_text(text),
        Ok(None) => respond::not_found(),
        Err(_) => scheduler_api::stopping(),
    }
}

async fn metrics_snapshot(shared: &Shared, asked: &Asked) -> Response {
    match shared.metrics().await {
        Ok(all) => metrics::snapshot(asked, &all),
        Err(_) => scheduler_api::stopping(),
    }
}

/// 307 to the leading master, which is this one.
async fn redirect(shared: &Shared) -> Response {
    let leader = shared.feeder.inspect(|master| public_address(&master.options().master_info));
    match leader.await {
        Ok(leader) => standby::redirect(Some(&leader), ""),
        Err(_) => scheduler_api::stopping(),
    }
}
