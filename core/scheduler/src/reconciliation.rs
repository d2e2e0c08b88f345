//! Asking a master what became of tasks.
//!
//! A master that took over, or that could not reach the framework for a while, sends no updates for
//! what happened meanwhile. After each re-subscription the session therefore asks for every task
//! that is not terminal, by name, and again with growing pauses until each one was answered: a
//! master stays silent about tasks on agents that have not come back to it yet. TASK_UNREACHABLE
//! and TASK_UNKNOWN settle nothing: when the agent returns to a master that took over meanwhile,
//! that one cannot tell what it never had on record, so such tasks are asked for until more is
//! known.

use std::collections::BTreeSet;

use orrery_api::v1;
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::Instant;

use crate::backoff::Backoff;
use crate::planted::PlantedBug;

/// How many tasks one RECONCILE call names, which keeps a call well under a master's body limit.
pub(crate) const TASKS_PER_CALL: usize = 1_000;

#[derive(Debug, Default)]
pub(crate) struct Reconciliation {
    /// Tasks without an answer yet.
    unanswered: BTreeSet<String>,
    /// When to ask again.
    due: Option<Instant>,
    backoff: Backoff,
    /// Tasks that the framework itself asked about since the last subscription.
    asked: BTreeSet<String>,
    /// Whether the framework itself asked about all of its tasks since the last subscription.
    asked_all: bool,
}

impl Reconciliation {
    /// Begins to ask for `tasks`: the first calls are due at once.
    pub(crate) fn start(&mut self, now: Instant, tasks: impl Iterator<Item = String>) {
        self.unanswered = tasks.collect();
        self.backoff.reset();
        self.due = if self.unanswered.is_empty() { None } else { Some(now) };
    }

    /// Forgets all questions: the connection is gone.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Something was heard about a task. Returns whether the framework itself asked for it.
    pub(crate) fn answered(&mut self, task_id: &v1::TaskId) -> bool {
        self.unanswered.remove(&task_id.value);
        if self.unanswered.is_empty() {
            self.due = None;
        }
        self.asked.remove(&task_id.value) || self.asked_all
    }

    /// What was heard about a task settles nothing: it is asked for again.
    pub(crate) fn keep_asking(&mut self, now: Instant, task_id: &v1::TaskId) {
        if PlantedBug::UnknownIsAnAnswer.is_planted() {
            return;
        }
        reachable!("an answer settles nothing and the task is asked for again");
        self.unanswered.insert(task_id.value.clone());
        if self.due.is_none() {
            self.due = Some(now + self.backoff.next_fixed());
        }
    }

    /// Stops asking for a task.
    pub(crate) fn forget(&mut self, task_id: &v1::TaskId) {
        self.unanswered.remove(&task_id.value);
    }

    /// Notes what the framework itself asks for; nothing named means everything.
    pub(crate) fn ask<'a>(&mut self, tasks: impl ExactSizeIterator<Item = &'a v1::TaskId>) {
        self.asked_all |= tasks.len() == 0;
        self.asked.extend(tasks.map(|task_id| task_id.value.clone()));
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The tasks to ask for now, if it is time.
    pub(crate) fn due_tasks(&mut self, now: Instant) -> Vec<v1::TaskId> {
        if self.due.is_none_or(|due| due > now) {
            return Vec::new();
        }
        if self.unanswered.is_empty() {
            self.due = None;
            return Vec::new();
        }
        sometimes!(self.backoff.is_longest(), "a task is asked for with the longest pause");
        self.due = Some(now + self.backoff.next_fixed());
        self.unanswered.iter().map(|id| v1::TaskId { value: id.clone() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(value: &str) -> v1::TaskId {
        v1::TaskId { value: value.to_owned() }
    }

    #[test]
    fn asks_again_with_growing_pauses_until_each_task_was_answered() {
        let mut reconciliation = Reconciliation::default();
        let start = Instant::default();
        reconciliation.start(start, ["a", "b"].map(str::to_owned).into_iter());
        assert_eq!(reconciliation.due_tasks(start), [id("a"), id("b")]);
        assert_eq!(reconciliation.deadline(), Some(start + Duration::from_secs(1)));
        assert!(reconciliation.due_tasks(start).is_empty());
        reconciliation.answered(&id("a"));
        let second = start + Duration::from_secs(1);
        assert_eq!(reconciliation.due_tasks(second), [id("b")]);
        assert_eq!(reconciliation.deadline(), Some(second + Duration::from_secs(2)));
        reconciliation.answered(&id("b"));
        assert_eq!(reconciliation.deadline(), None);
    }

    #[test]
    fn what_settles_nothing_is_asked_for_until_it_is_forgotten() {
        let mut reconciliation = Reconciliation::default();
        let start = Instant::default();
        reconciliation.keep_asking(start, &id("a"));
        let first = start + Duration::from_secs(1);
        assert_eq!(reconciliation.deadline(), Some(first));
        assert_eq!(reconciliation.due_tasks(first), [id("a")]);
        reconciliation.answered(&id("a"));
        reconciliation.keep_asking(first, &id("a"));
        let second = first + Duration::from_secs(4);
        assert_eq!(reconciliation.deadline(), Some(second));
        reconciliation.forget(&id("a"));
        assert!(reconciliation.due_tasks(second).is_empty());
    }

    #[test]
    fn knows_what_the_framework_asked_for_itself() {
        let mut reconciliation = Reconciliation::default();
        reconciliation.ask([id("a")].iter());
        assert!(!reconciliation.answered(&id("b")));
        assert!(reconciliation.answered(&id("a")));
        assert!(!reconciliation.answered(&id("a")));
        reconciliation.ask([].iter());
        assert!(reconciliation.answered(&id("b")));
        assert!(reconciliation.answered(&id("b")));
        reconciliation.clear();
        assert!(!reconciliation.answered(&id("b")));
    }
}
