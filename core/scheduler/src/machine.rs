//! The state machine of a session: inputs from the connection in, calls out.

use orrery_api::v1::TaskState;
use orrery_api::v1::scheduler::{self, Call, call, event};
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::machine::Machine;
use orrery_runtime::{Generator, Instant, Now};

use crate::context::Context;
use crate::event::Event;
use crate::planted::PlantedBug;
use crate::session::{Link, Session, Subscription};
use crate::tasks::Verdict;
use crate::{Acknowledgements, Framework};

/// Errors after which a framework id can never subscribe again: the master removed the framework,
/// or another process took it over, which this one must not fight.
const FINAL_ERRORS: [&str; 2] = ["Framework has been removed", "Framework failed over"];

/// Something to do with the framework between two events; see [`Input::Act`].
pub type Action<F> = Box<dyn FnOnce(&mut F, &mut Context<'_>) + Send>;

/// What can happen to a session.
pub enum Input<F> {
    /// The master sent an event.
    Event {
        /// The connection that it came on.
        connection: u64,
        /// The event.
        event: Box<scheduler::Event>,
    },
    /// The master answered a call with something other than success.
    Refused {
        /// The connection that the call went out on.
        connection: u64,
        /// The kind of call.
        call: call::Type,
        /// The HTTP status.
        status: u16,
        /// The answer's body.
        text: String,
    },
    /// The connection could not be made, or it broke.
    Disconnected {
        /// Which one.
        connection: u64,
        /// Why.
        reason: String,
    },
    /// The masters cannot be found, and never will be as things are.
    NoMaster {
        /// Why.
        reason: String,
    },
    /// Code from outside that needs the framework and its calls, such as an HTTP endpoint's.
    Act(Action<F>),
    /// End the session.
    Stop(Stop),
    /// The deadline passed.
    Tick,
}

impl<F> std::fmt::Debug for Input<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Event { connection, event } => {
                write!(formatter, "Event({connection}, {:?})", event.r#type())
            }
            Self::Refused { connection, call, status, text } => {
                write!(formatter, "Refused({connection}, {call:?}, {status}, {text:?})")
            }
            Self::Disconnected { connection, reason } => {
                write!(formatter, "Disconnected({connection}, {reason:?})")
            }
            Self::NoMaster { reason } => write!(formatter, "NoMaster({reason:?})"),
            Self::Act(_) => formatter.write_str("Act"),
            Self::Stop(how) => write!(formatter, "Stop({how:?})"),
            Self::Tick => formatter.write_str("Tick"),
        }
    }
}

/// How to end a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Only disconnect. The framework's tasks run on for its `failover_timeout`, in which another
    /// session with the same framework id may take over.
    Disconnect,
    /// Remove the framework and kill its tasks. Waits for a subscription if there is none.
    Teardown,
}

/// What a session wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open the event stream with this SUBSCRIBE call.
    Connect {
        /// The number under which to report about the connection.
        connection: u64,
        /// The call.
        call: Box<Call>,
    },
    /// Send a call, after all calls that were to be sent before.
    Send {
        /// The connection whose stream id the call belongs to.
        connection: u64,
        /// The call.
        call: Box<Call>,
    },
    /// Close a connection and drop what was not sent on it.
    Disconnect {
        /// Which one.
        connection: u64,
    },
    /// Deliver what is still queued, then close: the session is over.
    Finished(Ending),
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was stopped and may be taken over.
    Stopped,
    /// The framework was removed at its own wish.
    TornDown,
    /// The master will not let this framework subscribe again; its reason.
    Refused(String),
    /// The masters cannot be found; the reason.
    NoMaster(String),
}

/// The session of one framework.
#[derive(Debug)]
pub struct SchedulerMachine<F> {
    framework: F,
    session: Session,
    finished: bool,
}

impl<F: Framework> SchedulerMachine<F> {
    /// A session that connects at its first tick, which is due at once. `generator` draws the
    /// back-off delays.
    pub fn new(subscription: Subscription, framework: F, generator: Generator) -> Self {
        Self { framework, session: Session::new(subscription, generator), finished: false }
    }

