//! A master that wants to lead.
//!
//! It stands in a group as a node that lives as long as its session; the lowest number leads.
//!
//! - It leads only by the node that it made in its *present* session, and only after it has seen
//!   that no lower one is there. What a node says is never compared with what it would say itself:
//!   its node of an earlier session may stand there until the service gives that session up.
//! - It stops leading when the session expires by its own clock, when its node is gone, or when a
//!   lower one turns up. A lost connection alone changes nothing.
//! - Whether a node was made is unknown when the connection breaks in the middle. Then the session
//!   is ended, which takes the node with it if there is one, and all begins anew.
//! - Its node of an earlier session is removed as soon as there is a new one.

use bytes::Bytes;
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::coordination::{
    Access, Answer, Change, CreateMode, Happening, Request, RequestError,
};
use orrery_runtime::machine::Machine;
use orrery_runtime::{Instant, Now};

use crate::group::Kind;
use crate::member::{ElectionError, Input, Line, Output};
use crate::planted::PlantedBug;
use crate::url::Url;

/// What becomes of a candidacy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContenderEvent {
    /// It leads from now on.
    Elected {
        /// The name of its node.
        name: String,
        /// The session that the node lives as long as.
        session: i64,
    },
    /// It leads no more, from now on. It goes on contending.
    Lost(Loss),
    /// It cannot contend. It does not lead, and nothing follows.
    Failed(ElectionError),
}

/// Why a leader leads no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// Its session is over, or must be taken for that.
    #[error("the ZooKeeper session has expired")]
    SessionExpired,
    /// Somebody has removed its node.
    #[error("the node in ZooKeeper was removed")]
    NodeRemoved,
    /// A node with a lower number is there.
    #[error("a lower node has appeared in ZooKeeper")]
    Overtaken,
}

#[derive(Clone, Debug)]
enum Question {
    /// Remove the node of an earlier session.
    Sweep,
    /// Is the group there?
    Look,
    /// Make the node so many levels below the root.
    Path(usize),
    /// Make the own node.
    Join,
    /// Who is there?
    List,
}

/// A contender. See the module.
#[derive(Debug)]
pub struct ContenderMachine {
    kind: Kind,
    path: String,
    prefixes: Vec<String>,
    access: Access,
    data: Bytes,
    line: Line<Question>,
    session: i64,
    /// How many of `prefixes` are known to be there; `None` before anybody looked.
    depth: Option<usize>,
    /// The name of the own node of this session.
    own: Option<String>,
    /// The name of a node of an earlier session, which may still be there.
    stale: Option<String>,
    /// Whether the group was listed since it changed.
    listed: bool,
    elected: bool,
    done: bool,
}

type Outputs = Vec<Output<ContenderEvent>>;

impl ContenderMachine {
    /// For a place in a group of this kind at `url`, with `data` for the others to read.
    pub fn new(kind: Kind, url: &Url, data: Bytes) -> Self {
        Self {
            kind,
            path: url.path.clone(),
            prefixes: url.prefixes(),
            access: Access::of(url.credentials.as_ref()),
            data,
            line: Line::default(),
            session: 0,
            depth: None,
            own: None,
            stale: None,
            listed: false,
            elected: false,
            done: false,
        }
    }

    /// Asks for the first thing that is missing.
    fn advance(&mut self, outputs: &mut Outputs) {
        if !self.line.is_free() || self.done {
            return;
        }
        let (question, request) = if let Some(name) = &self.stale {
            let path = format!("{}/{name}", self.path);
            (Question::Sweep, Request::Delete { path, version: None })
        } else if self.depth.is_none() {
            (Question::Look, Request::Exists { path: self.path.clone(), watch: false })
        } else if let Some((depth, path)) =
            self.depth.and_then(|depth| Some((depth, self.prefixes.get(depth)?)))
        {
            let (mode, access) = (CreateMode::Persistent, self.access);
            let (path, data) = (path.clone(), Bytes::new());
            (Question::Path(depth), Request::Create { path, data, mode, access })
        } else if self.own.is_none() {
            let (mode, access) = (CreateMode::EphemeralSequential, self.access);
            let path = format!("{}/{}", self.path, self.kind.beginning());
            (Question::Join, Request::Create { path, data: self.data.clone(), mode, access })
        } else if !self.listed {
            (Question::List, Request::Children { path: self.path.clone(), watch: true })
        } else {
            return;
        };
        self.line.ask(question, request, outputs);
    }

