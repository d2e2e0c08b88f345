//! Who watches a group: its lowest member, or all of them.
//!
//! A lost connection alone changes nothing. Once the session has expired, nobody is known to be
//! there any more, and that is told: whoever follows a leader must not follow one that may have
//! been replaced long ago.

use std::collections::BTreeMap;

use bytes::Bytes;
use orrery_coverage::reachable;
use orrery_runtime::coordination::{Answer, Happening, Request, RequestError};
use orrery_runtime::machine::Machine;
use orrery_runtime::{Instant, Now};

use crate::group::{Kind, Member};
use crate::member::{ElectionError, Input, Line, Output};
use crate::planted::PlantedBug;
use crate::url::Url;

/// Who is there: with masters the leader alone. An error is the end.
pub type Sight = Result<Vec<Member>, ElectionError>;

#[derive(Clone, Debug)]
enum Question {
    /// Is the group there?
    Look,
    /// Who is there?
    List,
    /// What does this member say of itself?
    Get(String),
}

/// Where the observer is on its way to knowing who is there.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Look,
    List,
    Get,
    Watch,
}

/// An observer. See the module.
#[derive(Debug)]
pub struct ObserverMachine {
    kind: Kind,
    path: String,
    line: Line<Question>,
    step: Step,
    /// Who is wanted, by number, as last listed.
    wanted: BTreeMap<i32, String>,
    /// What members have said of themselves.
    known: BTreeMap<String, Bytes>,
    told: Option<Vec<Member>>,
    done: bool,
}

type Outputs = Vec<Output<Sight>>;

impl ObserverMachine {
    /// Of a group of this kind at `url`.
    pub fn new(kind: Kind, url: &Url) -> Self {
        Self {
            kind,
            path: url.path.clone(),
            line: Line::default(),
            step: Step::List,
            wanted: BTreeMap::new(),
            known: BTreeMap::new(),
            told: None,
            done: false,
        }
    }

    fn advance(&mut self, outputs: &mut Outputs) {
        if !self.line.is_free() || self.done {
            return;
        }
        if self.step == Step::Get {
            let unknown = |name: &&String| !self.known.contains_key(*name);
            if let Some(name) = self.wanted.values().find(unknown).cloned() {
                let path = format!("{}/{name}", self.path);
                let request = Request::Get { path, watch: false };
                return self.line.ask(Question::Get(name), request, outputs);
            }
            self.step = Step::Watch;
            self.tell_wanted(outputs);
        }
        let path = self.path.clone();
        match self.step {
            Step::Look => {
                let watch = !PlantedBug::WaitsForNoGroup.is_planted();
                self.line.ask(Question::Look, Request::Exists { path, watch }, outputs);
            }
            Step::List => {
                let request = Request::Children { path, watch: true };
                self.line.ask(Question::List, request, outputs);
            }
            Step::Get | Step::Watch => {}
        }
    }

    fn tell_wanted(&mut self, outputs: &mut Outputs) {
        let member = |(sequence, name): (&i32, &String)| {
            let data = self.known.get(name)?.clone();
            Some(Member { name: name.clone(), sequence: *sequence, data })
        };
        let members = self.wanted.iter().filter_map(member).collect();
        self.tell(members, outputs);
    }

    fn tell(&mut self, members: Vec<Member>, outputs: &mut Outputs) {
        if self.told.as_ref() != Some(&members) {
            self.told = Some(members.clone());
            outputs.push(Output::Tell(Ok(members)));
        }
    }

    fn answered(
        &mut self,
        now: Instant,
        question: Question,
        answer: Result<Answer, RequestError>,
        outputs: &mut Outputs,
    ) {
        match (question, answer) {
            (_, Err(error)) if error.is_passing() => self.line.retry_later(now),
            (Question::Look, Ok(Answer::Exists(Some(_)))) => self.step = Step::List,
            (Question::Look, Ok(_)) => {
                self.step = Step::Watch;
                self.wanted.clear();
                self.tell(Vec::new(), outputs);
            }
            (Question::List, Ok(Answer::Children(names))) => self.listed(&names),
            (Question::List, Err(RequestError::NoNode)) => {
                reachable!("an observer waits for a group that is not there");
                self.step = Step::Look;
            }
            (Question::Get(name), Ok(Answer::Data(data, _))) => {
                self.known.insert(name, data);
            }
            // It has gone meanwhile, and a watch says so as well.
            (Question::Get(name), Err(RequestError::NoNode)) => {
                reachable!("a leader's node is gone before it is read");
                self.wanted.retain(|_, wanted| *wanted != name);
            }
            (question, Err(error)) => {
                let (action, path) = match question {
                    Question::Look => ("look at", self.path.clone()),
                    Question::List => ("list", self.path.clone()),
                    Question::Get(name) => ("read", format!("{}/{name}", self.path)),
                };
                self.finish(ElectionError::Node { action, path, error }, outputs);
            }
            (_, Ok(_)) => self.line.retry_later(now),
        }
    }

    fn listed(&mut self, names: &[String]) {
        let members = self.kind.members(names).into_iter();
        let many = match self.kind {
            Kind::Masters => 1,
            Kind::Replicas => usize::MAX,
        };
        let members = members.take(many);
        self.wanted = members.map(|(sequence, name)| (sequence, name.clone())).collect();
        self.known.retain(|name, _| names.contains(name));
        self.step = Step::Get;
    }

    fn finish(&mut self, error: ElectionError, outputs: &mut Outputs) {
        self.done = true;
        outputs.extend([Output::Tell(Err(error)), Output::Done]);
    }

    fn happened(&mut self, now: Instant, happening: Happening, outputs: &mut Outputs) {
        match happening {
            Happening::Connected { .. } => self.line.connected(),
            Happening::Disconnected => self.line.disconnected(),
            Happening::Expired => {
                reachable!("an observer's session expires");
                self.line.reset();
                self.step = Step::List;
                self.known.clear();
                if !PlantedBug::NamesLeaderAfterExpiry.is_planted() {
                    self.tell(Vec::new(), outputs);
                }
                outputs.push(Output::Reopen);
            }
            Happening::Refused => self.finish(ElectionError::Refused, outputs),
            Happening::Watched { .. } => self.step = Step::List,
            Happening::Answered { token, answer } => {
                if let Some(question) = self.line.answered(token) {
                    self.answered(now, question, answer, outputs);
                }
            }
        }
    }
}

impl Machine for ObserverMachine {
    type Input = Input;
    type Output = Output<Sight>;

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
#[path = "observer_test.rs"]
mod tests;
