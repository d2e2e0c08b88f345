//! Runs a framework against a master: the state machine of `orrery-scheduler` over HTTP.
//!
//! [`run`] is the whole of it for a program that is one framework; [`Scheduler`] also gives a
//! [`Handle`] to reach the framework from outside.
//!
//! Each subscription has two connections, as with Mesos' own library. One carries SUBSCRIBE and the
//! event stream. The other carries all calls, in the order in which the framework made them and
//! without waiting for the answer to the one before (HTTP/1.1 pipelining): a framework has an
//! acknowledgement to send for every update, and one round trip for each would bound it at some
//! hundreds of updates a second on a real network. When either connection breaks, both are given
//! up: calls in flight may or may not have reached the master, and only a new subscription with its
//! reconciliation tells.
//!
//! ```text
//!            events                    feed
//!  master ───────────▶ stream ─────────────────────┐
//!    ▲                    ┊ waits while many         ▼
//!    │                    ┊ calls are queued     driver ── SchedulerMachine ── Framework
//!    │    calls           ┊                          │
//!    └────────────── pipeline ◀─────── queue ────────┘
//! ```
//!
//! It runs on the ports alone and behaves the same in every run of a simulation's seed.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod answer;
mod carrier;
mod connection;
mod options;
mod pipeline;
mod queue;

use orrery_runtime::Runtime;
use orrery_runtime::machine::{Driver, Feeder, Stopped};
use orrery_scheduler::{Context, Ending, Framework, Input, SchedulerMachine, Stop, Subscription};
use tokio::sync::oneshot;

use carrier::Carrier;

pub use options::{Encoding, Options};
pub use pipeline::{BATCH, IN_FLIGHT};
pub use queue::HIGH_WATER;

/// How many inputs may wait for the framework: events beyond them stay in the master's socket.
const INPUTS: usize = 1024;

/// What is left when a session is over.
#[derive(Debug)]
pub struct Outcome<F> {
    /// The framework in its last state.
    pub framework: F,
    /// Why the session ended.
    pub ending: Ending,
}

/// Runs `framework` until its session ends: it stopped, tore itself down, or the master will never
/// accept it again. Dropping the future disconnects.
pub async fn run<F: Framework>(runtime: Runtime, options: Options, framework: F) -> Outcome<F> {
    let (scheduler, _handle) = Scheduler::new(runtime, options, framework);
    scheduler.run().await
}

/// A framework ready to run.
pub struct Scheduler<F: Framework> {
    runtime: Runtime,
    options: Options,
    driver: Driver<SchedulerMachine<F>>,
    feeder: Feeder<SchedulerMachine<F>>,
}

impl<F: Framework> std::fmt::Debug for Scheduler<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Scheduler").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<F: Framework> Scheduler<F> {
    /// A session for `framework`, and the way to reach it while it runs.
    pub fn new(runtime: Runtime, options: Options, framework: F) -> (Self, Handle<F>) {
        let subscription = Subscription {
            framework_info: options.framework_info.clone(),
            suppressed_roles: options.suppressed_roles.clone(),
            offer_constraints: options.offer_constraints.clone(),
        };
        let generator = runtime.random.generator();
        let machine = SchedulerMachine::new(subscription, framework, generator);
        let (driver, feeder) = Driver::new(machine, INPUTS);
        let handle = Handle { feeder: feeder.clone() };
        (Self { runtime, options, driver, feeder }, handle)
    }

    /// Runs until the session ends, as [`run`] does.
    pub async fn run(self) -> Outcome<F> {
        let Self { runtime, options, driver, feeder } = self;
        let mut carrier = Carrier::new(runtime.clone(), options, feeder);
        let machine = driver.run(runtime, |output| carrier.carry(output)).await;
        carrier.flush().await;
        let ending = machine.ending().cloned().unwrap_or(Ending::Stopped);
        Outcome { framework: machine.into_framework(), ending }
    }
}

/// Reaches a running framework from outside. Cheap to clone.
pub struct Handle<F: Framework> {
    feeder: Feeder<SchedulerMachine<F>>,
}

impl<F: Framework> Clone for Handle<F> {
    fn clone(&self) -> Self {
        Self { feeder: self.feeder.clone() }
    }
}

impl<F: Framework> std::fmt::Debug for Handle<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Handle")
    }
}

impl<F: Framework> Handle<F> {
    /// Ends the session; [`Scheduler::run`] then returns.
    ///
    /// # Errors
    /// [`Stopped`] when it has ended already.
    pub async fn stop(&self, how: Stop) -> Result<(), Stopped> {
        self.feeder.feed(Input::Stop(how)).await
    }

    /// Lets `action` change the framework and make calls, between two events, and returns what it
    /// returned.
    ///
    /// # Errors
    /// [`Stopped`] when the session has ended.
    pub async fn act<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut F, &mut Context<'_>) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (sender, receiver) = oneshot::channel();
        let action = move |framework: &mut F, context: &mut Context<'_>| {
            // Nobody listens when the caller gave up meanwhile.
            let _ = sender.send(action(framework, context));
        };
        self.feeder.feed(Input::Act(Box::new(action))).await?;
        receiver.await.map_err(|_| Stopped)
    }

    /// Looks at the framework between two events.
    ///
    /// # Errors
    /// [`Stopped`] when the session has ended.
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&F) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        self.feeder.inspect(|machine| look(machine.framework())).await
    }
}
