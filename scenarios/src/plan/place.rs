//! The hosts of a cluster.

use std::fmt;

use orrery_runtime_sim::text::{ParseFaultError, Text, Words};

/// A host with its daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A master's, by number.
    Master(usize),
    /// An agent's, by number.
    Agent(usize),
    /// A framework's, by number.
    Scheduler(usize),
    /// That of a ZooKeeper server, by number.
    ZooKeeper(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master(number) => write!(formatter, "master-{number}"),
            Self::Agent(number) => write!(formatter, "agent-{number}"),
            Self::Scheduler(number) => write!(formatter, "scheduler-{number}"),
            Self::ZooKeeper(number) => write!(formatter, "zookeeper-{number}"),
        }
    }
}

impl Place {
    /// What its daemon is called among processes.
    pub fn daemon(self) -> &'static str {
        match self {
            Self::Master(_) => "mesos-master",
            Self::Agent(_) => "mesos-agent",
            Self::Scheduler(_) => "framework",
            Self::ZooKeeper(_) => "zookeeper",
        }
    }

    /// The place whose host has this name.
    pub fn of_host(name: &str) -> Option<Self> {
        let (kind, number) = name.rsplit_once('-')?;
        let number = number.parse().ok()?;
        let place = match kind {
            "master" => Self::Master(number),
            "agent" => Self::Agent(number),
            "scheduler" => Self::Scheduler(number),
            "zookeeper" => Self::ZooKeeper(number),
            _ => return None,
        };
        (place.to_string() == name).then_some(place)
    }
}

impl Text for Place {
    fn write(&self, words: &mut Vec<String>) {
        words.push(self.to_string());
    }

    fn read(field: &'static str, words: &mut Words) -> Result<Self, ParseFaultError> {
        words.parse(field, "master-N, agent-N, scheduler-N or zookeeper-N", Self::of_host)
    }
}
