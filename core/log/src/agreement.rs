//! Whether replicas agree about the cluster that they belong to.
//!
//! Two majorities share a replica only if all count by the same quorum and, where the members are
//! listed, of the same list. So replicas that were told otherwise have nothing to do with each
//! other: whoever is asked by such a one refuses ([`crate::Response::Refused`]).
//!
//! Who is wrong, nobody can know. A replica goes on for as long as enough others that vote agree
//! with it; once that has been so for a while it is settled, and goes on whoever else turns up. One
//! that is not, and that finds others which vote and were told otherwise, is the one to end.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use orrery_runtime::{Address, Instant};

use crate::ReplicaState;

/// What a replica was told about its cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cluster {
    /// How many replicas must agree.
    pub quorum: usize,
    /// All replicas, in order, with commas between them; empty where they come and go.
    pub members: Arc<str>,
}

impl Cluster {
    /// A cluster of these replicas, for ever.
    pub fn fixed(quorum: usize, members: &BTreeSet<Address>) -> Self {
        Self { quorum, members: list(members).replace(' ', "").into() }
    }

    /// A cluster whose replicas come and go.
    pub fn changing(quorum: usize) -> Self {
        Self { quorum, members: "".into() }
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.members.is_empty() {
            true => write!(formatter, "--quorum={}", self.quorum),
            // Their number says what the quorum is.
            false => write!(formatter, "--peers={}", self.members),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// What the replica calls itself.
    pub address: Address,
    /// What it was told about its cluster.
    pub cluster: Cluster,
}

/// What another replica says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Its id.
    pub id: u64,
    /// What it was told about its cluster.
    pub cluster: Cluster,
    /// The state it is in.
    pub state: ReplicaState,
}

/// Replicas that were told otherwise than this one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this replica was started with {own}, but {}: expected the same on all of them", self.tell()
)]
pub struct Disagreement {
    /// What this replica was told.
    pub own: Cluster,
    /// What others were told, and which.
    pub others: BTreeMap<Cluster, BTreeSet<Address>>,
}

impl Disagreement {
    /// Who was told what.
    pub fn tell(&self) -> String {
        let tell = |(cluster, addresses): (&Cluster, &BTreeSet<Address>)| {
            format!("{} with {cluster}", list(addresses))
        };
        self.others.iter().map(tell).collect::<Vec<_>>().join(", ")
    }
}

fn list(addresses: &BTreeSet<Address>) -> String {
    addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
}

/// What a replica has heard of the others, and what follows from it.
#[derive(Clone, Debug)]
pub struct Agreement {
    own: Cluster,
    statements: BTreeMap<Address, Statement>,
    /// Since when enough others agree.
    ahead: Option<Instant>,
    settled: bool,
}

impl Agreement {
    /// After so long nobody who was told otherwise can make it end, and before that neither:
    /// those that agree may be starting at the same time.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// Of a replica that was told this and has heard of nobody.
    pub fn new(own: Cluster) -> Self {
        Self { own, statements: BTreeMap::new(), ahead: None, settled: false }
    }

    /// The replica at `address`, which is another one, says this of itself.
    pub fn heard(&mut self, address: Address, statement: Statement, now: Instant) {
        self.look(now);
        self.statements.insert(address, statement);
        self.look(now);
    }

    /// Only these are there any more.
    pub fn retain(&mut self, present: &BTreeSet<Address>, now: Instant) {
        self.look(now);
        self.statements.retain(|address, _| present.contains(address));
        self.look(now);
    }

    fn look(&mut self, now: Instant) {
        // A replica that needs nobody else does not have enough in its own voice.
        let (agree, differ) = (self.voters(true), self.voters(false));
        let ahead = agree >= self.own.quorum.saturating_sub(1).max(1) && agree + 1 > differ;
        self.ahead = ahead.then(|| self.ahead.unwrap_or(now));
        self.settled |= self.ahead.is_some_and(|since| since + Self::PATIENCE <= now);
    }

    /// Whether this replica and others that vote and agree with it are a quorum, and more than
    /// those that vote and do not; or were so for [`Agreement::PATIENCE`], at any time.
    pub fn goes_on(&self) -> bool {
        self.settled || self.ahead.is_some()
    }

    /// The others that agree.
    pub fn agreeing(&self) -> BTreeSet<Address> {
        let agreeing = self.statements.iter().filter(|(_, said)| said.cluster == self.own);
        agreeing.map(|(address, _)| address.clone()).collect()
    }

