//! The oracle: it is told everything, and says when a rule is broken.
//!
//! Frameworks report what they see and do, daemons are looked into after each of their steps. The
//! first violation ends the run; the last events before it are kept with it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orrery_agent::Agent;
use orrery_api::v1;
use orrery_master::Master;
use orrery_runtime::Instant;
use orrery_runtime_sim::{Host, World};
use tokio::sync::mpsc;

use crate::checks::{Checks, Invariant, Violation};
use crate::copies::Copies;
use crate::invariants::acknowledgements::Acknowledgements;
use crate::invariants::answers::{Answers, Question};
use crate::invariants::conservation::Books;
use crate::invariants::executors::Exits;
use crate::invariants::identity::Identity;
use crate::invariants::kills::Kills;
use crate::invariants::losses::Losses;
use crate::invariants::membership::Membership;
use crate::invariants::offers::Offers;
use crate::invariants::order::Order;
use crate::invariants::records::Records;
use crate::invariants::registry::Registry;
use crate::invariants::returns::Returns;
use crate::invariants::roles::Roles;
use crate::invariants::runs::Runs;
use crate::invariants::states::Understood;
use crate::invariants::tasks::{AgentTasks, Tasks};
use crate::invariants::truth::Truth;
use crate::invariants::written::Written;
use crate::invariants::{Session, conservation, executors, identity, reconciliation, streams};
use crate::plan::{Abuse, Place, Shape};

/// How many events are kept for a failure's message.
const NOTES: usize = 60;

/// What a master says to an agent that comes from another machine than it is registered at, and to
/// one whose former address a new agent has taken.
const SENT_AWAY: [&str; 3] = [
    "the same agent cannot come from",
    "a new agent registered at the same address",
    "Agent is gone for good",
];

/// The masters that have led, one after the other, as they began. One that was deposed and has not
/// noticed yet may take steps; it can change nothing that matters, and is not looked at any more.
#[derive(Debug, Default)]
struct Terms {
    /// Ids of masters, the last one the latest.
    ids: Vec<String>,
}

impl Terms {
    fn is_latest(&mut self, master: &Master) -> bool {
        let id = &master.options().master_info.id;
        if self.ids.last() != Some(id) && !self.ids.contains(id) {
            self.ids.push(id.clone());
        }
        self.ids.last() == Some(id)
    }
}

/// Something that happened. Most are forgotten before anybody reads them.
#[derive(Debug)]
struct Note {
    at: Instant,
    who: String,
    text: String,
}

impl std::fmt::Display for Note {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self { who, text, .. }, at) = (self, self.at.as_nanoseconds() as f64 / 1e9);
        write!(formatter, "{at:>9.4} {who:<14} {text}")
    }
}

/// Watches one run. Cheap to clone.
#[derive(Clone)]
pub struct Oracle {
    inner: Arc<Inner>,
}

struct Inner {
    world: World,
    checks: Checks,
    state: Mutex<State>,
    violations: mpsc::UnboundedSender<Violation>,
}

#[derive(Debug, Default)]
struct State {
    notes: VecDeque<Note>,
    truth: Truth,
    books: Books,
    terms: Terms,
    /// Whether hosts take addresses from each other.
    addresses_move: bool,
    /// The masters' copies of the registry. Nothing can survive the loss of most of them.
    copies: Copies,
    /// What each framework understands, by number.
    understood: BTreeMap<usize, Understood>,
    offers: Offers,
    tasks: Tasks,
    order: Order,
    acknowledgements: Acknowledgements,
    answers: Answers,
    losses: Losses,
    returns: Returns,
    exits: Exits,
    kills: Kills,
    records: Records,
    registry: Registry,
    membership: Membership,
    identity: Identity,
    roles: Roles,
    runs: Runs,
    written: Written,
    /// Hosts whose daemons may end by themselves.
    excused: BTreeMap<String, usize>,
    /// Hosts that have got another address.
    moved: BTreeSet<String>,
    /// Hosts whose daemons have ended as they had to, and are to be started again.
    ended: BTreeSet<String>,
}

impl std::fmt::Debug for Oracle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Oracle")
    }
}

impl Oracle {
    /// An oracle that checks `checks` in a cluster of this shape, and where its violations arrive.
    pub fn new(
        world: &World,
        checks: Checks,
        shape: &Shape,
    ) -> (Self, mpsc::UnboundedReceiver<Violation>) {
        let (violations, receiver) = mpsc::unbounded_channel();
        let state = State {
            copies: Copies::of(shape),
            membership: Membership::of(shape),
            registry: Registry::of(shape),
            ..State::default()
        };
        let inner = Inner { world: world.clone(), checks, state: Mutex::new(state), violations };
        let oracle = Self { inner: Arc::new(inner) };
        oracle.watch_promises();
        (oracle, receiver)
    }