    /// The framework's own logic and state.
    pub fn framework(&self) -> &F {
        &self.framework
    }

    /// Gives the framework back when the session is over.
    pub fn into_framework(self) -> F {
        self.framework
    }

    /// Whether the master accepted the subscription and the connection stands.
    pub fn is_subscribed(&self) -> bool {
        self.session.is_subscribed()
    }

    /// Why the session ended; `None` while it goes on.
    pub fn ending(&self) -> Option<&Ending> {
        self.session.ending.as_ref()
    }

    fn deliver(&mut self, now: Now, event: Event, outputs: &mut Vec<Output>) {
        self.framework.event(&mut Context::new(&mut self.session, now, outputs), event);
    }

    fn receive(&mut self, now: Now, message: scheduler::Event, outputs: &mut Vec<Output>) {
        self.session.heard(now.instant);
        match (message.r#type(), message.subscribed) {
            (event::Type::Subscribed, Some(body)) => return self.subscribed(now, body, outputs),
            (event::Type::Error, _) => {}
            (kind, _) if !self.session.is_subscribed() => {
                reachable!("an event comes before SUBSCRIBED");
                tracing::warn!(?kind, "ignored an event that came before SUBSCRIBED");
                return;
            }
            _ => {}
        }
        match Event::from_message(scheduler::Event { subscribed: None, ..message }) {
            Some(Event::Update(status)) => self.update(now, status, outputs),
            Some(Event::OperationUpdate(status)) => {
                let acknowledgement = self.session.calls().acknowledge_operation(&status);
                self.deliver(now, Event::OperationUpdate(status), outputs);
                if let Some(call) = acknowledgement {
                    self.session.send(call, outputs);
                }
            }
            Some(Event::Error(text)) => self.error(now, text, outputs),
            Some(event) => self.deliver(now, event, outputs),
            None => {}
        }
    }

    fn subscribed(&mut self, now: Now, body: event::Subscribed, outputs: &mut Vec<Output>) {
        let resubscribed = self.session.subscribed(now.instant, &body, outputs);
        tracing::info!(framework_id = %body.framework_id.value, resubscribed, "subscribed");
        if self.session.teardown {
            return;
        }
        let event::Subscribed { framework_id, master_info, .. } = body;
        self.deliver(now, Event::Subscribed { framework_id, master_info, resubscribed }, outputs);
    }

    fn update(&mut self, now: Now, status: orrery_api::v1::TaskStatus, outputs: &mut Vec<Output>) {
        let asked = self.session.reconciliation.answered(&status.task_id);
        let was_live = self.session.tasks.is_live(&status.task_id);
        let verdict = self.session.tasks.update(&status, asked);
        // An update from before that an agent repeats does not change what the framework believes.
        let believed = self.session.tasks.state_of(&status.task_id);
        let settles_nothing =
            matches!(believed, Some(TaskState::TaskUnreachable | TaskState::TaskUnknown));
        sometimes!(settles_nothing, "a framework is told that a task is unreachable or unknown");
        sometimes!(
            settles_nothing && believed != Some(status.state()),
            "an agent is back and repeats what was told before its task was unreachable"
        );
        if settles_nothing && was_live {
            self.session.reconciliation.keep_asking(now.instant, &status.task_id);
        }
        match verdict {
            Verdict::Ignore => reachable!("a framework is spared what it knows already"),
            Verdict::AcknowledgeOnly if PlantedBug::AcknowledgesOnce.is_planted() => {}
            Verdict::AcknowledgeOnly => {
                reachable!("an update comes again because its acknowledgement was lost");
                if let Some(call) = self.session.calls().acknowledge(&status) {
                    self.session.send(call, outputs);
                }
            }
            Verdict::Deliver => {
                if self.framework.acknowledgements() == Acknowledgements::Explicit {
                    return self.deliver(now, Event::Update(status), outputs);
                }
                self.deliver(now, Event::Update(status.clone()), outputs);
                Context::new(&mut self.session, now, outputs).acknowledge(&status);
            }
        }
    }

