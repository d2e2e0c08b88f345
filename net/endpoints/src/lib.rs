//! What the older HTTP endpoints of master and agent have in common.
//!
//! | module | what |
//! |---|---|
//! | [`route`] | which endpoint a path names: process prefixes, longest prefix, old endings |
//! | [`query`] | parameters of a query string or a form |
//! | [`reply`] | answers in JSON: JSONP, gzip, HEAD |
//! | [`objects`] | the JSON objects of tasks, executors, frameworks, agents and resources |
//! | [`system`] | `/version`, `/flags`, `/system/stats.json` |
//! | [`machine`] | load and memory of the machine, for `/system/stats.json` and the metrics |
//! | [`metrics`] | `/metrics/snapshot` |
//! | [`files`] | `/files/{browse,read,download,debug}` over the port to the disk |
//!
//! The keys, types and status codes are Mesos', and recorded answers hold them in place. Nothing
//! here keeps state of a cluster: callers hand in what is to be shown. No path that a client sends
//! leads out of the folders that were attached to [`files::Files`].

#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod files;
pub mod machine;
pub mod metrics;
pub mod objects;
pub mod query;
pub mod reply;
pub mod route;
pub mod system;
#[cfg(test)]
mod testing;

pub use files::Files;
pub use query::Query;
pub use reply::Asked;
pub use route::{Route, RouteError, Router};
