//! The framework behind `mesos-execute`: what it asks for, what it prints, how it ends.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::*;
use orrery_api::v1;
use orrery_api::v1::TaskState::{self, TaskFinished, TaskRunning, TaskStarting};
use orrery_api::v1::scheduler::call::Type;
use orrery_model::Resources;
use orrery_runtime::machine::Machine;
use orrery_scheduler::execute::{Containerizer, Execute, InvalidOption, Options};
use orrery_scheduler::{Ending, Output, Subscription};

fn options() -> Options {
    Options {
        name: Some("long-exec".to_owned()),
        command: Some("sleep 10".to_owned()),
        user: "root".to_owned(),
        ..Options::default()
    }
}

struct Run {
    play: Play<Execute>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Run {
    fn new(options: &Options) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let printed = lines.clone();
        let print = Box::new(move |line: &str| printed.lock().unwrap().push(line.to_owned()));
        let framework_info = options.framework_info().unwrap();
        let subscription = Subscription { framework_info, ..Default::default() };
        let play = Play::with(subscription, Execute::new(options, print).unwrap());
        Self { play, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    fn executor_update(
        &mut self,
        state: TaskState,
        uuid: u8,
        message: Option<&str>,
    ) -> Vec<Output> {
        self.play.update(v1::TaskStatus {
            source: Some(v1::task_status::Source::Executor as i32),
            message: message.map(str::to_owned),
            ..status("long-exec", state, Some(uuid))
        })
    }
}

fn offer(id: &str, resources: &str) -> v1::Offer {
    let resources = Resources::parse(resources, "*").unwrap().allocated_to("*");
    v1::Offer {
        id: offer_id(id),
        agent_id: agent_id("a4a37d7c-S0"),
        resources: resources.to_messages(),
        ..Default::default()
    }
}

#[test]
fn prints_what_users_know_and_ends_with_zero() {
    let mut run = Run::new(&options());
    run.play.subscribe();
    let outputs = run.play.receive(offers(vec![
        offer("small", "cpus:0.5;mem:4096"),
        offer("right", "cpus:4;mem:4096;disk:100;ports:[31000-32000]"),
        offer("spare", "cpus:4;mem:4096"),
    ]));
    assert_eq!(kinds(&outputs), [Type::Decline, Type::Accept, Type::Suppress, Type::Decline]);
    let accept = sent(&outputs)[1].accept.as_ref().unwrap();
    let task = &accept.operations[0].launch.as_ref().unwrap().task_infos[0];
    assert_eq!(task.agent_id, agent_id("a4a37d7c-S0"));
    let command = task.command.as_ref().unwrap();
    assert_eq!((command.shell(), command.value()), (true, "sleep 10"));
    run.executor_update(TaskStarting, 1, None);
    run.executor_update(TaskRunning, 2, None);
    let outputs = run.executor_update(TaskFinished, 3, Some("Command exited with status 0"));
    assert_eq!(kinds(&outputs), [Type::Acknowledge, Type::Teardown]);
    assert_eq!(outputs.last(), Some(&Output::Finished(Ending::TornDown)));
    let expected = [
        "Subscribed with ID F",
        "Submitted task 'long-exec' to agent 'a4a37d7c-S0'",
        "Received status update TASK_STARTING for task 'long-exec'",
        "  source: SOURCE_EXECUTOR",
        "Received status update TASK_RUNNING for task 'long-exec'",
        "  source: SOURCE_EXECUTOR",
        "Received status update TASK_FINISHED for task 'long-exec'",
        "  message: 'Command exited with status 0'",
        "  source: SOURCE_EXECUTOR",
    ];
    assert_eq!(run.lines(), expected);
    assert_eq!(run.play.machine.framework().exit_code(), 0);
}

#[test]
fn every_other_ending_exits_with_one() {
    use TaskState::{TaskError, TaskFailed, TaskKilled, TaskLost, TaskUnknown};
    for state in [TaskFailed, TaskKilled, TaskLost, TaskError, TaskUnknown] {
        let mut run = Run::new(&options());
        run.play.subscribe();
        run.play.receive(offers(vec![offer("o", "cpus:1;mem:128")]));
        let outputs = run.play.update(v1::TaskStatus {
            source: Some(v1::task_status::Source::Master as i32),
            reason: Some(v1::task_status::Reason::Reconciliation as i32),
            ..status("long-exec", state, None)
        });
        assert_eq!(outputs.last(), Some(&Output::Finished(Ending::TornDown)));
        assert_eq!(run.play.machine.framework().exit_code(), 1);
        assert_eq!(run.lines().last().unwrap(), "  reason: REASON_RECONCILIATION");
    }
}

#[test]
fn kill_after_counts_from_running() {
    let kill_after = Some(Duration::from_secs(5));
    let mut run = Run::new(&Options { kill_after, ..options() });
    run.play.subscribe();
    run.play.receive(offers(vec![offer("o", "cpus:1;mem:128")]));
    run.executor_update(TaskStarting, 1, None);
    assert!(run.play.machine.deadline().unwrap().since(run.play.now) > Duration::from_secs(60));
    run.executor_update(TaskRunning, 2, None);
    let running = run.play.now;
    let outputs = run.play.tick();
    assert_eq!(run.play.now.since(running), Duration::from_secs(5));
    assert_eq!(kinds(&outputs), [Type::Kill]);
    let asked = "Asked to kill task 'long-exec' on agent 'a4a37d7c-S0'";
    assert_eq!(run.lines().last().unwrap(), asked);
}

#[test]
fn a_refusal_ends_it() {
    let mut run = Run::new(&options());
    run.play.tick();
    let outputs = run.play.receive(error("Role 'x' is not allowed"));
    assert_eq!(outputs, [Output::Finished(Ending::Stopped)]);
    assert_eq!(run.lines(), ["Received an ERROR event: Role 'x' is not allowed"]);
    assert_eq!(run.play.machine.framework().exit_code(), 1);
}

#[test]
fn the_framework_subscribes_as_mesos_execute_does() {
    let info = options().framework_info().unwrap();
    let names: Vec<&str> =
        info.capabilities.iter().map(|capability| capability.r#type().as_str_name()).collect();
    let expected =
        ["RESERVATION_REFINEMENT", "TASK_KILLING_STATE", "REVOCABLE_RESOURCES", "PARTITION_AWARE"];
    assert_eq!(names, expected);
    assert_eq!(info.name, "mesos-execute instance");
    assert!(info.roles.is_empty());
}

#[test]
fn options_become_a_task() {
    let task = Options {
        shell: false,
        command: Some("/bin/echo".to_owned()),
        arguments: vec!["echo".to_owned(), "hi".to_owned()],
        environment: Some(r#"{"B":"2","A":"1"}"#.to_owned()),
        resources: "cpus:0.5;mem:32".to_owned(),
        networks: vec!["net".to_owned()],
        containerizer: Containerizer::Docker,
        docker_image: Some("alpine".to_owned()),
        ..options()
    }
    .task_info()
    .unwrap();
    let command = task.command.unwrap();
    assert_eq!((command.shell(), command.value()), (false, "/bin/echo"));
    assert_eq!(command.arguments, ["echo", "hi"]);
    let variables = command.environment.unwrap().variables;
    let names: Vec<&str> = variables.iter().map(|variable| variable.name.as_str()).collect();
    assert_eq!(names, ["A", "B"]);
    let container = task.container.unwrap();
    assert_eq!(container.docker.unwrap().image, "alpine");
    assert_eq!(container.network_infos[0].name(), "net");
    assert_eq!(task.resources.len(), 2);
}

#[test]
fn a_plain_task_has_no_container() {
    assert_eq!(options().task_info().unwrap().container, None);
}

#[test]
fn a_whole_task_can_be_given() {
    let text = r#"{"name":"n","task_id":{"value":"i"},"resources":[],
        "command":{"value":"true"}}"#;
    let task = Options { task: Some(text.to_owned()), ..Options::default() }.task_info().unwrap();
    assert_eq!(task.task_id.value, "i");
}

#[test]
fn wrong_options_name_their_flag() {
    let text = |value: &str| Some(value.to_owned());
    let cases = [
        (Options { name: None, ..options() }, "flag 'name' is missing"),
        (Options { command: None, ..options() }, "flag 'command' is missing"),
        (Options { resources: "cpus:x".to_owned(), ..options() }, "flag 'resources' is wrong"),
        (Options { environment: text("[1]"), ..options() }, "flag 'env' is wrong"),
        (Options { environment: text(r#"{"A":1}"#), ..options() }, "flag 'env' is wrong"),
        (Options { task: text("{}"), ..options() }, "flags 'task' and 'name' are both given"),
        (Options { task: text("{}"), ..Options::default() }, "flag 'task' is wrong"),
        (Options { volumes: text("{}"), ..options() }, "flag 'volumes' is wrong"),
        (
            Options { containerizer: Containerizer::Docker, ..options() },
            "flag 'docker_image' is missing",
        ),
    ];
    for (options, expected) in cases {
        let error = options.task_info().unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
    let options = Options { framework_capabilities: vec!["FLY".to_owned()], ..options() };
    assert!(matches!(options.framework_info(), Err(InvalidOption::Wrong { .. })));
}
