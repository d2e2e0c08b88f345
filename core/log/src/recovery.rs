//! How a replica that does not vote comes to vote.
//!
//! ```text
//!   EMPTY ──nobody has a log──▶ STARTING ──everybody has seen that──▶ VOTING
//!     └───────a quorum votes───────▶ RECOVERING ──fenced and surveyed──┘
//! ```
//!
//! A replica that lost its disk, or whose disk has rotted, may have given promises and accepted
//! values that it does not know of any more. So a quorum of the others first records that its
//! earlier answers do not count any more ([`Request::Fence`]), and then tells all that it knows.
//! Whatever the replica's forgotten answers can have helped to decide, some member of that quorum
//! has taken part in before it recorded this; what came later they cannot help to decide.

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_runtime::{Address, Instant};

use crate::advice::{Idle, advice};
use crate::record::Record;
use crate::replica::Replica;
use crate::survey::Survey;
use crate::{Ballot, PlantedBug, Position, ReplicaState, Request, Timing, Verdict, Voter};

/// What another replica says of its state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StateAnswer {
    pub(crate) voter: Voter,
    pub(crate) nonce: u64,
    pub(crate) state: ReplicaState,
    pub(crate) damaged: bool,
}

/// The content of [`crate::Response::Fenced`].
#[derive(Debug)]
pub(crate) struct FenceAnswer {
    pub(crate) voter: Voter,
    pub(crate) generation: u64,
    pub(crate) verdict: Verdict,
    pub(crate) promised: Ballot,
    pub(crate) end: Position,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Phase {
    /// Asking the others for their states; the answers to the latest question.
    Inquiring(BTreeMap<Address, StateAnswer>),
    /// Starting over under a new generation.
    Surveying { survey: Survey, promised: Ballot, generation: u64, since: Instant },
}

/// Brings a replica to vote.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Recovery {
    quorum: usize,
    /// How many replicas there are.
    total: usize,
    auto_initialize: bool,
    timing: Timing,
    phase: Phase,
    /// The nonce of the latest question.
    nonce: u64,
    /// When to ask again.
    next: Instant,
    /// Why this will not succeed by itself.
    hopeless: Option<String>,
    /// How often in a row it looked so.
    strikes: u32,
}

/// After this many tries that led to nothing new, the survey begins anew.
const PATIENCE: u32 = 10;

/// It is hopeless once it looked so this often in a row.
const STRIKES: u32 = 3;

impl Recovery {
    pub(crate) fn new(quorum: usize, total: usize, auto_initialize: bool, timing: Timing) -> Self {
        Self {
            quorum,
            total,
            auto_initialize,
            timing,
            phase: Phase::Inquiring(BTreeMap::new()),
            nonce: 0,
            next: Instant::default(),
            hopeless: None,
            strikes: 0,
        }
    }

    /// When it wants [`Recovery::tick`].
    pub(crate) fn deadline(&self, replica: &Replica) -> Option<Instant> {
        (replica.state() != ReplicaState::Voting).then_some(self.next)
    }

    /// Why this will not succeed by itself.
    pub(crate) fn hopeless(&self) -> Option<&str> {
        self.hopeless.as_deref()
    }

    /// What is due by now: requests to all others.
    pub(crate) fn tick(
        &mut self,
        now: Instant,
        replica: &mut Replica,
        nonce: &mut u64,
        records: &mut Vec<Record>,
    ) -> Option<Request> {
        if replica.state() == ReplicaState::Voting || self.next > now {
            return None;
        }
        self.next = now + self.timing.retry;
        match &self.phase {
            Phase::Surveying { generation, since, .. } => {
                if *since + self.timing.retry * PATIENCE > now {
                    return Some(Request::Fence { generation: *generation });
                }
            }
            // Others may be on their way, where there are any.
            Phase::Inquiring(answers) if answers.is_empty() && self.total > 1 => {}
            Phase::Inquiring(_) => self.assess(replica),
        }
        self.phase = Phase::Inquiring(BTreeMap::new());
        *nonce = nonce.wrapping_add(1);
        self.nonce = *nonce;
        // Alone, there is nobody whose answer would lead on.
        let _ = self.decide(now, replica, records);
        Some(Request::Inquire { nonce: self.nonce })
    }

    /// Another replica says in which state it is. Returns what is to be asked of all others.
    pub(crate) fn state(
        &mut self,
        now: Instant,
        from: &Address,
        answer: StateAnswer,
        replica: &mut Replica,
        records: &mut Vec<Record>,
    ) -> Option<Request> {
        let Phase::Inquiring(answers) = &mut self.phase else { return None };
        // An earlier answer may have been enough. Whoever votes must not start over for a late one.
        if replica.state() == ReplicaState::Voting {
            return None;
        }
        let own = &replica.voter();
        let other = answer.voter.id != own.id && answer.voter.address != own.address;
        if answer.nonce != self.nonce || !other {
            return None;
        }
        answers.insert(from.clone(), answer);
        self.decide(now, replica, records)
    }

