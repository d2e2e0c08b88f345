//! The replica: what it has promised, accepted and learned.
//!
//! Its memory runs ahead of its disk: each method says what is to be persisted, and whoever carries
//! that out lets no answer leave before all that was to be persisted before it is durable.

use std::collections::BTreeMap;

use bytes::Bytes;
use orrery_runtime::Address;

use crate::limits::{KNOWN_MAX, LEAP, Limits};
use crate::log::Status;
use crate::record::{Metadata, Record};
use crate::{Ballot, KnownEntry, PlantedBug, Position, ReplicaState, Value, Verdict, Voter};

/// A page ends once it has this many bytes of payload.
const PAGE_BYTES: usize = 1 << 20;

/// A page ends once it has this many entries.
const PAGE_ENTRIES: usize = 4096;

/// Payload that is kept in memory, in bytes. Of more than that, what is agreed upon stays on disk
/// alone.
const HELD_MAX: usize = 64 << 20;

/// Where an entry's value is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Content {
    /// Here.
    Held(Value),
    /// On disk; this many bytes of appended data.
    Stored(usize),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Slot {
    ballot: Ballot,
    learned: bool,
    content: Content,
}

impl Slot {
    /// Whether this was accepted at this ballot.
    fn holds(&self, ballot: Ballot, value: &Value) -> bool {
        self.ballot == ballot && matches!(&self.content, Content::Held(held) if held == value)
    }
}

/// Entries to be told to somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) next: Position,
    pub(crate) entries: Vec<KnownEntry>,
    /// Those of the entries whose values are on disk: their positions.
    pub(crate) stored: Vec<Position>,
}

/// A replica.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Replica {
    address: Address,
    limits: Limits,
    metadata: Metadata,
    slots: BTreeMap<Position, Slot>,
    /// All positions up to here are agreed upon, as far as this replica knows, or truncated.
    learned: Position,
    /// Bytes of payload in `slots`.
    held: usize,
    /// Up to here everything that is agreed upon is on disk alone.
    stored: Position,
}

impl Replica {
    /// A replica that has no log. What is on its disk is told by [`Replica::restore`].
    pub(crate) fn new(address: Address, limits: Limits) -> Self {
        Self {
            address,
            limits,
            metadata: Metadata { begin: Position(1), ..Metadata::default() },
            slots: BTreeMap::new(),
            learned: Position::ZERO,
            held: 0,
            stored: Position::ZERO,
        }
    }

    /// Takes the next record of those that stand on the disk.
    pub(crate) fn restore(&mut self, record: Record) {
        match record {
            Record::Metadata(metadata) => {
                self.metadata = metadata;
                self.cut();
            }
            Record::Entry(mut entry) => {
                // What was learned is not accepted again, unless it could not be read meanwhile.
                entry.learned |= entry.position <= self.learned;
                if let Value::Append(data) = &mut entry.value {
                    // It is a part of all that was read at once.
                    *data = Bytes::copy_from_slice(data);
                }
                let learned = entry.learned;
                self.insert(entry);
                if learned {
                    self.advance();
                }
            }
            Record::Learned { from, to, .. } if from > to => {}
            Record::Learned { from, to, ballot } => {
                for (_, slot) in self.slots.range_mut(from..=to) {
                    slot.learned |= slot.ballot == ballot;
                }
                self.advance();
            }
        }
    }

    fn insert(&mut self, entry: KnownEntry) {
        if entry.position < self.metadata.begin {
            return;
        }
        self.held += entry.value.length();
        let content = Content::Held(entry.value);
        let slot = Slot { ballot: entry.ballot, learned: entry.learned, content };
        if let Some(before) = self.slots.insert(entry.position, slot)
            && let Content::Held(value) = before.content
        {
            self.held = self.held.saturating_sub(value.length());
        }
    }

