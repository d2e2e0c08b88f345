//! The oracle: it is told everything, and says when a rule is broken.
//!
//! Frameworks report what they see and do, daemons are looked into after each of their steps. The
//! first violation ends the run; the last events before it are kept with it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orrery_agent::Agent;
use orrery_api::v1;
use orrery_master::Master;
use orrery_runtime_sim::{Host, World};
use tokio::sync::mpsc;

use crate::checks::{Checks, Invariant, Violation};
use crate::invariants::offers::Offers;
use crate::invariants::records::Records;
use crate::invariants::runs::Runs;
use crate::invariants::tasks::Tasks;
use crate::invariants::{Session, conservation};
use crate::plan::Abuse;

/// How many events are kept for a failure's message.
const NOTES: usize = 60;

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
    notes: VecDeque<String>,
    offers: Offers,
    tasks: Tasks,
    records: Records,
    runs: Runs,
}

impl std::fmt::Debug for Oracle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Oracle")
    }
}

impl Oracle {
    /// An oracle that checks `checks`, and where its violations arrive.
    pub fn new(world: &World, checks: Checks) -> (Self, mpsc::UnboundedReceiver<Violation>) {
        let (violations, receiver) = mpsc::unbounded_channel();
        let state = Mutex::default();
        let inner = Inner { world: world.clone(), checks, state, violations };
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
        let at = self.inner.world.now().as_nanoseconds() as f64 / 1e9;
        let notes = &mut self.state().notes;
        if notes.len() == NOTES {
            notes.pop_front();
        }
        notes.push_back(format!("{at:>9.4} {who:<14} {text}"));
    }

    /// Reports a rule as broken if `checked` says so.
    pub fn check(&self, invariant: Invariant, checked: Result<(), String>) {
        let Err(message) = checked else { return };
        if !self.inner.checks.contains(invariant) {
            return;
        }
        // A daemon may break a promise of its own while this looks into it under the lock.
        let notes = self.inner.state.try_lock().map(|state| state.notes.clone());
        let before = notes.map(Vec::from).unwrap_or_default();
        let at = std::time::Duration::from_nanos(self.inner.world.now().as_nanoseconds());
        // Nobody listens once the run has ended with an earlier violation.
        let _ = self.inner.violations.send(Violation { invariant, at, message, before });
    }

    // What the daemons are.

    /// Looks into the master after a step.
    pub fn master_stepped(&self, master: &Master) {
        self.check(Invariant::Conservation, conservation::master(master));
        if self.inner.checks.contains(Invariant::Offers) {
            let checked = self.state().offers.master_stepped(master);
            self.check(Invariant::Offers, checked);
        }
        if self.inner.checks.contains(Invariant::Records) {
            let checked = self.state().records.master_stepped(master);
            self.check(Invariant::Records, checked);
        }
    }

    /// Looks into an agent after a step.
    pub fn agent_stepped(&self, agent: &Agent) {
        self.check(Invariant::Conservation, conservation::agent(agent));
    }

    /// Hosts on which tasks may run.
    pub fn watch_hosts(&self, hosts: Vec<Host>) {
        self.state().runs.watch_hosts(hosts);
    }

    /// Crashes a host, and sets what its disk then has lost against what had happened there.
    pub fn crash_host(&self, host: &Host) {
        let mut state = self.state();
        let before = state.runs.starts_on(host);
        host.crash();
        state.runs.forget_lost_starts(host, before);
    }

    // What frameworks see.

    /// An offer came.
    pub fn offered(&self, session: Session, offer: &v1::Offer) {
        let checked = self.state().offers.offered(session, offer);
        self.check(Invariant::Offers, checked);
    }

    /// An offer was rescinded.
    pub fn rescinded(&self, session: Session, id: &v1::OfferId) {
        self.state().offers.rescinded(session, id);
    }

    /// All offers of a session are void: its subscription is over.
    pub fn offers_void(&self, session: Session) {
        self.state().offers.void(session);
    }

    /// An agent's loss was told.
    pub fn agent_lost(&self, session: Session, agent: &v1::AgentId) {
        let checked = self.state().offers.agent_lost(session, agent);
        self.check(Invariant::Offers, checked);
    }

    /// A status arrived. `explicit` tells whether the framework acknowledges by itself.
    pub fn updated(&self, session: Session, status: &v1::TaskStatus, explicit: bool) {
        let id = &status.task_id.value;
        let mut state = self.state();
        let told = state.tasks.updated(session, status, explicit);
        let runs = state.runs.updated(status);
        let forbidden = state.runs.check_forbidden(id);
        drop(state);
        self.check(Invariant::Tasks, told);
        self.check(Invariant::Runs, runs);
        self.check(Invariant::Offers, forbidden);
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
        for task in tasks {
            state.tasks.launched(session, task);
            state.runs.launched(&task.task_id.value, allowed);
        }
    }

    /// Offers are about to be declined.
    pub fn declining(&self, session: Session, offers: &[v1::OfferId]) {
        self.state().offers.accepted(session, offers);
    }

    /// An update was acknowledged by the framework itself.
    pub fn acknowledged(&self, status: &v1::TaskStatus) {
        self.state().tasks.acknowledged(status);
    }

    /// An offer that `session` must not use, of the kind asked for, and its agent.
    pub fn bad_offer(&self, session: Session, abuse: Abuse) -> Option<(v1::OfferId, v1::AgentId)> {
        self.state().offers.bad_offer(session, abuse)
    }

    // At rest.

    /// Whether every task has settled, given what the agents that live have.
    ///
    /// # Errors
    /// The first task that has not, and why.
    pub fn check_settled(
        &self,
        agents: &crate::invariants::tasks::AgentTasks,
    ) -> Result<(), String> {
        self.state().tasks.check_settled(agents)
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

    /// How many tasks were launched, and how many of them are known to have started.
    pub fn launched_and_started(&self) -> (usize, usize) {
        self.state().runs.launched_and_started()
    }
}
