//! The coordinator: wins promises, fills what earlier coordinators left open, writes.
//!
//! ```text
//!   Idle ──elect──▶ Electing ──quorum promised and surveyed──▶ Leading ──▶ Idle
//!                      └────── a higher ballot ──▶ Waiting ──▶ Electing      (a higher ballot,
//!                                                                             or resigned)
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use orrery_runtime::{Address, Instant};

use crate::quorum::is_quorum;
use crate::record::Record;
use crate::replica::Replica;
use crate::survey::Survey;
use crate::{Ballot, PlantedBug, Position, Request, Timing, Value, Verdict, Voter, WriteError};

/// Whoever waits for the outcome of what they asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(pub u64);

/// Values that are sent together, at most; in bytes.
const BATCH_BYTES: usize = 1 << 20;

/// Values that are sent together, at most.
const BATCH_VALUES: usize = 2048;

/// Batches that may wait for a quorum at a time. While so many do, appends gather into the next.
const BATCHES_OPEN: usize = 4;

/// Batches that may be under way to one replica.
const WINDOW: usize = 8;

/// What the coordinator wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Effect {
    /// Send to all members, the own replica among them.
    Broadcast(Request),
    /// Send to one replica.
    Send(Address, Request),
    /// The client may write with this ballot; everything up to the position is agreed upon.
    Elected(Client, Ballot, Position),
    /// The outcome of a write.
    Written(Client, Result<Position, WriteError>),
    /// The writer of this ballot is deposed.
    Deposed(Ballot),
}

/// A run of values at consecutive positions and who has accepted them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Batch {
    values: Vec<Value>,
    /// Who waits for which of them.
    clients: Vec<(Position, Client)>,
    accepted: BTreeMap<Address, Voter>,
    chosen: bool,
}

impl Batch {
    fn last(&self, first: Position) -> Position {
        Position(first.0 + self.values.len() as u64 - 1)
    }
}

