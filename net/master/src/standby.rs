//! What a master answers that does not lead: where the leader is, or that there is none.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::{HeaderValue, LOCATION};
use http::{Method, StatusCode};
use orrery_coverage::reachable;
use orrery_endpoints::{Asked, Route, RouteError, Router, machine, metrics, system};
use orrery_http::{Request, Response, respond};
use orrery_link::LinkService;
use orrery_runtime::{Address, Instant, Runtime};
use serde_json::Value;

use crate::measures::Measures;
use crate::routes::ROUTER;
use crate::{Options, page, snapshot};

/// Endpoints that no master has got yet. Who asks for them is sent to the leader all the same, as
/// Mesos' masters do.
const NOT_BUILT: Router = Router::new(
    "master",
    &[
        "create-volumes",
        "destroy-volumes",
        "machine/down",
        "machine/up",
        "maintenance/schedule",
        "maintenance/status",
        "quota",
        "reserve",
        "teardown",
        "unreserve",
        "weights",
    ],
    &[],
);

/// What a master is that does not lead.
pub(crate) enum Standing {
    /// It is elected, and about to lead.
    Recovering,
    /// Another one leads, or none does.
    Behind(Option<Address>),
}

impl Standing {
    fn redirect(&self, path: &str) -> Response {
        match self {
            Self::Recovering => recovering(),
            Self::Behind(leader) => redirect(leader.as_ref(), path),
        }
    }
}

/// 503: who is elected leads, but not yet.
pub(crate) fn recovering() -> Response {
    reachable!("somebody asks a leader that still reads the registry");
    respond::text(StatusCode::SERVICE_UNAVAILABLE, "Master has not finished recovery")
}

/// Answers a request to a master that does not lead, and runs since `started`. The page, the
/// version, the flags and the like are its own; whatever is about the cluster is the leader's.
pub(crate) async fn answer(
    runtime: &Runtime,
    options: &Arc<Options>,
    measures: &Measures,
    started: Instant,
    standing: &Standing,
    request: Request,
) -> Response {
    if LinkService::handles(request.uri().path()) {
        reachable!("an agent wants a link to a master that does not lead");
        return no_leader();
    }
    let Route { endpoint, rest } = match ROUTER.route(request.uri().path()) {
        Ok(route) => route,
        Err(RouteError::NotFound(path)) if NOT_BUILT.route(&path).is_ok() => {
            return standing.redirect(&with_process(path_of(&request)));
        }
        Err(RouteError::NotFound(_)) => return respond::not_found(),
        Err(error) => return respond::text(StatusCode::BAD_REQUEST, error.to_string()),
    };
    match endpoint {
        "health" => return health(request.method()),
        "redirect" if rest.is_empty() => return standing.redirect(""),
        "redirect" => return respond::not_found(),
        "" | "page.css" | "page.js" | "draw.js" | "viewer.js" => {
            return page::file(endpoint, request.method());
        }
        "version" | "flags" | "system/stats.json" | "metrics/snapshot" => {}
        _ => return standing.redirect(&with_process(path_of(&request))),
    }
    let asked = match Asked::of(&request) {
        Ok(asked) => asked,
        Err(error) => return error.response(),
    };
    match endpoint {
        "version" => asked.json(&Value::Object(system::version(&options.version))),
        "flags" => asked.json(&system::flags(&options.flags)),
        "system/stats.json" => asked.json(&machine::read(runtime).await.object()),
        _ => {
            let mut all = snapshot::standby(started, runtime);
            let elected = matches!(standing, Standing::Recovering);
            all.insert("master/elected".to_owned(), f64::from(u8::from(elected)));
            measures.add_metrics(&mut all).await;
            metrics::snapshot(&asked, &all)
        }
    }
}

/// What was asked for, with the query.
fn path_of(request: &Request) -> &str {
    request.uri().path_and_query().map_or("/", |path| path.as_str())
}

pub(crate) fn health(method: &Method) -> Response {
    if matches!(*method, Method::GET | Method::HEAD) {
        respond::empty(StatusCode::OK)
    } else {
        respond::method_not_allowed(&[Method::GET, Method::HEAD], method)
    }
}

/// 307 to the same path on the leader, whatever scheme is in use. The body and the method are to be
/// sent again.
pub(crate) fn redirect(leader: Option<&Address>, path: &str) -> Response {
    let Some(leader) = leader else {
        reachable!("a master does not know who leads");
        return no_leader();
    };
    match HeaderValue::try_from(format!("//{leader}{path}")) {
        Ok(location) => {
            let mut response = respond::empty(StatusCode::TEMPORARY_REDIRECT);
            response.headers_mut().insert(LOCATION, location);
            response
        }
        // No path that HTTP lets through, and no name that can be reached, comes to this.
        Err(_) => no_leader(),
    }
}

/// The path with the process' name before it, as Mesos writes it into `Location`.
fn with_process(path: &str) -> Cow<'_, str> {
    match path.strip_prefix("/master") {
        Some(rest) if rest.starts_with(['/', '?']) || rest.is_empty() => path.into(),
        _ => format!("/master{path}").into(),
    }
}

fn no_leader() -> Response {
    respond::text(StatusCode::SERVICE_UNAVAILABLE, "No leader elected")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_name_the_process_once() {
        for (asked, told) in [
            ("/state", "/master/state"),
            ("/state?jsonp=x", "/master/state?jsonp=x"),
            ("/api/v1/scheduler", "/master/api/v1/scheduler"),
            ("/master/state", "/master/state"),
            ("/masters", "/master/masters"),
        ] {
            assert_eq!(with_process(asked), told);
        }
    }
}
