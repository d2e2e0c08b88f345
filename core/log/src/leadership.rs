//! An elected coordinator's term: batches are formed, sent, accepted by a quorum and reported.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use orrery_runtime::{Address, Instant};

use crate::coordinator::{Client, Effect};
use crate::limits::Limits;
use crate::quorum::is_quorum;
use crate::record::Record;
use crate::replica::Replica;
use crate::{Ballot, PlantedBug, Position, Request, Timing, Value, Verdict, Voter, WriteError};

/// Values that are sent together, at most; in bytes.
const BATCH_BYTES: usize = 1 << 20;

/// Values that are sent together, at most.
const BATCH_VALUES: usize = 2048;

/// So many batches may wait for a quorum before the next ones are spaced out.
const BATCHES_AT_ONCE: usize = 4;

/// Spaced out, a batch is formed this part of the time after the one before it that the oldest one
/// has waited for a quorum. To be durable after two syncs, the one under way and its own, an append
/// must be with the replicas before the first of them ends; to wait until a batch is agreed upon
/// would take three.
const SPACING_PART: u32 = 16;

/// And this long after it, at least: a batch costs the more the smaller it is.
const SPACING_MIN: Duration = Duration::from_micros(500);

/// Batches that may be under way to one replica.
const WINDOW: usize = 64;

/// No further batch goes to a replica to which so much is under way, in bytes.
const WINDOW_BYTES: usize = 32 << 20;

/// A run of values at consecutive positions and who has accepted them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Batch {
    values: Vec<Value>,
    /// When it was formed.
    formed: Instant,
    /// Who waits for which of them.
    clients: Vec<(Position, Client)>,
    accepted: BTreeMap<Address, Voter>,
    chosen: bool,
}

impl Batch {
    fn new(formed: Instant, values: Vec<Value>, clients: Vec<(Position, Client)>) -> Self {
        Self { values, formed, clients, accepted: BTreeMap::new(), chosen: false }
    }

    /// Bytes of payload.
    fn length(&self) -> usize {
        self.values.iter().map(Value::length).sum()
    }

    fn last(&self, first: Position) -> Position {
        Position(first.0 + self.values.len() as u64 - 1)
    }
}

/// How far one replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Progress {
    /// Everything before this position was sent.
    next: Position,
    /// The batches that were sent and not answered, in order: their first positions, and bytes.
    open: Vec<(Position, usize)>,
    /// When the first of them was sent, or became the first.
    moved: Instant,
}

impl Progress {
    fn is_full(&self) -> bool {
        let bytes = |(_, bytes): &(Position, usize)| *bytes;
        self.open.len() >= WINDOW || self.open.iter().map(bytes).sum::<usize>() >= WINDOW_BYTES
    }
}

/// The term of an elected coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leadership {
    ballot: Ballot,
    limits: Limits,
    /// The last position that earlier coordinators may have used.
    inherited: Position,
    /// What a quorum has told of inherited positions that were not known to be agreed upon.
    found: BTreeMap<Position, (Ballot, Value)>,
    /// Inherited positions from here on are not written again yet.
    unfilled: Position,
    /// When the last of those before it were.
    filled: Instant,
    /// Whether the client was told that it may write.
    announced: bool,
    /// All positions up to here are agreed upon, at this ballot or without it. The own replica may
    /// know more from a later coordinator, with other values than were written here.
    agreed: Position,
    next: Position,
    /// Batches that are not known to be agreed upon, or wait for an earlier one that is not.
    batches: BTreeMap<Position, Batch>,
    waiting: VecDeque<(Client, Value)>,
    progress: BTreeMap<Address, Progress>,
    beat: Instant,
}

impl Leadership {
    /// Begins the term of `ballot`. `found` is what a quorum has told of positions up to
    /// `inherited` that are not known to be agreed upon.
    pub(crate) fn begin(
        now: Instant,
        ballot: Ballot,
        inherited: Position,
        found: BTreeMap<Position, (Ballot, Value)>,
        members: &BTreeSet<Address>,
        limits: Limits,
        replica: &Replica,
    ) -> Self {
        let mut leadership = Self {
            ballot,
            limits,
            inherited,
            found,
            unfilled: replica.learned().next(),
            filled: now,
            announced: false,
            agreed: replica.learned(),
            next: inherited.next(),
            batches: BTreeMap::new(),
            waiting: VecDeque::new(),
            progress: members.iter().map(|to| (to.clone(), Progress::default())).collect(),
            beat: now,
        };
        leadership.fill(now, replica);
        tracing::info!(%ballot, end = %inherited, open = leadership.batches.len(), "elected");
        leadership
    }

