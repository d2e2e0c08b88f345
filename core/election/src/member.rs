//! What contenders and observers have in common: a session, at most one question at a time, and
//! trying again.

use std::time::Duration;

use orrery_runtime::Instant;
use orrery_runtime::coordination::{Happening, Request, Token};

/// How long to wait after an error that may pass by itself.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// What can happen to a member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Something came out of its session.
    Happened(Happening),
    /// Its owner wants it to go.
    Withdraw,
    /// The deadline has passed.
    Tick,
}

/// What a member of a group wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<E> {
    /// End the session, if it has not ended, and begin another.
    Reopen,
    /// Ask the service.
    Ask(Token, Request),
    /// Tell the owner.
    Tell(E),
    /// End the session; nothing more will come.
    Done,
}

/// Why a member of a group cannot go on. Nothing that may pass by itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElectionError {
    /// The credentials are none.
    #[error("ZooKeeper refuses the credentials")]
    Refused,
    /// Something cannot be done to a node.
    #[error("cannot {action} '{path}' in ZooKeeper: {error}")]
    Node {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: String,
        /// Why it failed.
        error: orrery_runtime::coordination::RequestError,
    },
}

/// The state of the session and of the one question `Q`.
#[derive(Debug)]
pub(crate) struct Line<Q> {
    connected: bool,
    token: Token,
    question: Option<Q>,
    retry: Option<Instant>,
}

impl<Q> Default for Line<Q> {
    fn default() -> Self {
        Self { connected: false, token: 0, question: None, retry: None }
    }
}

impl<Q> Line<Q> {
    /// Whether something can be asked now.
    pub(crate) const fn is_free(&self) -> bool {
        self.connected && self.question.is_none() && self.retry.is_none()
    }

    /// There is a connection: what was to be tried again can be tried now.
    pub(crate) fn connected(&mut self) {
        self.connected = true;
        self.retry = None;
    }

    /// There is none. The question will still be answered, if only by an error.
    pub(crate) fn disconnected(&mut self) {
        self.connected = false;
        self.retry = None;
    }

    /// There is a new session, which knows nothing of the question.
    pub(crate) fn reset(&mut self) {
        self.connected = false;
        self.question = None;
        self.retry = None;
    }

    /// Asks.
    pub(crate) fn ask<E>(&mut self, question: Q, request: Request, outputs: &mut Vec<Output<E>>) {
        self.token += 1;
        self.question = Some(question);
        outputs.push(Output::Ask(self.token, request));
    }

    /// The question that `token` answers; `None` for one that nobody waits for any more.
    pub(crate) fn answered(&mut self, token: Token) -> Option<Q> {
        if token == self.token { self.question.take() } else { None }
    }

    /// Of the last question.
    #[cfg(test)]
    pub(crate) const fn token(&self) -> Token {
        self.token
    }

    /// Nothing is to be asked for a while.
    pub(crate) fn retry_later(&mut self, now: Instant) {
        self.retry = Some(now + RETRY_INTERVAL);
    }

    /// When to try again.
    pub(crate) const fn deadline(&self) -> Option<Instant> {
        self.retry
    }

    /// The deadline may have passed.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.retry = self.retry.filter(|retry| *retry > now);
    }
}
