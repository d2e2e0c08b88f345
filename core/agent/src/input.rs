//! What can happen to an agent.

use orrery_api::link::from_master;
use orrery_api::v1::executor;
use orrery_runtime::{ExitStatus, ProcessId};

use crate::{Container, Recovered};

/// Tells one connection to the master from the ones before it.
pub type LinkNumber = u64;
/// Tells one executor's event stream from all others; the driver counts.
pub type ConnectionNumber = u64;
/// Tells one executor call from all others; the driver counts.
pub type RequestNumber = u64;

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    /// What an earlier run has left, or nothing: comes once, before everything else.
    Recovered(Box<Recovered>),
    /// [`Machine::deadline`](orrery_runtime::machine::Machine::deadline) has passed.
    Tick,
    /// The connection asked for by [`Output::Connect`](crate::Output::Connect) is open.
    LinkUp {
        /// Which one.
        link: LinkNumber,
    },
    /// A connection could not be opened, or has ended for whatever reason.
    LinkDown {
        /// Which one.
        link: LinkNumber,
    },
    /// A message came from the master.
    FromMaster {
        /// On which connection.
        link: LinkNumber,
        /// The message.
        body: Box<from_master::Body>,
    },
    /// A valid SUBSCRIBE call; answered with one `Reply`, then events on `connection` if it is 200.
    ExecutorSubscribe {
        /// To name in the reply.
        request: RequestNumber,
        /// To name in events.
        connection: ConnectionNumber,
        /// The call, which [`validate`](crate::validate) has accepted.
        call: Box<executor::Call>,
    },
    /// Any other valid executor call; answered with one `Reply`.
    ExecutorCall {
        /// To name in the reply.
        request: RequestNumber,
        /// The call, which [`validate`](crate::validate) has accepted.
        call: Box<executor::Call>,
    },
    /// An executor's event stream has ended, or its peer is too slow for it.
    ExecutorDisconnected {
        /// Which one.
        connection: ConnectionNumber,
    },
    /// A container's first process has started.
    ContainerLaunched {
        /// Which one.
        container: Container,
        /// Its first process.
        process: ProcessId,
        /// What tells the process from a later one of its number; `None` when it has ended before
        /// this could be found out.
        started: Option<u64>,
    },
    /// A container could not be started; nothing of it runs.
    ContainerLaunchFailed {
        /// Which one.
        container: Container,
        /// Why.
        message: String,
    },
    /// A container's first process has ended, and whatever it left behind was killed.
    ContainerExited {
        /// Which one.
        container: Container,
        /// How.
        status: ExitStatus,
    },
    /// The operator wants the agent to end and to be started again later. Executors of frameworks
    /// that checkpoint go on; the others are shut down, then comes `Stop`.
    Stop,
    /// The operator wants the agent to end for good: all executors are shut down, the master is
    /// told, then comes `Stop`.
    Leave,
}
