//! The master: keeps agents, frameworks, offers and tasks, and decides everything between them.
//!
//! [`Master`] is a state machine without I/O (see [`orrery_runtime::machine`]). Schedulers and
//! agents reach it as [`Input`]s; what it wants done leaves as [`Output`]s, which `net/master`
//! carries out. It talks to the allocator by plain calls, because the allocator is a machine inside
//! the same process.
//!
//! ```text
//!  scheduler ──Subscribe/Call──▶ ┌────────┐ ◀──AgentMessage── agent
//!            ◀──Event/Reply────  │ Master │ ──ToAgent──▶
//!                                └────────┘
//!                 Store ▼  ▲ Stored          ▼ grants
//!                     registry            allocator
//! ```
//!
//! What it promises:
//! - an agent is admitted, marked unreachable or removed only after the registry has stored it;
//! - on every agent, what tasks, executors and offers hold never exceeds its total
//!   ([`Master::check`] says so or why not);
//! - an offer is used at most once, and never after it was rescinded or its agent left;
//! - a task's state never changes after a terminal one.

#![forbid(unsafe_code)]

mod accept;
mod adoption;
mod agents;
mod calls;
mod checks;
mod description;
mod duplicates;
mod event;
mod frameworks;
mod gone;
mod launch;
mod machine;
mod maintenance;
mod metrics;
mod offers;
mod options;
mod pending;
mod pings;
mod planted;
mod prune;
mod reconcile;
mod record;
mod registration;
mod registry;
mod registry_messages;
mod rejection;
mod removal;
mod state;
mod subscribe;
mod tasks;
mod timers;
mod unclaimed;
mod unreachable;
mod updates;
mod validation;

pub use checks::{Audit, Changes};
pub use description::Description;
pub use event::{Answer, ConnectionId, Input, LinkId, Output, Refusal, RequestId, Ticket};
pub use maintenance::MachineName;
pub use metrics::Metrics;
pub use options::Options;
pub use planted::PlantedBug;
pub use record::Task;
pub use registry::{Registry, RegistryOperation};
pub use rejection::AGENT_INFO_MAX;
pub use state::{Agent, Executor, Framework, Master, Offer, TaskKey, UnreachableAgent};
pub use validation::{InvalidCall, validate_call};
