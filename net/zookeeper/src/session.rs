//! One session as a machine without I/O: which server to ask, when to send a sign of life, what an
//! answer means, and when the session must be taken for lost.
//!
//! ```text
//!             ┌────────────────────────────── the connection breaks ───────────────┐
//!             ▼                                                                    │
//!  Pausing ──────▶ Connecting ──────▶ Greeting ──────▶ Open ── requests, pings ────┘
//!                                         │              │
//!                                         └─ "expired" ──┴─ or the deadline ──▶ over
//! ```
//!
//! # When a session is lost
//!
//! The ensemble ends a session that it has not heard of for the time-out. It has heard of it no
//! earlier than the client *sent* the last request that was answered. So the time-out is counted
//! from there, whatever the state of the connection, and a hundredth is taken off for clocks that
//! run at different rates. An answer of the server comes too late to change that: the deadline is
//! looked at before anything else that has queued up.
//!
//! One thing no client can know. A follower passes on what it heard of its clients every half tick.
//! If it dies, or is cut off from its leader, with such news not passed on, then the ensemble may
//! end the session earlier than its client believes. What must be done by one at a time, such as
//! writing the registry, therefore needs more than a session: the replicated log has its ballots.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::coordination::{
    Answer, Happening, Request, RequestError, SessionOptions, Token,
};
use orrery_runtime::machine::Machine;
use orrery_runtime::{Address, Generator, Instant, Now};

use crate::jute::{JuteError, Reader};
use crate::planted::PlantedBug;
use crate::records::{
    ClientRecord, ConnectRequest, ConnectResponse, ReplyHeader, code, error_of, read_answer,
    read_watch, xid,
};
use crate::watches::Watches;

/// Requests that may wait for their answers at once.
pub(crate) const MOST_REQUESTS: usize = 1_000;

/// The longest pause before a server is tried that was not tried since the connection broke.
const SHORT_PAUSE: Duration = Duration::from_millis(50);

/// The longest pause once all servers were tried in vain.
const LONG_PAUSE: Duration = Duration::from_millis(500);

/// So often is every server tried before the log says again that none answers.
const ROUNDS_BETWEEN_WARNINGS: usize = 100;

/// Numbers the connections of a session, so that what an old one says is not mistaken.
pub(crate) type Attempt = u64;

/// What can happen to a session.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Its owner asks for something.
    Request(Token, Request),
    /// Its owner is done with it.
    Close,
    /// A connection stands.
    Opened(Attempt),
    /// A frame came in.
    Frame(Attempt, Bytes),
    /// A connection was not made, or is gone; why.
    Broken(Attempt, String),
    /// The deadline has passed.
    Tick,
}

/// What a session wants done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Connect to this server.
    Connect(Attempt, Address),
    /// Send this frame on the connection.
    Send(Bytes),
    /// Drop the connection, or the attempt to make it.
    Disconnect,
    /// Tell the owner.
    Tell(Happening),
    /// Nothing more will come.
    Over,
}

#[derive(Debug, PartialEq, Eq)]
enum Link {
    Pausing { until: Instant },
    Connecting { since: Instant },
    Greeting { since: Instant },
    Open { sent: Instant, received: Instant, ping: Option<Instant> },
}

/// What the service said about the session when it began.
#[derive(Debug)]
struct Established {
    session: i64,
    password: Bytes,
    timeout: Duration,
    /// When the last request was sent that was answered.
    heard: Instant,
}

#[derive(Debug)]
struct Waiting {
    number: i32,
    token: Token,
    request: Request,
    sent: Instant,
}

/// A session. See the module.
#[derive(Debug)]
pub(crate) struct SessionMachine {
    options: SessionOptions,
    random: Generator,
    servers: Vec<Address>,
    /// How many servers were tried since the last connection.
    tried: usize,
    /// What was wrong with the last of them.
    trouble: String,
    attempt: Attempt,
    link: Link,
    established: Option<Established>,
    last_zxid: i64,
    last_number: i32,
    waiting: VecDeque<Waiting>,
    watches: Watches,
    closing: bool,
    over: bool,
}