    /// The others that do not agree, if there are any.
    pub fn disagreement(&self) -> Option<Disagreement> {
        let mut others: BTreeMap<Cluster, BTreeSet<Address>> = BTreeMap::new();
        for (address, said) in &self.statements {
            if said.cluster != self.own {
                others.entry(said.cluster.clone()).or_default().insert(address.clone());
            }
        }
        (!others.is_empty()).then(|| Disagreement { own: self.own.clone(), others })
    }

    /// Whether this replica is the one to end: others vote and were told otherwise.
    pub fn is_outvoted(&self) -> bool {
        !self.goes_on() && self.voters(false) > 0
    }

    /// How many of the others vote, of those that agree or of those that do not.
    fn voters(&self, agree: bool) -> usize {
        let counts = |said: &&Statement| {
            said.state == ReplicaState::Voting && (said.cluster == self.own) == agree
        };
        self.statements.values().filter(counts).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u16) -> Address {
        Address::new("master", number)
    }

    /// Of a replica with quorum `own`, once replicas with these have spoken; those above 10 do not
    /// vote, and have the quorum that is 10 less.
    fn after(own: usize, others: &[usize]) -> Agreement {
        let mut agreement = Agreement::new(Cluster::changing(own));
        for (number, quorum) in (2..).zip(others) {
            let state = match *quorum > 10 {
                true => ReplicaState::Empty,
                false => ReplicaState::Voting,
            };
            let cluster = Cluster::changing(*quorum % 10);
            let statement = Statement { id: 1, cluster, state };
            agreement.heard(address(number), statement, Instant::default());
        }
        agreement
    }

    #[test]
    fn a_quorum_that_agrees_and_votes_goes_on() {
        assert!(after(2, &[2]).goes_on());
        assert!(after(2, &[2, 3]).goes_on(), "of three, one is wrong");
        assert!(after(3, &[2, 3, 2, 3]).goes_on());
    }

    /// What votes and was told otherwise turns up soon, or when it has run for a while.
    #[test]
    fn whoever_has_run_for_a_while_goes_on() {
        for (time, goes_on) in [(Duration::ZERO, false), (Agreement::PATIENCE, true)] {
            let mut agreement = after(2, &[2]);
            let cluster = Cluster::changing(3);
            for number in 3..7 {
                let cluster = cluster.clone();
                let wrong = Statement { id: 1, cluster, state: ReplicaState::Voting };
                agreement.heard(address(number), wrong, Instant::default() + time);
            }
            assert_eq!((agreement.goes_on(), agreement.is_outvoted()), (goes_on, !goes_on));
        }
    }

    #[test]
    fn whoever_finds_voters_that_differ_and_too_few_that_agree_is_to_end() {
        assert!(after(3, &[2, 2]).is_outvoted());
        assert!(after(3, &[2, 2, 13, 13]).is_outvoted(), "new ones do not count");
        assert!(after(2, &[3, 3, 2, 3]).is_outvoted(), "too small, twice");
        assert!(after(1, &[2]).is_outvoted(), "its own voice is not enough");
    }

    #[test]
    fn nobody_ends_for_replicas_that_do_not_vote() {
        for agreement in [after(2, &[12, 13]), after(3, &[12, 12]), after(1, &[12])] {
            assert!(!agreement.goes_on() && !agreement.is_outvoted());
            assert!(agreement.disagreement().is_some());
        }
    }

    #[test]
    fn the_error_names_both_sides() {
        let text = after(3, &[2, 2, 3]).disagreement().unwrap().to_string();
        let expected = "this replica was started with --quorum=3, but master:2, master:3 with \
                        --quorum=2: expected the same on all of them";
        assert_eq!(text, expected);
        let lists = [[1, 2, 3], [1, 2, 4]].map(|list| list.map(address).into());
        let [own, other] = lists.map(|list| Cluster::fixed(2, &list));
        let mut agreement = Agreement::new(own);
        let statement = Statement { id: 1, cluster: other, state: ReplicaState::Voting };
        agreement.heard(address(2), statement, Instant::default());
        let text = agreement.disagreement().unwrap().to_string();
        let expected = "this replica was started with --peers=master:1,master:2,master:3, but \
                        master:2 with --peers=master:1,master:2,master:4: expected the same on \
                        all of them";
        assert_eq!(text, expected);
    }

    #[test]
    fn who_has_gone_is_forgotten() {
        let mut agreement = after(3, &[2, 3]);
        agreement.retain(&BTreeSet::from([address(3)]), Instant::default());
        assert_eq!(agreement.disagreement(), None);
        assert_eq!(agreement.agreeing(), BTreeSet::from([address(3)]));
    }
}
