//! Finding the master, registering with it, and noticing that it is gone.
//!
//! ```text
//! Waiting ──(back-off over)──▶ Connecting ──LinkUp──▶ Registering ──Registered──▶ Registered
//!    ▲                             │                       │                         │
//!    └──── LinkDown, no answer in time, no ping in time, "not connected" ◀───────────┘
//! ```
//!
//! The first wait is random in [0, b], the next ones in [0, b·2^n] up to one minute, so that many
//! agents do not come back at the same moment.

use std::time::Duration;

use orrery_api::link::{self, from_agent};
use orrery_api::v1;
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::{Generator, Instant};
use prost::Message;

use crate::agent::Stopping;
use crate::framework::ExecutorState;
use crate::recovery::Recovery;
use crate::{Agent, LinkNumber, Options, Output};

const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// How long the opening of a connection, then the master's answer, may take. The master writes its
/// registry before it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How many tasks that have ended an agent tells a master of.
const HISTORY_MAX: usize = 10_000;
/// How many bytes these may have, encoded. A registration that does not fit on a link keeps the
/// agent away from its cluster, so history must never be what makes it too large.
const HISTORY_BYTES_MAX: usize = 16 << 20;
/// Used when the master does not name a usable time.
const PING_TIMEOUT_DEFAULT: Duration = Duration::from_secs(75);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No master is looked for yet.
    Idle,
    Waiting,
    Connecting,
    Registering,
    Registered,
}

/// Where the agent stands with its master.
#[derive(Debug)]
pub(crate) struct Registration {
    state: State,
    /// The newest connection; all others are of the past.
    link: LinkNumber,
    /// Connections since the last registration.
    attempts: u32,
    ping_timeout: Duration,
    /// When the present state has lasted too long.
    deadline: Instant,
}

impl Registration {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: State::Idle,
            link: 0,
            attempts: 0,
            ping_timeout: PING_TIMEOUT_DEFAULT,
            deadline: now,
        }
    }

    /// Looks for a master from now on.
    pub(crate) fn begin(&mut self, now: Instant, options: &Options, random: &mut Generator) {
        self.back_off(now, options, random);
    }

    pub(crate) fn is_current(&self, link: LinkNumber) -> bool {
        !matches!(self.state, State::Idle | State::Waiting) && self.link == link
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.state == State::Registered
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        (self.state != State::Idle).then_some(self.deadline)
    }

    #[cfg(test)]
    pub(crate) fn link(&self) -> LinkNumber {
        self.link
    }

    #[cfg(test)]
    pub(crate) fn keep_alive(&mut self, until: Instant) {
        self.deadline = until;
    }

    fn enter(&mut self, state: State, deadline: Instant) {
        self.state = state;
        self.deadline = deadline;
    }

    fn back_off(&mut self, now: Instant, options: &Options, random: &mut Generator) {
        let factor = options.registration_backoff_factor;
        // A master that is not there is asked again soon, so that it is found soon when it returns.
        // One that is there and does not answer is busy, and is left alone for longer each time.
        let absent = self.state == State::Connecting;
        let attempts = if absent { self.attempts.min(1) } else { self.attempts };
        // Beyond 2^16 the cap holds for any factor that a human would set.
        sometimes!(absent, "a master is not there");
        sometimes!(self.attempts > 3, "a master does not answer several registrations");
        let bound = factor.saturating_mul(1 << attempts.min(16)).min(BACKOFF_MAX);
        let wait = bound.mul_f64(random.fraction());
        if !absent {
            self.attempts = self.attempts.saturating_add(1);
        }
        self.enter(State::Waiting, now + wait);
    }
}

