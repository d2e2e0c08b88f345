//! One replica with its coordinator, as a state machine without I/O.

use std::collections::BTreeSet;
use std::time::Duration;

use orrery_runtime::machine::Machine;
use orrery_runtime::{Address, Generator, Instant, Now};

use crate::catch_up::CatchUp;
use crate::coordinator::{Client, Coordinator, Effect, PromiseAnswer};
use crate::leadership::WriteAnswer;
use crate::limits::{KNOWN_MAX, Limits};
use crate::log::Status;
use crate::record::Record;
use crate::recovery::{FenceAnswer, Recovery, StateAnswer};
use crate::replica::{Page, Replica};
use crate::survey::PageAnswer;
use crate::{
    Ballot, Cluster, Damage, LogError, Origin, PlantedBug, Position, ReadError, ReplicaState,
    Request, Response, Timing, Value, Verdict, Voter, WriteError,
};

/// How often at most it is logged that others were told otherwise about the cluster.
const REFUSALS: Duration = Duration::from_secs(30);

/// Whoever waits for the response to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(pub u64);

/// What a [`LogMachine`] is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The deadline has passed.
    Tick,
    /// Another replica asks.
    Request {
        /// Who.
        from: Origin,
        /// To whom [`Output::Reply`] goes.
        caller: Caller,
        /// What.
        request: Request,
    },
    /// A replica answers; also the own one, once its answer is durable.
    Response {
        /// Who.
        from: Address,
        /// What.
        response: Response,
    },
    /// These are the replicas.
    Members(BTreeSet<Address>),
    /// A client wants to know when this replica votes.
    AwaitVoting(Client),
    /// A client wants to write.
    Elect(Client),
    /// It does not want to any more.
    GiveUp(Client),
    /// A writer wants to write.
    Write {
        /// Its ballot.
        ballot: Ballot,
        /// Who waits for the outcome.
        client: Client,
        /// What.
        value: Value,
    },
    /// A writer will write no more.
    Resign(Ballot),
    /// The entry at this position cannot be read from the disk any more.
    Damaged(Position, Damage),
}

/// What a [`LogMachine`] wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Keep these, of which there is at least one. [`Output::Reply`] and [`Output::Local`] must
    /// wait until all that was to be kept before them is durable.
    Persist(Vec<Record>),
    /// Ask another replica. May be lost.
    Send(Address, Request),
    /// Answer who asked. `stored` are positions whose values are on disk alone and must be put into
    /// the page.
    Reply {
        /// Who asked.
        caller: Caller,
        /// The answer.
        response: Response,
        /// What is missing in it.
        stored: Vec<Position>,
    },
    /// Feed this back as [`Input::Response`] of the own address.
    Local(Response),
    /// These are the replicas.
    Members(BTreeSet<Address>),
    /// The outcome of [`Input::AwaitVoting`].
    Voting(Client, Result<(), LogError>),
    /// The outcome of [`Input::Elect`]: it may write with this ballot; all up to the position is
    /// agreed upon and known here.
    Elected(Client, Ballot, Position),
    /// The outcome of [`Input::Write`].
    Written(Client, Result<Position, WriteError>),
    /// The writer of this ballot is deposed.
    Deposed(Ballot),
}

/// What a [`LogMachine`] is told once.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// All replicas, as far as they are known.
    pub(crate) members: BTreeSet<Address>,
    /// What every replica must have been told.
    pub(crate) cluster: Cluster,
    /// How many there are, though not all may be known.
    pub(crate) total: usize,
    /// Whether replicas that are all new may begin a log.
    pub(crate) auto_initialize: bool,
    /// How patient it is.
    pub(crate) timing: Timing,
    /// How much of the log may be open.
    pub(crate) limits: Limits,
}

/// One replica with its coordinator.
#[derive(Clone, Debug)]
pub struct LogMachine {
    address: Address,
    cluster: Cluster,
    replica: Replica,
    coordinator: Coordinator,
    recovery: Recovery,
    catch_up: CatchUp,
    members: BTreeSet<Address>,
    await_voting: Vec<Client>,
    /// When somebody was refused, and it was logged, last.
    refused: Option<Instant>,
    nonce: u64,
    random: Generator,
}

