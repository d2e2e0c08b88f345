//! Answers (S15 of the catalogue, as a master speaks): what a master was asked and took is
//! answered. Mesos' bugs of the kind: MESOS-8624, MESOS-1869.
//!
//! Some answers the master has at once: a launch that has to be refused, and a kill of a task that
//! nobody has launched, are answered in the step that takes them. Calls of one subscription reach
//! the master in order, and its events come in order, so the answer comes before that to any later
//! call; a question for a task that nobody has launched serves as such a fence. And as long as
//! nothing has gone wrong, every launch, kill and question is answered within [`ANSWER`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orrery_runtime::Instant;

use super::Session;

/// How long an answer may take while all is well: an executor is started, a framework acknowledges
/// three updates late, and a task that ignores SIGTERM has its grace period.
pub const ANSWER: Duration = Duration::from_secs(20);

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// What became of a launch.
    Launch,
    /// What became of a kill.
    Kill,
    /// What is known of a task that nobody has launched.
    Unknown,
}

/// What was asked and not answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// Whether something went wrong, so that answers may take any time or be lost.
    troubled: bool,
    /// By process and task, what was asked and when the answer is late.
    open: BTreeMap<(Session, String), (Question, Instant)>,
    /// By process, tasks of which the master has to speak at once, and the fence whose answer shows
    /// that it can.
    due: BTreeMap<Session, BTreeMap<String, Option<String>>>,
    /// By process and the task that a fence asks for, what must be answered before.
    fences: BTreeMap<(Session, String), BTreeSet<String>>,
    /// Fences that were answered.
    answered: BTreeSet<(Session, String)>,
}

impl Answers {
    /// Something goes wrong, or nothing does any more.
    pub(crate) fn set_troubled(&mut self, troubled: bool) {
        self.troubled = troubled;
        self.open.clear();
    }

    /// The subscription of a process begins or is over: what was asked under it is forgotten.
    pub(crate) fn subscription_changed(&mut self, session: Session) {
        self.open.retain(|(other, _), _| *other != session);
        self.due.remove(&session);
        self.fences.retain(|(other, _), _| *other != session);
        self.answered.retain(|(other, _)| *other != session);
    }

    /// A process takes over from those before it.
    pub(crate) fn started(&mut self, session: Session) {
        let replaced = |other: &Session| other.framework == session.framework && *other < session;
        self.open.retain(|(other, _), _| !replaced(other));
    }

    /// Something is asked.
    pub(crate) fn asked(&mut self, now: Instant, session: Session, task: &str, what: Question) {
        if !self.troubled {
            self.open.entry((session, task.to_owned())).or_insert((what, now + ANSWER));
        }
    }

    /// What becomes of a task is known to the master at once: its launch has to be refused, or it
    /// is killed and nobody has launched it. A master that waits for agents is silent about the
    /// latter; that it does not is known once it has answered `fence`, which was put before.
    pub(crate) fn is_due(&mut self, session: Session, task: &str, fence: Option<&str>) {
        let fence = fence.map(str::to_owned);
        self.due.entry(session).or_default().insert(task.to_owned(), fence);
    }

    /// A question is put that is answered at once, for a task that nobody has launched.
    pub(crate) fn fenced(&mut self, session: Session, invented: &str) {
        let before = self.due.get(&session).into_iter().flatten();
        let before = before.map(|(task, _)| task.clone()).collect();
        self.fences.insert((session, invented.to_owned()), before);
    }

    /// Something was heard of a task.
    pub(crate) fn heard(&mut self, session: Session, task: &str) -> Result<(), String> {
        let key = (session, task.to_owned());
        self.open.remove(&key);
        if let Some(due) = self.due.get_mut(&session) {
            due.remove(task);
        }
        let Some(before) = self.fences.remove(&key) else { return Ok(()) };
        self.answered.insert(key);
        let speaks = |fence: &Option<String>| {
            let asked = fence.as_ref().map(|fence| (session, fence.clone()));
            asked.is_none_or(|fence| self.answered.contains(&fence))
        };
        let mut due = self.due.get(&session).into_iter().flatten();
        match due.find(|(task, fence)| before.contains(*task) && speaks(fence)) {
            None => Ok(()),
            Some((task, _)) => {
                Err(format!("nothing was said of task {task}, and a later call was answered"))
            }
        }
    }

    /// Whether an answer is late.
    pub(crate) fn check(&self, now: Instant) -> Result<(), String> {
        match self.open.iter().find(|(_, (_, late))| *late <= now) {
            None => Ok(()),
            Some(((_, task), (question, _))) => Err(format!(
                "nothing was heard of task {task} for {} s after its {question:?}",
                ANSWER.as_secs()
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SESSION: Session = Session { framework: 0, number: 0 };

    #[test]
    fn a_refusal_comes_before_the_answer_to_a_later_call() {
        let mut answers = Answers::default();
        answers.is_due(SESSION, "task", None);
        answers.fenced(SESSION, "first");
        assert!(answers.heard(SESSION, "first").is_err());
        answers.fenced(SESSION, "second");
        assert_eq!(answers.heard(SESSION, "task"), Ok(()));
        assert_eq!(answers.heard(SESSION, "second"), Ok(()));
    }

    #[test]
    fn a_master_that_waits_for_agents_may_be_silent() {
        let mut answers = Answers::default();
        answers.fenced(SESSION, "first");
        answers.is_due(SESSION, "task", Some("first"));
        answers.fenced(SESSION, "second");
        assert_eq!(answers.heard(SESSION, "second"), Ok(()));
        answers.fenced(SESSION, "third");
        assert_eq!(answers.heard(SESSION, "first"), Ok(()));
        assert!(answers.heard(SESSION, "third").is_err());
    }

    #[test]
    fn an_answer_is_late_only_as_long_as_all_is_well() {
        let mut answers = Answers::default();
        let start = Instant::default();
        answers.asked(start, SESSION, "task", Question::Kill);
        assert_eq!(answers.check(start), Ok(()));
        assert!(answers.check(start + ANSWER).is_err());
        answers.set_troubled(true);
        answers.asked(start, SESSION, "task", Question::Kill);
        assert_eq!(answers.check(start + ANSWER), Ok(()));
        answers.set_troubled(false);
        answers.asked(start, SESSION, "task", Question::Launch);
        assert_eq!(answers.heard(SESSION, "task"), Ok(()));
        assert_eq!(answers.check(start + ANSWER), Ok(()));
    }
}