    /// Of this term.
    pub(crate) fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// When it wants [`Leadership::tick`], or [`Leadership::pump`] alone.
    pub(crate) fn deadline(&self, timing: Timing) -> Instant {
        let beat = self.beat + timing.heartbeat;
        if self.is_filling() && self.has_room(self.unfilled) {
            return beat.min(self.filled);
        }
        let ready = self.announced && !self.waiting.is_empty() && self.has_room(self.next);
        match self.turn() {
            Some(turn) if ready => beat.min(turn),
            _ => beat,
        }
    }

    /// Whether a quorum is still waited for by the batch that begins at `first`.
    #[cfg(test)]
    pub(crate) fn awaits(&self, first: Position) -> bool {
        self.batches.get(&first).is_some_and(|batch| !batch.chosen)
    }

    /// Takes a value to be written.
    pub(crate) fn push(&mut self, client: Client, value: Value) {
        self.waiting.push_back((client, value));
    }

    /// Forms batches of what waits, sends what may be sent, reports what is agreed upon. `client`
    /// is told once it may write.
    pub(crate) fn pump(
        &mut self,
        now: Instant,
        client: Option<Client>,
        replica: &mut Replica,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        self.report(replica, records, effects);
        self.fill(now, replica);
        if !self.announced && !self.is_filling() && self.batches.is_empty() {
            self.announced = true;
            let elected = |client| Effect::Elected(client, self.ballot, self.inherited);
            effects.extend(client.map(elected));
        }
        self.form_batches(now);
        self.send(now, replica, effects);
    }

