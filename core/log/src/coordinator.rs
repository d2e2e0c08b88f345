//! The coordinator: wins promises, fills what earlier coordinators left open, writes.
//!
//! ```text
//!   Idle ──elect──▶ Electing ──quorum promised and surveyed──▶ Leading ──▶ Idle
//!                      └────── a higher ballot ──▶ Waiting ──▶ Electing      (a higher ballot,
//!                                                                             or resigned)
//! ```

use std::collections::BTreeSet;

use orrery_runtime::{Address, Instant};

use crate::leadership::{Leadership, WriteAnswer};
use crate::limits::{LEAP, Limits, NUMBER_MAX};
use crate::record::Record;
use crate::replica::Replica;
use crate::survey::Survey;
use crate::{Ballot, PlantedBug, Position, Request, Timing, Value, Verdict, Voter, WriteError};

/// Whoever waits for the outcome of what they asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(pub u64);

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

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Election {
    ballot: Ballot,
    survey: Survey,
    asked: Instant,
    /// The own replica has promised durably, so the others may be asked.
    local: bool,
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

/// A coordinator for which no ballot is left says so again after so many retries.
const STUCK: u32 = 60;

/// A coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Coordinator {
    quorum: usize,
    timing: Timing,
    limits: Limits,
    members: BTreeSet<Address>,
    phase: Phase,
    /// Who wants to write.
    client: Option<Client>,
    /// The highest round seen anywhere.
    round: u64,
}

impl Coordinator {
    pub(crate) fn new(
        quorum: usize,
        timing: Timing,
        limits: Limits,
        members: BTreeSet<Address>,
    ) -> Self {
        Self { quorum, timing, limits, members, phase: Phase::Idle, client: None, round: 0 }
    }

    /// The ballot with which it leads or stands.
    pub(crate) fn ballot(&self) -> Option<Ballot> {
        match &self.phase {
            Phase::Idle | Phase::Waiting(_) => None,
            Phase::Electing(election) => Some(election.ballot),
            Phase::Leading(leadership) => Some(leadership.ballot()),
        }
    }

    /// When it wants [`Coordinator::tick`].
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Idle => None,
            Phase::Waiting(until) => Some(*until),
            Phase::Electing(election) => Some(election.asked + self.timing.retry),
            Phase::Leading(leadership) => Some(leadership.deadline(self.timing)),
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
        let round = self.round.max(replica.promised().round);
        if round >= NUMBER_MAX {
            tracing::error!(round, "no ballot is left: this replica can elect no writer");
            self.phase = Phase::Waiting(now + self.timing.retry * STUCK);
            return;
        }
        self.round = round + 1;
        let ballot = Ballot { round: self.round, proposer: replica.metadata().id };
        let survey = Survey::new(replica.learned().next());
        self.phase = Phase::Electing(Election { ballot, survey, asked: now, local: false });
        // The others are asked once the own promise is durable, so that no later life of this
        // replica uses the ballot again.
        effects.push(Effect::Send(replica.voter().address, Request::Promise { ballot }));
    }

    /// Ends what is under way. What was sent may yet be agreed upon.
    fn step_down(&mut self, effects: &mut Vec<Effect>) {
        if let Phase::Leading(leadership) = std::mem::take(&mut self.phase) {
            leadership.end(effects);
        }
    }

    /// A replica has promised a higher ballot than ours.
    fn outbid(&mut self, now: Instant, promised: Ballot, jitter: f64, effects: &mut Vec<Effect>) {
        if promised.round >= self.round.saturating_add(LEAP) {
            tracing::error!(%promised, round = self.round, "a ballot to which no election comes");
            return;
        }
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

    /// The survey of an election.
    #[cfg(test)]
    pub(crate) fn surveying(&self) -> Option<&Survey> {
        match &self.phase {
            Phase::Electing(election) => Some(&election.survey),
            _ => None,
        }
    }

    /// The term that it leads.
    #[cfg(test)]
    pub(crate) fn leadership(&self) -> Option<&Leadership> {
        match &self.phase {
            Phase::Leading(leadership) => Some(leadership),
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
        let found = survey.into_found();
        let (limits, members) = (self.limits, &self.members);
        let leadership = Leadership::begin(now, ballot, inherited, found, members, limits, replica);
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
            Phase::Leading(leadership) if leadership.ballot() == ballot => {
                leadership.push(client, value);
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
        if leadership.ballot() != answer.ballot {
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
        if let Phase::Leading(leadership) = &mut self.phase {
            leadership.pump(now, self.client, replica, records, effects);
        }
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
                    // On the way to the own replica nothing is lost.
                    if election.local {
                        let ballot = election.ballot;
                        effects.push(Effect::Broadcast(Request::Promise { ballot }));
                    }
                }
            }
            Phase::Leading(leadership) => leadership.tick(now, self.timing, replica, effects),
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
            leadership.members(&members);
        }
        self.members = members;
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