    fn answered(
        &mut self,
        now: Instant,
        question: Question,
        answer: Result<Answer, RequestError>,
        outputs: &mut Outputs,
    ) {
        match (question, answer) {
            (Question::Join, Err(error)) if error.is_unknown() => {
                reachable!("a contender does not know whether its node was made");
                if !PlantedBug::RepeatsUnknownJoin.is_planted() {
                    self.reopen(outputs);
                }
            }
            (_, Err(error)) if error.is_passing() => self.line.retry_later(now),
            // The number is taken: a service that was restored from an old copy counts anew.
            (Question::Join, Err(RequestError::NodeExists)) => {
                reachable!("a contender is given a number that is taken");
                self.line.retry_later(now);
            }
            // Whatever else keeps it from being removed: it goes with its session.
            (Question::Sweep, _) => {
                reachable!("a contender removes its node of an earlier session");
                self.stale = None;
            }
            (Question::Look, Ok(Answer::Exists(Some(_)))) => {
                self.depth = Some(self.prefixes.len());
            }
            (Question::Look, Ok(_)) => self.depth = Some(0),
            (Question::Path(depth), Ok(_) | Err(RequestError::NodeExists)) => {
                self.depth = Some(depth + 1);
            }
            (Question::Join, Ok(Answer::Created(path))) => {
                self.own = path.rsplit('/').next().map(str::to_owned);
                self.listed = false;
            }
            (Question::List, Ok(Answer::Children(names))) => {
                self.listed = true;
                self.judge(&names, outputs);
            }
            // Somebody has removed the group itself.
            (Question::Path(_) | Question::Join | Question::List, Err(RequestError::NoNode)) => {
                reachable!("the group of an election is removed");
                self.lose(Loss::NodeRemoved, outputs);
                self.own = None;
                self.depth = None;
            }
            (question, Err(error)) => self.fail(&question, error, outputs),
            (_, Ok(_)) => self.line.retry_later(now),
        }
    }

    /// Finds out who leads, now that it is known who is there.
    fn judge(&mut self, names: &[String], outputs: &mut Outputs) {
        let Some(own) = self.own.clone() else { return };
        if !names.contains(&own) {
            if PlantedBug::OverlooksRemoval.is_planted() {
                return;
            }
            self.own = None;
            return self.lose(Loss::NodeRemoved, outputs);
        }
        sometimes!(self.stale.is_some(), "a contender's node of an earlier session is still there");
        let lowest = self.kind.members(names).first().is_some_and(|(_, name)| **name == own);
        if !lowest {
            sometimes!(!self.elected, "a contender stands behind a lower node");
            self.lose(Loss::Overtaken, outputs);
        } else if !self.elected {
            self.elected = true;
            let session = self.session;
            outputs.push(Output::Tell(ContenderEvent::Elected { name: own, session }));
        }
    }

    fn lose(&mut self, loss: Loss, outputs: &mut Outputs) {
        if std::mem::take(&mut self.elected) {
            sometimes!(loss == Loss::SessionExpired, "a leader's session expires");
            sometimes!(loss == Loss::NodeRemoved, "a leader's node is removed");
            sometimes!(loss == Loss::Overtaken, "a lower node appears before a leader's");
            outputs.push(Output::Tell(ContenderEvent::Lost(loss)));
        }
    }

    fn fail(&mut self, question: &Question, error: RequestError, outputs: &mut Outputs) {
        let (action, path) = match question {
            Question::Path(depth) => ("create", self.prefixes.get(*depth)),
            Question::Join => ("create a node below", None),
            Question::List => ("list", None),
            Question::Look | Question::Sweep => ("look at", None),
        };
        let path = path.unwrap_or(&self.path).clone();
        self.finish(ElectionError::Node { action, path, error }, outputs);
    }

    fn finish(&mut self, error: ElectionError, outputs: &mut Outputs) {
        self.elected = false;
        self.done = true;
        outputs.extend([Output::Tell(ContenderEvent::Failed(error)), Output::Done]);
    }

    /// Begins anew with another session.
    fn reopen(&mut self, outputs: &mut Outputs) {
        self.line.reset();
        self.depth = None;
        self.listed = false;
        if !PlantedBug::TrustsOldNode.is_planted() {
            self.stale = self.own.take().or(self.stale.take());
        }
        outputs.push(Output::Reopen);
    }

    fn happened(&mut self, now: Instant, happening: Happening, outputs: &mut Outputs) {
        match happening {
            Happening::Connected { session, .. } => {
                self.session = session;
                self.line.connected();
            }
            Happening::Disconnected => self.line.disconnected(),
            Happening::Expired => {
                if !PlantedBug::LeadsOnAfterExpiry.is_planted() {
                    self.lose(Loss::SessionExpired, outputs);
                }
                self.reopen(outputs);
            }
            Happening::Refused => self.finish(ElectionError::Refused, outputs),
            Happening::Watched { change: Change::Children | Change::Deleted, .. } => {
                self.listed = false;
            }
            Happening::Watched { .. } => {}
            Happening::Answered { token, answer } => {
                if let Some(question) = self.line.answered(token) {
                    self.answered(now, question, answer, outputs);
                }
            }
        }
    }
}

impl Machine for ContenderMachine {
    type Input = Input;
    type Output = Output<ContenderEvent>;

    fn step(&mut self, now: Now, input: Input, outputs: &mut Outputs) {
        if self.done {
            return;
        }
        match input {
            Input::Happened(happening) => self.happened(now.instant, happening, outputs),
            Input::Tick => self.line.tick(now.instant),
            Input::Withdraw => {
                self.done = true;
                outputs.push(Output::Done);
            }
        }
        self.advance(outputs);
    }

    fn deadline(&self) -> Option<Instant> {
        self.line.deadline()
    }

    fn tick() -> Input {
        Input::Tick
    }
}

#[cfg(test)]
#[path = "contender_test.rs"]
mod tests;