/// How far one replica is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Progress {
    /// Everything before this position was sent.
    next: Position,
    /// First positions of the batches that were sent and not answered.
    open: Vec<Position>,
    /// When it was last sent something new, or answered.
    moved: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Election {
    ballot: Ballot,
    survey: Survey,
    asked: Instant,
    /// The own replica has promised durably, so the others may be asked.
    local: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Leadership {
    ballot: Ballot,
    /// The last position that earlier coordinators may have used.
    inherited: Position,
    /// Whether the client was told that it may write.
    announced: bool,
    /// All positions up to here are agreed upon, at this ballot or before the election. The own
    /// replica may know more from a later coordinator, with other values than were written here.
    agreed: Position,
    next: Position,
    /// Batches that are not known to be agreed upon, or wait for an earlier one that is not.
    batches: BTreeMap<Position, Batch>,
    waiting: VecDeque<(Client, Value)>,
    progress: BTreeMap<Address, Progress>,
    beat: Instant,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
enum Phase {
    #[default]
    Idle,
    /// An election was lost; the next begins then.
    Waiting(Instant),
    Electing(Election),
    Leading(Leadership),
}

/// A coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Coordinator {
    quorum: usize,
    timing: Timing,
    members: BTreeSet<Address>,
    phase: Phase,
    /// Who wants to write.
    client: Option<Client>,
    /// The highest round seen anywhere.
    round: u64,
}

impl Coordinator {
    pub(crate) fn new(quorum: usize, timing: Timing, members: BTreeSet<Address>) -> Self {
        Self { quorum, timing, members, phase: Phase::Idle, client: None, round: 0 }
    }

    /// The ballot with which it leads or stands.
    pub(crate) fn ballot(&self) -> Option<Ballot> {
        match &self.phase {
            Phase::Idle | Phase::Waiting(_) => None,
            Phase::Electing(election) => Some(election.ballot),
            Phase::Leading(leadership) => Some(leadership.ballot),
        }
    }

    /// When it wants [`Coordinator::tick`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Waiting(until) => Some(*until),
            Phase::Electing(election) => Some(election.asked + self.timing.retry),
            Phase::Leading(leadership) => Some(leadership.beat + self.timing.heartbeat),
        }
    }

    /// `client` wants to write, instead of who did before.
    pub(crate) fn elect(
        &mut self,
        now: Instant,
        client: Client,
        replica: &Replica,
        effects: &mut Vec<Effect>,
    ) {
        self.resign(effects);
        self.client = Some(client);
        self.stand(now, replica, effects);
    }

    /// Nobody wants to write any more.
    pub(crate) fn resign(&mut self, effects: &mut Vec<Effect>) {
        self.client = None;
        self.step_down(effects);
    }

    /// The client does not want to write any more, if it is still the one that waits.
    pub(crate) fn give_up(&mut self, client: Client, effects: &mut Vec<Effect>) {
        if self.client == Some(client) && !matches!(self.phase, Phase::Leading(_)) {
            self.resign(effects);
        }
    }

    fn stand(&mut self, now: Instant, replica: &Replica, effects: &mut Vec<Effect>) {
        if !replica.is_voting() {
            self.phase = Phase::Waiting(now + self.timing.retry);
            return;
        }
        self.round = self.round.max(replica.promised().round).saturating_add(1);
        let ballot = Ballot { round: self.round, proposer: replica.metadata().id };
        let survey = Survey::new(replica.learned().next());
        self.phase = Phase::Electing(Election { ballot, survey, asked: now, local: false });
        // The others are asked once the own promise is durable, so that no later life of this
        // replica uses the ballot again.
        effects.push(Effect::Send(replica.voter().address, Request::Promise { ballot }));
    }

    /// Ends what is under way. What was sent may yet be agreed upon.
    fn step_down(&mut self, effects: &mut Vec<Effect>) {
        let Phase::Leading(leadership) = std::mem::take(&mut self.phase) else { return };
        for (position, client) in leadership.batches.into_values().flat_map(|batch| batch.clients) {
            tracing::debug!(%position, "entry left open");
            let error = WriteError::Unknown("its writer was deposed");
            effects.push(Effect::Written(client, Err(error)));
        }
        for (client, _) in leadership.waiting {
            effects.push(Effect::Written(client, Err(WriteError::Lost)));
        }
        effects.push(Effect::Deposed(leadership.ballot));
    }

    /// A replica has promised a higher ballot than ours.
    fn outbid(&mut self, now: Instant, promised: Ballot, jitter: f64, effects: &mut Vec<Effect>) {
        self.round = self.round.max(promised.round);
        match self.phase {
            Phase::Electing(_) => {
                let pause = self.timing.backoff.mul_f64(1.0 + jitter);
                self.phase = Phase::Waiting(now + pause);
            }
            Phase::Leading(_) => self.resign(effects),
            Phase::Idle | Phase::Waiting(_) => {}
        }
    }

    /// An answer to a promise request.
    #[allow(clippy::too_many_arguments, reason = "the parts of one message and of one machine")]
    pub(crate) fn promised(
        &mut self,
        now: Instant,
        from: &Address,
        promise: PromiseAnswer,
        jitter: f64,
        replica: &mut Replica,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Electing(election) = &mut self.phase else { return };
        if election.ballot != promise.ballot {
            return;
        }
        match promise.verdict {
            Verdict::Ignored => return,
            Verdict::Rejected(ballot) => return self.outbid(now, ballot, jitter, effects),
            Verdict::Accepted => {}
        }
        let voter = promise.voter;
        if voter.address == replica.voter().address {
            if !election.local {
                election.local = true;
                election.asked = now;
                election.survey.admit_local(from.clone(), replica);
                effects.push(Effect::Broadcast(Request::Promise { ballot: election.ballot }));
            }
        } else if election.local {
            election.survey.admit(from.clone(), voter, promise.end);
        }
        self.proceed(now, replica, records, effects);
    }

    /// Whether it has asked for pages.
    pub(crate) fn survey(&mut self) -> Option<&mut Survey> {
        match &mut self.phase {
            Phase::Electing(election) => Some(&mut election.survey),
            _ => None,
        }
    }

    /// Leads once a quorum has promised and told what it knows.
    pub(crate) fn proceed(
        &mut self,
        now: Instant,
        replica: &mut Replica,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Electing(election) = &mut self.phase else { return };
        if !election.local || !election.survey.is_finished(self.quorum) {
            return;
        }
        let ballot = election.ballot;
        let survey = std::mem::take(&mut election.survey);
        let inherited = survey.end().max(replica.end());
        let mut leadership = Leadership {
            ballot,
            inherited,
            announced: false,
            agreed: replica.learned(),
            next: inherited.next(),
            batches: BTreeMap::new(),
            waiting: VecDeque::new(),
            progress: self.members.iter().map(|to| (to.clone(), Progress::default())).collect(),
            beat: now,
        };
        leadership.fill(replica, survey.into_found());
        tracing::info!(%ballot, end = %inherited, open = leadership.batches.len(), "elected");
        self.phase = Phase::Leading(leadership);
        self.pump(now, replica, records, effects);
    }

    /// Takes a value to be written under `ballot`.
    pub(crate) fn write(
        &mut self,
        ballot: Ballot,
        client: Client,
        value: Value,
        effects: &mut Vec<Effect>,
    ) {
        match &mut self.phase {
            Phase::Leading(leadership) if leadership.ballot == ballot => {
                leadership.waiting.push_back((client, value));
            }
            _ => effects.push(Effect::Written(client, Err(WriteError::Lost))),
        }
    }

    /// An answer to a write request.
    pub(crate) fn written(
        &mut self,
        now: Instant,
        from: &Address,
        answer: WriteAnswer,
        jitter: f64,
        effects: &mut Vec<Effect>,
    ) {
        let Phase::Leading(leadership) = &mut self.phase else { return };
        if leadership.ballot != answer.ballot {
            return;
        }
        match answer.verdict {
            Verdict::Ignored => {}
            Verdict::Rejected(ballot) => self.outbid(now, ballot, jitter, effects),
            Verdict::Accepted => leadership.accepted(now, from, answer, self.quorum),
        }
    }

    /// Forms batches of what waits, sends what may be sent, reports what is agreed upon.
    pub(crate) fn pump(
        &mut self,
        now: Instant,
        replica: &mut Replica,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        let client = self.client;
        let Phase::Leading(leadership) = &mut self.phase else { return };
        leadership.report(replica, records, effects);
        if !leadership.announced && leadership.batches.is_empty() {
            leadership.announced = true;
            if let Some(client) = client {
                let position = leadership.inherited;
                effects.push(Effect::Elected(client, leadership.ballot, position));
            }
        }
        leadership.form_batches();
        leadership.send(now, replica, effects);
    }

    /// What is due by now.
    pub(crate) fn tick(&mut self, now: Instant, replica: &Replica, effects: &mut Vec<Effect>) {
        let retry = self.timing.retry;
        match &mut self.phase {
            Phase::Idle => {}
            Phase::Waiting(until) => {
                if *until <= now {
                    self.stand(now, replica, effects);
                }
            }
            Phase::Electing(election) => {
                if election.asked + retry <= now {
                    election.asked = now;
                    if PlantedBug::PromiseIsAskedOnce.is_planted() {
                        return;
                    }
                    let request = Request::Promise { ballot: election.ballot };
                    let to = replica.voter().address;
                    effects.push(match election.local {
                        true => Effect::Broadcast(request),
                        false => Effect::Send(to, request),
                    });
                }
            }
            Phase::Leading(leadership) => {
                if leadership.beat + self.timing.heartbeat <= now {
                    leadership.beat = now;
                    leadership.forget_unanswered(now, retry);
                    let (ballot, learned) = (leadership.ballot, leadership.agreed(replica));
                    let (first, values) = (leadership.next, Vec::new());
                    let request = Request::Write { ballot, first, values, learned };
                    effects.push(Effect::Broadcast(request));
                }
            }
        }
    }

    /// The own replica does not vote any more, so this must not lead.
    pub(crate) fn replica_left(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        match self.phase {
            Phase::Leading(_) => self.resign(effects),
            Phase::Electing(_) => self.phase = Phase::Waiting(now + self.timing.retry),
            Phase::Idle | Phase::Waiting(_) => {}
        }
    }

    /// From now on these replicas are written to.
    pub(crate) fn members(&mut self, members: BTreeSet<Address>) {
        if let Phase::Leading(leadership) = &mut self.phase {
            leadership.progress.retain(|address, _| members.contains(address));
            for address in &members {
                leadership.progress.entry(address.clone()).or_default();
            }
        }
        self.members = members;
    }
}

