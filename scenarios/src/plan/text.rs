//! Plans as text: one line for the shape, one for each step.

use std::fmt::{Display, Formatter, Result};
use std::time::Duration;

use super::{Action, Fault, Operation, Place, Plan, Shape, Step};

impl Display for Plan {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        write!(formatter, "{}", self.shape)?;
        for step in &self.steps {
            write!(formatter, "\n{step}")?;
        }
        Ok(())
    }
}

impl Display for Shape {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        write!(
            formatter,
            "{} agents, frameworks {:?}, ping {}, reregister {}, offers {}, executors {}",
            self.agents,
            self.frameworks,
            Seconds(self.ping_timeout),
            Seconds(self.reregister_timeout),
            self.offer_timeout.map_or("for ever".to_owned(), |time| Seconds(time).to_string()),
            Seconds(self.executor_registration_timeout),
        )
    }
}

impl Display for Step {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        write!(formatter, "{:>8}  {}", Seconds(self.at).to_string(), self.action)
    }
}

impl Display for Action {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::Operate(framework, operation) => {
                write!(formatter, "framework {framework} {operation}")
            }
            Self::Fail(fault) => fault.fmt(formatter),
        }
    }
}

impl Display for Operation {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::Launch { count, script } => write!(formatter, "launches {count} of {script:?}"),
            Self::Kill { count } => write!(formatter, "kills {count}"),
            Self::Abuse(abuse) => write!(formatter, "abuses an offer: {abuse:?}"),
            Self::Suppress => formatter.write_str("suppresses offers"),
            Self::Revive => formatter.write_str("revives offers"),
            Self::Reconcile => formatter.write_str("reconciles"),
            Self::FailOver { overlap } => {
                write!(formatter, "fails over, both live for {}", Seconds(*overlap))
            }
        }
    }
}

impl Display for Place {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::Master(number) => write!(formatter, "master-{number}"),
            Self::Agent(number) => write!(formatter, "agent-{number}"),
            Self::Scheduler(number) => write!(formatter, "scheduler-{number}"),
        }
    }
}

impl Display for Fault {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        match self {
            Self::Kill(place, time) => write!(formatter, "kill {place} for {}", Seconds(*time)),
            Self::KillExecutor(agent) => write!(formatter, "kill an executor of agent-{agent}"),
            Self::Crash(place, time) => write!(formatter, "crash {place} for {}", Seconds(*time)),
            Self::Pause(place, time) => write!(formatter, "pause {place} for {}", Seconds(*time)),
            Self::Cut(a, b, time) => write!(formatter, "cut {a} = {b} for {}", Seconds(*time)),
            Self::CutOneWay(from, to, time) => {
                write!(formatter, "cut {from} > {to} for {}", Seconds(*time))
            }
            Self::Slow(a, b, latency, time) => {
                write!(formatter, "slow {a} = {b} to {latency} ms for {}", Seconds(*time))
            }
            Self::Reset(a, b) => write!(formatter, "reset {a} = {b}"),
        }
    }
}

struct Seconds(Duration);

impl Display for Seconds {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        write!(formatter, "{:.3}s", self.0.as_secs_f64())
    }
}
