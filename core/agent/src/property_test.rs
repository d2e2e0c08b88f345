//! The machine under random inputs: whatever happens in whatever order, each task ends once, in
//! order, until acknowledged, and nothing is held or said afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use orrery_api::link::from_agent;
use orrery_api::v1::TaskState::{self, TaskFinished, TaskRunning, TaskStarting};
use orrery_model::task_state::is_terminal;
use orrery_runtime::ExitStatus;
use proptest::prelude::*;

use crate::testing::{Bench, options, state};
use crate::{Container, Input, Options, Output};

#[derive(Clone, Debug)]
enum Action {
    Run { task: usize, custom: bool },
    Kill { task: usize },
    Start { launch: usize },
    FailLaunch { launch: usize },
    Subscribe { launch: usize },
    Disconnect { launch: usize },
    Update { task: usize, state: TaskState },
    Exit { launch: usize },
    Acknowledge { task: usize },
    AcknowledgeOld { task: usize },
    LinkDown,
    Register,
    Pass { seconds: u64 },
}

const TASKS: usize = 4;

fn action() -> impl Strategy<Value = Action> {
    let task = 0..TASKS;
    let launch = 0..TASKS;
    let states = prop_oneof![Just(TaskStarting), Just(TaskRunning), Just(TaskFinished)];
    prop_oneof![
        3 => (task.clone(), any::<bool>()).prop_map(|(task, custom)| Action::Run { task, custom }),
        2 => task.clone().prop_map(|task| Action::Kill { task }),
        4 => launch.clone().prop_map(|launch| Action::Start { launch }),
        1 => launch.clone().prop_map(|launch| Action::FailLaunch { launch }),
        4 => launch.clone().prop_map(|launch| Action::Subscribe { launch }),
        1 => launch.clone().prop_map(|launch| Action::Disconnect { launch }),
        6 => (task.clone(), states).prop_map(|(task, state)| Action::Update { task, state }),
        2 => launch.prop_map(|launch| Action::Exit { launch }),
        6 => task.clone().prop_map(|task| Action::Acknowledge { task }),
        1 => task.prop_map(|task| Action::AcknowledgeOld { task }),
        1 => Just(Action::LinkDown),
        2 => Just(Action::Register),
        2 => (1..90u64).prop_map(|seconds| Action::Pass { seconds }),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Process {
    Asked,
    Running,
    Over,
}

/// What a framework has seen of one task.
#[derive(Default)]
struct Seen {
    /// The update that the framework would acknowledge.
    in_flight: Option<Bytes>,
    acknowledged: Vec<Bytes>,
    states: Vec<TaskState>,
    terminal_acknowledged: bool,
    killed_during_launch: bool,
}

/// The world around the agent.
struct World {
    bench: Bench,
    launched: BTreeSet<usize>,
    containers: Vec<(Container, Process)>,
    /// Executor states of each task, in the order in which they were accepted.
    accepted: BTreeMap<usize, Vec<TaskState>>,
    /// Which executor each task went to.
    executors: BTreeMap<usize, String>,
    seen: BTreeMap<String, Seen>,
    uuids: u8,
    streams: u64,
}

fn name(task: usize) -> String {
    format!("t{task}")
}

impl World {
    fn new(options: Options) -> Self {
        let (launched, containers, seen) = Default::default();
        let (accepted, executors) = Default::default();
        let mut bench = Bench::with(options);
        bench.register();
        bench.outputs.clear();
        Self { bench, launched, containers, accepted, executors, seen, uuids: 0, streams: 0 }
    }

    fn apply(&mut self, action: &Action) {
        match *action {
            Action::Run { task, custom } => self.run(task, custom),
            Action::Kill { task } => self.bench.kill(&name(task)),
            Action::Start { launch } => {
                if let Some(container) = self.advance(launch, Process::Asked, Process::Running) {
                    self.bench.started(&container, 100 + launch as u32);
                }
            }
            Action::FailLaunch { launch } => {
                if let Some(container) = self.advance(launch, Process::Asked, Process::Over) {
                    let message = "no".to_owned();
                    self.bench.feed(Input::ContainerLaunchFailed { container, message });
                }
            }
            Action::Subscribe { launch } => {
                if let Some(container) = self.advance(launch, Process::Running, Process::Running) {
                    self.streams += 1;
                    self.bench.subscribe(&container.executor_id, self.streams);
                }
            }
            Action::Disconnect { launch } => {
                let connection = launch as u64;
                self.bench.feed(Input::ExecutorDisconnected { connection });
            }
            Action::Update { task, state } => self.update(task, state),
            Action::Exit { launch } => {
                if let Some(container) = self.advance(launch, Process::Running, Process::Over) {
                    self.bench.exited(&container, ExitStatus::Exited(0));
                }
            }
            Action::Acknowledge { task } => self.acknowledge(&name(task)),
            Action::AcknowledgeOld { task } => {
                let seen = self.seen.get(&name(task));
                if let Some(uuid) = seen.and_then(|seen| seen.acknowledged.first().cloned()) {
                    self.bench.acknowledge(&name(task), &uuid);
                }
            }
            Action::LinkDown => {
                let link = self.bench.agent.registration.link();
                self.bench.feed(Input::LinkDown { link });
            }
            Action::Register => self.register(),
            Action::Pass { seconds } => self.bench.pass(Duration::from_secs(seconds)),
        }
        self.look();
    }

    fn run(&mut self, task: usize, custom: bool) {
        if !self.bench.agent.is_registered() || !self.launched.insert(task) {
            return;
        }
        if custom {
            self.bench.run_custom(&name(task), "shared");
            self.executors.insert(task, "shared".into());
        } else {
            self.bench.run(&name(task));
            self.executors.insert(task, name(task));
        }
    }

    fn register(&mut self) {
        if self.bench.agent.is_registered() {
            return;
        }
        // Ends whatever attempt is under way, so that the next Connect is ours to answer.
        let link = self.bench.agent.registration.link();
        self.bench.feed(Input::LinkDown { link });
        self.bench.outputs.retain(|output| !matches!(output, Output::Connect { .. }));
        self.bench.register();
    }

    fn advance(&mut self, launch: usize, from: Process, to: Process) -> Option<Container> {
        let (container, process) = self.containers.get_mut(launch)?;
        if *process != from {
            return None;
        }
        *process = to;
        Some(container.clone())
    }

    fn update(&mut self, task: usize, state: TaskState) {
        let Some(executor) = self.executors.get(&task).cloned() else {
            return;
        };
        self.uuids = self.uuids.wrapping_add(1).max(1);
        let (status, _) = self.bench.update(&executor, &name(task), state, self.uuids);
        if status == 202 {
            self.accepted.entry(task).or_default().push(state);
        }
    }

    fn acknowledge(&mut self, task: &str) {
        let Some(seen) = self.seen.get_mut(task) else {
            return;
        };
        let Some(uuid) = seen.in_flight.clone().filter(|_| self.bench.agent.is_registered()) else {
            return;
        };
        seen.in_flight = None;
        seen.acknowledged.push(uuid.clone());
        seen.terminal_acknowledged |= seen.states.last().is_some_and(|it| is_terminal(*it));
        self.bench.acknowledge(task, &uuid);
    }

    /// Checks what came out.
    fn look(&mut self) {
        for launch in self.bench.launches() {
            self.containers.push((launch.container, Process::Asked));
        }
        let outputs = std::mem::take(&mut self.bench.outputs);
        for output in outputs {
            match output {
                Output::ToMaster(body) => {
                    if let from_agent::Body::StatusUpdate(update) = *body {
                        self.see(&update.status.unwrap());
                    }
                }
                Output::ExecutorEvent { event, .. } => {
                    for task in event.launch.iter().map(|launch| &launch.task.task_id.value) {
                        let seen = self.seen.entry(task.clone()).or_default();
                        assert!(!seen.killed_during_launch, "{task} runs after TASK_KILLED");
                    }
                }
                Output::Connect { link } => self.bench.outputs.push(Output::Connect { link }),
                _ => {}
            }
        }
    }

    fn see(&mut self, status: &orrery_api::v1::TaskStatus) {
        use orrery_api::v1::task_status::Reason::TaskKilledDuringLaunch;
        let seen = self.seen.entry(status.task_id.value.clone()).or_default();
        let uuid = status.uuid.clone().unwrap();
        assert!(!seen.acknowledged.contains(&uuid), "acknowledged, and sent again");
        assert!(!seen.terminal_acknowledged, "an update after the last one");
        if seen.in_flight.as_ref() == Some(&uuid) {
            return;
        }
        assert_eq!(seen.in_flight, None, "two updates of a task in flight");
        let ended = seen.states.last().is_some_and(|it| is_terminal(*it));
        assert!(!ended, "{} follows a terminal state", state(status).as_str_name());
        seen.in_flight = Some(uuid);
        seen.states.push(state(status));
        seen.killed_during_launch |= status.reason == Some(TaskKilledDuringLaunch as i32);
    }

    /// Faults stop: every process ends, the master stays, every update is acknowledged.
    fn settle(&mut self) {
        for launch in 0..self.containers.len() {
            self.apply(&Action::Start { launch });
            self.apply(&Action::Exit { launch });
        }
        self.apply(&Action::Register);
        for _ in 0..20 {
            for task in 0..TASKS {
                self.acknowledge(&name(task));
                self.look();
            }
        }
    }

    fn check_end(&self) {
        let snapshot = self.bench.agent.snapshot();
        assert!(snapshot.allocated.is_empty(), "leaked {}", snapshot.allocated);
        assert!(snapshot.frameworks.is_empty(), "an executor is left");
        for task in &self.launched {
            let seen = self.seen.get(&name(*task));
            let seen = seen.unwrap_or_else(|| panic!("{} never ended", name(*task)));
            assert!(seen.terminal_acknowledged, "{} never ended", name(*task));
            self.check_order(*task, seen);
        }
    }

    /// What executors said arrives in their order up to the first terminal state.
    fn check_order(&self, task: usize, seen: &Seen) {
        let accepted = self.accepted.get(&task).cloned().unwrap_or_default();
        let end =
            accepted.iter().position(|it| is_terminal(*it)).map_or(accepted.len(), |it| it + 1);
        let own = seen.states.iter().filter(|it| accepted.contains(it)).count();
        let expected = &accepted[..end.min(own)];
        assert_eq!(&seen.states[..expected.len()], expected);
    }
}

fn run(options: Options, actions: &[Action]) {
    let mut world = World::new(options);
    for action in actions {
        world.apply(action);
    }
    world.settle();
    world.check_end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn tasks_end_once_in_order_and_leave_nothing(
        actions in prop::collection::vec(action(), 1..80),
    ) {
        run(options(), &actions);
    }
}

/// The property above is worth something only if it finds what is wrong.
mod planted {
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    use super::*;
    use crate::PlantedBug;

    fn is_found(bug: PlantedBug) -> bool {
        let config = Config {
            cases: 2000,
            max_shrink_iters: 0,
            failure_persistence: None,
            ..Config::default()
        };
        let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
        let actions = prop::collection::vec(action(), 1..80);
        let check = |actions: Vec<Action>| {
            run(options(), &actions);
            Ok(())
        };
        orrery_planted::plant([*bug.bug()]);
        let found = TestRunner::new_with_rng(config, random).run(&actions, check).is_err();
        orrery_planted::plant([]);
        found
    }

    #[test]
    fn every_planted_bug_is_found() {
        for bug in [
            PlantedBug::KillDuringLaunchStillLaunches,
            PlantedBug::ForwardsUpdatesOutOfOrder,
            PlantedBug::ResendsAcknowledgedUpdate,
            PlantedBug::UpdateAfterTerminal,
        ] {
            assert!(is_found(bug), "{bug:?} was not found");
        }
    }
}