impl LogMachine {
    /// A replica that starts from what is on its disk, parts of which may be `damaged`. `random`
    /// must not repeat itself over the lives of a replica. What is to be done at once is appended
    /// to `outputs`.
    pub(crate) fn new(
        setup: Setup,
        mut replica: Replica,
        damaged: bool,
        mut random: Generator,
        outputs: &mut Vec<Output>,
    ) -> Self {
        let Setup { mut members, cluster, total, auto_initialize, timing, limits } = setup;
        let quorum = cluster.quorum;
        let address = replica.address().clone();
        members.insert(address.clone());
        let mut changes = Vec::new();
        let id = random.next_u64().max(1);
        replica.update(&mut changes, |metadata| {
            if metadata.id == 0 {
                metadata.id = id;
            }
            if damaged {
                metadata.damaged = true;
                metadata.state = ReplicaState::Recovering;
            }
        });
        outputs.extend(persist(changes));
        outputs.push(Output::Members(members.clone()));
        Self {
            address,
            cluster,
            replica,
            coordinator: Coordinator::new(quorum, timing, limits, members.clone()),
            recovery: Recovery::new(quorum, total, auto_initialize, timing),
            catch_up: CatchUp::new(timing),
            members,
            await_voting: Vec::new(),
            refused: None,
            nonce: random.next_u64(),
            random,
        }
    }

    /// What the replica knows of itself.
    pub fn status(&self) -> Status {
        self.replica.status()
    }

    /// All replicas, the own one among them.
    pub(crate) fn members(&self) -> &BTreeSet<Address> {
        &self.members
    }

    /// The agreed entries from `from` to `to`, as many as go into one page.
    pub(crate) fn read(&self, from: Position, to: Position) -> Result<Page, ReadError> {
        let Status { beginning, ending, .. } = self.replica.status();
        if from < beginning {
            return Err(ReadError::Truncated { position: from, beginning });
        }
        if to > ending {
            return Err(ReadError::Unknown { position: to, ending });
        }
        Ok(self.replica.page(from, to, true))
    }

    /// The parts that decide, for searching all states.
    #[cfg(test)]
    pub(crate) fn parts(&self) -> (&Replica, &Coordinator, &Recovery, &CatchUp, u64) {
        (&self.replica, &self.coordinator, &self.recovery, &self.catch_up, self.nonce)
    }

    /// Whether its coordinator leads or stands with this ballot.
    #[cfg(test)]
    pub(crate) fn stands_for(&self, ballot: Ballot) -> bool {
        self.coordinator.ballot() == Some(ballot)
    }

    /// Whether a promise can help its coordinator.
    #[cfg(test)]
    pub(crate) fn awaits_promise(&self, ballot: Ballot) -> bool {
        self.stands_for(ballot) && self.coordinator.leadership().is_none()
    }

    /// Whether the acceptance of what begins at `first` can help its coordinator.
    #[cfg(test)]
    pub(crate) fn awaits_acceptance(&self, ballot: Ballot, first: Position) -> bool {
        let leadership = self.coordinator.leadership();
        self.stands_for(ballot) && leadership.is_some_and(|leadership| leadership.awaits(first))
    }

    /// Whether it has asked for this page and could use it.
    #[cfg(test)]
    pub(crate) fn awaits_page(&self, nonce: u64) -> bool {
        let surveys = [self.coordinator.surveying(), self.recovery.surveying()];
        let asked = surveys.into_iter().flatten().any(|survey| survey.awaits(nonce));
        asked || self.catch_up.expects(nonce)
    }

