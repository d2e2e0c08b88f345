//! Whatever the network does, a framework sees each task's updates once and in order, the agent
//! gets an acknowledgement for each one it sends, and a kill stands until the task is terminal.
//!
//! The agent is a model: per task a queue of updates of which the first is in flight and repeated
//! at will, as Mesos' status update manager does.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::*;
use orrery_api::v1;
use orrery_api::v1::TaskState::{TaskFinished, TaskRunning, TaskStarting};
use orrery_api::v1::scheduler::call::Type;
use orrery_scheduler::Output;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    /// The agent sends (again) the first unacknowledged update of a task; its acknowledgement
    /// arrives or is lost.
    Send {
        task: usize,
        arrives: bool,
    },
    /// The master answers reconciliation with the state that the agent's update in flight has.
    Answer {
        task: usize,
    },
    Kill {
        task: usize,
    },
    Reconnect,
    /// The next deadline passes.
    Tick,
}

const TASKS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..TASKS, any::<bool>()).prop_map(|(task, arrives)| Step::Send { task, arrives }),
        2 => (0..TASKS).prop_map(|task| Step::Answer { task }),
        1 => (0..TASKS).prop_map(|task| Step::Kill { task }),
        2 => Just(Step::Reconnect),
        1 => Just(Step::Tick),
    ]
}

/// The updates of one task and how many of them were acknowledged.
struct AgentTask {
    id: String,
    updates: Vec<v1::TaskStatus>,
    acknowledged: usize,
}

fn agent_tasks() -> Vec<AgentTask> {
    let states = [TaskStarting, TaskRunning, TaskRunning];
    let task = |number: usize| {
        let id = format!("task-{number}");
        // Every task lives through its own share of the states and ends.
        let mut path = states[..number + 1].to_vec();
        path.push(TaskFinished);
        let updates = path
            .iter()
            .enumerate()
            .map(|(index, state)| status(&id, *state, Some((number * 16 + index + 1) as u8)));
        AgentTask { updates: updates.collect(), id, acknowledged: 0 }
    };
    (0..TASKS).map(task).collect()
}

struct World {
    play: Play<Recorder>,
    tasks: Vec<AgentTask>,
    killed: BTreeSet<String>,
}

impl World {
    fn new() -> Self {
        let mut play = Play::new(Recorder::default());
        play.subscribe();
        Self { play, tasks: agent_tasks(), killed: BTreeSet::new() }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Send { task, arrives } => self.send(task, arrives),
            Step::Answer { task } => {
                let task = &self.tasks[task];
                let known = task.updates.get(task.acknowledged).or(task.updates.last()).unwrap();
                let reply = answer(&task.id, known.state());
                let outputs = self.play.update(reply);
                assert!(!kinds(&outputs).contains(&Type::Acknowledge));
            }
            Step::Kill { task } => {
                let id = self.tasks[task].id.clone();
                if !self.is_terminal(&id) {
                    self.killed.insert(id.clone());
                }
                self.play.act(move |_, context| {
                    context.kill(&task_id(&id), None);
                });
            }
            Step::Reconnect => {
                self.play.disconnect();
                self.resubscribe();
            }
            Step::Tick => {
                let outputs = self.play.tick();
                if outputs.iter().any(|output| matches!(output, Output::Disconnect { .. })) {
                    self.resubscribe();
                }
            }
        }
    }

    fn send(&mut self, task: usize, arrives: bool) {
        let task = &mut self.tasks[task];
        let Some(update) = task.updates.get(task.acknowledged) else {
            return;
        };
        let outputs = self.play.update(update.clone());
        let uuids: Vec<_> = sent(&outputs)
            .iter()
            .filter_map(|call| call.acknowledge.as_ref().map(|call| call.uuid.clone()))
            .collect();
        assert_eq!(uuids, [update.uuid.clone().unwrap()], "each update is acknowledged once");
        if arrives {
            task.acknowledged += 1;
        }
    }

    fn resubscribe(&mut self) {
        let outputs = self.play.subscribe();
        let kills: BTreeSet<String> = sent(&outputs)
            .iter()
            .filter_map(|call| call.kill.as_ref().map(|kill| kill.task_id.value.clone()))
            .collect();
        let mut expected = self.killed.clone();
        expected.retain(|id| !self.is_terminal(id));
        assert_eq!(kills, expected);
    }

    fn is_terminal(&self, id: &str) -> bool {
        let states = self.play.updates().into_iter().filter(|update| update.task_id.value == id);
        states.into_iter().any(|update| update.state() == TaskFinished)
    }

    /// What the framework saw of each task's own updates, and each task's terminal states.
    fn check(&self) {
        let mut seen: BTreeMap<&str, Vec<&bytes::Bytes>> = BTreeMap::new();
        let mut endings: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for update in self.play.updates() {
            let id = update.task_id.value.as_str();
            if let Some(uuid) = &update.uuid {
                seen.entry(id).or_default().push(uuid);
            }
            if update.state() == TaskFinished {
                endings.entry(id).or_default().push(update.state);
            }
        }
        for task in &self.tasks {
            let sent: Vec<_> = task.updates.iter().filter_map(|u| u.uuid.as_ref()).collect();
            let seen = seen.remove(task.id.as_str()).unwrap_or_default();
            assert_eq!(seen[..], sent[..seen.len()], "in order, each once, none left out");
            // A terminal update may have been told by the master's answer before.
            assert!(seen.len() + 1 >= task.acknowledged, "an acknowledged update was seen");
            let endings = endings.remove(task.id.as_str()).unwrap_or_default();
            assert!(endings.len() <= 1, "{} ended more than once: {endings:?}", task.id);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn updates_come_once_in_order_and_kills_stand(
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new();
        for step in steps {
            world.apply(step);
        }
        world.check();
    }
}
