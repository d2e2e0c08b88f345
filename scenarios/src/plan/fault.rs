//! What goes wrong.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use orrery_runtime_sim as sim;
use orrery_runtime_sim::text::{ParseFaultError, Text, Words};

use super::Place;
use super::table::variants;

/// What goes wrong. As text, it is the line of the world's fault or of the cluster's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// What the world can do by itself. Daemons that have ended are started again when it is over.
    World(sim::Fault),
    /// What needs to know of daemons.
    Cluster(ClusterFault),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::World(fault) => fault.fmt(formatter),
            Self::Cluster(fault) => fault.fmt(formatter),
        }
    }
}

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(line: &str) -> Result<Self, ParseFaultError> {
        let keyword = line.split_whitespace().next().unwrap_or_default();
        if !ClusterFault::KEYWORDS.contains(&keyword) {
            let is_known = sim::Fault::keywords().any(|known| known == keyword);
            return if is_known { line.parse().map(Self::World) } else { Err(unknown(keyword)) };
        }
        let mut words = Words::split(line)?;
        let fault = ClusterFault::read("fault", &mut words)?;
        words.end()?;
        Ok(Self::Cluster(fault))
    }
}

/// Nothing that can happen begins with this word.
fn unknown(keyword: &str) -> ParseFaultError {
    let known = ClusterFault::KEYWORDS.iter().copied().chain(sim::Fault::keywords());
    let known: Vec<&str> = known.collect();
    let expected = format!("framework N or one of {}", known.join(" "));
    match keyword {
        "" => ParseFaultError::missing("fault", expected),
        keyword => ParseFaultError::new("fault", keyword, expected),
    }
}

impl<T: Into<sim::Fault>> From<T> for Fault {
    fn from(fault: T) -> Self {
        Self::World(fault.into())
    }
}

impl From<ClusterFault> for Fault {
    fn from(fault: ClusterFault) -> Self {
        Self::Cluster(fault)
    }
}

/// What goes wrong with daemons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterFault {
    /// A random executor of an agent is killed with SIGKILL.
    KillExecutor {
        /// The agent.
        agent: Place,
    },
    /// An agent is killed, and its executors are stopped (SIGSTOP) for a time of their own,
    /// whatever is mended meanwhile: they come back late, or never (P8, P9).
    Strand {
        /// The agent.
        agent: Place,
        /// For how long its executors are stopped.
        time: Duration,
    },
    /// An agent is killed and started with `--recover=cleanup`, which ends all that it has left
    /// and then itself; afterwards it is started as usual.
    CleanUp {
        /// Which.
        agent: Place,
    },
    /// A daemon is killed each time that it has lived for so long (P4).
    CrashLoop {
        /// Which.
        place: Place,
        /// How long it lives.
        life: Duration,
    },
    /// A master or an agent is killed, and started with another flag (P5, P6).
    Change {
        /// Which.
        place: Place,
        /// What it is started with from then on.
        flag: Flag,
    },
}

variants! {
    ClusterFault,
    "kill-executor" => KillExecutor { agent: agent },
    "strand" => Strand { agent: agent, time: time },
    "clean-up" => CleanUp { agent: agent },
    "crash-loop" => CrashLoop { place: place, life: life },
    "change" => Change { place: place, flag: flag },
}

/// A flag of a daemon that differs from the shape's. Masters have no attributes or resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `--attributes`
    Attributes(String),
    /// `--resources`
    Resources(String),
    /// Another version of the program, by the name that it gives itself.
    Version(String),
    /// `--quorum` of a master that meets the others in ZooKeeper: an operator's mistake, which is
    /// corrected when everything is mended. Such a master may end by itself.
    Quorum(usize),
}

variants! {
    Flag,
    "attributes" => Attributes { 0: attributes },
    "resources" => Resources { 0: resources },
    "version" => Version { 0: version },
    "quorum" => Quorum { 0: quorum },
}
