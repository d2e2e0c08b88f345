//! What the session remembers about each task: enough to deliver every update once, to repeat a
//! kill, and to ask a new master about what it does not tell by itself.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use orrery_api::v1;
use orrery_api::v1::scheduler::call;
use orrery_coverage::{reachable, sometimes};
use orrery_model::task_state;

use crate::calls::update_uuid;
use crate::planted::PlantedBug;

/// How many ended tasks are remembered, to recognise a terminal update whose acknowledgement was
/// lost. Beyond it the oldest are forgotten, and such an update would be delivered again.
pub(crate) const ENDED_TASKS_KEPT: usize = 65_536;

/// How many updates of one task are remembered. An agent has only one update of a task in flight,
/// so this many cover every repetition short of an agent that lost its disk.
pub(crate) const UPDATES_KEPT_PER_TASK: usize = 64;

/// What to do with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The framework has to see it.
    Deliver,
    /// It holds nothing new. Acknowledge it again, because the agent does not know that it arrived.
    AcknowledgeOnly,
    /// It holds nothing new, and nothing has to be done (or the framework is about to do it).
    Ignore,
}

#[derive(Debug, Default)]
struct Record {
    agent_id: Option<v1::AgentId>,
    /// The last state delivered; `None` while nothing was heard.
    state: Option<i32>,
    /// Which entry of `TaskBook::ended` stands for it; `None` while it is not terminal.
    ending: Option<u64>,
    /// Updates received, oldest first.
    seen: VecDeque<Bytes>,
    /// Updates delivered but not acknowledged yet.
    awaiting: Vec<Bytes>,
    /// The kill to repeat until the task is terminal.
    kill: Option<call::Kill>,
}

impl Record {
    /// Whether `state` is another end than the one that was told, or no state at all.
    fn contradicts_end(&self, state: i32) -> bool {
        let says_nothing = [v1::TaskState::TaskUnknown, v1::TaskState::TaskUnreachable]
            .iter()
            .any(|nothing| *nothing as i32 == state);
        self.ending.is_some() && self.state != Some(state) && (says_nothing || is_terminal(state))
    }
}

/// All tasks that the session knows.
#[derive(Debug, Default)]
pub(crate) struct TaskBook {
    records: BTreeMap<String, Record>,
    ended: VecDeque<(u64, String)>,
    endings: u64,
}

impl TaskBook {
    /// Notes that `task` is about to be launched. Its id may be that of an ended task; updates
    /// seen under the id stay known, since an agent may still repeat one of them.
    pub(crate) fn launched(&mut self, task: &v1::TaskInfo) {
        let record = self.records.entry(task.task_id.value.clone()).or_default();
        record.agent_id = Some(task.agent_id.clone());
        record.state = None;
        record.ending = None;
        record.kill = None;
    }

    /// Judges an update and notes what it says. `asked` tells whether the framework itself asked
    /// for the state of this task, so that an answer without news is news to it.
    pub(crate) fn update(&mut self, status: &v1::TaskStatus, asked: bool) -> Verdict {
        let id = &status.task_id.value;
        let record = self.records.entry(id.clone()).or_default();
        let uuid = update_uuid(status);
        if let Some(uuid) = uuid {
            if record.seen.contains(uuid) && !PlantedBug::DeliversRepeatedUpdates.is_planted() {
                let pending = record.awaiting.contains(uuid);
                sometimes!(
                    pending,
                    "an update comes again before the framework has acknowledged it"
                );
                return if pending { Verdict::Ignore } else { Verdict::AcknowledgeOnly };
            }
            remember(&mut record.seen, uuid.clone());
        }
        if uuid.is_none() && is_reconciliation(status) && record.contradicts_end(status.state) {
            reachable!("the master answers for a task whose end the framework knows");
            // The master answers a question, or a kill, that was on its way when the end came. It
            // has no record of an ended task and says so with a state that means as much.
            return Verdict::Ignore;
        }
        let is_answer = asked && is_reconciliation(status);
        if record.state == Some(status.state) && !is_answer {
            // A terminal state is told once, however often the agent and the master tell it. The
            // session reconciles by itself, so most answers to that repeat what is known.
            match uuid {
                Some(_) if record.ending.is_some() => {
                    reachable!("the end of a task is told twice");
                    return Verdict::AcknowledgeOnly;
                }
                None if record.ending.is_some() || is_reconciliation(status) => {
                    return Verdict::Ignore;
                }
                _ => {}
            }
        }
        record.state = Some(status.state);
        if status.agent_id.is_some() {
            record.agent_id.clone_from(&status.agent_id);
        }
        record.awaiting.extend(uuid.cloned());
        self.note_ending(id, is_terminal(status.state));
        Verdict::Deliver
    }

