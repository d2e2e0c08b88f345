//! The test framework's calls and its output, without a cluster.

use std::sync::{Arc, Mutex};

use orrery_api::v1;
use orrery_api::v1::TaskState::{self, TaskFailed, TaskFinished, TaskRunning};
use orrery_api::v1::scheduler::{Call, Event, call, event};
use orrery_examples::test_framework::{Options, OptionsError, TestFramework};
use orrery_model::Resources;
use orrery_runtime::machine::Machine;
use orrery_runtime::{Generator, Now};
use orrery_scheduler::{Ending, Input, Output, SchedulerMachine, Subscription};

struct Run {
    machine: SchedulerMachine<TestFramework>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Run {
    fn new(options: Options) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let printed = lines.clone();
        let print = Box::new(move |line: &str| printed.lock().unwrap().push(line.to_owned()));
        let subscription =
            Subscription { framework_info: options.framework_info(), ..Default::default() };
        let framework = TestFramework::new(options, print).unwrap();
        let machine = SchedulerMachine::new(subscription, framework, Generator::from_number(1));
        let mut run = Self { machine, lines };
        run.step(Input::Tick);
        run.receive(Event {
            r#type: Some(event::Type::Subscribed as i32),
            subscribed: Some(event::Subscribed::default()),
            ..Default::default()
        });
        run
    }

    fn step(&mut self, input: Input<TestFramework>) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.machine.step(Now::default(), input, &mut outputs);
        outputs
    }

    fn receive(&mut self, event: Event) -> Vec<Output> {
        self.step(Input::Event { connection: 1, event: Box::new(event) })
    }

    fn offer(&mut self, id: &str, resources: &str) -> Vec<Output> {
        let resources = Resources::parse(resources, "*").unwrap().allocated_to("*");
        let offer = v1::Offer {
            id: v1::OfferId { value: id.to_owned() },
            agent_id: v1::AgentId { value: "S0".to_owned() },
            resources: resources.to_messages(),
            ..Default::default()
        };
        self.receive(Event {
            r#type: Some(event::Type::Offers as i32),
            offers: Some(event::Offers { offers: vec![offer] }),
            ..Default::default()
        })
    }

    fn update(&mut self, id: u32, state: TaskState) -> Vec<Output> {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: id.to_string() },
            state: state as i32,
            ..Default::default()
        };
        self.receive(Event {
            r#type: Some(event::Type::Update as i32),
            update: Some(event::Update { status }),
            ..Default::default()
        })
    }

    fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

fn calls(outputs: &[Output]) -> Vec<&Call> {
    let calls = outputs.iter().filter_map(|output| match output {
        Output::Send { call, .. } => Some(call.as_ref()),
        _ => None,
    });
    calls.collect()
}

fn launched(outputs: &[Output]) -> Vec<&v1::TaskInfo> {
    let accepts = calls(outputs).into_iter().filter_map(|call| call.accept.as_ref());
    accepts
        .flat_map(|accept| &accept.operations)
        .filter_map(|operation| operation.launch.as_ref())
        .flat_map(|launch| &launch.task_infos)
        .collect()
}

#[test]
fn five_tasks_on_two_offers() {
    let mut run = Run::new(Options::default());
    assert_eq!(run.take_lines(), ["Registered!"]);
    let outputs = run.offer("O0", "cpus:4;mem:13000;disk:23976;ports:[31000-32000]");
    assert_eq!(launched(&outputs).len(), 4);
    let lines = run.take_lines();
    let resources = "cpus(*):4; mem(*):13000; disk(*):23976; ports(*):[31000-32000]";
    assert_eq!(lines[0], format!("Received offer O0 with {resources}"));
    assert_eq!(lines[1], "Launching task 0 using offer O0");
    let outputs = run.offer("O1", "cpus:4;mem:13000");
    assert_eq!(launched(&outputs).len(), 1);
    assert_eq!(run.take_lines()[1], "Launching task 4 using offer O1");
    run.update(0, TaskRunning);
    assert_eq!(run.take_lines(), ["Task 0 is in state TASK_RUNNING"]);
    for id in 0..4 {
        assert!(run.update(id, TaskFinished).is_empty());
    }
    assert_eq!(run.machine.framework().exit_code(), 1, "not done yet");
    let outputs = run.update(4, TaskFinished);
    assert_eq!(outputs.last(), Some(&Output::Finished(Ending::TornDown)));
    assert_eq!(run.machine.framework().exit_code(), 0);
}

#[test]
fn offers_that_are_too_small_or_too_late_are_declined() {
    let mut run = Run::new(Options { tasks: 1, ..Options::default() });
    for resources in ["cpus:0.5;mem:13000", "cpus:4;mem:64"] {
        let outputs = run.offer("small", resources);
        assert_eq!(calls(&outputs)[0].r#type(), call::Type::Decline);
    }
    run.offer("right", "cpus:1;mem:128");
    let outputs = run.offer("late", "cpus:4;mem:4096");
    assert_eq!(calls(&outputs)[0].r#type(), call::Type::Decline);
}

#[test]
fn a_failed_task_ends_the_run_with_one() {
    let mut run = Run::new(Options::default());
    run.offer("O0", "cpus:4;mem:4096");
    let outputs = run.update(2, TaskFailed);
    assert_eq!(outputs.last(), Some(&Output::Finished(Ending::TornDown)));
    assert_eq!(run.machine.framework().exit_code(), 1);
    let last = run.take_lines().pop().unwrap();
    assert!(last.starts_with("Aborting because task 2 is in unexpected state TASK_FAILED"));
}

#[test]
fn an_executor_takes_its_own_share_once_on_each_agent() {
    let executor = Some("/opt/executor".to_owned());
    let mut run = Run::new(Options { executor, ..Options::default() });
    let outputs = run.offer("O0", "cpus:4;mem:4096");
    let tasks = launched(&outputs);
    assert_eq!(tasks.len(), 3, "the executor's share leaves room for three");
    for task in tasks {
        let executor = task.executor.as_ref().unwrap();
        assert_eq!(executor.command.as_ref().unwrap().value(), "/opt/executor");
        assert_eq!(task.command, None);
    }
    let outputs = run.offer("O1", "cpus:2;mem:256");
    assert_eq!(launched(&outputs).len(), 2, "the executor runs already");
}

#[test]
fn the_command_line_is_read_strictly() {
    let parse = |arguments: &[&str]| {
        Options::parse(arguments.iter().map(|argument| (*argument).to_owned()))
    };
    let options = parse(&["--master=h:1", "--tasks=7", "--task_mem=64", "--executor=/x"]).unwrap();
    assert_eq!(options.master, "h:1");
    assert_eq!((options.tasks, options.task_mem.as_str()), (7, "64"));
    assert_eq!(options.executor.as_deref(), Some("/x"));
    assert_eq!(parse(&["--tasks=x"]), Err(OptionsError::Tasks("x".to_owned())));
    assert_eq!(parse(&["--fly=1"]), Err(OptionsError::Unknown("fly".to_owned())));
    assert_eq!(parse(&["tasks"]), Err(OptionsError::Form("tasks".to_owned())));
    let wrong = Options { task_cpus: "many".to_owned(), ..Options::default() };
    assert!(TestFramework::new(wrong, Box::new(|_| {})).is_err());
}
