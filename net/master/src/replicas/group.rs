//! What a master makes of the group of log replicas, which only `--quorum` says the size of.
//!
//! # A wrong quorum
//!
//! With one that is too small, two halves of the masters could each keep a registry of their own.
//! So a replica does not begin before it has seen itself among no more than 2 × quorum − 1: of
//! several that start at one time the later ones see the earlier. If that does not come about, the
//! master ends. One that has begun goes on with the replicas that it knows, whoever else turns up.
//! One that has a log waits longer than one that has none: a master that is started again while
//! one too many is there is not the one to end.
//!
//! With quorums that differ, what one counts as a majority another one does not. Only replicas that
//! say that they were told the same are taken for replicas ([`orrery_log::Agreement`]). A master
//! that finds others which vote and were told otherwise ends, unless enough agree with it.
//!
//! With one that is too large, or too few masters, the log does not begin. That is told again and
//! again, with what `--quorum` needs. Another value is advised only where no harm can come of it:
//! to a master without a log that sees at least as many as a quorum is. One that has a log may be
//! the first of many that come back, and with a smaller quorum it would go on without them.
//!
//! # One replica twice
//!
//! A folder that was copied makes two masters one replica: they count as one, so that the log would
//! fail with the next master that does. The one that has come last ends. It waits for so long that
//! it cannot be taken for its own former run, whose node is still there and leads to it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orrery_log::{Agreement, Cluster, Disagreement, ReplicaState, Statement};
use orrery_runtime::{Address, Instant};

use crate::PlantedBug;

/// How often what is wrong is told again.
const REPEAT: Duration = Duration::from_secs(30);

/// What is wrong with the group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// More masters have joined than a quorum is more than half of.
    #[error(
        "--quorum is {quorum}, but {} masters have joined in ZooKeeper ({}): expected {} on all of \
         them, more than half", .joined.len(), list(.joined), .joined.len() / 2 + 1
    )]
    TooMany {
        /// The own one.
        quorum: usize,
        /// All that have joined.
        joined: BTreeSet<Address>,
    },
    /// Another master has the id of the own replica.
    #[error(
        "{own} and {other}, which has joined in ZooKeeper, are both this replica, or its folder \
         was copied: expected a folder replicated_log of its own for each"
    )]
    Twice {
        /// This one.
        own: Address,
        /// The other one.
        other: Address,
    },
    /// Others were told another quorum.
    #[error(transparent)]
    Disagreement(Disagreement),
    /// Not enough masters vote.
    #[error("{}", self.lack())]
    TooFew {
        /// The own one.
        quorum: usize,
        /// Those that were told the same quorum.
        agreeing: BTreeSet<Address>,
        /// All that have joined.
        joined: BTreeSet<Address>,
        /// Those that were told another one.
        disagreement: Option<Disagreement>,
        /// Whether the own replica is known to have no log.
        is_new: bool,
    },
}

impl Trouble {
    /// What [`Trouble::TooFew`] says.
    fn lack(&self) -> String {
        let Self::TooFew { quorum, agreeing, joined, disagreement, is_new } = self else {
            return String::new();
        };
        let most = most(*quorum);
        let mut text = format!(
            "--quorum is {quorum}, more than half of {most} masters: a new log begins once \
             {most} that were started with --quorum={quorum} have joined in ZooKeeper and reach \
             each other, and one that has begun goes on once {quorum} of them vote; joined: {} \
             ({})",
            agreeing.len(),
            list(agreeing),
        );
        if let Some(disagreement) = disagreement {
            text += &format!(", and others: {}", disagreement.tell());
        }
        let expected = joined.len() / 2 + 1;
        let differs = expected != *quorum || disagreement.is_some();
        if differs && *is_new && joined.len() >= *quorum {
            text += &format!(
                "; if these {} are all masters, expected --quorum={expected} on each of them",
                joined.len(),
            );
        }
        text
    }
}