    /// Shows itself, and sends again what was not answered, where that is due.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        timing: Timing,
        replica: &Replica,
        effects: &mut Vec<Effect>,
    ) {
        if self.beat + timing.heartbeat > now {
            return;
        }
        self.beat = now;
        self.forget_unanswered(now, timing.retry, replica.address());
        let (ballot, learned) = (self.ballot, self.agreed(replica));
        let (first, values) = (self.next, Vec::new());
        effects.push(Effect::Broadcast(Request::Write { ballot, first, values, learned }));
    }

    /// From now on these replicas are written to.
    pub(crate) fn members(&mut self, members: &BTreeSet<Address>) {
        self.progress.retain(|address, _| members.contains(address));
        for address in members {
            self.progress.entry(address.clone()).or_default();
        }
    }

    /// Ends the term. What was sent may yet be agreed upon.
    pub(crate) fn end(self, effects: &mut Vec<Effect>) {
        for (position, client) in self.batches.into_values().flat_map(|batch| batch.clients) {
            tracing::debug!(%position, "entry left open");
            let error = WriteError::Unknown("its writer was deposed");
            effects.push(Effect::Written(client, Err(error)));
        }
        for (client, _) in self.waiting {
            effects.push(Effect::Written(client, Err(WriteError::Lost)));
        }
        effects.push(Effect::Deposed(self.ballot));
    }

    /// Whether inherited positions are left that may have to be written again.
    fn is_filling(&self) -> bool {
        self.unfilled <= self.inherited
    }

    /// Whether something may be written at this position by now.
    fn has_room(&self, position: Position) -> bool {
        position.0 <= self.agreed.0.saturating_add(self.limits.open)
    }

    /// How many values may go out together.
    fn batch_values(&self) -> usize {
        usize::try_from(self.limits.open).map_or(BATCH_VALUES, |open| open.min(BATCH_VALUES))
    }

    /// Writes again, under the own ballot, whatever may have been agreed upon, and nothing where
    /// nothing can have been: as far as there is room, the rest once that is agreed upon.
    fn fill(&mut self, now: Instant, replica: &Replica) {
        let mut open: Option<(Position, Vec<Value>)> = None;
        while self.is_filling() && self.has_room(self.unfilled) {
            let position = self.unfilled;
            self.unfilled = position.next();
            self.filled = now;
            if replica.is_learned(position) {
                self.found.remove(&position);
                self.add_batch(now, open.take());
                continue;
            }
            let value = match self.found.remove(&position) {
                Some((_, value)) if !PlantedBug::FillsHoleWithNop.is_planted() => value,
                _ => Value::Nop,
            };
            let (_, values) = open.get_or_insert((position, Vec::new()));
            values.push(value);
            if values.len() >= self.batch_values() {
                self.add_batch(now, open.take());
            }
        }
        self.add_batch(now, open);
        self.advance();
    }

    /// Everything before the first position that is open is agreed upon: under this ballot, or it
    /// was known to be when this coordinator came to it, and nothing was written there.
    fn advance(&mut self) {
        let rest = if self.is_filling() { self.unfilled } else { self.next };
        let open = self.batches.first_key_value().map_or(rest, |(first, _)| *first);
        self.agreed = self.agreed.max(open.previous());
    }

    fn agreed(&self, replica: &Replica) -> Position {
        match PlantedBug::TellsForeignLearned.is_planted() {
            true => replica.learned(),
            false => self.agreed,
        }
    }

    fn add_batch(&mut self, now: Instant, run: Option<(Position, Vec<Value>)>) {
        if let Some((first, values)) = run {
            self.batches.insert(first, Batch::new(now, values, Vec::new()));
        }
    }

    /// From when on the next batch may be formed, if not at once.
    fn turn(&self) -> Option<Instant> {
        if self.batches.len() < BATCHES_AT_ONCE {
            return None;
        }
        let (_, oldest) = self.batches.first_key_value()?;
        let (_, newest) = self.batches.last_key_value()?;
        let waited = newest.formed.since(oldest.formed);
        Some(newest.formed + (waited / SPACING_PART).max(SPACING_MIN))
    }

    fn form_batches(&mut self, now: Instant) {
        // What was inherited goes first; nothing is appended before that is agreed upon.
        while self.announced
            && !self.waiting.is_empty()
            && self.has_room(self.next)
            && self.turn().is_none_or(|turn| turn <= now)
        {
            let (mut values, mut clients, mut bytes) = (Vec::new(), Vec::new(), 0);
            let first = self.next;
            while bytes < BATCH_BYTES
                && values.len() < self.batch_values()
                && self.has_room(self.next)
                && let Some((client, value)) = self.waiting.pop_front()
            {
                bytes += value.length();
                values.push(value);
                clients.push((self.next, client));
                self.next = self.next.next();
            }
            self.batches.insert(first, Batch::new(now, values, clients));
        }
    }

    fn send(&mut self, now: Instant, replica: &Replica, effects: &mut Vec<Effect>) {
        let (ballot, learned) = (self.ballot, self.agreed(replica));
        for (address, progress) in &mut self.progress {
            for (first, batch) in self.batches.range(progress.next..) {
                if progress.is_full() {
                    break;
                }
                progress.next = first.next();
                if batch.accepted.contains_key(address) {
                    continue;
                }
                if progress.open.is_empty() {
                    progress.moved = now;
                }
                progress.open.push((*first, batch.length()));
                let (first, values) = (*first, batch.values.clone());
                let request = Request::Write { ballot, first, values, learned };
                effects.push(Effect::Send(address.clone(), request));
            }
        }
    }

    /// A replica has accepted a batch, or shown that it hears.
    pub(crate) fn accepted(
        &mut self,
        now: Instant,
        from: &Address,
        answer: WriteAnswer,
        quorum: usize,
    ) {
        if answer.count == 0 {
            return;
        }
        if let Some(progress) = self.progress.get_mut(from) {
            if progress.open.first().is_some_and(|(first, _)| *first == answer.first) {
                progress.moved = now;
            }
            progress.open.retain(|(first, _)| *first != answer.first);
        }
        let Some(batch) = self.batches.get_mut(&answer.first) else { return };
        if batch.values.len() as u64 != answer.count {
            return;
        }
        batch.accepted.insert(from.clone(), answer.voter);
        batch.chosen |= is_quorum(batch.accepted.values(), quorum)
            || PlantedBug::LearnsWithoutQuorum.is_planted();
    }

    /// Learns what is agreed upon, in order, and tells the clients.
    fn report(
        &mut self,
        replica: &mut Replica,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        while let Some((first, batch)) = self.batches.pop_first() {
            let last = batch.last(first);
            if batch.chosen {
                replica.learn_up_to(last, self.ballot, records);
            }
            // A client may read what it was told of, so the own replica must know it too.
            if !batch.chosen || replica.learned() < last {
                self.batches.insert(first, batch);
                break;
            }
            for (position, client) in batch.clients {
                effects.push(Effect::Written(client, Ok(position)));
            }
        }
        self.advance();
    }

    /// What a replica did not answer for `retry` is sent to it again. Not so to the own one: on the
    /// way there nothing is lost, and were what its disk has not done counted as lost, ever more
    /// would come to wait for a disk that hangs.
    fn forget_unanswered(&mut self, now: Instant, retry: Duration, own: &Address) {
        for (address, progress) in &mut self.progress {
            if let Some((first, _)) = progress.open.first()
                && address != own
                && progress.moved + retry <= now
            {
                progress.next = *first;
                progress.open.clear();
            }
        }
    }
}

/// The content of [`crate::Response::Written`].
#[derive(Debug)]
pub(crate) struct WriteAnswer {
    pub(crate) voter: Voter,
    pub(crate) ballot: Ballot,
    pub(crate) verdict: Verdict,
    pub(crate) first: Position,
    pub(crate) count: u64,
}
