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
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Master(number) => write!(formatter, "master-{number}"),
            Self::Agent(number) => write!(formatter, "agent-{number}"),
            Self::Scheduler(number) => write!(formatter, "scheduler-{number}"),
        }
    }
}

impl Place {
    /// The place whose host has this name.
    pub fn of_host(name: &str) -> Option<Self> {
        let (kind, number) = name.rsplit_once('-')?;
        let number = number.parse().ok()?;
        let place = match kind {
            "master" => Self::Master(number),
            "agent" => Self::Agent(number),
            "scheduler" => Self::Scheduler(number),
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
        words.parse(field, "master-N, agent-N or scheduler-N", Self::of_host)
    }
}
