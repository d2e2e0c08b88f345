//! Sessions with a coordination service: nodes that live as long as their session, numbered nodes,
//! and watches. What ZooKeeper offers, in the words of its documentation.
//!
//! A [`Session`] is two queues. Requests go in, each with a [`Token`] of the caller's choice.
//! [`Happening`]s come out, in the one order in which they are true: answers, watches, and what
//! becomes of the session. So a state machine can be fed from it without a lock or a callback, and
//! nothing of an old session can turn up in a new one.
//!
//! # What a session promises
//!
//! - Answers come in the order of the requests. A watch is told before any answer that already
//!   shows the change.
//! - After [`Happening::Disconnected`] each request that was under way is answered by
//!   [`RequestError::ConnectionLost`]: it may have been carried out, or may yet be. Requests made
//!   while there is no connection are answered by [`RequestError::NotConnected`]: nothing happened.
//! - Watches outlive a change of the server: what they missed is told after the reconnect.
//! - [`Happening::Expired`] comes no later than the session's time-out after the last request that
//!   the service is known to have heard, by the clock of this process. It does not wait for a
//!   server to say so. Whoever holds a node of the session may therefore act on it until then.
//! - After `Expired` or `Refused` nothing follows. The session's nodes are gone, or go soon.

use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::Address;

/// Tells the answers of one session apart. The caller chooses it.
pub type Token = u64;

/// The port to a coordination service.
pub trait Coordination: Send + Sync {
    /// Begins a session. Servers are tried, again and again, until the session is dropped or over.
    fn open(&self, options: SessionOptions) -> Session;
}

/// How to begin a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Servers of one ensemble, at least one.
    pub servers: Vec<Address>,
    /// How long the service keeps the session without hearing of it. The service may choose another
    /// value: see [`Happening::Connected`].
    pub timeout: Duration,
    /// Who the session acts for; nobody in particular without it.
    pub credentials: Option<Credentials>,
}

/// A user and a password, for the scheme `digest`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(String);

impl Credentials {
    /// From `user:password`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// `user:password`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Shows no password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let user = self.0.split(':').next().unwrap_or_default();
        write!(formatter, "Credentials({user}:…)")
    }
}

/// What a session can ask for. Paths are absolute: `/a/b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Makes a node. Its parent must exist. Answered by [`Answer::Created`].
    Create {
        /// Where; of a sequential node the beginning of its name.
        path: String,
        /// What it holds.
        data: Bytes,
        /// How long it lives and who chooses its name.
        mode: CreateMode,
        /// Who may do what with it.
        access: Access,
    },
    /// Removes a node without children. Answered by [`Answer::Deleted`].
    Delete {
        /// Which.
        path: String,
        /// The version that it must have, if that matters.
        version: Option<i32>,
    },
    /// Asks for a node, there or not. Answered by [`Answer::Exists`].
    Exists {
        /// Which.
        path: String,
        /// Whether to tell once when it is made, changed or removed.
        watch: bool,
    },
    /// Reads a node. Answered by [`Answer::Data`].
    Get {
        /// Which.
        path: String,
        /// Whether to tell once when it is changed or removed.
        watch: bool,
    },
    /// Lists a node's children. Answered by [`Answer::Children`].
    Children {
        /// Which.
        path: String,
        /// Whether to tell once when a child comes or goes, or the node itself is removed.
        watch: bool,
    },
    /// Replaces what a node holds. Answered by [`Answer::Set`].
    Set {
        /// Which.
        path: String,
        /// What it is to hold.
        data: Bytes,
        /// The version that it must have, if that matters.
        version: Option<i32>,
    },
    /// Waits until the server that the session talks to has caught up with what was written before.
    /// Answered by [`Answer::Synced`].
    Sync {
        /// Any path.
        path: String,
    },
}

/// How long a node lives, and who chooses its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateMode {
    /// Until it is deleted.
    Persistent,
    /// Until it is deleted; ten digits that grow are added to its name.
    PersistentSequential,
    /// As long as the session.
    Ephemeral,
    /// As long as the session; ten digits that grow are added to its name.
    EphemeralSequential,
}

/// Who may do what with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody may do everything.
    Open,
    /// Everybody may read it; the session's own user may do everything. Needs credentials.
    ReadAllCreatorAll,
}

