//! Which endpoint answers which path.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::StatusCode;
use orrery_agent::{Agent, Snapshot};
use orrery_endpoints::{Asked, RouteError, Router, machine, metrics, system};
use orrery_http::{Request, Response, Service, respond};
use orrery_runtime::BoxFuture;

use crate::daemon::Shared;
use crate::executor_api::stopping;
use crate::{executor_api, monitor, operator_api, state};

const ROUTER: Router = Router::new(
    "slave(1)",
    &["api/v1", "api/v1/executor", "containers", "flags", "health", "monitor/statistics", "state"],
    &[
        "files/browse",
        "files/debug",
        "files/download",
        "files/read",
        "metrics/snapshot",
        "system/stats.json",
        "version",
    ],
);

/// The agent's HTTP service.
pub(crate) struct Routes {
    shared: Arc<Shared>,
}

impl Routes {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Service for Routes {
    fn call(&self, request: Request) -> BoxFuture<'static, Response> {
        Box::pin(answer(Arc::clone(&self.shared), request))
    }

    fn is_prompt(&self, path: &str) -> bool {
        ROUTER.route(path).is_ok_and(|route| route.endpoint == "health")
    }
}

async fn answer(shared: Arc<Shared>, request: Request) -> Response {
    let route = match ROUTER.route(request.uri().path()) {
        Ok(route) => route,
        Err(RouteError::NotFound(_)) => return respond::not_found(),
        Err(error) => return respond::text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match route.endpoint {
        "api/v1" => return operator_api::handle(shared, request).await,
        "api/v1/executor" => return executor_api::handle(shared, request).await,
        _ => {}
    }
    let asked = match Asked::of(&request) {
        Ok(asked) => asked,
        Err(error) => return error.response(),
    };
    match route.endpoint {
        "containers" => containers(&shared, &asked).await,
        "files/browse" => shared.files.browse(&asked).await,
        "files/debug" => shared.files.debug(&asked),
        "files/download" => shared.files.download(&asked).await,
        "files/read" => shared.files.read(&asked).await,
        "flags" => asked.json(&system::flags(&shared.options.flags)),
        "health" => respond::empty(StatusCode::OK),
        "metrics/snapshot" => match shared.metrics().await {
            Some(all) => metrics::snapshot(&asked, &all),
            None => stopping(),
        },
        "monitor/statistics" => statistics(&shared, &asked).await,
        "state" => state(&shared, &asked).await,
        "system/stats.json" => asked.json(&machine::read(&shared.runtime).await.object()),
        "version" => asked.json(&system::version(&shared.options.version).into()),
        _ => respond::not_found(),
    }
}

async fn state(shared: &Shared, asked: &Asked) -> Response {
    if let Some(refusal) = shared.refuse_recovering().await {
        return refusal;
    }
    match shared.snapshot().await {
        Some(snapshot) => asked.json(&state::state(&snapshot, &shared.options)),
        None => stopping(),
    }
}

async fn containers(shared: &Shared, asked: &Asked) -> Response {
    let selection = match monitor::Selection::of(&asked.query) {
        Ok(selection) => selection,
        Err(text) => return respond::text(StatusCode::BAD_REQUEST, text),
    };
    let usages = monitor::usages(&shared.runtime).await;
    let time = shared.runtime.clock.wall().as_seconds();
    match shared.snapshot().await {
        Some(snapshot) => asked.json(&monitor::containers(&snapshot, &selection, &usages, time)),
        None => stopping(),
    }
}

async fn statistics(shared: &Shared, asked: &Asked) -> Response {
    let usages = monitor::usages(&shared.runtime).await;
    let time = shared.runtime.clock.wall().as_seconds();
    match shared.snapshot().await {
        Some(snapshot) => asked.json(&monitor::monitor_statistics(&snapshot, &usages, time)),
        None => stopping(),
    }
}

impl Shared {
    /// 503 while the agent takes over what an earlier run has left, as only then what it shows is
    /// true.
    pub(crate) async fn refuse_recovering(&self) -> Option<Response> {
        let recovering = self.feeder.inspect(Agent::is_recovering).await.unwrap_or(false);
        recovering.then(|| {
            let text = "Agent has not finished recovery";
            respond::text(StatusCode::SERVICE_UNAVAILABLE, text)
        })
    }

    /// What the machine knows; `None` when it is stopping.
    pub(crate) async fn snapshot(&self) -> Option<Snapshot> {
        self.feeder.inspect(|agent| agent.snapshot()).await.ok()
    }

    /// All metrics; `None` when the machine is stopping.
    pub(crate) async fn metrics(&self) -> Option<BTreeMap<String, f64>> {
        let now = self.runtime.now();
        let statistics = machine::read(&self.runtime).await;
        let mut all = self.feeder.inspect(move |agent| agent.metrics(now)).await.ok()?;
        statistics.add_metrics(&mut all);
        Some(all)
    }
}
