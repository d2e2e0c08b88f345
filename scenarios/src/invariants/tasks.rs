//! Tasks (S8, S9 and S15 of the catalogue): every accepted task reaches exactly one terminal state
//! as its framework sees it, or is where and what its framework believes; a launch that came to
//! nothing is answered; nothing comes after the end. Mesos' bugs of the kind: MESOS-447,
//! MESOS-6445, MESOS-9545, MESOS-7863, MESOS-9887, MESOS-8624, MESOS-1869.

use std::collections::{BTreeMap, BTreeSet};

use orrery_api::v1::{self, TaskState};
use orrery_model::task_state::is_terminal;

use super::Session;

/// What each living agent has: by agent id, the states of its tasks by task id.
pub type AgentTasks = BTreeMap<String, BTreeMap<String, TaskState>>;

#[derive(Debug)]
struct Task {
    framework: usize,
    /// The process that launched it.
    launcher: Session,
    /// Whether another process of the framework was the last to be told of it.
    told_another: bool,
    agent: String,
    /// The last state told, and in whose turn.
    last: Option<(TaskState, Turn)>,
    /// The first terminal state told, and to which session.
    end: Option<(TaskState, Session)>,
    /// Whether its framework has asked for it after its end: a master that never knew it says so.
    asked_after_end: bool,
    /// Whether TASK_LOST was told last, while the leading master did not have its agent.
    lost_while_away: bool,
    /// Under which leader the agent came back since.
    returned_under: Option<usize>,
}

/// How many subscriptions there were before that of a session: of two processes of a framework, the
/// one that has subscribed last is the one that is told everything.
type Turn = usize;

/// Every task that any framework has launched.
#[derive(Debug, Default)]
pub struct Tasks {
    tasks: BTreeMap<String, Task>,
    /// The last turn of each session.
    turns: BTreeMap<Session, Turn>,
    subscriptions: usize,
    /// Frameworks that are gone for good, by number: nobody is told anything for them.
    removed: BTreeSet<usize>,
    /// How many masters have led, and the agents that the last one has.
    leaders: usize,
    present: BTreeSet<String>,
}

impl Tasks {
    pub(crate) fn launched(&mut self, session: Session, info: &v1::TaskInfo) {
        let agent = info.agent_id.value.clone();
        let framework = session.framework;
        let task = Task {
            framework,
            launcher: session,
            told_another: false,
            agent,
            last: None,
            end: None,
            asked_after_end: false,
            lost_while_away: false,
            returned_under: None,
        };
        self.tasks.insert(info.task_id.value.clone(), task);
    }

    /// A framework asks for a task of which it knows that it has ended.
    pub(crate) fn asked_after_end(&mut self, id: &str) {
        if let Some(task) = self.tasks.get_mut(id) {
            task.asked_after_end = true;
        }
    }

    /// The leading master, of so many, has these agents.
    pub(crate) fn agents_seen(&mut self, leaders: usize, present: BTreeSet<String>) {
        for task in self.tasks.values_mut() {
            if task.lost_while_away && present.contains(&task.agent) {
                task.returned_under.get_or_insert(leaders);
            }
        }
        (self.leaders, self.present) = (leaders, present);
    }

    /// A process is subscribed, for the first time or again.
    pub(crate) fn subscribed(&mut self, session: Session) {
        self.subscriptions += 1;
        self.turns.insert(session, self.subscriptions);
    }

    /// A framework is removed: its tasks are killed without a word to anybody.
    pub(crate) fn framework_removed(&mut self, framework: usize) {
        self.removed.insert(framework);
    }

    /// Whether a framework takes a task for over that may be running, and nobody can be blamed.
    pub(crate) fn is_given_up(&self, id: &str) -> bool {
        self.tasks.get(id).is_some_and(|task| task.is_given_up(self.leaders))
    }

    pub(crate) fn has_ended(&self, id: &str) -> bool {
        self.tasks.get(id).is_some_and(|task| task.end.is_some())
    }

    /// Whether a task was launched and its framework has not heard that it ended or is away.
    pub(crate) fn is_believed_to_live(&self, id: &str) -> bool {
        use TaskState::{TaskUnknown, TaskUnreachable};
        let away = |state| is_terminal(state) || matches!(state, TaskUnreachable | TaskUnknown);
        self.tasks.get(id).is_some_and(|task| !task.last.is_some_and(|(state, _)| away(state)))
    }

    /// Takes a status that the library has delivered. `aware` tells whether its framework knows the
    /// states that tell a partition from a loss: TASK_LOST is no end for one that does not.
    pub(crate) fn updated(
        &mut self,
        session: Session,
        status: &v1::TaskStatus,
        aware: bool,
    ) -> Result<(), String> {
        let turn = self.turns.get(&session).copied().unwrap_or_default();
        let id = &status.task_id.value;
        let state = status.state();
        let name = state.as_str_name();
        let Some(task) = self.tasks.get_mut(id) else {
            return Err(format!("{name} of task {id}, which nobody has launched"));
        };
        if task.framework != session.framework {
            return Err(format!("{name} of task {id} went to framework {}", session.framework));
        }
        // A process that was replaced may still read what was sent to it before.
        if task.last.is_some_and(|(_, newer)| newer > turn) {
            return Ok(());
        }
        // A master repeats what it has on record as often as it is asked.
        let is_answer = status.reason() == v1::task_status::Reason::Reconciliation;
        task.check_end(id, state, session, is_answer)?;
        task.last = Some((state, turn));
        task.lost_while_away = state == TaskState::TaskLost && !self.present.contains(&task.agent);
        task.returned_under = None;
        task.told_another = task.launcher != session;
        if is_terminal(state) && (aware || state != TaskState::TaskLost) {
            task.end.get_or_insert((state, session));
        }
        Ok(())
    }

