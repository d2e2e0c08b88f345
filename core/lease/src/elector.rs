//! The machine: its state, its one entrance, and what follows from the passing of time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orrery_coverage::{reachable, sometimes};
use orrery_runtime::machine::Machine;
use orrery_runtime::{Generator, Instant, Now};

use crate::{Kind, Options, PlantedBug, Request, Response};

/// What a member must still know after it was restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durable {
    /// The last term that it voted in.
    pub term: u64,
    /// Whom it voted for.
    pub vote: Option<usize>,
}

/// Tells one question that is to be answered from another. Given out by whoever carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What can happen to a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Another member asks.
    Request {
        /// Goes with the answer.
        request: RequestId,
        /// Who asks.
        from: usize,
        /// What.
        message: Request,
    },
    /// Another member answers.
    Response {
        /// Who answers.
        from: usize,
        /// What was asked, as it stood in [`Output::Send`].
        asked: Request,
        /// When that was.
        sent: Instant,
        /// The answer.
        message: Response,
    },
    /// What an [`Output::Store`] asked for is durable.
    Stored(Durable),
    /// This member is to lead no more, and to let another one lead at once.
    Resign,
    /// The deadline has passed.
    Tick,
}

/// What a member wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Ask another member. Whether an answer comes is uncertain.
    Send {
        /// Whom.
        to: usize,
        /// What.
        message: Request,
        /// When this was; goes with the answer.
        sent: Instant,
    },
    /// Answer a question.
    Reply {
        /// Which.
        request: RequestId,
        /// How.
        message: Response,
    },
    /// Keep this in place of what was kept before, then report [`Input::Stored`]. Of several that
    /// wait only the last one needs to be kept, and to be reported.
    Store(Durable),
    /// This member leads from now on.
    Elected {
        /// In which term; no other member ever leads in the same.
        term: u64,
    },
    /// This member leads no more.
    Deposed,
    /// As far as this member knows, this one leads. May be out of date.
    Leader(Option<usize>),
}

/// What waits for a vote to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Waiting {
    /// Who asked for it.
    Reply(RequestId),
    /// The candidacy in this term.
    AskForVotes(u64),
}

/// What a member is at the moment.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    Follower,
    /// Asks who would vote for it in the next term.
    Asking {
        agreed: BTreeSet<usize>,
    },
    /// Stands for election in its term.
    Candidate {
        votes: BTreeMap<usize, Instant>,
    },
    /// Leads; by member, when the last heartbeat was sent that it accepted.
    Leader {
        accepted: BTreeMap<usize, Instant>,
        next_heartbeat: Instant,
    },
}

/// A member of an election.
#[derive(Debug)]
pub struct Elector {
    pub(crate) options: Options,
    pub(crate) generator: Generator,
    pub(crate) term: u64,
    pub(crate) vote: Option<usize>,
    pub(crate) role: Role,
    pub(crate) leader: Option<usize>,
    /// Until then no other member gets a vote.
    pub(crate) loyal_until: Instant,
    /// When a follower or candidate does something about its having no leader.
    pub(crate) stand_at: Instant,
    /// The vote that is given once it is stored.
    storing: Option<Durable>,
    /// What that one is waited for by.
    waiting: Vec<Waiting>,
    pub(crate) now: Instant,
    pub(crate) outputs: Vec<Output>,
}

impl Elector {
    /// A member that starts at `now` with what it kept. It votes for nobody until whatever it may
    /// have promised before has run out.
    pub fn new(options: Options, durable: Durable, generator: Generator, now: Now) -> Self {
        let mut elector = Self {
            generator,
            term: durable.term,
            vote: durable.vote,
            role: Role::Follower,
            leader: None,
            loyal_until: now.instant + options.timing.patience,
            stand_at: now.instant,
            storing: None,
            waiting: Vec::new(),
            now: now.instant,
            outputs: Vec::new(),
            options,
        };
        if PlantedBug::VotesAfterRestart.is_planted() {
            elector.loyal_until = now.instant;
        }
        elector.wait_for_leader();
        elector
    }

    /// Whether this member leads.
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// The highest term that this member knows of.
    pub fn term(&self) -> u64 {
        self.term
    }

    pub(crate) fn emit(&mut self, output: Output) {
        self.outputs.push(output);
    }

    pub(crate) fn ask_all(&mut self, message: Request) {
        let sent = self.now;
        for to in self.options.others() {
            self.emit(Output::Send { to, message, sent });
        }
    }