impl SessionMachine {
    /// A session that begins at its first tick, which is due at once.
    pub(crate) fn new(options: SessionOptions, mut random: Generator) -> Self {
        // Clients that are all given the same list must not all go to its first server.
        let mut servers = options.servers.clone();
        for index in (1..servers.len()).rev() {
            servers.swap(index, random.below(index as u64 + 1) as usize);
        }
        Self {
            options,
            random,
            servers,
            tried: 0,
            trouble: String::new(),
            attempt: 0,
            link: Link::Pausing { until: Instant::default() },
            established: None,
            last_zxid: 0,
            last_number: 0,
            waiting: VecDeque::new(),
            watches: Watches::default(),
            closing: false,
            over: false,
        }
    }

    fn timeout(&self) -> Duration {
        self.established.as_ref().map_or(self.options.timeout, |established| established.timeout)
    }

    /// How long one server may take to answer the greeting.
    fn patience(&self) -> Duration {
        self.timeout() / u32::try_from(self.servers.len().max(1)).unwrap_or(u32::MAX)
    }

    fn expires(&self) -> Option<Instant> {
        if PlantedBug::WaitsForVerdict.is_planted() {
            return None;
        }
        let established = self.established.as_ref()?;
        Some(established.heard + (established.timeout - established.timeout / 100))
    }

    /// When the link wants something done.
    fn link_deadline(&self) -> Instant {
        match self.link {
            Link::Pausing { until } => until,
            Link::Connecting { since } | Link::Greeting { since } => since + self.patience(),
            Link::Open { sent, received, ping } => {
                let silent = received + self.timeout() * 2 / 3;
                // A session that is to end is not kept alive.
                if ping.is_some() || self.closing {
                    silent
                } else {
                    silent.min(sent + self.timeout() / 3)
                }
            }
        }
    }

    fn tick(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        if self.expires().is_some_and(|deadline| deadline <= now) {
            reachable!("a session expires by its client's own clock");
            return self.expire(outputs);
        }
        if self.link_deadline() > now {
            return;
        }
        match &mut self.link {
            Link::Pausing { .. } => self.connect(now, outputs),
            Link::Open { sent, received, ping } => {
                let timeout =
                    self.established.as_ref().map_or(self.options.timeout, |held| held.timeout);
                if *received + timeout * 2 / 3 <= now {
                    reachable!("a ZooKeeper server falls silent");
                    return self.drop_link(now, outputs);
                }
                *sent = now;
                *ping = Some(now);
                outputs.push(Output::Send(ClientRecord::Ping.frame(xid::PING)));
            }
            Link::Connecting { .. } | Link::Greeting { .. } => {
                "it took too long".clone_into(&mut self.trouble);
                self.drop_link(now, outputs);
            }
        }
    }

    fn connect(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        let Some(server) = self.servers.first().cloned() else { return self.expire(outputs) };
        self.servers.rotate_left(1);
        self.attempt += 1;
        self.tried += 1;
        self.link = Link::Connecting { since: now };
        outputs.push(Output::Connect(self.attempt, server));
    }

    fn greet(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        let established = self.established.as_ref();
        let request = ConnectRequest {
            last_zxid: self.last_zxid,
            timeout: i32::try_from(self.options.timeout.as_millis()).unwrap_or(i32::MAX),
            session: established.map_or(0, |established| established.session),
            // A new session shows sixteen zeros.
            password: established
                .map_or(Bytes::from_static(&[0; 16]), |established| established.password.clone()),
        };
        self.link = Link::Greeting { since: now };
        outputs.push(Output::Send(request.frame()));
    }

    fn greeted(
        &mut self,
        now: Instant,
        since: Instant,
        frame: Bytes,
        outputs: &mut Vec<Output>,
    ) -> Result<(), JuteError> {
        let response = ConnectResponse::read(frame)?;
        let timeout = u64::try_from(response.timeout).unwrap_or(0);
        let other = self
            .established
            .as_ref()
            .is_some_and(|established| established.session != response.session);
        if timeout == 0 || response.session == 0 || other {
            reachable!("a server says that a session is over");
            self.expire(outputs);
            return Ok(());
        }
        sometimes!(self.established.is_some(), "a session goes on over another connection");
        let timeout = Duration::from_millis(timeout);
        let session = response.session;
        let password = response.password;
        let heard = match &self.established {
            Some(established) if self.closing => established.heard,
            _ => since,
        };
        self.established = Some(Established { session, password, timeout, heard });
        self.tried = 0;
        self.link = Link::Open { sent: now, received: now, ping: None };
        outputs.push(Output::Tell(Happening::Connected { session, timeout }));
        if let Some(credentials) = &self.options.credentials {
            let credentials = Bytes::copy_from_slice(credentials.as_str().as_bytes());
            let frame = ClientRecord::Authenticate(credentials).frame(xid::AUTHENTICATE);
            outputs.push(Output::Send(frame));
        }
        if let Some(watches) = self.watches.renewal(self.last_zxid)
            && !PlantedBug::ForgetsWatches.is_planted()
        {
            reachable!("watches are set again over another connection");
            let frame = ClientRecord::SetWatches(watches).frame(xid::SET_WATCHES);
            outputs.push(Output::Send(frame));
        }
        if self.closing {
            self.send_close(outputs);
        }
        Ok(())
    }

