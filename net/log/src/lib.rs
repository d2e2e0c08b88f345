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

mod agreement;
mod connection;
mod identity;
mod peers;
mod service;
mod statement;

/// What the build script made of `log.proto`.
#[allow(clippy::all, clippy::pedantic, missing_docs, rust_2018_idioms, unused_qualifications)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/orrery.log.v1.rs"));
}

use std::collections::BTreeSet;
use std::sync::Arc;

use orrery_log::{Log, Membership, Options, Origin, StartError};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};

pub use peers::Peers;
pub use service::LogService;
pub use statement::Statements;

/// Largest message, in bytes, either way.
pub const MESSAGE_MAX: usize = 64 << 20;

/// Starts a replica and what answers other replicas, to be mounted on the daemon's port, which must
/// be the one in `options.address`.
///
/// # Errors
/// As [`Log::start`].
pub async fn start(runtime: &Runtime, options: Options) -> Result<(Log, LogService), StartError> {
    let address = options.address.clone();
    let cluster = options.membership.cluster(&address, options.quorum);
    let origin = Origin { address, cluster };
    let listed = match &options.membership {
        Membership::Fixed(members) => Some(members.clone()),
        Membership::Changing(_) => None,
    };
    let peers = Arc::new(Peers::new(runtime.clone(), origin.clone()));
    let log = Log::start(runtime, options, peers).await?;
    let watches = watches(runtime, &log, origin, listed);
    let service = LogService::new(runtime.clone(), log.clone(), watches);
    Ok((log, service))
}

/// What makes sure that the replica is set up as the others are. Whoever tells it of members that
/// change makes sure that they agree.
fn watches(
    runtime: &Runtime,
    log: &Log,
    origin: Origin,
    listed: Option<BTreeSet<Address>>,
) -> Vec<AbortOnDrop> {
    let is_other = |member: &Address| *member != origin.address;
    if listed.as_ref().is_some_and(|members| !members.iter().any(is_other)) {
        return Vec::new();
    }
    let agreement = listed.map(|members| {
        let watch = agreement::watch(runtime.clone(), log.clone(), origin.clone(), members);
        runtime.spawn("replicated log agreement", watch).abort_on_drop()
    });
    let watch = identity::watch(runtime.clone(), log.clone(), origin);
    let identity = runtime.spawn("replicated log identity", watch).abort_on_drop();
    agreement.into_iter().chain([identity]).collect()
}
