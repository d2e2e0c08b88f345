//! What is checked, and what it looks like when it does not hold.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A rule that must hold in every run. The numbers are those of the design's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// 3: on each agent allocated, offered and free make up its total, at every step.
    Conservation,
    /// 4: an offer is used at most once, and never after it was withdrawn or its agent left.
    Offers,
    /// 5: every task reaches one terminal state as its framework sees it, through updates in order.
    Tasks,
    /// 5, inside the master: a task's record never leaves a terminal state.
    Records,
    /// 6: a task runs at most once per launch, and never after its end was told.
    Runs,
    /// 8: when faults stop, the cluster comes to rest within a stated time and serves fresh work.
    Convergence,
    /// Nothing that peers do makes a daemon panic or end.
    Daemons,
    /// What the product's own code promises with `always!` and `unreachable!` holds.
    Always,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Conservation,
        Self::Offers,
        Self::Tasks,
        Self::Records,
        Self::Runs,
        Self::Convergence,
        Self::Daemons,
        Self::Always,
    ];
}

impl fmt::Display for Invariant {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Conservation => "conservation",
            Self::Offers => "offers",
            Self::Tasks => "tasks",
            Self::Records => "records",
            Self::Runs => "runs",
            Self::Convergence => "convergence",
            Self::Daemons => "daemons",
            Self::Always => "always",
        })
    }
}

/// The rules that a run checks. Tests of a single rule leave the others out, so that a planted bug
/// is found by the rule that it breaks and not by a consequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checks(BTreeSet<Invariant>);

impl Checks {
    /// Every rule.
    pub fn all() -> Self {
        Self(Invariant::ALL.into())
    }

    /// One rule alone.
    pub fn only(invariant: Invariant) -> Self {
        Self([invariant].into())
    }

    /// Whether a rule is checked.
    pub fn contains(&self, invariant: Invariant) -> bool {
        self.0.contains(&invariant)
    }
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub invariant: Invariant,
    /// Virtual time since the start of the run.
    pub at: Duration,
    /// What was found.
    pub message: String,
    /// What happened before, oldest first, one line each.
    pub before: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.before {
            writeln!(formatter, "  {line}")?;
        }
        write!(formatter, "{} at {:.3}s: {}", self.invariant, self.at.as_secs_f64(), self.message)
    }
}