    fn note_ending(&mut self, id: &str, terminal: bool) {
        let Some(record) = self.records.get_mut(id) else {
            return;
        };
        if !terminal {
            sometimes!(record.ending.is_some(), "TASK_LOST is taken back");
            // TASK_LOST may be taken back when the agent returns.
            record.ending = None;
            return;
        }
        record.kill = None;
        self.endings += 1;
        record.ending = Some(self.endings);
        self.ended.push_back((self.endings, id.to_owned()));
        while self.ended.len() > ENDED_TASKS_KEPT {
            let Some((ending, id)) = self.ended.pop_front() else {
                break;
            };
            if self.records.get(&id).is_some_and(|record| record.ending == Some(ending)) {
                self.records.remove(&id);
            }
        }
    }

    /// Whether `status` was delivered and still waits for its acknowledgement; it no longer does
    /// afterwards.
    pub(crate) fn acknowledged(&mut self, status: &v1::TaskStatus) -> bool {
        let Some(uuid) = update_uuid(status) else {
            return false;
        };
        let Some(record) = self.records.get_mut(&status.task_id.value) else {
            return false;
        };
        let before = record.awaiting.len();
        record.awaiting.retain(|other| other != uuid);
        record.awaiting.len() < before
    }

    /// The agent that a task was last known on.
    pub(crate) fn agent_of(&self, task_id: &v1::TaskId) -> Option<&v1::AgentId> {
        self.records.get(&task_id.value)?.agent_id.as_ref()
    }

    /// The last state that was delivered for a task.
    pub(crate) fn state_of(&self, task_id: &v1::TaskId) -> Option<v1::TaskState> {
        let state = self.records.get(&task_id.value)?.state?;
        v1::TaskState::try_from(state).ok()
    }

    /// Notes a kill to be repeated until the task is terminal. A task that already is terminal
    /// needs none.
    pub(crate) fn kill(&mut self, kill: call::Kill) {
        let record = self.records.entry(kill.task_id.value.clone()).or_default();
        if record.ending.is_none() {
            record.kill = Some(kill);
        }
    }

    /// The kills to repeat, ordered by task id.
    pub(crate) fn kills(&self) -> impl Iterator<Item = &call::Kill> {
        let said_once = PlantedBug::KillsAreSaidOnce.is_planted();
        self.records.values().filter_map(move |it| it.kill.as_ref().filter(|_| !said_once))
    }

    /// The ids of all tasks that are not terminal, ordered.
    pub(crate) fn live(&self) -> impl Iterator<Item = &str> {
        self.records.iter().filter(|(_, record)| record.ending.is_none()).map(|(id, _)| id.as_str())
    }

    /// Whether a task is known and not terminal.
    pub(crate) fn is_live(&self, task_id: &v1::TaskId) -> bool {
        self.records.get(&task_id.value).is_some_and(|record| record.ending.is_none())
    }

    /// Forgets a task: it is not asked about and not killed again.
    pub(crate) fn forget(&mut self, task_id: &v1::TaskId) {
        self.records.remove(&task_id.value);
    }
}

fn remember(seen: &mut VecDeque<Bytes>, uuid: Bytes) {
    if seen.len() == UPDATES_KEPT_PER_TASK {
        seen.pop_front();
    }
    seen.push_back(uuid);
}

fn is_terminal(state: i32) -> bool {
    v1::TaskState::try_from(state).is_ok_and(task_state::is_terminal)
}

