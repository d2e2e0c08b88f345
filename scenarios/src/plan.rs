//! What happens in a run, as plain data: a readable list that could also be written by hand, cut
//! down, or played against another version.

mod draw;
mod text;

use std::time::Duration;

/// What an agent has unless a plan says otherwise: room for all that drawn plans launch.
pub const AGENT_RESOURCES: &str = "cpus:32;mem:8192;disk:10000;ports:[31000-32000]";

/// A whole run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The cluster.
    pub shape: Shape,
    /// What happens, ordered by time.
    pub steps: Vec<Step>,
}

/// A cluster and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many masters there are, each on a host of its own.
    pub masters: usize,
    /// How many agents there are, each on a host of its own.
    pub agents: usize,
    /// What each agent has.
    pub agent_resources: String,
    /// The frameworks, each on a host of its own.
    pub frameworks: Vec<Temper>,
    /// The master's `agent_ping_timeout`; three in a row make an agent unreachable.
    pub ping_timeout: Duration,
    /// The master's `agent_reregister_timeout`.
    pub reregister_timeout: Duration,
    /// The master's `offer_timeout`.
    pub offer_timeout: Option<Duration>,
    /// The agents' `executor_registration_timeout`.
    pub executor_registration_timeout: Duration,
}

impl Default for Shape {
    /// One master, two agents, no frameworks, time-outs short enough for a run of a few minutes.
    fn default() -> Self {
        Self {
            masters: 1,
            agents: 2,
            agent_resources: AGENT_RESOURCES.to_owned(),
            frameworks: Vec::new(),
            ping_timeout: Duration::from_secs(2),
            reregister_timeout: Duration::from_secs(15),
            offer_timeout: None,
            executor_registration_timeout: Duration::from_secs(10),
        }
    }
}

/// How a framework behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temper {
    /// Launches on the first offers that fit and declines the others.
    Launcher,
    /// Keeps all offers for as long as it can.
    Hoarder,
    /// Kills what it launches, some of it in the same breath.
    Killer,
    /// Acknowledges updates itself, after a while.
    Careful,
}

/// Something that happens at a point of virtual time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, since the start of the run.
    pub at: Duration,
    /// What.
    pub action: Action,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A framework, by number, does something.
    Operate(usize, Operation),
    /// Something breaks, and mends after a while.
    Fail(Fault),
}

/// What a framework does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Wants so many more tasks.
    Launch {
        /// How many.
        count: usize,
        /// What each does.
        script: Script,
    },
    /// Kills so many of its tasks.
    Kill {
        /// How many.
        count: usize,
    },
    /// Launches a task on an offer that it must not use, or in a way that it must not.
    Abuse(Abuse),
    /// Wants no offers.
    Suppress,
    /// Wants offers again.
    Revive,
    /// Asks for the state of all its tasks.
    Reconcile,
    /// A second process takes over under the same framework id; the first ends after `overlap`.
    FailOver {
        /// How long both live.
        overlap: Duration,
    },
}

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Script {
    /// Ends at once with code 0.
    Nothing,
    /// Ends with this code after some milliseconds.
    Short(u64, u8),
    /// Runs until it is killed.
    Long,
    /// Runs until it is killed with SIGKILL.
    Stubborn,
    /// Leaves a child behind and ends.
    Parent,
}

/// A launch that must come to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abuse {
    /// On an offer that was accepted before.
    Used,
    /// On an offer that was rescinded, or is void because the subscription it came with is over.
    Withdrawn,
    /// On an offer of another framework.
    Foreign,
    /// On an offer that never was.
    Invented,
    /// With more than the offer holds.
    TooLarge,
}

/// A host with its daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A master's, by number.
    Master(usize),
    /// An agent's, by number.
    Agent(usize),
    /// A framework's, by number.
    Scheduler(usize),
}

/// What goes wrong. Each mends by itself after the time that it states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A daemon is killed with SIGKILL and started anew.
    Kill(Place, Duration),
    /// An executor of an agent is killed with SIGKILL.
    KillExecutor(usize),
    /// A host loses power and is booted again.
    Crash(Place, Duration),
    /// A daemon is stopped and goes on later.
    Pause(Place, Duration),
    /// Nothing travels between two hosts.
    Cut(Place, Place, Duration),
    /// Nothing travels from the first host to the second.
    CutOneWay(Place, Place, Duration),
    /// What travels between two hosts takes up to so many milliseconds each way.
    Slow(Place, Place, u64, Duration),
    /// All streams between two hosts are reset.
    Reset(Place, Place),
}
