//! The frameworks of a run: written with the project's own library, each with a temper, and telling
//! the oracle everything.

mod blunder;
mod operate;
mod store;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orrery_api::v1::scheduler::call::reconcile;
use orrery_api::v1::{self, TaskState};
use orrery_model::{Resources, task_state};
use orrery_runtime::{Generator, Instant};
use orrery_scheduler::{Acknowledgements, Context, Event, Framework};

use crate::checks::Invariant;
use crate::invariants::Session;
use crate::oracle::Oracle;
use crate::plan::{Executor, Profile, Temper};

pub use store::{Store, StoreHandle};
pub(crate) use task::script_of;
use task::{executor_needs, give_to_executor};
pub use task::{needed, task_info};

/// How long what nobody wants is not offered again, in seconds.
const REFUSAL: f64 = 1.0;
/// How often a process asks again for the tasks that it took over.
const RECONCILE_INTERVAL: Duration = Duration::from_secs(5);
/// What a framework says when another process took its place.
const FAILED_OVER: &str = "Framework failed over";
/// What it says when the framework was away for longer than its time-out.
const REMOVED: &str = "Framework has been removed";

/// One process of a framework.
pub struct Workload {
    session: Session,
    name: String,
    profile: Profile,
    oracle: Oracle,
    store: StoreHandle,
    random: Generator,
    /// Open offers, kept.
    held: BTreeMap<String, v1::Offer>,
    /// Tasks to kill, by time.
    kills: BTreeSet<(Instant, String)>,
    /// Updates to acknowledge, by time.
    owed: Vec<(Instant, v1::TaskStatus)>,
    /// Tasks taken over from an earlier process whose state nobody has told yet.
    unanswered: BTreeSet<String>,
    /// Ids that it has made up, for which no task was launched.
    invented: BTreeSet<String>,
    /// When to ask for those that nobody has told.
    ask_at: Option<Instant>,
}

impl std::fmt::Debug for Workload {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Workload({:?})", self.session)
    }
}

impl Workload {
    /// A process of a framework that keeps what must outlive it in `store`.
    pub fn new(
        session: Session,
        profile: Profile,
        oracle: Oracle,
        store: StoreHandle,
        random: Generator,
    ) -> Self {
        Self {
            session,
            name: format!("framework-{}/{}", session.framework, session.number),
            profile,
            oracle,
            store,
            random,
            held: BTreeMap::new(),
            kills: BTreeSet::new(),
            owed: Vec::new(),
            unanswered: BTreeSet::new(),
            invented: BTreeSet::new(),
            ask_at: None,
        }
    }

    fn note(&self, text: &str) {
        self.oracle.note(&self.name, text);
    }

    fn subscribed(&mut self, context: &mut Context<'_>, id: v1::FrameworkId, again: bool) {
        self.note(&format!("subscribed as {}", id.value));
        self.oracle.subscribed(self.session);
        self.void_offers();
        let live = {
            let mut store = self.store.lock();
            store.framework_id = Some(id);
            store.live()
        };
        if !again {
            // The library knows nothing of what earlier processes have launched.
            self.unanswered = live.into_iter().collect();
            self.ask(context);
        }
        self.use_offers(context);
    }

    /// Asks for what was taken over, again and again: a master stays silent for as long as an agent
    /// may still come back.
    pub(crate) fn ask(&mut self, context: &mut Context<'_>) {
        if self.unanswered.is_empty() {
            self.ask_at = None;
            return;
        }
        let store = self.store.lock();
        let tasks = self.unanswered.iter().map(|id| reconcile::Task {
            task_id: v1::TaskId { value: id.clone() },
            agent_id: store.agent_of(id),
        });
        let tasks: Vec<_> = tasks.collect();
        drop(store);
        context.reconcile(tasks);
        let at = context.now().instant + RECONCILE_INTERVAL;
        self.ask_at = Some(at);
        context.wake_at(at);
    }

    fn void_offers(&mut self) {
        self.held.clear();
        self.oracle.offers_void(self.session);
    }

    fn offers(&mut self, context: &mut Context<'_>, offers: Vec<v1::Offer>) {
        for offer in offers {
            let (id, agent) = (offer.id.value.clone(), &offer.agent_id.value);
            self.note(&format!("offered {} of {}", short(&id), short(agent)));
            self.oracle.offered(self.session, &offer);
            self.held.insert(id, offer);
        }
        self.use_offers(context);
    }