    /// The answer to whoever was told otherwise about the cluster: its quorum is not ours. Nor is
    /// one that is not in the list.
    fn refusal(&mut self, now: Instant, from: &Origin) -> Option<Response> {
        let same = from.cluster == self.cluster;
        let listed = self.cluster.members.is_empty() || self.members.contains(&from.address);
        if same && listed || PlantedBug::HeedsStrangers.is_planted() {
            return None;
        }
        let (address, theirs, ours) = (&from.address, &from.cluster, &self.cluster);
        if self.refused.is_none_or(|last| last + REFUSALS <= now) {
            self.refused = Some(now);
            if same {
                tracing::error!(%address, %ours, "whoever is not in the list is not listened to");
            } else {
                tracing::error!(
                    %address, %theirs, %ours,
                    "a replica of another cluster is not listened to: all of them must be started \
                     with the same"
                );
            }
        }
        let (voter, cluster) = (self.replica.voter(), self.cluster.clone());
        Some(Response::Refused { voter, cluster, state: self.replica.state() })
    }

    /// Another replica starts over. Who has not joined leaves nothing behind here.
    fn fence(
        &mut self,
        now: Instant,
        from: &Address,
        generation: u64,
        records: &mut Vec<Record>,
    ) -> Verdict {
        if !self.members.contains(from) {
            return Verdict::Ignored;
        }
        let due = self.refused.is_none_or(|last| last + REFUSALS <= now);
        if due && !self.replica.can_remember(from) {
            self.refused = Some(now);
            tracing::error!(
                address = %from, limit = KNOWN_MAX,
                "too many replicas have lost their disks under addresses of their own: another \
                 one cannot start over. A replica should keep its address"
            );
        }
        self.replica.fence(from, generation, records)
    }

    fn request(
        &mut self,
        now: Instant,
        from: &Address,
        request: Request,
        records: &mut Vec<Record>,
    ) -> (Response, Vec<Position>) {
        let mut stored = Vec::new();
        let response = match request {
            Request::Promise { ballot } => {
                let verdict = self.replica.promise(ballot, records);
                let (voter, end) = (self.replica.voter(), self.replica.end());
                Response::Promised { voter, ballot, verdict, end }
            }
            Request::Write { ballot, first, values, learned } => {
                let verdict = self.replica.write(ballot, first, &values, records);
                if verdict == Verdict::Accepted && *from != self.address {
                    self.replica.learn_up_to(learned, ballot, records);
                    self.catch_up.heard(now, from, learned, &self.replica);
                }
                let (voter, count) = (self.replica.voter(), values.len() as u64);
                Response::Written { voter, ballot, verdict, first, count }
            }
            Request::Inquire { nonce } => {
                let (voter, metadata) = (self.replica.voter(), self.replica.metadata());
                let (state, damaged) = (metadata.state, metadata.damaged);
                Response::State { voter, nonce, state, damaged }
            }
            Request::Fence { generation } => {
                let verdict = self.fence(now, from, generation, records);
                let (promised, end) = (self.replica.promised(), self.replica.end());
                let voter = self.replica.voter();
                Response::Fenced { voter, generation, verdict, promised, end }
            }
            Request::Read { nonce, from, to, learned_only } => {
                let valid = learned_only || self.replica.is_voting();
                let mut page = self.replica.page(from, to, learned_only);
                if !valid {
                    page.entries.clear();
                    page.stored.clear();
                }
                stored = page.stored;
                let (voter, begin) = (self.replica.voter(), self.replica.begin());
                let (next, entries) = (page.next, page.entries);
                Response::Page { voter, nonce, valid, begin, next, entries }
            }
        };
        (response, stored)
    }