    fn request(&mut self, now: Instant, token: Token, request: Request, outputs: &mut Vec<Output>) {
        let refused = |error| Output::Tell(Happening::Answered { token, answer: Err(error) });
        let Link::Open { sent, .. } = &mut self.link else {
            reachable!("a request is made while no ZooKeeper server is connected");
            return outputs.push(refused(RequestError::NotConnected));
        };
        if self.waiting.len() >= MOST_REQUESTS {
            reachable!("more requests wait for ZooKeeper than may");
            return outputs.push(refused(RequestError::TooMany));
        }
        *sent = now;
        let number = self.next_number();
        let record = ClientRecord::Request(request.clone());
        outputs.push(Output::Send(record.frame(number)));
        self.waiting.push_back(Waiting { number, token, request, sent: now });
    }

    fn next_number(&mut self) -> i32 {
        self.last_number = self.last_number.checked_add(1).unwrap_or(1);
        self.last_number
    }

    fn close(&mut self, outputs: &mut Vec<Output>) {
        self.closing = true;
        match (&self.link, &self.established) {
            (_, None) => self.end(outputs),
            (Link::Open { .. }, _) => self.send_close(outputs),
            // The next connection carries it, or the session expires first.
            _ => {}
        }
    }

    fn send_close(&mut self, outputs: &mut Vec<Output>) {
        let number = self.next_number();
        outputs.push(Output::Send(ClientRecord::Close.frame(number)));
    }

    fn frame(
        &mut self,
        now: Instant,
        frame: Bytes,
        outputs: &mut Vec<Output>,
    ) -> Result<(), JuteError> {
        let (received, ping) = match &mut self.link {
            Link::Greeting { since } => {
                let since = *since;
                return self.greeted(now, since, frame, outputs);
            }
            Link::Open { received, ping, .. } => (received, ping),
            Link::Pausing { .. } | Link::Connecting { .. } => return Ok(()),
        };
        *received = now;
        let mut reader = Reader::new(frame);
        let header = ReplyHeader::read(&mut reader)?;
        self.last_zxid = self.last_zxid.max(header.zxid);
        match header.number {
            xid::WATCH => {
                if let Some((path, change)) = read_watch(&mut reader)?
                    && self.watches.told(&path, change)
                {
                    outputs.push(Output::Tell(Happening::Watched { path, change }));
                }
            }
            xid::PING => {
                if let Some(sent) = ping.take() {
                    self.heard(sent);
                }
            }
            xid::AUTHENTICATE if header.error != code::OK => {
                reachable!("ZooKeeper refuses credentials");
                self.lose_requests(RequestError::SessionOver, outputs);
                outputs.push(Output::Tell(Happening::Refused));
                self.end(outputs);
            }
            xid::AUTHENTICATE | xid::SET_WATCHES => {}
            _ => self.answered(now, header, &mut reader, outputs)?,
        }
        Ok(())
    }

    fn answered(
        &mut self,
        now: Instant,
        header: ReplyHeader,
        reader: &mut Reader,
        outputs: &mut Vec<Output>,
    ) -> Result<(), JuteError> {
        if header.error == code::SESSION_EXPIRED {
            self.expire(outputs);
            return Ok(());
        }
        match self.waiting.pop_front() {
            Some(waiting) if waiting.number == header.number => {
                let answer = match (error_of(header.error), &waiting.request) {
                    (None, request) => Ok(read_answer(request, reader)?),
                    (Some(RequestError::NoNode), Request::Exists { .. }) => {
                        Ok(Answer::Exists(None))
                    }
                    (Some(error), _) => Err(error),
                };
                self.heard(waiting.sent);
                self.watches.answered(&waiting.request, &answer);
                let token = waiting.token;
                outputs.push(Output::Tell(Happening::Answered { token, answer }));
            }
            None if self.closing && header.number == self.last_number => self.end(outputs),
            Some(waiting) => {
                reachable!("a ZooKeeper server answers out of turn");
                // A server that answers out of turn has lost count of this connection.
                self.waiting.push_front(waiting);
                self.drop_link(now, outputs);
            }
            None => self.drop_link(now, outputs),
        }
        Ok(())
    }

