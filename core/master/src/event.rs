//! What can happen to a master and what it can want done.

use orrery_api::v1::scheduler::{Call, Event};
use orrery_api::{link, v1};

use crate::RegistryOperation;

/// One event stream to a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One open link to an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// One HTTP request that waits for an [`Answer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One registry operation under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What can happen to a master.
#[derive(Clone, Debug)]
pub enum Input {
    /// A scheduler opened an event stream. The call is well formed (see
    /// [`crate::validate_call`]); whatever is wrong with its content is said on the stream.
    Subscribe {
        /// The stream to answer on.
        connection: ConnectionId,
        /// The `Mesos-Stream-Id` that was given to it.
        stream_id: String,
        /// The call.
        subscribe: Box<v1::scheduler::call::Subscribe>,
    },
    /// An event stream ended, by the scheduler's will or not.
    SubscriberGone {
        /// Which stream.
        connection: ConnectionId,
    },
    /// A scheduler's call other than SUBSCRIBE, well formed.
    Call {
        /// Where the answer goes; `None` when the caller was told before that the call is taken.
        request: Option<RequestId>,
        /// The `Mesos-Stream-Id` header, if there was one.
        stream_id: Option<String>,
        /// The call.
        call: Box<Call>,
    },
    /// An operator ends a framework.
    Teardown {
        /// Where the answer goes.
        request: RequestId,
        /// Whose end it is.
        framework_id: String,
    },
    /// An operator declares an agent gone for good.
    MarkGone {
        /// Where the answer goes, once it is durable.
        request: RequestId,
        /// Which agent.
        agent_id: String,
    },
    /// An agent said something.
    AgentMessage {
        /// On which link.
        link: LinkId,
        /// What.
        body: Box<link::from_agent::Body>,
    },
    /// A link to an agent ended.
    LinkClosed {
        /// Which link.
        link: LinkId,
    },
    /// The registry has stored an operation durably.
    Stored {
        /// Which.
        ticket: Ticket,
    },
    /// The registry cannot take an operation, and no other master's would. Nothing has changed.
    NotStored {
        /// Which.
        ticket: Ticket,
        /// Why, for whoever is the cause of it.
        reason: String,
    },
    /// A deadline has passed.
    Tick,
}

/// What a master wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send an event to a scheduler. The stream is closed when its queue is full: the scheduler
    /// then comes back and reconciles.
    Event {
        /// On which stream.
        connection: ConnectionId,
        /// What.
        event: Box<Event>,
    },
    /// End an event stream after what was sent before.
    CloseConnection {
        /// Which.
        connection: ConnectionId,
    },
    /// Answer a request.
    Reply {
        /// Which.
        request: RequestId,
        /// How.
        answer: Answer,
    },
    /// Send a message to an agent.
    ToAgent {
        /// On which link.
        link: LinkId,
        /// What.
        body: Box<link::from_master::Body>,
    },
    /// End a link after what was sent before.
    CloseLink {
        /// Which.
        link: LinkId,
    },
    /// Make a change of the registry durable, then feed [`Input::Stored`]; or
    /// [`Input::NotStored`], if it is one that cannot be. Changes must be applied in the order they
    /// come. When it is unknown whether a change was stored, the master must end.
    Store {
        /// What to name it by.
        ticket: Ticket,
        /// The change.
        operation: RegistryOperation,
    },
    /// End this master: it must not go on, and somebody has to look.
    Fail {
        /// Why.
        reason: String,
    },
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200: done.
    Done,
    /// 202: the call is taken; what follows from it comes as events.
    Accepted,
    /// The call is refused.
    Refused(Refusal),
}

/// Why a call is refused: an HTTP status and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 403, 404, 501 or 503.
    pub status: u16,
    /// What was wrong.
    pub text: String,
}

impl Refusal {
    /// 400: the request is wrong.
    pub fn bad_request(text: impl Into<String>) -> Self {
        Self { status: 400, text: text.into() }
    }

    /// 403: the request is understood but not allowed now.
    pub fn forbidden(text: impl Into<String>) -> Self {
        Self { status: 403, text: text.into() }
    }

    /// 501: there is no such call here.
    pub fn not_implemented(text: impl Into<String>) -> Self {
        Self { status: 501, text: text.into() }
    }
}
