//! The library that frameworks are written with: Mesos' scheduler API as a state machine.
//!
//! A framework is a [`Framework`]: one function that is told what happened and answers with calls.
//!
//! ```
//! use orrery_api::v1;
//! use orrery_scheduler::{Context, Event, Framework};
//!
//! /// Runs one task and ends.
//! struct Once;
//!
//! impl Framework for Once {
//!     fn event(&mut self, context: &mut Context<'_>, event: Event) {
//!         match event {
//!             Event::Offers(offers) => {
//!                 for offer in offers {
//!                     let task = v1::TaskInfo {
//!                         name: "hello".to_owned(),
//!                         task_id: v1::TaskId { value: "hello".to_owned() },
//!                         agent_id: offer.agent_id,
//!                         resources: offer.resources,
//!                         command: Some(v1::CommandInfo {
//!                             value: Some("echo hello".to_owned()),
//!                             ..Default::default()
//!                         }),
//!                         ..Default::default()
//!                     };
//!                     context.launch(&[offer.id], vec![task], None);
//!                     context.suppress(&[]);
//!                 }
//!             }
//!             Event::Update(status) if status.state() == v1::TaskState::TaskFinished => {
//!                 context.teardown();
//!             }
//!             _ => {}
//!         }
//!     }
//! }
//!
//! // Without a network: the machine that drives it, fed by hand.
//! use orrery_runtime::{Generator, Now, machine::Machine};
//! use orrery_scheduler::{Output, SchedulerMachine, Subscription};
//!
//! let generator = Generator::from_number(1);
//! let mut machine = SchedulerMachine::new(Subscription::default(), Once, generator);
//! let mut outputs = Vec::new();
//! machine.step(Now::default(), SchedulerMachine::<Once>::tick(), &mut outputs);
//! assert!(matches!(outputs[..], [Output::Connect { connection: 1, .. }]));
//! ```
//!
//! The crate `orrery-net-scheduler` runs a framework against a master:
//! `orrery_net_scheduler::run(runtime, options, Once).await`.
//!
//! # What the library does for a framework
//!
//! - **Connecting.** It subscribes, keeps the framework id, and after a break waits for a random
//!   time of `[0, 1 s · 2^n]` (at most a minute) before it subscribes again with that id. Five
//!   missed heartbeats count as a break.
//! - **Updates.** Each update is delivered once and in order, and acknowledged after
//!   [`Framework::event`] returned (or when the framework says so, see [`Acknowledgements`]). An
//!   update that an agent repeats because its acknowledgement was lost is acknowledged again and
//!   not delivered again. What the master makes up by itself has no uuid and is not acknowledged.
//! - **Reconciliation.** After every re-subscription it asks the master for all tasks, and by name
//!   for those it knows and that are not terminal, until each one was answered with a state that
//!   settles something; it goes on asking, once a minute at last, while all that is known is that a
//!   task is unreachable or unknown. The framework sees the answers that hold news.
//! - **Kills** are repeated after every re-subscription until the task is terminal.
//! - **Everything else** said without a subscription is dropped, and the call's [`Delivery`] says
//!   so: offers are void then, and acknowledgements come up again because agents repeat updates.
//!
//! # What is inside
//!
//! [`SchedulerMachine`] is the state machine (no I/O, no clock, no entropy of its own):
//!
//! ```text
//!                  tick: Connect             SUBSCRIBED
//! disconnected ───────────────▶ connecting ──────────────▶ subscribed
//!      ▲                            │                          │
//!      └──── back-off ◀─────────────┴──── broken, silent ◀─────┘
//! ```
//!
//! [`execute`] is the framework behind `mesos-execute`.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod backoff;
mod calls;
mod context;
mod event;
pub mod execute;
mod machine;
mod planted;
mod reconciliation;
mod session;
mod tasks;

pub use backoff::{FIRST_DELAY, LONGEST_DELAY};
pub use calls::launch;
pub use context::{Context, Delivery};
pub use event::Event;
pub use machine::{Action, Ending, Input, Output, SchedulerMachine, Stop};
pub use planted::PlantedBug;
pub use session::{HEARTBEAT_INTERVAL, HEARTBEATS_MISSED, SUBSCRIBE_TIMEOUT, Subscription};

/// Who acknowledges updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledgements {
    /// The library, as soon as the framework has seen the update.
    #[default]
    Automatic,
    /// The framework, with [`Context::acknowledge`], for instance once it has stored the update.
    Explicit,
}

/// The logic of a framework.
pub trait Framework: Send + 'static {
    /// Something happened. Calls are made through `context`; they leave when this returns, in
    /// order. Must not wait for anything.
    fn event(&mut self, context: &mut Context<'_>, event: Event);

    /// Who acknowledges updates. Asked with every update.
    fn acknowledgements(&self) -> Acknowledgements {
        Acknowledgements::Automatic
    }
}