    /// Puts off standing for election by this member's patience and a random time beyond it.
    pub(crate) fn wait_for_leader(&mut self) {
        self.stand_at = self.now + self.options.timing.patience + self.random_spread();
    }

    /// Stands again soon: if nobody leads, nobody is to be waited for, only the answers are.
    pub(crate) fn wait_for_answers(&mut self) {
        self.stand_at = self.now + self.options.timing.heartbeat + self.random_spread();
    }

    fn random_spread(&mut self) -> Duration {
        self.random_time(self.options.timing.spread)
    }

    pub(crate) fn random_time(&mut self, below: Duration) -> Duration {
        let below = u64::try_from(below.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.generator.below(below.max(1)))
    }

    pub(crate) fn set_leader(&mut self, leader: Option<usize>) {
        if self.leader != leader {
            self.leader = leader;
            self.emit(Output::Leader(leader));
        }
    }

    /// Follows whoever is or will be the leader of `term`.
    pub(crate) fn follow(&mut self, term: u64) {
        if term > self.term {
            self.term = term;
            self.vote = None;
            self.set_leader(None);
        }
        if self.leads() {
            self.emit(Output::Deposed);
            self.set_leader(None);
        }
        self.role = Role::Follower;
    }

    /// Whether the disk does not have this member's last vote yet.
    pub(crate) fn is_storing(&self) -> bool {
        self.storing.is_some()
    }

    /// Has the vote stored that was decided upon last. One of an earlier term that still waits for
    /// the disk is given up: nobody could be elected by it any more.
    pub(crate) fn store_vote(&mut self, waiting: Waiting) {
        let durable = Durable { term: self.term, vote: self.vote };
        if self.storing != Some(durable) {
            sometimes!(self.is_storing(), "a vote is overtaken while it is being stored");
            for overtaken in std::mem::take(&mut self.waiting) {
                self.answer(overtaken, false);
            }
            self.storing = Some(durable);
            self.emit(Output::Store(durable));
        }
        self.waiting.push(waiting);
    }

    fn stored(&mut self, durable: Durable) {
        if self.storing != Some(durable) {
            return;
        }
        self.storing = None;
        for waiting in std::mem::take(&mut self.waiting) {
            match waiting {
                Waiting::Reply(_) => self.answer(waiting, true),
                Waiting::AskForVotes(term) => {
                    sometimes!(
                        term != self.term,
                        "a candidacy is overtaken while its vote is being stored"
                    );
                    if term == self.term && matches!(self.role, Role::Candidate { .. }) {
                        self.ask_all(Request { term, kind: Kind::Vote });
                        self.count_votes();
                    }
                }
            }
        }
    }

    fn answer(&mut self, waiting: Waiting, granted: bool) {
        if let Waiting::Reply(request) = waiting {
            // A vote that another term has overtaken is of no use to who asked for it.
            let message = Response { term: self.term, granted };
            self.emit(Output::Reply { request, message });
        }
    }

    fn run_due(&mut self) {
        match &self.role {
            Role::Leader { next_heartbeat, .. } => {
                let beat = *next_heartbeat <= self.now;
                if self.lease_end() <= self.now {
                    reachable!("a leader's lease runs out");
                    tracing::warn!(term = self.term, "the lease ran out");
                    self.follow(self.term);
                    self.wait_for_leader();
                } else if beat {
                    self.send_heartbeats();
                }
            }
            _ if self.stand_at <= self.now => self.ask_around(),
            _ => {}
        }
    }
}

impl Machine for Elector {
    type Input = Input;
    type Output = Output;

    fn step(&mut self, now: Now, input: Input, outputs: &mut Vec<Output>) {
        self.now = now.instant;
        // First, so that a member which was stopped for a while knows what it is no more.
        self.run_due();
        match input {
            Input::Request { request, from, message } => self.request(request, from, message),
            Input::Response { from, asked, sent, message } => {
                self.response(from, asked, sent, message);
            }
            Input::Stored(durable) => self.stored(durable),
            Input::Resign => self.resign(),
            Input::Tick => {}
        }
        outputs.append(&mut self.outputs);
    }

    fn deadline(&self) -> Option<Instant> {
        match &self.role {
            Role::Leader { next_heartbeat, .. } => Some(self.lease_end().min(*next_heartbeat)),
            _ => Some(self.stand_at),
        }
    }

    fn tick() -> Input {
        Input::Tick
    }
}