    fn error(&mut self, now: Now, text: String, outputs: &mut Vec<Output>) {
        reachable!("the master sends a framework an error");
        tracing::warn!(error = %text, "the master refuses the framework");
        self.deliver(now, Event::Error(text.clone()), outputs);
        if FINAL_ERRORS.contains(&text.as_str()) && self.session.ending.is_none() {
            reachable!("a framework can never subscribe again");
            self.session.ending = Some(Ending::Refused(text));
        }
    }

    fn disconnected(&mut self, now: Now, reason: String, outputs: &mut Vec<Output>) {
        tracing::info!(%reason, "disconnected from the master");
        if self.session.lost(now.instant) {
            sometimes!(self.session.teardown, "the connection is lost before TEARDOWN was said");
            self.deliver(now, Event::Disconnected { reason }, outputs);
        }
    }

    fn drop_connection(&mut self, now: Now, reason: &str, outputs: &mut Vec<Output>) {
        if let Link::Connecting { connection, .. } | Link::Subscribed { connection, .. } =
            self.session.link
        {
            outputs.push(Output::Disconnect { connection });
        }
        self.disconnected(now, reason.to_owned(), outputs);
    }

    fn tick(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let due = |at: Instant| at <= now.instant;
        match self.session.link {
            Link::Disconnected { retry_at } if due(retry_at) => {
                self.session.connect(now.instant, outputs);
            }
            Link::Connecting { give_up_at, .. } if due(give_up_at) => {
                reachable!("the master does not answer SUBSCRIBE in time");
                self.drop_connection(now, "the master did not answer SUBSCRIBE in time", outputs);
            }
            Link::Subscribed { dead_at, .. } if due(dead_at) => {
                reachable!("the master sends no heartbeat for too long");
                self.drop_connection(now, "the master sent no heartbeat for too long", outputs);
            }
            _ => {}
        }
        self.session.reconcile_due(now.instant, outputs);
        if self.session.alarm_due(now.instant) {
            self.deliver(now, Event::Tick, outputs);
        }
    }

    /// Ends the session once somebody wished it. TEARDOWN is the last call, so that whatever the
    /// framework said before still counts.
    fn settle(&mut self, outputs: &mut Vec<Output>) {
        if self.session.teardown && self.session.ending.is_none() {
            let call = self.session.calls().teardown();
            if self.session.send(call, outputs) {
                self.session.ending = Some(Ending::TornDown);
            }
        }
        if let Some(ending) = &self.session.ending {
            self.finished = true;
            outputs.push(Output::Finished(ending.clone()));
        }
    }
}

impl<F: Framework> Machine for SchedulerMachine<F> {
    type Input = Input<F>;
    type Output = Output;

    fn step(&mut self, now: Now, input: Input<F>, outputs: &mut Vec<Output>) {
        if self.finished {
            return;
        }
        match input {
            Input::Event { connection, event } => {
                sometimes!(
                    !self.session.is_current(connection),
                    "an event comes on a connection that was given up"
                );
                if self.session.is_current(connection) {
                    self.receive(now, *event, outputs);
                }
            }
            Input::Refused { connection, call, status, text } => {
                if self.session.is_current(connection) {
                    reachable!("the master refuses a call of a framework");
                    tracing::warn!(?call, status, %text, "the master refused a call");
                    self.deliver(now, Event::CallRefused { call, status, text }, outputs);
                }
            }
            Input::Disconnected { connection, reason } => {
                if self.session.is_current(connection) {
                    self.disconnected(now, reason, outputs);
                }
            }
            Input::NoMaster { reason } => {
                reachable!("a framework cannot find the masters");
                self.session.ending = Some(Ending::NoMaster(reason));
            }
            Input::Act(action) => {
                let context = &mut Context::new(&mut self.session, now, outputs);
                action(&mut self.framework, context);
            }
            Input::Stop(Stop::Disconnect) => self.session.ending = Some(Ending::Stopped),
            Input::Stop(Stop::Teardown) => self.session.teardown = true,
            Input::Tick => self.tick(now, outputs),
        }
        self.settle(outputs);
    }

    fn deadline(&self) -> Option<Instant> {
        self.session.deadline()
    }

    fn tick() -> Input<F> {
        Input::Tick
    }
}
