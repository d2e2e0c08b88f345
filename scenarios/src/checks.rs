//! What is checked, and what it looks like when it does not hold.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// A rule that must hold in every run. The numbers are those of the catalogue of invariants (S) and
/// of liveness (L) in `docs/simulation.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// S1, S21: on each agent what is allocated, offered and free makes up its total, at every
    /// step, in the views of master, allocator and agent.
    Conservation,
    /// S2: an offer is used at most once, and never after it was withdrawn or its agent left.
    Offers,
    /// S4, S12: what the master acts on is in its registry, and what is acknowledged stays in it.
    Registry,
    /// S8, S9, S15: every accepted task reaches one terminal state as its framework sees it, and
    /// none comes after it.
    Tasks,
    /// S9, inside the master: a task's record never leaves a terminal state.
    Records,
    /// S10: the updates of a task come in the order of its life.
    Order,
    /// S11: an update is repeated until it is acknowledged, and the next one waits for that.
    Acknowledgements,
    /// S15: what a master was asked is answered, and a refusal comes in order.
    Answers,
    /// S8: before an agent's loss is told, the fate of its tasks is.
    Losses,
    /// S8: that an unreachable task is back is told unasked.
    Returns,
    /// S13: a master says of no living task that it is gone, lost or unknown.
    Reconciliation,
    /// S14, L5: a task that was killed ends, and never starts after its end was told.
    Kills,
    /// S16: a task runs at most once per launch.
    Runs,
    /// S12: what an agent has told, handed over or acknowledged is durable on its disk.
    Written,
    /// L7: a task does not stay on its way for ever.
    Progress,
    /// S17: an agent id belongs to one agent, and one address to one agent.
    Identity,
    /// S18: an agent is admitted, unreachable or gone, and changes between them by legal steps
    /// only.
    Membership,
    /// S22: who takes part in a role is who subscribed to it, and whoever suppressed it gets no
    /// offers.
    Roles,
    /// S25: a framework is told the states that it understands, and no others.
    States,
    /// S26: an executor without a task ends, and how a task ended is never lost.
    Executors,
    /// S24, S28: what the master has told a framework, the framework knows.
    Streams,
    /// S29, L13, L14: a cluster at rest is quiet, and what was used is given back.
    Leaks,
    /// L1 to L11: when faults stop, the cluster comes to rest in time and serves fresh work.
    Convergence,
    /// S29: nothing that peers do makes a daemon panic or end.
    Daemons,
    /// What the product's own code promises with `always!` and `unreachable!` holds.
    Always,
}

impl Invariant {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::Conservation,
        Self::Offers,
        Self::Registry,
        Self::Tasks,
        Self::Records,
        Self::Order,
        Self::Acknowledgements,
        Self::Answers,
        Self::Losses,
        Self::Returns,
        Self::Reconciliation,
        Self::Kills,
        Self::Runs,
        Self::Written,
        Self::Progress,
        Self::Identity,
        Self::Membership,
        Self::Roles,
        Self::States,
        Self::Executors,
        Self::Streams,
        Self::Leaks,
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
            Self::Registry => "registry",
            Self::Tasks => "tasks",
            Self::Records => "records",
            Self::Order => "order",
            Self::Acknowledgements => "acknowledgements",
            Self::Answers => "answers",
            Self::Losses => "losses",
            Self::Returns => "returns",
            Self::Reconciliation => "reconciliation",
            Self::Kills => "kills",
            Self::Runs => "runs",
            Self::Written => "written",
            Self::Progress => "progress",
            Self::Identity => "identity",
            Self::Membership => "membership",
            Self::Roles => "roles",
            Self::States => "states",
            Self::Executors => "executors",
            Self::Streams => "streams",
            Self::Leaks => "leaks",
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

    /// Of these rules, one alone.
    pub(crate) fn limited_to(mut self, invariant: Invariant) -> Self {
        self.0.retain(|one| *one == invariant);
        self
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