    /// The service has heard of the session since `sent`. That does not count any more once the
    /// session is to end, so that waiting for it comes to an end too.
    fn heard(&mut self, sent: Instant) {
        if let Some(established) = self.established.as_mut().filter(|_| !self.closing) {
            established.heard = established.heard.max(sent);
        }
    }

    /// The connection is of no use any more: another server is tried after a pause.
    fn drop_link(&mut self, now: Instant, outputs: &mut Vec<Output>) {
        let was_open = matches!(self.link, Link::Open { .. });
        sometimes!(self.tried >= self.servers.len(), "all ZooKeeper servers were tried in vain");
        sometimes!(!self.waiting.is_empty(), "a connection to ZooKeeper breaks with open requests");
        self.complain();
        let longest = if self.tried < self.servers.len() { SHORT_PAUSE } else { LONG_PAUSE };
        let longest = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX);
        let pause = Duration::from_nanos(self.random.below(longest));
        self.link = Link::Pausing { until: now + pause };
        outputs.push(Output::Disconnect);
        if was_open {
            outputs.push(Output::Tell(Happening::Disconnected));
            self.lose_requests(RequestError::ConnectionLost, outputs);
        }
    }

    /// Tells whoever reads the log that no server can be used, once it is so and now and then.
    fn complain(&self) {
        let rounds = self.tried / self.servers.len().max(1);
        let whole = self.tried.is_multiple_of(self.servers.len().max(1));
        if whole && (rounds == 1 || rounds.is_multiple_of(ROUNDS_BETWEEN_WARNINGS)) && rounds > 0 {
            let servers: Vec<_> = self.servers.iter().map(Address::to_string).collect();
            let (servers, last) = (servers.join(","), &self.trouble);
            tracing::warn!(
                servers,
                rounds,
                last,
                "no ZooKeeper server answers; they are tried again"
            );
        }
    }

    fn lose_requests(&mut self, error: RequestError, outputs: &mut Vec<Output>) {
        for Waiting { token, .. } in self.waiting.drain(..) {
            outputs.push(Output::Tell(Happening::Answered { token, answer: Err(error) }));
        }
    }

    fn expire(&mut self, outputs: &mut Vec<Output>) {
        self.lose_requests(RequestError::SessionOver, outputs);
        outputs.push(Output::Tell(Happening::Expired));
        self.end(outputs);
    }

    fn end(&mut self, outputs: &mut Vec<Output>) {
        self.over = true;
        outputs.push(Output::Disconnect);
        outputs.push(Output::Over);
    }
}

impl Machine for SessionMachine {
    type Input = Input;
    type Output = Output;

    fn step(&mut self, now: Now, input: Input, outputs: &mut Vec<Output>) {
        if self.over {
            return;
        }
        let now = now.instant;
        match input {
            Input::Request(token, request) => self.request(now, token, request, outputs),
            Input::Close => self.close(outputs),
            Input::Opened(attempt) if attempt == self.attempt => {
                if matches!(self.link, Link::Connecting { .. }) {
                    self.greet(now, outputs);
                }
            }
            Input::Frame(attempt, frame) if attempt == self.attempt => {
                if let Err(error) = self.frame(now, frame, outputs) {
                    reachable!("a ZooKeeper server sends what is no answer");
                    tracing::warn!(%error, "a ZooKeeper server sent what is no answer");
                    self.drop_link(now, outputs);
                }
            }
            Input::Broken(attempt, why) if attempt == self.attempt => {
                if !matches!(self.link, Link::Pausing { .. }) {
                    self.trouble = why;
                    self.drop_link(now, outputs);
                }
            }
            Input::Opened(_) | Input::Frame(..) | Input::Broken(..) => {}
            Input::Tick => self.tick(now, outputs),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let link = self.link_deadline();
        Some(self.expires().map_or(link, |expires| expires.min(link)))
    }

    fn tick() -> Input {
        Input::Tick
    }
}

#[cfg(test)]
#[path = "session_test.rs"]
mod tests;