    /// Where the others reach it.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn state(&self) -> ReplicaState {
        self.metadata.state
    }

    pub(crate) fn is_voting(&self) -> bool {
        self.metadata.state == ReplicaState::Voting
            || (PlantedBug::EmptyReplicaVotes.is_planted()
                && self.metadata.state == ReplicaState::Empty)
    }

    pub(crate) fn promised(&self) -> Ballot {
        self.metadata.promised
    }

    pub(crate) fn begin(&self) -> Position {
        self.metadata.begin
    }

    /// All positions up to here are agreed upon or truncated.
    pub(crate) fn learned(&self) -> Position {
        self.learned
    }

    /// The highest position of which anything is known.
    pub(crate) fn end(&self) -> Position {
        let last = self.slots.last_key_value().map_or(Position::ZERO, |(position, _)| *position);
        last.max(self.metadata.begin.previous())
    }

    pub(crate) fn is_learned(&self, position: Position) -> bool {
        position <= self.learned || self.slots.get(&position).is_some_and(|slot| slot.learned)
    }

    /// Who answers.
    pub(crate) fn voter(&self) -> Voter {
        Voter {
            address: self.address.clone(),
            id: self.metadata.id,
            generation: self.metadata.generation,
            known: self.metadata.known.clone(),
        }
    }

    pub(crate) fn status(&self) -> Status {
        let known = self.slots.range(self.learned.next()..).filter(|(_, slot)| slot.learned);
        let after = self.end().0.saturating_sub(self.learned.0);
        Status {
            id: self.metadata.id,
            state: self.metadata.state,
            promised: self.metadata.promised,
            beginning: self.metadata.begin,
            ending: self.learned,
            missing: after.saturating_sub(known.count() as u64),
        }
    }

    /// Changes what is remembered beside entries.
    pub(crate) fn update(&mut self, records: &mut Vec<Record>, change: impl FnOnce(&mut Metadata)) {
        let before = self.metadata.clone();
        change(&mut self.metadata);
        if self.metadata != before {
            records.push(Record::Metadata(self.metadata.clone()));
        }
    }

    /// Answers a coordinator that wants to be elected.
    pub(crate) fn promise(&mut self, ballot: Ballot, records: &mut Vec<Record>) -> Verdict {
        if !self.is_voting() || self.is_out_of_reach(ballot) {
            return Verdict::Ignored;
        }
        if ballot < self.metadata.promised {
            return Verdict::Rejected(self.metadata.promised);
        }
        if PlantedBug::PromiseIsNotDurable.is_planted() {
            self.metadata.promised = ballot;
            return Verdict::Accepted;
        }
        self.update(records, |metadata| metadata.promised = ballot);
        Verdict::Accepted
    }

    /// Whether no coordinator can have come to this ballot.
    fn is_out_of_reach(&self, ballot: Ballot) -> bool {
        ballot.round > self.metadata.promised.round.saturating_add(LEAP)
    }

    /// Answers a coordinator that writes. What is too far from all that is known here is ignored
    /// until that has been learned ([`Limits`]).
    pub(crate) fn write(
        &mut self,
        ballot: Ballot,
        first: Position,
        values: &[Value],
        records: &mut Vec<Record>,
    ) -> Verdict {
        if !self.is_voting() || self.is_out_of_reach(ballot) {
            return Verdict::Ignored;
        }
        let last = first.0.saturating_add(values.len() as u64).saturating_sub(1);
        if !values.is_empty() && last > self.end().0.saturating_add(self.limits.reach) {
            return Verdict::Ignored;
        }
        if ballot < self.metadata.promised && !PlantedBug::AcceptsStaleWrite.is_planted() {
            return Verdict::Rejected(self.metadata.promised);
        }
        let promised = self.metadata.promised.max(ballot);
        self.update(records, |metadata| metadata.promised = promised);
        let mut position = first;
        for value in values {
            // What is agreed upon stays; the coordinator cannot be writing anything else there.
            // What comes again is on its way to the disk already, ahead of the answer.
            let known = position < self.metadata.begin || position <= self.learned;
            let slot = self.slots.get(&position);
            if !known && !slot.is_some_and(|slot| slot.learned || slot.holds(ballot, value)) {
                let value = value.clone();
                let entry = KnownEntry { position, ballot, learned: false, value };
                records.push(Record::Entry(entry.clone()));
                self.insert(entry);
            }
            position = position.next();
        }
        Verdict::Accepted
    }

    /// A coordinator says that everything up to `to` is agreed upon: so is what was accepted from
    /// it.
    pub(crate) fn learn_up_to(&mut self, to: Position, ballot: Ballot, records: &mut Vec<Record>) {
        if to <= self.learned {
            return;
        }
        let from = self.learned.next();
        let mut changed = false;
        let mut begin = self.metadata.begin;
        for (position, slot) in self.slots.range_mut(from..=to) {
            if slot.learned || slot.ballot != ballot {
                continue;
            }
            slot.learned = true;
            changed = true;
            if let Content::Held(Value::Truncate(to)) = slot.content {
                begin = begin.max(to.min(*position));
            }
        }
        if changed {
            records.push(Record::Learned { from, to, ballot });
        }
        self.truncate(begin, records);
        self.advance();
    }

    /// Takes over an entry that another replica knows to be agreed upon.
    pub(crate) fn learn(
        &mut self,
        position: Position,
        ballot: Ballot,
        value: Value,
        records: &mut Vec<Record>,
    ) {
        if position < self.metadata.begin || self.is_learned(position) {
            return;
        }
        let begin = match value {
            Value::Truncate(to) => to.min(position),
            Value::Nop | Value::Append(_) => Position::ZERO,
        };
        let entry = KnownEntry { position, ballot, learned: true, value };
        records.push(Record::Entry(entry.clone()));
        self.insert(entry);
        self.truncate(begin, records);
        self.advance();
    }

    /// Remembers, on starting over, what others have accepted.
    pub(crate) fn adopt(
        &mut self,
        position: Position,
        ballot: Ballot,
        value: Value,
        records: &mut Vec<Record>,
    ) {
        let known = self.slots.get(&position).is_some_and(|slot| slot.ballot >= ballot);
        if position < self.metadata.begin || self.is_learned(position) || known {
            return;
        }
        let entry = KnownEntry { position, ballot, learned: false, value };
        records.push(Record::Entry(entry.clone()));
        self.insert(entry);
    }

    /// All positions before `begin` are truncated, which is agreed upon.
    pub(crate) fn truncate(&mut self, begin: Position, records: &mut Vec<Record>) {
        if begin <= self.metadata.begin {
            return;
        }
        self.update(records, |metadata| metadata.begin = begin);
        self.cut();
    }

    fn cut(&mut self) {
        let begin = self.metadata.begin;
        while let Some((position, _)) = self.slots.first_key_value()
            && *position < begin
        {
            if let Some((_, slot)) = self.slots.pop_first()
                && let Content::Held(value) = slot.content
            {
                self.held = self.held.saturating_sub(value.length());
            }
        }
        self.learned = self.learned.max(begin.previous());
        self.advance();
    }

    fn advance(&mut self) {
        for (position, slot) in self.slots.range(self.learned.next()..) {
            if *position != self.learned.next() || !slot.learned {
                break;
            }
            self.learned = *position;
        }
        self.evict();
    }

    /// Lets go of old values that are agreed upon while too much is in memory.
    fn evict(&mut self) {
        if self.held <= HELD_MAX || self.stored >= self.learned {
            return;
        }
        for (position, slot) in self.slots.range_mut(self.stored.next()..=self.learned) {
            self.stored = *position;
            if let Content::Held(Value::Append(data)) = &slot.content {
                self.held = self.held.saturating_sub(data.len());
                slot.content = Content::Stored(data.len());
            }
            if self.held <= HELD_MAX {
                return;
            }
        }
    }

    /// Whether it is known that the replica at `address` has started over, or may become so.
    pub(crate) fn can_remember(&self, address: &Address) -> bool {
        let known = &self.metadata.known;
        known.len() < KNOWN_MAX || known.contains_key(address)
    }

    /// Records that the replica at `address` starts over.
    pub(crate) fn fence(
        &mut self,
        address: &Address,
        generation: u64,
        records: &mut Vec<Record>,
    ) -> Verdict {
        let known = self.metadata.known.get(address).copied().unwrap_or(0);
        let absurd = generation < known || generation > known.saturating_add(LEAP);
        if !self.is_voting() || absurd || !self.can_remember(address) || *address == self.address {
            return Verdict::Ignored;
        }
        self.update(records, |metadata| {
            metadata.known.insert(address.clone(), generation);
        });
        Verdict::Accepted
    }

    /// What is known from `from` to `to`, as much as goes into one page.
    pub(crate) fn page(&self, from: Position, to: Position, learned_only: bool) -> Page {
        let mut page = Page { next: to.next().max(from), ..Page::default() };
        if from > to {
            return page;
        }
        let mut bytes = 0;
        for (position, slot) in self.slots.range(from..=to) {
            if learned_only && !slot.learned {
                continue;
            }
            if bytes >= PAGE_BYTES || page.entries.len() >= PAGE_ENTRIES {
                page.next = *position;
                break;
            }
            let (position, ballot, learned) = (*position, slot.ballot, slot.learned);
            let value = match &slot.content {
                Content::Held(value) => {
                    bytes += value.length();
                    value.clone()
                }
                Content::Stored(length) => {
                    bytes += length;
                    page.stored.push(position);
                    Value::Nop
                }
            };
            page.entries.push(KnownEntry { position, ballot, learned, value });
        }
        page
    }

    /// What was accepted after `from` and is not known to be agreed upon.
    pub(crate) fn accepted(
        &self,
        from: Position,
    ) -> impl Iterator<Item = (Position, Ballot, Value)> {
        self.slots.range(from..).filter(|(_, slot)| !slot.learned).filter_map(|(position, slot)| {
            match &slot.content {
                Content::Held(value) => Some((*position, slot.ballot, value.clone())),
                Content::Stored(_) => None,
            }
        })
    }

    /// The entry at `position` cannot be read from the disk any more.
    pub(crate) fn forget(&mut self, position: Position, records: &mut Vec<Record>) {
        self.slots.remove(&position);
        self.learned = self.learned.min(position.previous()).max(self.begin().previous());
        self.update(records, |metadata| {
            metadata.damaged = true;
            if metadata.state == ReplicaState::Voting {
                metadata.state = ReplicaState::Recovering;
            }
        });
    }
}