impl Leadership {
    /// Writes again, under the own ballot, whatever may have been agreed upon, and nothing where
    /// nothing can have been.
    fn fill(&mut self, replica: &Replica, mut found: BTreeMap<Position, (Ballot, Value)>) {
        let mut position = replica.learned().next();
        let mut open: Option<(Position, Vec<Value>)> = None;
        while position <= self.inherited {
            if replica.is_learned(position) {
                self.add_batch(open.take());
            } else {
                let value = match found.remove(&position) {
                    Some((_, value)) if !PlantedBug::FillsHoleWithNop.is_planted() => value,
                    _ => Value::Nop,
                };
                let (_, values) = open.get_or_insert((position, Vec::new()));
                values.push(value);
                if values.len() >= BATCH_VALUES {
                    self.add_batch(open.take());
                }
            }
            position = position.next();
        }
        self.add_batch(open);
    }

    fn agreed(&self, replica: &Replica) -> Position {
        match PlantedBug::TellsForeignLearned.is_planted() {
            true => replica.learned(),
            false => self.agreed,
        }
    }

    fn add_batch(&mut self, run: Option<(Position, Vec<Value>)>) {
        if let Some((first, values)) = run {
            let (clients, accepted) = (Vec::new(), BTreeMap::new());
            self.batches.insert(first, Batch { values, clients, accepted, chosen: false });
        }
    }