    /// Is told when the product's code breaks a promise of its own on this run's thread.
    fn watch_promises(&self) {
        let inner = Arc::downgrade(&self.inner);
        orrery_coverage::watch(move |breach| {
            if let Some(inner) = inner.upgrade() {
                Self { inner }.check(Invariant::Always, Err(breach.to_string()));
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers an event, and adds it to the trace.
    pub fn note(&self, who: &str, text: &str) {
        self.inner.world.trace(who, "note", text);
        let at = self.inner.world.now();
        let notes = &mut self.state().notes;
        if notes.len() == NOTES {
            notes.pop_front();
        }
        notes.push_back(Note { at, who: who.to_owned(), text: text.to_owned() });
    }

    /// Reports a rule as broken if `checked` says so.
    pub fn check(&self, invariant: Invariant, checked: Result<(), String>) {
        let Err(message) = checked else { return };
        if !self.inner.checks.contains(invariant) {
            return;
        }
        // A daemon may break a promise of its own while this looks into it under the lock.
        let state = self.inner.state.try_lock();
        let before = state.map(|state| state.notes.iter().map(Note::to_string).collect());
        let before = before.unwrap_or_default();
        let at = std::time::Duration::from_nanos(self.inner.world.now().as_nanoseconds());
        // Nobody listens once the run has ended with an earlier violation.
        let _ = self.inner.violations.send(Violation { invariant, at, message, before });
    }

    /// Reports a rule as broken if `checked` finds so, in a run that checks it.
    fn check_with(
        &self,
        invariant: Invariant,
        checked: impl FnOnce(&mut State) -> Result<(), String>,
    ) {
        if self.inner.checks.contains(invariant) {
            let checked = checked(&mut self.state());
            self.check(invariant, checked);
        }
    }

    // What the daemons are.

    /// Looks into a master after a step. Most steps, such as those of pings, change nothing.
    pub fn master_stepped(&self, master: &Master) {
        let mut state = self.state();
        let registry_is_lost = state.copies.were_lost();
        let now = self.inner.world.now();
        if !state.terms.is_latest(master) {
            drop(state);
            return self.check_with(Invariant::Registry, |state| {
                if registry_is_lost { Ok(()) } else { state.registry.deposed_stepped(master, now) }
            });
        }
        let changes = state.books.look_at(master);
        let agents_changed = state.registry.is_behind(master, &state.truth);
        drop(state);
        self.check_with(Invariant::Answers, |state| state.answers.check(now));
        if !changes.is_empty() {
            self.check_with(Invariant::Conservation, |_| conservation::master(master, &changes));
            self.check_with(Invariant::Offers, |state| state.offers.master_stepped(master));
            self.check_with(Invariant::Records, |state| state.records.master_stepped(master));
            self.check_with(Invariant::Roles, |state| state.roles.master_stepped(master));
        }
        if agents_changed || changes.has_moved_agents() {
            self.agents_moved(master);
        }
    }

    /// Looks into a master in which agents have come or gone, or which has not been compared with
    /// what agents were told since.
    fn agents_moved(&self, master: &Master) {
        self.check_with(Invariant::Identity, |state| {
            if state.addresses_move { Ok(()) } else { identity::master(master) }
        });
        let mut state = self.state();
        state.kills.master_stepped(master);
        let leaders = state.terms.ids.len();
        let present = master.agents().map(|(_, agent)| agent.id().to_owned()).collect();
        state.tasks.agents_seen(leaders, present);
        drop(state);
        let now = self.inner.world.now();
        self.check_with(Invariant::Membership, |state| {
            state.membership.master_stepped(master, now)
        });
        self.check_with(Invariant::Registry, |state| {
            let moving = state.addresses_move;
            let checked = state.registry.latest_stepped(master, &state.truth, moving, now);
            if state.copies.were_lost() { Ok(()) } else { checked }
        });
    }

    /// Looks into an agent after a step.
    pub fn agent_stepped(&self, host: &str, agent: &Agent) {
        let has_changed = self.state().truth.agent_stepped(host, agent);
        if has_changed {
            self.check_with(Invariant::Conservation, |_| conservation::agent(agent));
        }
        self.check_with(Invariant::Executors, |_| executors::agent(agent));
        self.check_with(Invariant::Identity, |state| state.identity.agent_stepped(host, agent));
    }

    /// The daemon of an agent is being started.
    pub fn agent_started(&self, host: &str) {
        let mut state = self.state();
        state.truth.started(host);
        state.identity.started(host);
    }

    /// Hosts on which tasks may run.
    pub fn watch_hosts(&self, hosts: Vec<Host>) {
        let mut state = self.state();
        state.truth.watch_hosts(hosts.clone());
        state.written.watch_hosts(hosts.clone());
        state.runs.watch_hosts(hosts);
    }

    /// Does something that may lose what hosts have on their disks, and sets what they then have
    /// lost against what had happened there.
    pub fn losing<T>(&self, hosts: &[Host], action: impl FnOnce() -> T) -> T {
        let mut state = self.state();
        let before: Vec<_> = hosts.iter().map(|host| state.runs.starts_on(host)).collect();
        drop(state);
        let value = action();
        state = self.state();
        for (host, before) in hosts.iter().zip(before) {
            state.runs.forget_lost_starts(host, before);
        }
        value
    }

    /// From now on the daemon of a host may end by itself, or may not: its disk takes nothing.
    pub(crate) fn excuse(&self, host: &str, is_excused: bool) {
        let mut state = self.state();
        // What excuses a host may come twice and end once.
        let times = state.excused.entry(host.to_owned()).or_default();
        *times = if is_excused { *times + 1 } else { times.saturating_sub(1) };
    }

    /// From now on addresses go from one host to another, and who was at one is replaced there.
    pub(crate) fn addresses_move(&self) {
        let mut state = self.state();
        state.addresses_move = true;
        state.identity.all_may_change();
    }

    /// A host gets another address: while its agent counts as being at the old one, it is sent
    /// away.
    pub(crate) fn address_changes(&self, host: &str) {
        self.state().moved.insert(host.to_owned());
    }

    /// Masters that are started from now on give up as many agents as do not return.
    pub(crate) fn removal_limit_lifted(&self) {
        self.state().membership.lift_limit();
    }

    /// The places whose daemons have ended as they had to since this was asked last.
    pub(crate) fn take_ended(&self) -> Vec<Place> {
        let ended = std::mem::take(&mut self.state().ended);
        ended.iter().filter_map(|host| Place::of_host(host)).collect()
    }

    /// The agent of a host has begun to clean up what it has left.
    pub(crate) fn cleans_up(&self, host: &str) {
        self.state().identity.cleans_up(host);
    }

    /// Something happens to a host after which its agent may become another one.
    pub(crate) fn may_change_identity(&self, host: &str) {
        self.state().identity.may_change(host);
    }

    /// A disk has lost what was durable there, or holds something else.
    pub(crate) fn disk_spoiled(&self) {
        self.state().written.disk_spoiled();
    }

    /// The disk of a host does wrong.
    pub(crate) fn disk_fault(&self, host: &str) {
        self.state().written.disk_fault(host);
    }

    /// An agent finds what an earlier run has written down damaged.
    pub(crate) fn checkpoints_refused(&self, host: &str, why: &str) {
        self.check_with(Invariant::Written, |state| state.written.refused(host, why));
    }

    /// An executor of a framework that checkpoints is sure that its agent has done something, which
    /// has left `bytes` on the disk.
    pub(crate) fn acted_upon(&self, host: &Host, what: &str, bytes: &[u8]) {
        self.check_with(Invariant::Written, |state| state.written.acted_upon(host, what, bytes));
    }

    /// Executors end by themselves from now on.
    pub(crate) fn executors_misbehave(&self) {
        self.state().exits.misbehave();
    }

    /// The command executor of a task has ended by itself and as if all was well.
    pub(crate) fn executor_left_well(&self, task: &str) {
        self.state().exits.left_well(task);
    }

    /// A daemon has ended by itself. A master that can have no registry does, and one that would
    /// have to give up more agents than it may; and an agent at another address than it had.
    pub fn daemon_ended(&self, host: &str, error: &str) {
        self.note(host, &format!("ends: {error}"));
        let mut state = self.state();
        let is_excused = state.excused.get(host).is_some_and(|times| *times > 0);
        let is_master = matches!(Place::of_host(host), Some(Place::Master(_)));
        let has_no_registry = is_master && state.copies.proof().is_some();
        let is_elsewhere =
            state.moved.contains(host) && SENT_AWAY.iter().any(|message| error.contains(message));
        let may_end = is_elsewhere || is_master && state.membership.may_end(error);
        if may_end {
            state.ended.insert(host.to_owned());
        }
        drop(state);
        if !(is_excused || has_no_registry || may_end) {
            self.check(Invariant::Daemons, Err(format!("{host}: {error}")));
        }
    }

    // What frameworks see.

    /// A process of a framework is started, which subscribes as `info`.
    pub fn framework_started(&self, session: Session, info: &v1::FrameworkInfo) {
        let mut state = self.state();
        state.understood.insert(session.framework, Understood::by(info));
        state.kills.started(session);
        state.answers.started(session);
        state.written.framework_started(session.framework, info);
    }

    /// A process is subscribed.
    pub fn subscribed(&self, session: Session) {
        let mut state = self.state();
        state.roles.subscribed(session);
        state.tasks.subscribed(session);
    }

    /// A framework was removed for good, and with it all of its tasks.
    pub fn framework_removed(&self, session: Session) {
        self.state().tasks.framework_removed(session.framework);
    }

    /// An offer came.
    pub fn offered(&self, session: Session, offer: &v1::Offer) {
        let checked = self.state().offers.offered(session, offer);
        self.check(Invariant::Offers, checked);
        self.check_with(Invariant::Roles, |state| state.roles.offered(session));
    }

    /// An offer was rescinded.
    pub fn rescinded(&self, session: Session, id: &v1::OfferId) {
        self.state().offers.rescinded(session, id);
    }

    /// All offers of a session are void: its subscription is over, or begins.
    pub fn offers_void(&self, session: Session) {
        let mut state = self.state();
        state.offers.void(session);
        state.answers.subscription_changed(session);
        state.losses.subscription_changed(session);
        state.returns.subscription_changed(session);
    }

    /// An agent's loss was told.
    pub fn agent_lost(&self, session: Session, agent: &v1::AgentId) {
        let checked = self.state().offers.agent_lost(session, agent);
        self.check(Invariant::Offers, checked);
        self.check_with(Invariant::Losses, |state| state.losses.agent_lost(session, agent));
    }

    /// A status arrived. `explicit` tells whether the framework acknowledges by itself.
    pub fn updated(&self, session: Session, status: &v1::TaskStatus, explicit: bool) {
        let id = &status.task_id.value;
        let mut guard = self.state();
        let state = &mut *guard;
        let understood = state.understood.get(&session.framework).copied();
        let aware = understood.is_none_or(|understood| understood.partitions);
        state.losses.updated(session, status);
        // A master that has lost the registry knows of no agent that it has not heard of.
        let reconciled = match state.copies.were_lost() {
            true => Ok(()),
            false => reconciliation::updated(&state.truth, &state.registry, status, aware),
        };
        let found = [
            (Invariant::Answers, state.answers.heard(session, id)),
            (Invariant::Returns, state.returns.updated(&state.truth, session, status, aware)),
            (Invariant::Tasks, state.tasks.updated(session, status, aware)),
            (Invariant::Order, state.order.updated(session, status)),
            (
                Invariant::Acknowledgements,
                state.acknowledgements.updated(session, status, explicit),
            ),
            (Invariant::Reconciliation, reconciled),
            (Invariant::States, understood.map_or(Ok(()), |it| it.check(status))),
            (Invariant::Executors, state.exits.updated(status)),
            (Invariant::Runs, state.runs.updated(status)),
            (Invariant::Written, state.written.updated(session.framework, status)),
            (Invariant::Offers, state.runs.check_forbidden(id)),
        ];
        drop(guard);
        found.into_iter().for_each(|(invariant, checked)| self.check(invariant, checked));
    }

    // What frameworks do.

    /// Offers are about to be accepted for tasks.
    pub fn launching(
        &self,
        session: Session,
        offers: &[v1::OfferId],
        tasks: &[v1::TaskInfo],
        abuse: Option<Abuse>,
    ) {
        let mut state = self.state();
        let allowed = state.offers.accepted(session, offers) && abuse.is_none();
        let now = self.inner.world.now();
        for task in tasks {
            let id = &task.task_id.value;
            state.answers.asked(now, session, id, Question::Launch);
            if abuse.is_some() {
                state.answers.is_due(session, id, None);
            }
            state.tasks.launched(session, task);
            state.exits.launched(task);
            state.runs.launched(&task.task_id.value, allowed);
        }
    }

    /// Offers are about to be declined.
    pub fn declining(&self, session: Session, offers: &[v1::OfferId]) {
        self.state().offers.accepted(session, offers);
    }

    /// A task that was launched on `agent` is about to be killed.
    pub fn killing(&self, session: Session, task: &str, agent: Option<&v1::AgentId>) {
        let mut state = self.state();
        if state.tasks.is_believed_to_live(task) {
            state.answers.asked(self.inner.world.now(), session, task, Question::Kill);
        }
        if let Some(agent) = agent {
            state.kills.killed(session, task, &agent.value);
        }
    }

    /// A framework is about to ask for a task that nobody has launched.
    pub fn asking_for_invented(&self, session: Session, task: &str) {
        let mut state = self.state();
        state.answers.asked(self.inner.world.now(), session, task, Question::Unknown);
        state.answers.fenced(session, task);
    }

    /// A framework is about to kill a task that nobody has launched, after it has asked for
    /// another one, `fence`.
    pub fn killing_invented(&self, session: Session, task: &str, fence: &str) {
        let mut state = self.state();
        state.answers.asked(self.inner.world.now(), session, task, Question::Kill);
        state.answers.is_due(session, task, Some(fence));
    }

    /// A framework is told something of a task that nobody has launched.
    pub fn invented_answered(&self, session: Session, task: &str) {
        self.check_with(Invariant::Answers, |state| state.answers.heard(session, task));
    }

    /// Something goes wrong from now on, or all is well.
    pub(crate) fn set_troubled(&self, troubled: bool) {
        self.state().answers.set_troubled(troubled);
    }

    /// A framework is about to ask for a task of which it knows that it has ended.
    pub fn asking_after_end(&self, task: &str) {
        self.state().tasks.asked_after_end(task);
    }

    /// Offers in all roles are suppressed from now on, or wanted again.
    pub fn suppressing(&self, session: Session, suppressed: bool, is_subscribed: bool) {
        self.state().roles.suppressed(session, suppressed, is_subscribed);
    }

    /// An update was acknowledged by the framework itself.
    pub fn acknowledged(&self, status: &v1::TaskStatus) {
        self.state().acknowledgements.acknowledged(status);
    }

    /// An offer that `session` must not use, of the kind asked for, and its agent.
    pub fn bad_offer(&self, session: Session, abuse: Abuse) -> Option<(v1::OfferId, v1::AgentId)> {
        self.state().offers.bad_offer(session, abuse)
    }

    // At rest.

    /// Whether the framework of a task takes it for over although it may be running, and nobody can
    /// be blamed for that.
    pub(crate) fn is_given_up(&self, task: &str) -> bool {
        self.state().tasks.is_given_up(task)
    }

    /// Whether every task has settled, given what the agents that live have, but for those of
    /// frameworks in `away`.
    ///
    /// # Errors
    /// The first task that has not, and why.
    pub fn check_settled(&self, agents: &AgentTasks, away: &BTreeSet<usize>) -> Result<(), String> {
        self.state().tasks.check_settled(agents, away)
    }

    /// Whether every task that was killed has ended, but for those of frameworks in `away`.
    ///
    /// # Errors
    /// The first that has not.
    pub fn check_kills(&self, away: &BTreeSet<usize>) -> Result<(), String> {
        let state = self.state();
        state.kills.check(&state.truth, away)
    }

    /// Whether frameworks have heard of all the offers that are open in the master.
    ///
    /// # Errors
    /// The first offer that none has heard of.
    pub fn check_streams(&self, open: &[String]) -> Result<(), String> {
        streams::check(&self.state().offers, open)
    }

    /// Whether no process of a task lives that has ended.
    ///
    /// # Errors
    /// The first that does.
    pub fn check_processes(&self) -> Result<(), String> {
        let state = self.state();
        state.runs.check_processes(&state.tasks)
    }

    /// Checks all runs once more, at the end.
    pub fn check_runs(&self) {
        let state = self.state();
        let runs = state.runs.check_all();
        let forbidden = state.runs.check_all_forbidden();
        drop(state);
        self.check(Invariant::Runs, runs);
        self.check(Invariant::Offers, forbidden);
    }

    /// Changes what is known of the masters' copies of the registry.
    pub(crate) fn copies(&self, change: impl FnOnce(&mut Copies)) {
        change(&mut self.state().copies);
    }

    /// Why the masters can have no registry, if that can be proved.
    pub(crate) fn lost_registry(&self) -> Option<String> {
        self.state().copies.proof()
    }

    /// How many masters have led before the one with this id, if it has led.
    pub(crate) fn term_of(&self, master_id: &str) -> Option<usize> {
        self.state().terms.ids.iter().position(|id| id == master_id)
    }

    /// Whether any master has ever led.
    pub(crate) fn has_led(&self) -> bool {
        !self.state().terms.ids.is_empty()
    }

    /// How many tasks were launched, and how many of them are known to have started.
    pub fn launched_and_started(&self) -> (usize, usize) {
        self.state().runs.launched_and_started()
    }
}
