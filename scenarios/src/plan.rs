//! What happens in a run, as plain data: a readable file that can be drawn from a seed, written by
//! hand, cut down, or played against another version.
//!
//! A run follows from the commit and its plan alone. As text, a plan is one line for each setting
//! that differs from its default, one for each framework, and one for each step, ordered by time:
//!
//! ```text
//! # The agent is cut off while its launch is on the way.
//! seed 17
//! agents 1
//! ping-timeout 1s
//! framework hoarder
//! at 2999ms cut master-0 agent-0 one-way for 9s
//! at 3s framework 0 launch 3 long
//! ```
//!
//! `#` begins a comment. Hosts are called `master-N`, `agent-N` and `scheduler-N`, counted from 0.
//! Settings are the fields of [`Shape`]; faults are [`Fault`], operations [`Operation`].

mod check;
mod draw;
mod fault;
mod operation;
mod place;
mod shape;
mod table;
mod text;

use std::time::Duration;

use orrery_runtime_sim::{self as sim, DiskFault, NetworkFault};

pub use fault::{ClusterFault, Fault, Flag};
pub use operation::{Abuse, Blunder, Operation, Script};
pub use place::Place;
pub use shape::{
    AGENT_RESOURCES, Elections, Executor, Profile, Reconfiguration, RegistryKind, Shape, Temper,
};
pub use text::{ParsePlanError, ReadPlanError};

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Everything that the plan leaves open follows from it: delays, the order in which tasks of
    /// the executor go on, the choices of processes.
    pub seed: u64,
    /// The cluster.
    pub shape: Shape,
    /// What happens, ordered by time.
    pub steps: Vec<Step>,
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
    /// Something goes wrong, and is set right again after a while, as far as it can be.
    Fail(Fault, Duration),
}

impl Plan {
    /// Whether what is told or found may be something else than what was told or written, so
    /// that anything can follow from it. Messages have no checksums, and a bit that flips can make
    /// another message of one; a disk that comes back as it was has forgotten what was
    /// acknowledged. Several replicas of the registry know what is rotten among them.
    pub fn is_beyond_repair(&self) -> bool {
        self.steps.iter().any(|step| match &step.action {
            Action::Fail(Fault::World(fault), _) => match fault {
                sim::Fault::Network(NetworkFault::Flip { .. }) => true,
                sim::Fault::Disk(DiskFault::FlipBit { host, .. }) => {
                    let is_copy = matches!(Place::of_host(host), Some(Place::Master(_)));
                    !is_copy || self.shape.masters == 1
                }
                sim::Fault::Disk(
                    DiskFault::TruncateTail { .. }
                    | DiskFault::Misdirect { .. }
                    | DiskFault::LoseWrite { .. }
                    | DiskFault::Restore { .. },
                ) => true,
                _ => false,
            },
            _ => false,
        })
    }

    /// Whether masters lose what they had stored, or have something else in its place. They recover
    /// it from a majority of the others.
    pub fn loses_copies(&self) -> bool {
        self.steps.iter().any(|step| match &step.action {
            Action::Fail(Fault::World(sim::Fault::Disk(fault)), _) => {
                let is_copy = matches!(Place::of_host(fault.host()), Some(Place::Master(_)));
                is_copy && matches!(fault, DiskFault::Wipe { .. } | DiskFault::FlipBit { .. })
            }
            _ => false,
        })
    }
}