fn is_reconciliation(status: &v1::TaskStatus) -> bool {
    status.reason == Some(v1::task_status::Reason::Reconciliation as i32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::TaskState::{TaskFinished as Finished, TaskLost as Lost, TaskRunning as Running};

    fn status(id: &str, state: v1::TaskState, uuid: Option<u8>) -> v1::TaskStatus {
        v1::TaskStatus {
            task_id: v1::TaskId { value: id.to_owned() },
            state: state as i32,
            uuid: uuid.map(|byte| Bytes::from(vec![byte; 16])),
            ..Default::default()
        }
    }

    fn answer(id: &str, state: v1::TaskState) -> v1::TaskStatus {
        v1::TaskStatus {
            reason: Some(v1::task_status::Reason::Reconciliation as i32),
            ..status(id, state, None)
        }
    }

    #[test]
    fn a_repeated_update_is_acknowledged_again_once_the_first_one_was() {
        let mut book = TaskBook::default();
        let update = status("a", Running, Some(1));
        assert_eq!(book.update(&update, false), Verdict::Deliver);
        assert_eq!(book.update(&update, false), Verdict::Ignore);
        assert!(book.acknowledged(&update));
        assert!(!book.acknowledged(&update));
        assert_eq!(book.update(&update, false), Verdict::AcknowledgeOnly);
    }

    #[test]
    fn a_terminal_state_is_delivered_once_whoever_tells_it_first() {
        let mut book = TaskBook::default();
        assert_eq!(book.update(&answer("a", Finished), false), Verdict::Deliver);
        assert_eq!(book.update(&status("a", Finished, Some(1)), false), Verdict::AcknowledgeOnly);
        assert_eq!(book.update(&status("a", Finished, None), false), Verdict::Ignore);
    }

    #[test]
    fn answers_without_news_reach_only_a_framework_that_asked() {
        let mut book = TaskBook::default();
        assert_eq!(book.update(&status("a", Running, Some(1)), false), Verdict::Deliver);
        assert_eq!(book.update(&answer("a", Running), false), Verdict::Ignore);
        assert_eq!(book.update(&answer("a", Running), true), Verdict::Deliver);
    }

    #[test]
    fn an_end_told_in_answer_to_a_question_is_not_told_again_by_the_agent() {
        let mut book = TaskBook::default();
        assert_eq!(book.update(&answer("a", Finished), true), Verdict::Deliver);
        assert_eq!(book.update(&status("a", Finished, Some(1)), true), Verdict::AcknowledgeOnly);
    }

    #[test]
    fn an_end_is_not_contradicted_by_a_master_that_has_forgotten_the_task() {
        let mut book = TaskBook::default();
        let dropped = status("a", v1::TaskState::TaskDropped, None);
        assert_eq!(book.update(&dropped, false), Verdict::Deliver);
        use v1::TaskState::{TaskGone, TaskUnknown, TaskUnreachable};
        for state in [TaskGone, TaskUnknown, TaskUnreachable] {
            assert_eq!(book.update(&answer("a", state), true), Verdict::Ignore);
        }
        assert_eq!(book.update(&answer("a", Running), false), Verdict::Deliver);
    }

    #[test]
    fn two_updates_with_one_state_are_two_updates_while_the_task_lives() {
        let mut book = TaskBook::default();
        assert_eq!(book.update(&status("a", Running, Some(1)), false), Verdict::Deliver);
        assert_eq!(book.update(&status("a", Running, Some(2)), false), Verdict::Deliver);
    }

    #[test]
    fn a_lost_task_may_come_back() {
        let mut book = TaskBook::default();
        book.update(&status("a", Lost, None), false);
        assert_eq!(book.live().count(), 0);
        assert_eq!(book.update(&status("a", Running, None), false), Verdict::Deliver);
        assert_eq!(book.live().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn only_the_newest_ended_tasks_are_kept_and_live_ones_always() {
        let mut book = TaskBook::default();
        book.update(&status("live", Running, Some(1)), false);
        for number in 0..ENDED_TASKS_KEPT + 10 {
            book.update(&status(&number.to_string(), Finished, None), false);
        }
        assert_eq!(book.records.len(), ENDED_TASKS_KEPT + 1);
        assert!(book.state_of(&v1::TaskId { value: "live".to_owned() }).is_some());
        assert!(book.state_of(&v1::TaskId { value: "9".to_owned() }).is_none());
        assert!(book.state_of(&v1::TaskId { value: "10".to_owned() }).is_some());
    }

    #[test]
    fn an_id_used_again_survives_the_forgetting_of_its_first_task() {
        let mut book = TaskBook::default();
        book.update(&status("again", Finished, None), false);
        book.launched(&v1::TaskInfo {
            task_id: v1::TaskId { value: "again".to_owned() },
            ..Default::default()
        });
        for number in 0..ENDED_TASKS_KEPT {
            book.update(&status(&number.to_string(), Finished, None), false);
        }
        assert_eq!(book.live().collect::<Vec<_>>(), ["again"]);
    }
}