    fn response(
        &mut self,
        now: Instant,
        from: &Address,
        response: Response,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        let replica = &mut self.replica;
        match response {
            Response::Promised { voter, ballot, verdict, end } => {
                let answer = PromiseAnswer { voter, ballot, verdict, end };
                let jitter = self.random.fraction();
                self.coordinator.promised(now, from, answer, jitter, replica, records, effects);
            }
            Response::Written { voter, ballot, verdict, first, count } => {
                let answer = WriteAnswer { voter, ballot, verdict, first, count };
                let jitter = self.random.fraction();
                self.coordinator.written(now, from, answer, jitter, effects);
            }
            Response::State { voter, nonce, state, damaged } => {
                let answer = StateAnswer { voter, nonce, state, damaged };
                let request = self.recovery.state(now, from, answer, replica, records);
                effects.extend(request.map(Effect::Broadcast));
            }
            Response::Fenced { voter, generation, verdict, promised, end } => {
                let answer = FenceAnswer { voter, generation, verdict, promised, end };
                self.recovery.fenced(from, answer, replica);
                self.recovery.proceed(replica, records);
            }
            Response::Page { voter, nonce, valid, begin, next, entries } => {
                let page = PageAnswer { voter, nonce, valid, begin, next, entries };
                self.page(now, from, page, records, effects);
            }
            // It counts for nothing here; whoever watches over the agreement asks for itself.
            Response::Refused { .. } => {}
        }
    }

    /// Stops voting when others count this replica's answers only from a later life on, which it
    /// has not lived: another one has started over under its name, or its folder is an old copy.
    fn heed(&mut self, voter: &Voter, records: &mut Vec<Record>) {
        let generation = self.replica.metadata().generation;
        let Some(known) = voter.known.get(&self.address).copied() else { return };
        if known <= generation || self.replica.state() != ReplicaState::Voting {
            return;
        }
        tracing::error!(
            address = %self.address, generation, known,
            "another replica has started over under this one's address, or this one's folder is \
             an old copy; recovering from the others"
        );
        self.replica.update(records, |metadata| metadata.state = ReplicaState::Recovering);
    }

    fn page(
        &mut self,
        now: Instant,
        from: &Address,
        page: PageAnswer,
        records: &mut Vec<Record>,
        effects: &mut Vec<Effect>,
    ) {
        let replica = &mut self.replica;
        if self.catch_up.expects(page.nonce) {
            let before = replica.learned();
            replica.truncate(page.begin, records);
            for entry in page.entries.into_iter().filter(|entry| entry.learned) {
                replica.learn(entry.position, entry.ballot, entry.value, records);
            }
            self.catch_up.taken(now, replica.learned() > before);
        } else if let Some(survey) = self.coordinator.survey() {
            survey.page(from, page, replica, records);
            self.coordinator.proceed(now, replica, records, effects);
        } else if let Some(survey) = self.recovery.survey(now) {
            survey.page(from, page, replica, records);
            self.recovery.proceed(replica, records);
        }
    }

    fn ask_for_pages(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let retry = self.recovery.retry();
        let stale = |since: Instant| since + retry <= now;
        let mut send = |to: &Address, request| effects.push(Effect::Send(to.clone(), request));
        if let Some(survey) = self.coordinator.survey() {
            survey.ask(now, stale, &mut self.nonce, &mut send);
        } else if let Some(survey) = self.recovery.surveying_mut() {
            survey.ask(now, stale, &mut self.nonce, &mut send);
        }
    }

    /// Carries out what the parts want: what goes to the own replica is done at once.
    fn carry(&mut self, now: Instant, effects: Vec<Effect>, outputs: &mut Vec<Output>) {
        for effect in effects {
            match effect {
                Effect::Broadcast(request) => {
                    for member in self.members.clone() {
                        self.send(now, member, request.clone(), outputs);
                    }
                }
                Effect::Send(to, request) => self.send(now, to, request, outputs),
                Effect::Elected(client, ballot, position) => {
                    outputs.push(Output::Elected(client, ballot, position));
                }
                Effect::Written(client, result) => outputs.push(Output::Written(client, result)),
                Effect::Deposed(ballot) => outputs.push(Output::Deposed(ballot)),
            }
        }
    }

    fn send(&mut self, now: Instant, to: Address, request: Request, outputs: &mut Vec<Output>) {
        if to != self.address {
            outputs.push(Output::Send(to, request));
            return;
        }
        if matches!(request, Request::Inquire { .. } | Request::Fence { .. }) {
            return;
        }
        let mut records = Vec::new();
        let (response, _) = self.request(now, &to, request, &mut records);
        outputs.extend(persist(records));
        outputs.push(Output::Local(response));
    }

