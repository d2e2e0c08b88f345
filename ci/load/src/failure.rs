//! Why a measurement did not come to its end.

use std::path::PathBuf;
use std::time::Duration;

use orrery_flags::FlagError;
use orrery_model::duration;

/// The one line that the user sees.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line cannot be used.
    #[error("unknown command '{0}': expected real, emulated or idle; see 'orrery-load --help'")]
    Command(String),
    /// The flags cannot be used.
    #[error(transparent)]
    Flags(#[from] FlagError),
    /// The executable to measure cannot be started.
    #[error("cannot start {path}: {source}")]
    Start {
        /// The executable.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A daemon ended or did not get ready.
    #[error("the {name} {what}; its last words:\n{log}")]
    Daemon {
        /// Which daemon.
        name: &'static str,
        /// What happened.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// Something in the cluster went wrong, so that the figures would mean nothing.
    #[error("{0}")]
    Cluster(String),
    /// The time limit passed.
    #[error("not done within {}: {missing}", duration::format(*.limit))]
    Limit {
        /// The limit.
        limit: Duration,
        /// How far it came.
        missing: String,
    },
    /// A signal ended it.
    #[error("stopped by {0}")]
    Stopped(&'static str),
    /// The system does not give us what we need.
    #[error(transparent)]
    System(#[from] std::io::Error),
}