impl Agent {
    pub(crate) fn registration_due(&mut self) {
        if self.registration.deadline().is_none_or(|deadline| deadline > self.now.instant) {
            return;
        }
        match self.registration.state {
            State::Idle => {}
            State::Waiting => {
                self.registration.link += 1;
                let link = self.registration.link;
                self.registration.enter(State::Connecting, self.now.instant + ANSWER_TIMEOUT);
                self.emit(Output::Connect { link });
            }
            State::Connecting => {
                reachable!("an agent's link does not open in time");
                self.reconnect("no connection in time");
            }
            State::Registering => {
                reachable!("a registration gets no answer in time");
                self.reconnect("no answer to the registration in time");
            }
            State::Registered => {
                reachable!("a registered agent hears no ping for too long");
                self.reconnect("no ping in time");
            }
        }
    }

    pub(crate) fn link_up(&mut self, link: LinkNumber) {
        if !self.registration.is_current(link) || self.registration.state != State::Connecting {
            return;
        }
        self.registration.enter(State::Registering, self.now.instant + ANSWER_TIMEOUT);
        let register = self.register();
        self.emit(Output::ToMaster(Box::new(from_agent::Body::Register(register))));
    }

    pub(crate) fn link_down(&mut self, link: LinkNumber) {
        if self.registration.is_current(link) {
            self.disconnected("the connection is down");
        }
    }

    fn reconnect(&mut self, why: &str) {
        let link = self.registration.link;
        self.emit(Output::Disconnect { link });
        self.disconnected(why);
    }

    /// Executors and tasks live on; updates wait for the next registration.
    fn disconnected(&mut self, why: &str) {
        tracing::info!(agent_id = self.agent_id, why, "disconnected from the master");
        sometimes!(
            !self.streams.is_empty(),
            "an agent loses its master with unacknowledged updates"
        );
        self.streams.pause();
        self.registration.back_off(self.now.instant, &self.options, &mut self.random);
    }

    pub(crate) fn ping(&mut self, ping: link::Ping) {
        if !ping.connected && self.registration.is_registered() {
            reachable!("a master takes a registered agent for disconnected");
            return self.reconnect("the master holds this agent for disconnected");
        }
        if self.registration.is_registered() {
            self.registration.deadline = self.now.instant + self.registration.ping_timeout;
        }
        self.emit(Output::ToMaster(Box::new(from_agent::Body::Pong(link::Pong {}))));
    }

    /// Everything the agent has, so that any master can rebuild its view of it.
    fn register(&self) -> link::Register {
        let mut register = link::Register {
            agent_info: Some(self.agent_info()),
            version: self.options.version.clone(),
            capabilities: capabilities(),
            pid: self.options.pid(),
            ..Default::default()
        };
        for framework in self.frameworks.values() {
            register.frameworks.push(framework.info.clone());
            for executor in framework.executors.values() {
                register.tasks.extend(executor.tasks.values().map(|task| task.task.clone()));
                if !executor.generated && executor.state != ExecutorState::Terminated {
                    register.executors.push(executor.info.clone());
                }
            }
        }
        register.tasks.extend(self.tasks_by_name_only());
        register.completed_tasks = self.history();
        register
    }

    /// The tasks that ended last, earliest first.
    fn history(&self) -> Vec<v1::Task> {
        let all = self.frameworks.values().chain(&self.completed_frameworks);
        let executors = all.flat_map(|one| one.completed.iter().chain(one.executors.values()));
        let mut tasks: Vec<&v1::Task> = executors.flat_map(|one| &one.completed).collect();
        let ended = |task: &v1::Task| task.statuses.last().map_or(0.0, v1::TaskStatus::timestamp);
        tasks.sort_by(|a, b| ended(a).total_cmp(&ended(b)));
        let mut bytes = 0;
        let latest = tasks.into_iter().rev().take(HISTORY_MAX).take_while(|task| {
            bytes += task.encoded_len();
            bytes <= HISTORY_BYTES_MAX
        });
        let mut latest: Vec<v1::Task> = latest.cloned().collect();
        latest.reverse();
        latest
    }