    fn tick(&mut self, now: Instant, records: &mut Vec<Record>, effects: &mut Vec<Effect>) {
        self.coordinator.tick(now, &self.replica, effects);
        let request = self.recovery.tick(now, &mut self.replica, &mut self.nonce, records);
        effects.extend(request.map(Effect::Broadcast));
        let request = self.catch_up.tick(now, &self.replica, &mut self.nonce);
        effects.extend(request.map(|(to, request)| Effect::Send(to, request)));
    }

    /// Tells those who wait for it that the replica votes, or that it never will.
    fn tell_voting(&mut self, outputs: &mut Vec<Output>) {
        let result = match self.recovery.hopeless() {
            _ if self.replica.is_voting() => Ok(()),
            Some(reason) => Err(LogError::Damaged(reason.to_owned())),
            None => return,
        };
        let clients = std::mem::take(&mut self.await_voting);
        outputs.extend(clients.into_iter().map(|client| Output::Voting(client, result.clone())));
    }
}

impl Machine for LogMachine {
    type Input = Input;
    type Output = Output;

    fn step(&mut self, now: Now, input: Input, outputs: &mut Vec<Output>) {
        let now = now.instant;
        let (mut records, mut effects) = (Vec::new(), Vec::new());
        let voted = self.replica.is_voting();
        match input {
            Input::Tick => self.tick(now, &mut records, &mut effects),
            Input::Request { from, caller, request } => {
                let (response, stored) = match self.refusal(now, &from) {
                    Some(refused) => (refused, Vec::new()),
                    None => self.request(now, &from.address, request, &mut records),
                };
                outputs.extend(persist(std::mem::take(&mut records)));
                outputs.push(Output::Reply { caller, response, stored });
            }
            Input::Response { response: Response::Refused { .. }, .. } => {}
            Input::Response { from, response } => {
                self.heed(response.voter(), &mut records);
                self.response(now, &from, response, &mut records, &mut effects);
            }
            Input::Members(mut members) => {
                members.insert(self.address.clone());
                self.members.clone_from(&members);
                self.coordinator.members(members.clone());
                outputs.push(Output::Members(members));
            }
            Input::AwaitVoting(client) => self.await_voting.push(client),
            Input::Elect(client) => {
                self.coordinator.elect(now, client, &self.replica, &mut effects);
            }
            Input::GiveUp(client) => self.coordinator.give_up(client, &mut effects),
            Input::Write { ballot, client, value } => {
                self.coordinator.write(ballot, client, value, &mut effects);
            }
            Input::Resign(ballot) => {
                if self.coordinator.ballot() == Some(ballot) {
                    self.coordinator.resign(&mut effects);
                }
            }
            Input::Damaged(position, damage) => {
                tracing::error!(%damage, "a record of the replicated log is damaged; healing it");
                self.replica.forget(position, &mut records);
            }
        }
        if voted && !self.replica.is_voting() {
            self.recovery.reset();
            self.coordinator.replica_left(now, &mut effects);
        }
        outputs.extend(persist(records));
        self.carry(now, effects, outputs);
        self.tell_voting(outputs);
    }

    /// Appends that have come together go out together.
    fn settle(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let now = now.instant;
        let (mut records, mut effects) = (Vec::new(), Vec::new());
        self.coordinator.pump(now, &mut self.replica, &mut records, &mut effects);
        self.ask_for_pages(now, &mut effects);
        outputs.extend(persist(records));
        self.carry(now, effects, outputs);
    }

    fn deadline(&self) -> Option<Instant> {
        let deadlines = [
            self.coordinator.deadline(),
            self.recovery.deadline(&self.replica),
            self.catch_up.deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn tick() -> Input {
        Input::Tick
    }
}

/// Records that come together go to the disk together.
fn persist(records: Vec<Record>) -> Option<Output> {
    (!records.is_empty()).then_some(Output::Persist(records))
}
