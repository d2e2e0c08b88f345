//! The wire of the replicated log: each replica opens one HTTP/2 connection to each other one, with
//! one gRPC call on it, over which it asks and the other answers.
//!
//! ```text
//!   Log ─▶ Peers::send ─▶ queue ─▶ ReplicatedLog.Exchange ─▶ LogService ─▶ the other's Log
//!   Log ◀─ Responses   ◀────────── HTTP/2 stream ◀────────── queue ◀────── its answer
//! ```
//!
//! What it promises: nothing waits for a peer; what cannot be sent or answered is lost, which the
//! log's protocol takes; a connection over which no answer comes is given up and made anew.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod connection;
mod identity;
mod peers;
mod service;

/// What the build script made of `log.proto`.
#[allow(clippy::all, clippy::pedantic, missing_docs, rust_2018_idioms, unused_qualifications)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/orrery.log.v1.rs"));
}

use std::sync::Arc;

use orrery_log::{Log, Membership, Options, StartError};
use orrery_runtime::Runtime;

pub use peers::Peers;
pub use service::LogService;

/// Largest message, in bytes, either way.
pub const MESSAGE_MAX: usize = 64 << 20;

/// Starts a replica and what answers other replicas, to be mounted on the daemon's port, which must
/// be the one in `options.address`.
///
/// # Errors
/// As [`Log::start`].
pub async fn start(runtime: &Runtime, options: Options) -> Result<(Log, LogService), StartError> {
    let address = options.address.clone();
    let alone = match &options.membership {
        Membership::Fixed(members) => members.iter().all(|member| *member == address),
        Membership::Changing(_) => false,
    };
    let peers = Arc::new(Peers::new(runtime.clone(), address.clone()));
    let log = Log::start(runtime, options, peers).await?;
    let watch = (!alone).then(|| {
        let watch = identity::watch(runtime.clone(), log.clone(), address);
        runtime.spawn("replicated log identity", watch).abort_on_drop()
    });
    let service = LogService::new(runtime.clone(), log.clone(), watch);
    Ok((log, service))
}