    /// Puts the wanted tasks on the offers that are held, and lets go of those that are not kept.
    pub(crate) fn use_offers(&mut self, context: &mut Context<'_>) {
        if !context.is_subscribed() {
            return;
        }
        let keep = self.profile.temper == Temper::Hoarder && !self.store.lock().quiet;
        let mut unwanted = Vec::new();
        for (id, offer) in std::mem::take(&mut self.held) {
            if !self.store.lock().wants_more() {
                match keep {
                    true => drop(self.held.insert(id, offer)),
                    false => unwanted.push(offer.id),
                }
                continue;
            }
            let offered = Resources::from_messages(&offer.resources).unwrap_or_default();
            let room = |rest: &Resources| rest.checked_sub(&needed());
            let mut rest = self.left_by_executor(offered.unallocated());
            let mut tasks = Vec::new();
            while let Some(left) = room(&rest) {
                let Some(task) = self.next_task(&offer) else { break };
                rest = left;
                tasks.push(task);
            }
            match tasks.is_empty() {
                true if keep => drop(self.held.insert(id, offer)),
                true => unwanted.push(offer.id),
                false => self.launch(context, &[offer.id], tasks),
            }
        }
        if !unwanted.is_empty() {
            self.decline(context, &unwanted);
        }
    }

    /// What tasks may take of an offer, if their executor must be started, too.
    fn left_by_executor(&self, offered: Resources) -> Resources {
        match self.profile.executor {
            Executor::Command => offered,
            Executor::Custom => offered.checked_sub(&executor_needs()).unwrap_or_default(),
        }
    }

    /// The next wanted task, for the agent and the role of an offer.
    fn next_task(&mut self, offer: &v1::Offer) -> Option<v1::TaskInfo> {
        let task = self.store.lock().next_wanted(self.session, &offer.agent_id)?;
        if self.profile.executor == Executor::Command {
            return Some(task);
        }
        let role = offer.allocation_info.as_ref().and_then(|it| it.role.as_deref());
        Some(give_to_executor(task, self.session.framework, role.unwrap_or("*")))
    }

    fn launch(
        &mut self,
        context: &mut Context<'_>,
        offers: &[v1::OfferId],
        tasks: Vec<v1::TaskInfo>,
    ) {
        let ids: Vec<String> = tasks.iter().map(|task| task.task_id.value.clone()).collect();
        self.note(&format!("launches {ids:?} on {:?}", short_ids(offers)));
        self.oracle.launching(self.session, offers, &tasks, None);
        context.launch(offers, tasks, Some(self.filters()));
        if self.profile.temper == Temper::Killer && !self.store.lock().quiet {
            for id in ids {
                self.plan_kill(context, id);
            }
        }
    }

    /// A third is killed in the same breath, a third within milliseconds, the rest within seconds.
    fn plan_kill(&mut self, context: &mut Context<'_>, id: String) {
        let delay = match self.random.below(3) {
            0 => return self.kill(context, &id),
            1 => self.random.below(30),
            _ => self.random.below(5_000),
        };
        let at = context.now().instant + Duration::from_millis(delay);
        self.kills.insert((at, id));
        context.wake_at(at);
    }

    pub(crate) fn kill(&mut self, context: &mut Context<'_>, id: &str) {
        self.note(&format!("kills {id}"));
        let agent = self.store.lock().agent_of(id);
        self.oracle.killing(self.session, id, agent.as_ref());
        context.kill(&v1::TaskId { value: id.to_owned() }, None);
    }

    fn decline(&mut self, context: &mut Context<'_>, offers: &[v1::OfferId]) {
        self.oracle.declining(self.session, offers);
        context.decline(offers, Some(self.filters()));
    }

    /// How long offers are not made again.
    fn filters(&self) -> v1::Filters {
        let seconds = if self.profile.temper == Temper::Decliner { 0.0 } else { REFUSAL };
        v1::Filters { refuse_seconds: Some(seconds) }
    }