fn list(addresses: &BTreeSet<Address>) -> String {
    addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
}

/// How many replicas there are at most.
fn most(quorum: usize) -> usize {
    quorum.saturating_mul(2).saturating_sub(1)
}

/// The group as this master judges it.
pub(super) struct Group {
    own: Address,
    quorum: usize,
    patience: Duration,
    /// All that have a node in ZooKeeper.
    joined: BTreeSet<Address>,
    /// Those of them that have come after this one had begun.
    latecomers: BTreeSet<Address>,
    /// The ids of those that have told them.
    ids: BTreeMap<Address, u64>,
    agreement: Agreement,
    /// What the own replica says of its log, once it has.
    state: Option<ReplicaState>,
    /// Since when too many have joined.
    crowded: Option<Instant>,
    /// Whom the log was told that it consists of.
    told: Option<BTreeSet<Address>>,
    /// What is wrong at present.
    trouble: Option<Trouble>,
    /// When that has lasted for so long that it will not pass by itself, or is to be told again.
    deadline: Option<Instant>,
}

impl Group {
    pub(super) fn new(own: Address, quorum: usize, patience: Duration) -> Self {
        let agreement = Agreement::new(Cluster::changing(quorum));
        Self {
            own,
            quorum,
            patience,
            joined: BTreeSet::new(),
            latecomers: BTreeSet::new(),
            ids: BTreeMap::new(),
            agreement,
            state: None,
            crowded: None,
            told: None,
            trouble: None,
            deadline: None,
        }
    }

    /// When it wants [`Group::still_so`].
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is wrong at present.
    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Whether this master goes on when the group cannot be followed any more.
    pub(super) fn goes_on(&self) -> bool {
        self.told.is_some() && !self.agreement.is_outvoted() && !self.is_second()
    }

    /// These have joined at present. Returns whom the log is to consist of from now on.
    pub(super) fn joined(
        &mut self,
        joined: BTreeSet<Address>,
        now: Instant,
    ) -> Option<BTreeSet<Address>> {
        self.agreement.retain(&joined, now);
        self.ids.retain(|address, _| joined.contains(address));
        self.latecomers.retain(|address| joined.contains(address));
        if self.told.is_some() {
            self.latecomers.extend(joined.difference(&self.joined).cloned());
        }
        self.joined = joined;
        self.judge(now)
    }

    /// A replica, maybe the own one, says this of itself. Returns whom the log is to consist of
    /// from now on.
    pub(super) fn heard(
        &mut self,
        address: Address,
        statement: Statement,
        now: Instant,
    ) -> Option<BTreeSet<Address>> {
        // It may have left since.
        if !self.joined.contains(&address) {
            return None;
        }
        self.ids.insert(address.clone(), statement.id);
        if address == self.own {
            self.state = Some(statement.state);
        } else {
            self.agreement.heard(address, statement, now);
        }
        self.judge(now)
    }

    fn judge(&mut self, now: Instant) -> Option<BTreeSet<Address>> {
        let trouble = self.find_trouble();
        let kind = |trouble: &Option<Trouble>| trouble.as_ref().map(std::mem::discriminant);
        if kind(&trouble) != kind(&self.trouble) {
            self.deadline = trouble.as_ref().map(|trouble| match trouble {
                Trouble::TooMany { .. } => now + self.patience,
                // Should both be taken for the second, the first one that ends helps the other.
                Trouble::Twice { own, other } => {
                    now + self.patience * if self.is_second() && own > other { 1 } else { 2 }
                }
                Trouble::Disagreement(_) | Trouble::TooFew { .. } => now + Agreement::PATIENCE,
            });
            self.crowded = matches!(trouble, Some(Trouble::TooMany { .. })).then_some(now);
        }
        if let Some(since) = self.crowded
            && self.told.is_none()
        {
            let has_log = self.state == Some(ReplicaState::Voting);
            self.deadline = Some(since + self.patience * if has_log { 2 } else { 1 });
        }
        self.trouble = trouble;
        if self.are_too_many() {
            return None;
        }
        if matches!(self.trouble, Some(Trouble::Disagreement(_))) && self.agreement.is_outvoted() {
            return None;
        }
        let present = self.joined.contains(&self.own);
        if !(self.told.is_some() || present) {
            return None;
        }
        let mut replicas = self.agreement.agreeing();
        replicas.extend(present.then(|| self.own.clone()));
        if self.told.as_ref() == Some(&replicas) {
            return None;
        }
        let of = most(self.quorum);
        tracing::info!(
            joined = list(&replicas),
            quorum = self.quorum,
            of,
            "the replicas of the log"
        );
        self.told = Some(replicas.clone());
        Some(replicas)
    }