    /// Tasks that never were here, and whose end this agent has told because an earlier master
    /// missed them. Until that is acknowledged no master may say anything else of them.
    fn tasks_by_name_only(&self) -> impl Iterator<Item = v1::Task> {
        let unknown = |(framework, task): &(String, String)| {
            let framework = self.frameworks.get(framework);
            framework.is_none_or(|framework| framework.executor_of(task).is_none())
        };
        let streams = self.streams.unacknowledged().filter(move |(key, ..)| unknown(key));
        streams.map(|((framework, task), head, last)| {
            let state =
                |update: &link::StatusUpdate| update.status.as_ref().map_or(0, |it| it.state);
            v1::Task {
                task_id: v1::TaskId { value: task.clone() },
                framework_id: v1::FrameworkId { value: framework.clone() },
                agent_id: v1::AgentId { value: self.agent_id.clone() },
                state: state(last),
                status_update_state: Some(state(head)),
                status_update_uuid: Some(head.uuid.clone()),
                ..Default::default()
            }
        })
    }

    pub(crate) fn registered(&mut self, registered: link::Registered) {
        let agent_id = registered.agent_id.map(|id| id.value).unwrap_or_default();
        if let Err(invalid) = orrery_model::validate::id(&agent_id) {
            reachable!("a master gives an unusable agent id");
            let error = format!("the master gave an unusable agent id: {invalid}");
            return self.stop(Stopping::Refused(error));
        }
        if self.agent_id.is_empty() {
            self.agent_id.clone_from(&agent_id);
            let agent_info = Box::new(self.agent_info());
            self.emit(Output::Admitted { agent_info });
            self.recovery = Recovery::Done;
        } else if self.agent_id != agent_id {
            reachable!("a master takes an agent for another one");
            let error = format!("the master took agent {} for {agent_id}", self.agent_id);
            return self.stop(Stopping::Refused(error));
        }
        tracing::info!(agent_id = self.agent_id, "registered with the master");
        self.master = registered.master_info;
        let timeout = Duration::try_from_secs_f64(registered.ping_timeout_seconds);
        self.registration.ping_timeout =
            timeout.ok().filter(|it| !it.is_zero()).unwrap_or(PING_TIMEOUT_DEFAULT);
        self.registration.attempts = 0;
        let deadline = self.now.instant + self.registration.ping_timeout;
        self.registration.enter(State::Registered, deadline);
        self.confirm_recovery();
        self.answer_missing_tasks(registered.missing_tasks);
        // Last, so that each head, the new ones included, is sent exactly once.
        self.streams.resume(self.now.instant);
    }

    /// Ends the tasks that the master believes to be here and that are not: their launch was lost.
    fn answer_missing_tasks(&mut self, missing: Vec<link::TaskReference>) {
        for task in missing {
            let (Some(framework_id), Some(task_id)) = (task.framework_id, task.task_id) else {
                continue;
            };
            let framework = self.frameworks.get(&framework_id.value);
            let known = framework.is_some_and(|it| it.executor_of(&task_id.value).is_some());
            let key = (framework_id.value, task_id.value);
            sometimes!(known, "a task that the master misses has come meanwhile");
            // An open stream reports, or has reported, the task's end already.
            if known || self.streams.contains(&key) {
                continue;
            }
            reachable!("the agent answers for a task whose launch was lost");
            let state = framework.map_or(v1::TaskState::TaskDropped, |it| it.dropped_state());
            let (framework_id, task_id) = key;
            let reason = v1::task_status::Reason::Reconciliation;
            let message = "task is unknown to the agent";
            self.report(&framework_id, None, &task_id, state, reason, message);
        }
    }
}

pub(crate) fn capabilities() -> Vec<v1::agent_info::Capability> {
    use v1::agent_info::capability::Type;
    let all = [Type::MultiRole, Type::HierarchicalRole, Type::ReservationRefinement];
    all.map(|it| v1::agent_info::Capability { r#type: Some(it as i32) }).to_vec()
}
