//! The framework's side of a subscription: what is connected, known, owed and due.

use std::collections::BTreeSet;
use std::time::Duration;

use orrery_api::v1;
use orrery_api::v1::scheduler::{Call, OfferConstraints, call};
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::{Generator, Instant};

use crate::backoff::Backoff;
use crate::calls::Calls;
use crate::machine::{Ending, Output};
use crate::planted::PlantedBug;
use crate::reconciliation::{Reconciliation, TASKS_PER_CALL};
use crate::tasks::TaskBook;

/// How long a master may take from the attempt to connect to SUBSCRIBED. A master writes the
/// framework's admission nowhere durable, so more means that it is stuck or unreachable.
pub const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(30);

/// How many heartbeats may stay away before the connection counts as dead.
pub const HEARTBEATS_MISSED: u32 = 5;

/// The heartbeat interval of a master that does not state its own.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);

/// What a framework subscribes as.
#[derive(Clone, Debug, Default)]
pub struct Subscription {
    /// Who the framework is. With an `id` the session takes over from an earlier process that had
    /// this id, or fails when the master has removed that framework.
    pub framework_info: v1::FrameworkInfo,
    /// Roles for which no offers are wanted at first.
    pub suppressed_roles: BTreeSet<String>,
    /// Which agents' offers are wanted at all.
    pub offer_constraints: Option<OfferConstraints>,
}

/// Where the connection to the master stands. Each attempt has a number of its own, so that news
/// of an older one is recognised as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Disconnected { retry_at: Instant },
    Connecting { connection: u64, give_up_at: Instant },
    Subscribed { connection: u64, silence: Duration, dead_at: Instant },
}

/// Everything about the session except the framework's own logic.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) subscription: Subscription,
    pub(crate) link: Link,
    pub(crate) tasks: TaskBook,
    pub(crate) reconciliation: Reconciliation,
    pub(crate) alarms: BTreeSet<Instant>,
    pub(crate) ending: Option<Ending>,
    /// The framework asked for TEARDOWN, which needs a subscription to be said.
    pub(crate) teardown: bool,
    pub(crate) was_subscribed: bool,
    /// The roles that the newest SUBSCRIBE named as suppressed.
    announced: BTreeSet<String>,
    connections: u64,
    backoff: Backoff,
    generator: Generator,
}

impl Session {
    pub(crate) fn new(mut subscription: Subscription, generator: Generator) -> Self {
        // The master counts an empty id as none.
        let id = &mut subscription.framework_info.id;
        *id = id.take().filter(|id| !id.value.is_empty());
        Self {
            subscription,
            link: Link::Disconnected { retry_at: Instant::default() },
            tasks: TaskBook::default(),
            reconciliation: Reconciliation::default(),
            alarms: BTreeSet::new(),
            ending: None,
            teardown: false,
            was_subscribed: false,
            announced: BTreeSet::new(),
            connections: 0,
            backoff: Backoff::default(),
            generator,
        }
    }

    pub(crate) fn framework_id(&self) -> Option<&v1::FrameworkId> {
        self.subscription.framework_info.id.as_ref()
    }

