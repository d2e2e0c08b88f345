//! Asking a quorum of replicas for everything they know beyond some position, page by page. An
//! election asks those that have promised, a replica that starts over those that have fenced it.

use std::collections::BTreeMap;

use orrery_runtime::{Address, Instant};

use crate::quorum::is_quorum;
use crate::record::Record;
use crate::replica::Replica;
use crate::{Ballot, KnownEntry, PlantedBug, Position, Request, Value, Voter};

/// How far one replica has told what it knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Source {
    voter: Voter,
    /// It has told everything before this position.
    next: Position,
    /// The highest position of which it knew anything when it was admitted.
    end: Position,
    /// What is asked of it now, and since when.
    asked: Option<(u64, Instant)>,
}

impl Source {
    fn is_finished(&self) -> bool {
        self.next > self.end
    }
}

/// What a quorum knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Survey {
    from: Position,
    sources: BTreeMap<Address, Source>,
    /// What was accepted at a position that is not known to be agreed upon, and the highest ballot
    /// at which it was.
    found: BTreeMap<Position, (Ballot, Value)>,
    /// The highest position of which anybody knew anything.
    end: Position,
}

impl Survey {
    /// Asks for everything from `from` on.
    pub(crate) fn new(from: Position) -> Self {
        Self { from, ..Self::default() }
    }

    /// From now on `address` is asked. What it knows ends at `end`.
    pub(crate) fn admit(&mut self, address: Address, voter: Voter, end: Position) {
        self.end = self.end.max(end);
        let next = self.from;
        self.sources.entry(address).or_insert(Source { voter, next, end, asked: None });
    }

    /// The own replica was admitted, which tells all that it has accepted at once.
    pub(crate) fn admit_local(&mut self, address: Address, replica: &Replica) {
        for (position, ballot, value) in replica.accepted(self.from) {
            self.find(position, ballot, value);
        }
        self.admit(address.clone(), replica.voter(), replica.end());
        if let Some(source) = self.sources.get_mut(&address) {
            source.next = source.end.next();
        }
    }

    fn find(&mut self, position: Position, ballot: Ballot, value: Value) {
        let better = self.found.get(&position).is_none_or(|(found, _)| {
            if PlantedBug::LowestBallotWins.is_planted() {
                ballot < *found
            } else {
                ballot > *found
            }
        });
        if better {
            self.found.insert(position, (ballot, value));
        }
    }

    /// What is to be asked now: of each replica one page at a time, again when no answer came since
    /// before `stale`.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        stale: impl Fn(Instant) -> bool,
        nonce: &mut u64,
        mut send: impl FnMut(&Address, Request),
    ) {
        for (address, source) in &mut self.sources {
            if source.is_finished() || source.asked.is_some_and(|(_, since)| !stale(since)) {
                continue;
            }
            *nonce = nonce.wrapping_add(1);
            source.asked = Some((*nonce, now));
            let (from, to) = (source.next, source.end);
            send(address, Request::Read { nonce: *nonce, from, to, learned_only: false });
        }
    }

    /// Takes a page; what is agreed upon goes to the own replica at once. False when the page was
    /// not asked for. A replica that is not any more who it was, or does not vote, is left out.
    pub(crate) fn page(
        &mut self,
        from: &Address,
        page: PageAnswer,
        replica: &mut Replica,
        records: &mut Vec<Record>,
    ) -> bool {
        let Some(source) = self.sources.get_mut(from) else { return false };
        if source.asked.is_none_or(|(nonce, _)| nonce != page.nonce) {
            return false;
        }
        source.asked = None;
        let same =
            source.voter.id == page.voter.id && source.voter.generation == page.voter.generation;
        if !same || !page.valid {
            self.sources.remove(from);
            return true;
        }
        source.next = page.next.max(source.next);
        replica.truncate(page.begin, records);
        for entry in page.entries {
            if entry.learned {
                replica.learn(entry.position, entry.ballot, entry.value, records);
            } else {
                self.find(entry.position, entry.ballot, entry.value);
            }
        }
        true
    }

    /// Whether it waits for this page.
    #[cfg(test)]
    pub(crate) fn awaits(&self, nonce: u64) -> bool {
        let mut asked = self.sources.values().filter_map(|source| source.asked);
        asked.any(|(asked, _)| asked == nonce)
    }

    /// Whether a quorum has told everything.
    pub(crate) fn is_finished(&self, quorum: usize) -> bool {
        let finished = self.sources.values().filter(|source| source.is_finished());
        is_quorum(finished.map(|source| &source.voter), quorum)
    }

    /// Whether any replica but the own one has told everything.
    pub(crate) fn has_one_finished(&self) -> bool {
        self.sources.values().any(Source::is_finished)
    }

    /// The highest position of which anybody knew anything.
    pub(crate) fn end(&self) -> Position {
        self.end
    }

    /// What was found that is not known to be agreed upon.
    pub(crate) fn into_found(self) -> BTreeMap<Position, (Ballot, Value)> {
        self.found
    }
}

/// The content of [`crate::Response::Page`].
#[derive(Debug)]
pub(crate) struct PageAnswer {
    pub(crate) voter: Voter,
    pub(crate) nonce: u64,
    pub(crate) valid: bool,
    pub(crate) begin: Position,
    pub(crate) next: Position,
    pub(crate) entries: Vec<KnownEntry>,
}