    fn decide(
        &mut self,
        now: Instant,
        replica: &mut Replica,
        records: &mut Vec<Record>,
    ) -> Option<Request> {
        let Phase::Inquiring(answers) = &self.phase else { return None };
        let count = |state| answers.values().filter(|answer| answer.state == state).count();
        let (empty, starting) = (count(ReplicaState::Empty), count(ReplicaState::Starting));
        let voting = count(ReplicaState::Voting);
        let others = self.total.saturating_sub(1);
        if voting >= self.quorum {
            let known = answers
                .values()
                .filter_map(|answer| answer.voter.known.get(&replica.voter().address).copied());
            let known = known.max().unwrap_or(0).max(replica.metadata().generation);
            let generation = known.saturating_add(1);
            return Some(self.start_over(now, generation, replica, records));
        }
        match replica.state() {
            ReplicaState::Empty if self.auto_initialize && empty + starting >= others => {
                tracing::info!("no replica has a log; starting one");
                replica.update(records, |metadata| metadata.state = ReplicaState::Starting);
                self.next = now;
            }
            // A replica that votes has seen that nobody had a log when it began to.
            ReplicaState::Starting if voting > 0 || starting >= others => {
                tracing::info!("this replica votes");
                replica.update(records, |metadata| metadata.state = ReplicaState::Voting);
            }
            _ => {}
        }
        None
    }

    fn start_over(
        &mut self,
        now: Instant,
        generation: u64,
        replica: &mut Replica,
        records: &mut Vec<Record>,
    ) -> Request {
        tracing::info!(generation, "recovering from the replicas that vote");
        replica.update(records, |metadata| {
            metadata.state = ReplicaState::Recovering;
            metadata.generation = generation;
        });
        let survey = Survey::new(replica.learned().next());
        self.phase =
            Phase::Surveying { survey, promised: Ballot::default(), generation, since: now };
        self.hopeless = None;
        Request::Fence { generation }
    }

    /// With what the others have said, can enough of them come to vote?
    fn assess(&mut self, replica: &Replica) {
        let Phase::Inquiring(answers) = &self.phase else { return };
        let logs_exist = answers.values().any(|answer| answer.state == ReplicaState::Voting);
        let own = replica.metadata();
        let others = answers.iter().map(|(address, answer)| {
            (address, Idle { state: answer.state, damaged: answer.damaged })
        });
        let own = Idle { state: own.state, damaged: own.damaged };
        let stuck =
            |idle: &Idle| matches!(idle.state, ReplicaState::Recovering | ReplicaState::Empty);
        let mut idle: BTreeMap<Address, Idle> = others
            .filter(|(_, idle)| stuck(idle))
            .map(|(address, idle)| (address.clone(), idle))
            .collect();
        idle.insert(replica.address().clone(), own);
        let able = self.total.saturating_sub(idle.len());
        if able >= self.quorum || !(logs_exist || own.damaged) {
            self.strikes = 0;
            self.hopeless = None;
            return;
        }
        self.strikes += 1;
        if self.strikes == STRIKES {
            let hopeless = advice(replica.address(), &idle, self.quorum, self.total);
            tracing::error!("{hopeless}");
            self.hopeless = Some(hopeless);
        }
    }

    /// Another replica has recorded that this one starts over.
    pub(crate) fn fenced(&mut self, from: &Address, answer: FenceAnswer, replica: &Replica) {
        let Phase::Surveying { survey, promised, generation, .. } = &mut self.phase else { return };
        let own = &replica.voter();
        if answer.generation != *generation
            || answer.verdict != Verdict::Accepted
            || answer.voter.id == own.id
            || answer.voter.address == own.address
        {
            return;
        }
        *promised = answer.promised.max(*promised);
        survey.admit(from.clone(), answer.voter, answer.end);
    }

    /// What asks for pages and takes them.
    pub(crate) fn survey(&mut self, now: Instant) -> Option<&mut Survey> {
        match &mut self.phase {
            Phase::Surveying { survey, since, .. } => {
                *since = now;
                Some(survey)
            }
            Phase::Inquiring(_) => None,
        }
    }

    /// The survey that is under way.
    #[cfg(test)]
    pub(crate) fn surveying(&self) -> Option<&Survey> {
        match &self.phase {
            Phase::Surveying { survey, .. } => Some(survey),
            Phase::Inquiring(_) => None,
        }
    }

    /// The survey that is under way, to ask for pages.
    pub(crate) fn surveying_mut(&mut self) -> Option<&mut Survey> {
        match &mut self.phase {
            Phase::Surveying { survey, .. } => Some(survey),
            Phase::Inquiring(_) => None,
        }
    }

    /// What was not answered for this long is asked again.
    pub(crate) fn retry(&self) -> Duration {
        self.timing.retry
    }

    /// Votes once a quorum has told what it knows.
    pub(crate) fn proceed(&mut self, replica: &mut Replica, records: &mut Vec<Record>) {
        let Phase::Surveying { survey, promised, .. } = &mut self.phase else { return };
        let early = PlantedBug::VotesBeforeRecovery.is_planted() && survey.has_one_finished();
        if !survey.is_finished(self.quorum) && !early {
            return;
        }
        let (found, mut promised) = (std::mem::take(survey).into_found(), *promised);
        for (position, (ballot, value)) in found {
            promised = promised.max(ballot);
            replica.adopt(position, ballot, value, records);
        }
        replica.update(records, |metadata| {
            metadata.promised = metadata.promised.max(promised);
            metadata.damaged = false;
            metadata.state = ReplicaState::Voting;
        });
        tracing::info!(end = %replica.end(), "recovered; this replica votes");
        self.reset();
    }

    /// Begins anew, should the replica ever have to recover again.
    pub(crate) fn reset(&mut self) {
        self.phase = Phase::Inquiring(BTreeMap::new());
        self.next = Instant::default();
        self.hopeless = None;
    }
}