impl Access {
    /// What Mesos gives its nodes: open without credentials, else its own.
    pub const fn of(credentials: Option<&Credentials>) -> Self {
        match credentials {
            Some(_) => Self::ReadAllCreatorAll,
            None => Self::Open,
        }
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The node's whole path, digits included.
    Created(String),
    /// The node is gone.
    Deleted,
    /// What is known of the node, if it is there.
    Exists(Option<Stat>),
    /// What the node holds, and what is known of it.
    Data(Bytes, Stat),
    /// The names of the children, without their parent's path, in the order of their bytes.
    Children(Vec<String>),
    /// What is known of the node now.
    Set(Stat),
    /// The server has caught up.
    Synced,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// The transaction that made it. Transactions of one service are numbered without gaps of time.
    pub created: i64,
    /// The transaction that wrote its data last.
    pub modified: i64,
    /// How often its data was replaced.
    pub version: i32,
    /// How often children came or went.
    pub children_version: i32,
    /// The session that it lives as long as; 0 for a persistent node.
    pub ephemeral_owner: i64,
    /// Length of its data in bytes.
    pub data_length: i32,
    /// How many children it has.
    pub children: i32,
}

/// Why a request was not carried out, or is not known to have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There was no connection when it was made. Nothing happened.
    #[error("there is no connection to a server")]
    NotConnected,
    /// The connection was lost before the answer came. It may have been carried out.
    #[error("the connection was lost before the answer came; the outcome is unknown")]
    ConnectionLost,
    /// The session was over before the answer came. It may have been carried out.
    #[error("the session is over; the outcome is unknown")]
    SessionOver,
    /// Too many requests wait for their answers. Nothing happened.
    #[error("too many requests wait for their answers")]
    TooMany,
    /// The node, or the parent of a node to be made, is not there.
    #[error("no such node")]
    NoNode,
    /// The node is there already.
    #[error("the node exists already")]
    NodeExists,
    /// The node has children.
    #[error("the node has children")]
    NotEmpty,
    /// The node has another version than was asked for.
    #[error("the node has another version")]
    BadVersion,
    /// The session's user may not do that.
    #[error("not allowed: the credentials are missing or wrong")]
    NotAllowed,
    /// An ephemeral node cannot have children.
    #[error("the parent is ephemeral and cannot have children")]
    EphemeralParent,
    /// An access that names the session's user, without credentials.
    #[error("the access names a user, but no credentials were given")]
    InvalidAccess,
    /// A path or value that the service does not take.
    #[error("the service does not take this path or value")]
    BadArguments,
    /// Any other code of the service; -7 is a time-out on its side, -118 a session that another
    /// server has taken over.
    #[error("the service answers with error {0}")]
    Other(i32),
}

impl RequestError {
    /// Whether the same request could succeed later without anybody changing anything.
    pub const fn is_passing(self) -> bool {
        matches!(
            self,
            Self::NotConnected
                | Self::ConnectionLost
                | Self::SessionOver
                | Self::TooMany
                | Self::Other(_)
        )
    }

    /// Whether the request may have been carried out all the same.
    pub const fn is_unknown(self) -> bool {
        matches!(self, Self::ConnectionLost | Self::SessionOver | Self::Other(_))
    }
}

/// What happened to a watched node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// It was made.
    Created,
    /// It was removed.
    Deleted,
    /// Its data was replaced.
    Data,
    /// A child came or went.
    Children,
}

/// What comes out of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// There is a connection: the first one, or again one within the same session.
    Connected {
        /// The service's number for the session, the same for its whole life.
        session: i64,
        /// The time-out that the service chose.
        timeout: Duration,
    },
    /// The connection is gone. The session may live.
    Disconnected,
    /// The session is over, and what lived as long as it.
    Expired,
    /// The service takes the credentials for none. The session is over.
    Refused,
    /// A watched node changed. Each watch is told once.
    Watched {
        /// Which.
        path: String,
        /// How.
        change: Change,
    },
    /// A request was answered.
    Answered {
        /// Of the request.
        token: Token,
        /// The answer.
        answer: Result<Answer, RequestError>,
    },
}

/// The session takes no more requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is over")]
pub struct SessionOver;

/// How many requests may wait to be taken over by a session before [`Session::request`] waits.
const WAITING_REQUESTS: usize = 64;

/// A session. Dropping it ends it: the service is told at the next opportunity, so that others need
/// not wait for the time-out.
#[derive(Debug)]
pub struct Session {
    requests: mpsc::Sender<(Token, Request)>,
    happenings: mpsc::UnboundedReceiver<Happening>,
}

/// The other end of a [`Session`], for those who implement the port.
#[derive(Debug)]
pub struct SessionEnd {
    /// What is asked for. Closed once the session is dropped.
    pub requests: mpsc::Receiver<(Token, Request)>,
    /// What happens. It holds no more than one answer for each request, one event for each watch,
    /// and what reconnects add: connections are made with pauses. Dropped when all is said.
    pub happenings: mpsc::UnboundedSender<Happening>,
}

impl Session {
    /// Both ends of a new session.
    pub fn new() -> (Self, SessionEnd) {
        let (sender, requests) = mpsc::channel(WAITING_REQUESTS);
        let (happenings, receiver) = mpsc::unbounded_channel();
        let session = Self { requests: sender, happenings: receiver };
        (session, SessionEnd { requests, happenings })
    }

    /// Makes a request; its answer comes out of [`Session::next`].
    ///
    /// # Errors
    /// [`SessionOver`]; there will be no answer.
    pub async fn request(&self, token: Token, request: Request) -> Result<(), SessionOver> {
        self.requests.send((token, request)).await.map_err(|_| SessionOver)
    }

    /// What happened next; `None` once all was said. Safe to cancel.
    pub async fn next(&mut self) -> Option<Happening> {
        self.happenings.recv().await
    }

    /// Ends the session and waits until a server has said that it is over, or until it is over
    /// anyhow. Others see its nodes go at once.
    pub async fn close(self) {
        let Self { requests, mut happenings } = self;
        drop(requests);
        while happenings.recv().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let credentials = Credentials::new("mesos:secret");
        assert_eq!(format!("{credentials:?}"), "Credentials(mesos:…)");
        assert_eq!(credentials.as_str(), "mesos:secret");
    }

    #[test]
    fn unknown_outcomes_are_passing_ones() {
        for error in [
            RequestError::NotConnected,
            RequestError::ConnectionLost,
            RequestError::SessionOver,
            RequestError::TooMany,
            RequestError::NoNode,
            RequestError::NotAllowed,
            RequestError::Other(-7),
        ] {
            assert!(error.is_passing() || !error.is_unknown(), "{error}");
        }
        assert!(!RequestError::NotConnected.is_unknown());
    }
}