    fn form_batches(&mut self) {
        // What was inherited goes first; nothing is appended before that is agreed upon.
        while self.announced && self.batches.len() < BATCHES_OPEN && !self.waiting.is_empty() {
            let (mut values, mut clients, mut bytes) = (Vec::new(), Vec::new(), 0);
            let first = self.next;
            while bytes < BATCH_BYTES
                && values.len() < BATCH_VALUES
                && let Some((client, value)) = self.waiting.pop_front()
            {
                bytes += value.length();
                values.push(value);
                clients.push((self.next, client));
                self.next = self.next.next();
            }
            let accepted = BTreeMap::new();
            self.batches.insert(first, Batch { values, clients, accepted, chosen: false });
        }
    }

    fn send(&mut self, now: Instant, replica: &Replica, effects: &mut Vec<Effect>) {
        let (ballot, learned) = (self.ballot, self.agreed(replica));
        for (address, progress) in &mut self.progress {
            for (first, batch) in self.batches.range(progress.next..) {
                if progress.open.len() >= WINDOW {
                    break;
                }
                progress.next = first.next();
                if batch.accepted.contains_key(address) {
                    continue;
                }
                progress.open.push(*first);
                progress.moved = now;
                let (first, values) = (*first, batch.values.clone());
                let request = Request::Write { ballot, first, values, learned };
                effects.push(Effect::Send(address.clone(), request));
            }
        }
    }

    fn accepted(&mut self, now: Instant, from: &Address, answer: WriteAnswer, quorum: usize) {
        if answer.count == 0 {
            return;
        }
        if let Some(progress) = self.progress.get_mut(from) {
            progress.open.retain(|first| *first != answer.first);
            progress.moved = now;
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
                return;
            }
            self.agreed = self.agreed.max(last);
            for (position, client) in batch.clients {
                effects.push(Effect::Written(client, Ok(position)));
            }
        }
    }

    /// What a replica did not answer for `retry` is sent to it again.
    fn forget_unanswered(&mut self, now: Instant, retry: std::time::Duration) {
        for progress in self.progress.values_mut() {
            if !progress.open.is_empty() && progress.moved + retry <= now {
                progress.next = progress.open.iter().min().copied().unwrap_or_default();
                progress.open.clear();
            }
        }
    }
}

/// The content of [`crate::Response::Promised`].
#[derive(Debug)]
pub(crate) struct PromiseAnswer {
    pub(crate) voter: Voter,
    pub(crate) ballot: Ballot,
    pub(crate) verdict: Verdict,
    pub(crate) end: Position,
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