    fn updated(&mut self, context: &mut Context<'_>, status: v1::TaskStatus) {
        if self.invented.contains(&status.task_id.value) {
            // What a master says of a task that nobody has launched concerns no task.
            self.oracle.invented_answered(self.session, &status.task_id.value);
            return context.forget(&status.task_id);
        }
        let (id, state) = (&status.task_id.value, status.state());
        let uuid = if status.uuid.is_some() { "" } else { " (master)" };
        let message = status.message.as_deref().unwrap_or_default();
        self.note(&format!("is told {} of {id}{uuid} {message}", state.as_str_name()));
        // When the agent returns to another master, only another question tells.
        if !matches!(state, TaskState::TaskUnreachable | TaskState::TaskUnknown) {
            self.unanswered.remove(id);
        }
        let explicit = self.acknowledgements() == Acknowledgements::Explicit;
        self.oracle.updated(self.session, &status, explicit);
        self.store.lock().updated(&status);
        if explicit && status.uuid.as_ref().is_some_and(|uuid| !uuid.is_empty()) {
            let delay = if self.store.lock().quiet { 0 } else { self.random.below(3_000) };
            let at = context.now().instant + Duration::from_millis(delay);
            self.owed.push((at, status));
            context.wake_at(at);
        }
    }

    fn tick(&mut self, context: &mut Context<'_>) {
        let now = context.now().instant;
        while let Some((at, id)) = self.kills.first().cloned().filter(|(at, _)| *at <= now) {
            self.kills.remove(&(at, id.clone()));
            let known = self.store.lock().state_of(&id);
            if !known.is_some_and(task_state::is_terminal) {
                self.kill(context, &id);
            }
        }
        self.acknowledge_due(context, now);
        if self.ask_at.is_some_and(|at| at <= now) {
            self.ask(context);
        }
    }

    fn acknowledge_due(&mut self, context: &mut Context<'_>, now: Instant) {
        let (due, later) =
            std::mem::take(&mut self.owed).into_iter().partition(|(at, _)| *at <= now);
        self.owed = later;
        let due: Vec<(Instant, v1::TaskStatus)> = due;
        for (_, status) in due {
            self.oracle.acknowledged(&status);
            context.acknowledge(&status);
        }
    }

    fn refused(&mut self, message: String) {
        self.note(&format!("refused: {message}"));
        let checked = match message.as_str() {
            FAILED_OVER if self.store.lock().sessions > 1 => Ok(()),
            REMOVED if self.profile.can_be_removed() => {
                self.store.lock().removed();
                self.oracle.framework_removed(self.session);
                Ok(())
            }
            _ => Err(format!("{}: {message}", self.name)),
        };
        self.oracle.check(Invariant::Daemons, checked);
    }
}

impl Framework for Workload {
    fn event(&mut self, context: &mut Context<'_>, event: Event) {
        match event {
            Event::Subscribed { framework_id, resubscribed, .. } => {
                self.subscribed(context, framework_id, resubscribed);
            }
            Event::Offers(offers) => self.offers(context, offers),
            Event::Rescind(id) => {
                self.note(&format!("loses {}", short(&id.value)));
                self.held.remove(&id.value);
                self.oracle.rescinded(self.session, &id);
            }
            Event::Update(status) => self.updated(context, status),
            Event::Failure { agent_id: Some(agent), executor_id: None, .. } => {
                self.note(&format!("hears that {} is lost", short(&agent.value)));
                self.oracle.agent_lost(self.session, &agent);
            }
            Event::Disconnected { reason } => {
                self.note(&format!("disconnected: {reason}"));
                self.void_offers();
            }
            Event::CallRefused { call, status, text } => {
                self.note(&format!("{} refused: {status} {text}", call.as_str_name()));
            }
            Event::Error(message) => self.refused(message),
            Event::Tick => self.tick(context),
            _ => {}
        }
    }

    fn acknowledgements(&self) -> Acknowledgements {
        match self.profile.temper {
            Temper::Careful => Acknowledgements::Explicit,
            _ => Acknowledgements::Automatic,
        }
    }
}

/// What tells ids of one run apart.
fn short(id: &str) -> &str {
    id.rsplit('-').next().unwrap_or(id)
}

fn short_ids(ids: &[v1::OfferId]) -> Vec<&str> {
    ids.iter().map(|id| short(&id.value)).collect()
}
