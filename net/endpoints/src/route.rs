//! Which endpoint a path names.
//!
//! A daemon consists, to its clients, of processes such as `master`, `slave(1)`, `files` or
//! `metrics`, and an endpoint is `/<process>/<name>`. One process, the delegate, is also asked when
//! the first part of the path names no process, so that `/state` is `/master/state`. Clients rely
//! on what follows from that: `/master/state` works and `/master/version` does not, and a path is
//! cut at its end until a name fits, so that `/api/v1/operator` is `/api/v1`.

use percent_encoding::percent_decode_str;

/// Endpoints that once ended in `.json`, or that old clients ask for in that form.
const OLD_ENDINGS: [&str; 8] = [
    "state",
    "tasks",
    "roles",
    "monitor/statistics",
    "files/browse",
    "files/read",
    "files/download",
    "files/debug",
];

/// The endpoints of a daemon.
#[derive(Clone, Debug)]
pub struct Router {
    process: &'static str,
    delegated: &'static [&'static str],
    others: &'static [&'static str],
}

/// An endpoint and what the path says beyond its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The endpoint's name without slashes around it, for example `api/v1`. Empty for the root.
    pub endpoint: &'static str,
    /// What follows the name, still percent-encoded, without a slash at either end: `operator` of
    /// `/api/v1/operator`, the role of `/quota/<role>`.
    pub rest: String,
}

/// Why a path names no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// Nothing has that name: 404.
    #[error("no endpoint is named '{0}'")]
    NotFound(String),
    /// The path does not begin with a slash: 400.
    #[error("path '{0}' does not begin with '/'")]
    Malformed(String),
}

impl Router {
    /// A daemon whose delegate is `process` (`master` or `slave(1)`) with the endpoints
    /// `delegated`, beside the endpoints `others` that belong to other processes, given in full
    /// (`files/browse`). The root is an endpoint if an empty name stands among `delegated`.
    pub const fn new(
        process: &'static str,
        delegated: &'static [&'static str],
        others: &'static [&'static str],
    ) -> Self {
        Self { process, delegated, others }
    }

    /// The endpoint that `path` (without its query) names.
    ///
    /// # Errors
    /// [`RouteError`]; each variant tells the status code.
    pub fn route(&self, path: &str) -> Result<Route, RouteError> {
        let Some(relative) = path.strip_prefix('/') else {
            return Err(RouteError::Malformed(path.to_owned()));
        };
        let parts: Vec<&str> = relative.split('/').filter(|part| !part.is_empty()).collect();
        if parts.contains(&"..") {
            return Err(RouteError::NotFound(path.to_owned()));
        }
        let found = match parts.split_first() {
            Some((first, rest)) if self.is_process(first) => {
                longest(self.delegated, &rest.join("/"))
            }
            _ => {
                let name = parts.join("/");
                longest(self.others, &name).or_else(|| longest(self.delegated, &name))
            }
        };
        found.ok_or_else(|| RouteError::NotFound(path.to_owned()))
    }

    /// Whether a path begins with the name of the delegate, which may be percent-encoded
    /// (`slave%281%29`).
    fn is_process(&self, first: &str) -> bool {
        percent_decode_str(first).eq(self.process.bytes())
    }
}

/// The longest beginning of `path`, in whole parts, that is a name of the table.
fn longest(table: &'static [&'static str], path: &str) -> Option<Route> {
    let find = |name: &str| table.iter().copied().find(|known| *known == name);
    let mut name = path;
    loop {
        let current = name.strip_suffix(".json").filter(|name| OLD_ENDINGS.contains(name));
        if let Some(endpoint) = find(name).or_else(|| current.and_then(find)) {
            let rest = path.get(name.len() + 1..).unwrap_or_default();
            return Some(Route { endpoint, rest: rest.to_owned() });
        }
        name = name.rsplit_once('/')?.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTER: Router = Router::new(
        "master",
        &["", "api/v1", "api/v1/scheduler", "state", "tasks", "slaves", "roles", "quota"],
        &["version", "metrics/snapshot", "files/read", "system/stats.json"],
    );
    const AGENT: Router = Router::new("slave(1)", &["state", "monitor/statistics"], &["version"]);

    fn endpoint(router: &Router, path: &str) -> Option<&'static str> {
        router.route(path).ok().map(|route| route.endpoint)
    }

    #[test]
    fn the_delegate_may_be_named() {
        for path in ["/state", "/master/state", "/state/", "//master//state/"] {
            assert_eq!(endpoint(&MASTER, path), Some("state"), "{path}");
        }
        for path in ["/slave(1)/state", "/slave%281%29/state", "/slave%281)/state", "/state"] {
            assert_eq!(endpoint(&AGENT, path), Some("state"), "{path}");
        }
        assert_eq!(endpoint(&MASTER, "/slave(1)/state"), None);
        assert_eq!(endpoint(&AGENT, "/master/state"), None);
    }

    #[test]
    fn other_processes_are_not_under_the_delegate() {
        assert_eq!(endpoint(&MASTER, "/version"), Some("version"));
        assert_eq!(endpoint(&MASTER, "/master/version"), None);
        assert_eq!(endpoint(&MASTER, "/metrics/snapshot"), Some("metrics/snapshot"));
        assert_eq!(endpoint(&MASTER, "/metrics"), None);
    }

    #[test]
    fn the_longest_name_wins() {
        let route = MASTER.route("/api/v1/operator").expect("found");
        assert_eq!(route, Route { endpoint: "api/v1", rest: "operator".into() });
        assert_eq!(endpoint(&MASTER, "/api/v1/scheduler"), Some("api/v1/scheduler"));
        assert_eq!(endpoint(&MASTER, "/api"), None);
        let route = MASTER.route("/master/quota/eng%2Fweb/x").expect("found");
        assert_eq!(route, Route { endpoint: "quota", rest: "eng%2Fweb/x".into() });
    }

    #[test]
    fn old_endings_are_known() {
        assert_eq!(endpoint(&MASTER, "/master/state.json"), Some("state"));
        assert_eq!(endpoint(&MASTER, "/roles.json"), Some("roles"));
        assert_eq!(endpoint(&MASTER, "/files/read.json"), Some("files/read"));
        assert_eq!(endpoint(&AGENT, "/monitor/statistics.json"), Some("monitor/statistics"));
        assert_eq!(endpoint(&MASTER, "/slaves.json"), None);
        assert_eq!(endpoint(&MASTER, "/system/stats.json"), Some("system/stats.json"));
        assert_eq!(endpoint(&MASTER, "/system/stats"), None);
    }

    #[test]
    fn the_root_is_only_the_root() {
        assert_eq!(endpoint(&MASTER, "/"), Some(""));
        assert_eq!(endpoint(&MASTER, "/master/"), Some(""));
        assert_eq!(endpoint(&MASTER, "/nosuch"), None);
        assert_eq!(endpoint(&AGENT, "/"), None);
    }

    #[test]
    fn bad_paths_are_told_apart() {
        assert_eq!(MASTER.route("state"), Err(RouteError::Malformed("state".into())));
        assert_eq!(MASTER.route(""), Err(RouteError::Malformed(String::new())));
        for path in ["/..", "/state/..", "/../state", "/%2e%2e/state", "/%ff/state", "/%"] {
            assert_eq!(MASTER.route(path).ok().map(|route| route.endpoint), None, "{path}");
        }
    }
}
