//! Whatever the order of events, each task's states stay legal.

mod common;

use std::time::Duration;

use common::{Bench, PROCESS, settings, task};
use orrery_api::v1::TaskState::{self, TaskKilled, TaskKilling, TaskRunning, TaskStarting};
use orrery_executor::Input;
use orrery_model::task_state::is_terminal;
use orrery_runtime::ExitStatus;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Subscribed { tells_killing: bool },
    Launch(usize),
    Kill { task: usize, grace: Option<u64> },
    ShutDown,
    Acknowledge(prop::sample::Index),
    Disconnected,
    Launched,
    LaunchFailed,
    Exited(ExitStatus),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let exit = prop_oneof![
        (0..3).prop_map(ExitStatus::Exited),
        prop_oneof![Just(9), Just(15)].prop_map(ExitStatus::Signaled),
    ];
    prop_oneof![
        2 => any::<bool>().prop_map(|tells_killing| Step::Subscribed { tells_killing }),
        2 => (0..3usize).prop_map(Step::Launch),
        2 => (0..3usize, prop::option::of(0..9u64))
            .prop_map(|(task, grace)| Step::Kill { task, grace }),
        1 => Just(Step::ShutDown),
        3 => any::<prop::sample::Index>().prop_map(Step::Acknowledge),
        1 => Just(Step::Disconnected),
        3 => Just(Step::Launched),
        1 => Just(Step::LaunchFailed),
        2 => exit.prop_map(Step::Exited),
        2 => (0..4000u64).prop_map(Step::Wait),
    ]
}

const TASKS: [&str; 3] = ["t", "u", "v"];

fn walk(bench: &mut Bench, step: Step) {
    bench.outputs.clear();
    match step {
        Step::Subscribed { tells_killing } => bench.subscribe(tells_killing),
        Step::Launch(index) => bench.launch(task(TASKS[index])),
        Step::Kill { task, grace } => bench.kill(TASKS[task], grace.map(Duration::from_secs)),
        Step::ShutDown => bench.shut_down(),
        Step::Acknowledge(index) if !bench.statuses.is_empty() => {
            let status = index.get(&bench.statuses).clone();
            bench.acknowledge(&status);
        }
        Step::Acknowledge(_) => {}
        Step::Disconnected => bench.feed(Input::Disconnected("cut".to_owned())),
        Step::Launched => bench.feed(Input::Launched(PROCESS)),
        Step::LaunchFailed => bench.feed(Input::LaunchFailed("no".to_owned())),
        Step::Exited(status) => bench.exited(status),
        Step::Wait(milliseconds) => bench.wait(Duration::from_millis(milliseconds)),
    }
}

fn rank(state: TaskState) -> u8 {
    match state {
        TaskStarting => 0,
        TaskRunning => 1,
        TaskKilling => 2,
        _ => 3,
    }
}

fn is_legal(states: &[TaskState]) -> bool {
    let ordered = states.windows(2).all(|pair| rank(pair[0]) < rank(pair[1]));
    let terminal = states.iter().filter(|state| is_terminal(**state)).count();
    ordered && terminal <= 1
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn states_are_legal(
        checkpoint: bool,
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut bench = Bench::new(settings(checkpoint));
        for step in steps {
            let (over, launches) = (bench.exit.is_some(), bench.launches);
            walk(&mut bench, step);
            prop_assert!(bench.launches <= 1);
            if launches < bench.launches {
                let killed = TASKS.iter().any(|id| bench.states(id).contains(&TaskKilled));
                prop_assert!(!killed, "launched after TASK_KILLED");
            }
            for id in TASKS {
                prop_assert!(is_legal(&bench.states(id)), "{id}: {:?}", bench.states(id));
            }
            if over {
                prop_assert!(bench.outputs.is_empty(), "silent once it exited");
            }
        }
    }

    #[test]
    fn a_task_killed_first_is_never_launched(
        before in prop::collection::vec(step(), 0..20),
        after in prop::collection::vec(step(), 0..40),
    ) {
        let mut bench = Bench::new(settings(true));
        for step in before {
            if !matches!(step, Step::Launch(_) | Step::ShutDown) {
                walk(&mut bench, step);
            }
        }
        bench.kill("t", None);
        bench.launch(task("t"));
        for step in after {
            walk(&mut bench, step);
        }
        prop_assert_eq!(bench.launches, 0);
    }

    #[test]
    fn it_always_comes_to_an_end(
        checkpoint: bool,
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let mut bench = Bench::new(settings(checkpoint));
        for step in steps {
            walk(&mut bench, step);
        }
        bench.shut_down();
        bench.feed(Input::Launched(PROCESS));
        bench.exited(ExitStatus::Signaled(9));
        bench.feed(Input::Disconnected("cut".to_owned()));
        // A minute for the first contact, or the recovery timeout, and a minute for the last
        // acknowledgement are the longest that it waits.
        for _ in 0..1000 {
            bench.wait(Duration::from_secs(2));
            bench.feed(Input::Disconnected("refused".to_owned()));
        }
        prop_assert!(bench.exit.is_some());
    }
}