    /// Whether each task has ended, or is on an agent in the state that its framework believes, or
    /// is known to be on an agent that is gone. Tasks of frameworks in `away`, whose processes are
    /// out of reach, are left out.
    pub(crate) fn check_settled(
        &self,
        agents: &AgentTasks,
        away: &BTreeSet<usize>,
    ) -> Result<(), String> {
        let heard = |task: &Task| {
            !self.removed.contains(&task.framework) && !away.contains(&task.framework)
        };
        let tasks = self.tasks.iter().filter(|(_, task)| heard(task));
        let mut tasks = tasks.into_iter();
        tasks.try_for_each(|(id, task)| task.check_settled(id, agents, self.leaders))?;
        let removed = self.tasks.iter().filter(|(_, it)| self.removed.contains(&it.framework));
        removed.into_iter().try_for_each(|(id, task)| task.check_removed(id, agents))
    }
}

impl Task {
    /// After a terminal state only that same state may come: to another process of the framework,
    /// which cannot know that it was told, or as an answer to a question. Who asks for a task that
    /// has ended, be it a process that has not heard of it, may also hear that nobody knows it any
    /// more.
    fn check_end(
        &self,
        id: &str,
        state: TaskState,
        session: Session,
        is_answer: bool,
    ) -> Result<(), String> {
        let Some((end, told)) = self.end else { return Ok(()) };
        let may_ask = self.asked_after_end || told != session;
        let is_forgotten = is_answer && may_ask && tells_nothing(state);
        let is_repeated = end == state && (is_answer || told != session);
        if is_forgotten || is_repeated {
            return Ok(());
        }
        let (name, end) = (state.as_str_name(), end.as_str_name());
        Err(format!("task {id}: {name} after the terminal {end}"))
    }

    /// The master that stored the return of a task's agent may have died before it told that the
    /// task is back. A framework that knows partitions goes on asking for it; one that does not
    /// takes it for over, and no later master knows what it was told.
    fn is_given_up(&self, leaders: usize) -> bool {
        self.returned_under.is_some_and(|leader| leader < leaders)
    }

    fn check_settled(&self, id: &str, agents: &AgentTasks, leaders: usize) -> Result<(), String> {
        if self.end.is_some() {
            return Ok(());
        }
        let told = self.last.map(|(state, _)| state);
        let name = told.map_or("nothing", |state| state.as_str_name());
        let agent = &self.agent;
        let Some(tasks) = agents.get(agent) else {
            // Nobody will ever know more about it.
            use TaskState::{TaskLost, TaskUnknown, TaskUnreachable};
            let gone = matches!(told, Some(TaskUnreachable | TaskUnknown | TaskLost));
            return if gone {
                Ok(())
            } else {
                Err(format!("task {id} was told {name} but its agent {agent} is gone"))
            };
        };
        match tasks.get(id) {
            Some(state) if Some(*state) == told => Ok(()),
            Some(_) if self.is_given_up(leaders) => Ok(()),
            Some(state) => Err(format!("task {id} was told {name} but is {}", state.as_str_name())),
            None if told == Some(TaskState::TaskLost) => Ok(()),
            // The launch of a process that had been replaced already comes to nothing, and the
            // other one, which does not know the agent, can be told no more.
            None if told == Some(TaskState::TaskUnknown) && self.told_another => Ok(()),
            None => Err(format!("task {id} was told {name} but agent {agent} does not have it")),
        }
    }

    fn check_removed(&self, id: &str, agents: &AgentTasks) -> Result<(), String> {
        let real = agents.get(&self.agent).and_then(|tasks| tasks.get(id));
        match real.filter(|state| !is_terminal(**state)) {
            None => Ok(()),
            Some(state) => Err(format!(
                "task {id} is {} although its framework was removed",
                state.as_str_name()
            )),
        }
    }
}

/// Whether a master says by this state that it has no task on record.
fn tells_nothing(state: TaskState) -> bool {
    use TaskState::{TaskGone, TaskGoneByOperator, TaskLost, TaskUnknown, TaskUnreachable};
    matches!(state, TaskGone | TaskGoneByOperator | TaskLost | TaskUnknown | TaskUnreachable)
}

#[cfg(test)]
mod tests {
    use v1::task_status::Reason;

    use super::*;

    /// Whether process `number` may hear `state` of a task of whose end process 1 was told.
    fn may_hear(number: u32, state: TaskState, reason: Reason) -> bool {
        let session = |number| Session { framework: 0, number };
        let task_id = v1::TaskId { value: "t".to_owned() };
        let status = |state: TaskState, reason: Reason| v1::TaskStatus {
            task_id: task_id.clone(),
            state: state as i32,
            reason: Some(reason as i32),
            ..Default::default()
        };
        let mut tasks = Tasks::default();
        let info = v1::TaskInfo { task_id: task_id.clone(), ..Default::default() };
        tasks.launched(session(0), &info);
        let end = status(TaskState::TaskKilled, Reason::CommandExecutorFailed);
        tasks.updated(session(1), &end, true).expect("the first end");
        tasks.updated(session(number), &status(state, reason), true).is_ok()
    }

    #[test]
    fn only_who_does_not_know_of_an_end_may_be_told_of_nothing() {
        use TaskState::{TaskGone, TaskKilled, TaskRunning};
        let answer = Reason::Reconciliation;
        assert!(may_hear(0, TaskGone, answer));
        assert!(!may_hear(1, TaskGone, answer));
        assert!(!may_hear(0, TaskGone, Reason::ExecutorTerminated));
        assert!(!may_hear(0, TaskRunning, answer));
        assert!(may_hear(1, TaskKilled, answer));
        assert!(!may_hear(1, TaskKilled, Reason::CommandExecutorFailed));
    }
}