    pub(crate) fn calls(&self) -> Calls<'_> {
        Calls { framework_id: self.framework_id() }
    }

    pub(crate) fn is_subscribed(&self) -> bool {
        matches!(self.link, Link::Subscribed { .. })
    }

    /// Whether `connection` is the one that counts.
    pub(crate) fn is_current(&self, connection: u64) -> bool {
        match self.link {
            Link::Disconnected { .. } => false,
            Link::Connecting { connection: current, .. }
            | Link::Subscribed { connection: current, .. } => connection == current,
        }
    }

    /// Sends a call if there is a subscription to send it under.
    pub(crate) fn send(&self, call: Call, outputs: &mut Vec<Output>) -> bool {
        let Link::Subscribed { connection, .. } = self.link else {
            reachable!("a call is not sent because the framework is disconnected");
            return false;
        };
        outputs.push(Output::Send { connection, call: Box::new(call) });
        true
    }

    pub(crate) fn connect(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        self.connections += 1;
        let connection = self.connections;
        self.link = Link::Connecting { connection, give_up_at: now + SUBSCRIBE_TIMEOUT };
        self.announced.clone_from(&self.subscription.suppressed_roles);
        let call = self.calls().subscribe(call::Subscribe {
            framework_info: self.subscription.framework_info.clone(),
            suppressed_roles: self.subscription.suppressed_roles.iter().cloned().collect(),
            offer_constraints: self.subscription.offer_constraints.clone(),
        });
        outputs.push(Output::Connect { connection, call: Box::new(call) });
    }

    /// Enters the subscribed state, repeats kills and starts reconciliation. Returns whether the
    /// session had been subscribed before.
    pub(crate) fn subscribed(
        &mut self,
        now: Instant,
        body: &v1::scheduler::event::Subscribed,
        outputs: &mut Vec<Output>,
    ) -> bool {
        let (Link::Connecting { connection, .. } | Link::Subscribed { connection, .. }) = self.link
        else {
            return false;
        };
        let mut silence = heartbeat_interval(body.heartbeat_interval_seconds) * HEARTBEATS_MISSED;
        if PlantedBug::SilenceIsBelieved.is_planted() {
            silence = MAX_INTERVAL;
        }
        self.link = Link::Subscribed { connection, silence, dead_at: now + silence };
        self.backoff.reset();
        let took_over = self.framework_id().is_some();
        self.subscription.framework_info.id = Some(body.framework_id.clone());
        self.correct_suppression(outputs);
        for kill in self.tasks.kills() {
            reachable!("a kill is said again after the framework was disconnected");
            self.send(self.calls().kill(kill.clone()), outputs);
        }
        if took_over && !PlantedBug::NeverReconciles.is_planted() {
            // Without names: tasks that this process never heard of. By name: those it waits for.
            self.send(self.calls().reconcile(Vec::new()), outputs);
            self.reconciliation.start(now, self.tasks.live().map(str::to_owned));
            self.reconcile_due(now, outputs);
        }
        std::mem::replace(&mut self.was_subscribed, true)
    }

    /// Says what was suppressed or revived since SUBSCRIBE left.
    fn correct_suppression(&self, outputs: &mut Vec<Output>) {
        let wanted = &self.subscription.suppressed_roles;
        let late: Vec<String> = wanted.difference(&self.announced).cloned().collect();
        let revived: Vec<String> = self.announced.difference(wanted).cloned().collect();
        // Without a role either call would mean all of them.
        if !late.is_empty() {
            self.send(self.calls().suppress(late), outputs);
        }
        if !revived.is_empty() {
            self.send(self.calls().revive(revived), outputs);
        }
    }

    /// Asks for the tasks whose turn it is.
    pub(crate) fn reconcile_due(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        for tasks in self.reconciliation.due_tasks(now).chunks(TASKS_PER_CALL) {
            reachable!("a framework asks for its tasks by name");
            let tasks = tasks.iter().map(|task_id| call::reconcile::Task {
                task_id: task_id.clone(),
                agent_id: self.tasks.agent_of(task_id).cloned(),
            });
            self.send(self.calls().reconcile(tasks.collect()), outputs);
        }
    }

    /// Leaves the current connection behind and plans the next. Returns whether it was subscribed.
    pub(crate) fn lost(&mut self, now: Instant) -> bool {
        let subscribed = self.is_subscribed();
        sometimes!(!subscribed, "the connection to a master is lost before SUBSCRIBED");
        let delay = self.backoff.next(&mut self.generator);
        self.link = Link::Disconnected { retry_at: now + delay };
        self.reconciliation.clear();
        subscribed
    }

    /// The master was heard: the connection lives.
    pub(crate) fn heard(&mut self, now: Instant) {
        if let Link::Subscribed { silence, dead_at, .. } = &mut self.link {
            *dead_at = now + *silence;
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.ending.is_some() {
            return None;
        }
        let link = match self.link {
            Link::Disconnected { retry_at } => retry_at,
            Link::Connecting { give_up_at, .. } => give_up_at,
            Link::Subscribed { dead_at, .. } => dead_at,
        };
        let others = [self.reconciliation.deadline(), self.alarms.first().copied()];
        Some(others.into_iter().flatten().fold(link, Instant::min))
    }

    /// Removes the alarms that are due and says whether there were any.
    pub(crate) fn alarm_due(&mut self, now: Instant) -> bool {
        let before = self.alarms.len();
        self.alarms.retain(|alarm| *alarm > now);
        self.alarms.len() < before
    }

    /// All roles that the framework subscribes with.
    pub(crate) fn roles(&self) -> Vec<String> {
        let info = &self.subscription.framework_info;
        if !info.roles.is_empty() {
            return info.roles.clone();
        }
        #[allow(deprecated, reason = "frameworks without MULTI_ROLE still name their role here")]
        let role = info.role.clone();
        vec![role.unwrap_or_else(|| "*".to_owned())]
    }
}

fn heartbeat_interval(seconds: Option<f64>) -> Duration {
    let stated = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let stated = stated.filter(|interval| !interval.is_zero() && *interval < MAX_INTERVAL);
    stated.unwrap_or(HEARTBEAT_INTERVAL)
}

/// A stated interval beyond this is taken for nonsense.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