    /// Whether more have joined than a quorum is more than half of.
    fn are_too_many(&self) -> bool {
        if PlantedBug::QuorumIsNotChecked.is_planted() {
            return false;
        }
        let disagreement = self.agreement.disagreement();
        let differing = disagreement.iter().flat_map(|it| it.others.values()).map(BTreeSet::len);
        // As long as nobody knows who is right, all count.
        let counted = match self.agreement.goes_on() {
            true => self.joined.len().saturating_sub(differing.sum()),
            false => self.joined.len(),
        };
        counted > most(self.quorum)
    }

    /// Another master that has the own replica's id.
    fn twin(&self) -> Option<&Address> {
        let own = self.ids.get(&self.own)?;
        self.ids.iter().find(|(at, id)| *id == own && **at != self.own).map(|(at, _)| at)
    }

    /// Whether it was there before this one, as far as this one knows.
    fn is_second(&self) -> bool {
        self.twin().is_some_and(|twin| !self.latecomers.contains(twin))
    }

    fn find_trouble(&self) -> Option<Trouble> {
        if PlantedBug::QuorumIsNotChecked.is_planted() {
            return None;
        }
        if let Some(twin) = self.twin() {
            return Some(Trouble::Twice { own: self.own.clone(), other: twin.clone() });
        }
        let (quorum, goes_on) = (self.quorum, self.agreement.goes_on());
        if self.are_too_many() {
            return Some(Trouble::TooMany { quorum, joined: self.joined.clone() });
        }
        match self.agreement.disagreement() {
            Some(disagreement) if goes_on || self.agreement.is_outvoted() => {
                Some(Trouble::Disagreement(disagreement))
            }
            disagreement if !goes_on && quorum > 1 && self.joined.contains(&self.own) => {
                let mut agreeing = self.agreement.agreeing();
                agreeing.insert(self.own.clone());
                let joined = self.joined.clone();
                let is_new =
                    matches!(self.state, Some(ReplicaState::Empty | ReplicaState::Starting));
                Some(Trouble::TooFew { quorum, agreeing, joined, disagreement, is_new })
            }
            _ => None,
        }
    }

    /// The trouble has not passed by itself.
    ///
    /// # Errors
    /// The trouble, if this master must end for it.
    pub(super) fn still_so(&mut self, now: Instant) -> Result<(), Trouble> {
        self.deadline = self.trouble.is_some().then(|| now + REPEAT);
        match &self.trouble {
            None => Ok(()),
            Some(trouble @ Trouble::TooMany { .. }) if self.told.is_none() => Err(trouble.clone()),
            Some(trouble @ Trouble::Twice { .. }) if self.is_second() => Err(trouble.clone()),
            Some(trouble @ Trouble::Disagreement(_)) if self.agreement.is_outvoted() => {
                Err(trouble.clone())
            }
            Some(trouble @ Trouble::TooFew { .. }) => {
                tracing::warn!("{trouble}");
                Ok(())
            }
            Some(trouble) => {
                tracing::error!("{trouble}");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
#[path = "group_test.rs"]
mod tests;
