//! The command executor against an agent of this test's own, over real sockets, with real
//! processes.
#![allow(clippy::disallowed_methods, reason = "a test looks at files by itself")]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use orrery_api::v1::executor::{Call, Event, call, event};
use orrery_api::{protobuf, v1};
use orrery_http::{StreamSender, body, recordio, respond, service_fn};
use orrery_runtime::Runtime;
use tokio::sync::mpsc;

/// What the agent under test's control hears.
enum Heard {
    Subscribed(StreamSender, Box<call::Subscribe>),
    Updated(Box<v1::TaskStatus>),
}

struct Agent {
    address: SocketAddr,
    heard: mpsc::UnboundedReceiver<Heard>,
    _server: orrery_runtime::tasks::AbortOnDrop,
}

impl Agent {
    async fn start(runtime: &Runtime) -> Self {
        let any_port = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
        let listener = runtime.network.listen(any_port).await.expect("a free port");
        let address = listener.local_address();
        let (sender, heard) = mpsc::unbounded_channel();
        let service = service_fn(move |request: orrery_http::Request| {
            let sender = sender.clone();
            async move {
                let bytes = request.into_body().collect(1 << 20).await.expect("a body");
                let call: Call = protobuf::decode(&bytes).expect("a call");
                if let Some(subscribe) = call.subscribe {
                    let (stream, body) = body::channel(1 << 20);
                    sender.send(Heard::Subscribed(stream, Box::new(subscribe))).ok();
                    return respond::stream(orrery_http::MediaType::Protobuf, body);
                }
                if let Some(update) = call.update {
                    sender.send(Heard::Updated(Box::new(update.status))).ok();
                }
                respond::empty(http::StatusCode::ACCEPTED)
            }
        });
        let serving = orrery_http::serve(runtime.clone(), listener, Arc::clone(&service));
        let server = runtime.spawn("test agent", serving).abort_on_drop();
        Self { address, heard, _server: server }
    }

    fn environment(&self, sandbox: &Path, checkpoint: &str) -> Vec<(String, String)> {
        let sandbox = sandbox.to_str().expect("a plain path");
        [
            ("PATH", "/usr/bin:/bin"),
            ("MESOS_FRAMEWORK_ID", "f"),
            ("MESOS_EXECUTOR_ID", "e"),
            ("MESOS_AGENT_ENDPOINT", &self.address.to_string()),
            ("MESOS_SANDBOX", sandbox),
            ("MESOS_CHECKPOINT", checkpoint),
            ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "10ms"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    async fn subscription(&mut self) -> (StreamSender, call::Subscribe) {
        loop {
            match self.heard.recv().await {
                Some(Heard::Subscribed(stream, subscribe)) => return (stream, *subscribe),
                Some(Heard::Updated(_)) => {}
                None => panic!("the agent has ended"),
            }
        }
    }

    async fn update(&mut self) -> v1::TaskStatus {
        loop {
            match self.heard.recv().await {
                Some(Heard::Updated(status)) => return *status,
                Some(Heard::Subscribed(..)) => {}
                None => panic!("the agent has ended"),
            }
        }
    }

    /// Hears updates and acknowledges each, up to `state`.
    async fn acknowledge_up_to(&mut self, stream: &StreamSender, state: v1::TaskState) -> String {
        let mut states = Vec::new();
        loop {
            let status = self.update().await;
            acknowledge(stream, &status);
            states.push(status.state().as_str_name());
            if status.state() == state {
                return format!("{} {}", states.join(" "), status.message());
            }
        }
    }
}

fn say(stream: &StreamSender, kind: event::Type, event: Event) {
    let event = Event { r#type: Some(kind as i32), ..event };
    let record: Bytes = recordio::encode(&protobuf::encode(&event));
    stream.try_send(record).expect("the executor listens");
}

fn welcome(stream: &StreamSender) {
    let subscribed = event::Subscribed {
        executor_info: v1::ExecutorInfo::default(),
        framework_info: v1::FrameworkInfo::default(),
        agent_info: v1::AgentInfo::default(),
        container_id: None,
    };
    let event = Event { subscribed: Some(subscribed), ..Event::default() };
    say(stream, event::Type::Subscribed, event);
}

fn launch(stream: &StreamSender, command: &str) {
    let task = v1::TaskInfo {
        name: "t".to_owned(),
        task_id: v1::TaskId { value: "t".to_owned() },
        agent_id: v1::AgentId { value: "a".to_owned() },
        command: Some(v1::CommandInfo {
            value: Some(command.to_owned()),
            ..v1::CommandInfo::default()
        }),
        ..v1::TaskInfo::default()
    };
    let event = Event { launch: Some(event::Launch { task }), ..Event::default() };
    say(stream, event::Type::Launch, event);
}

fn acknowledge(stream: &StreamSender, status: &v1::TaskStatus) {
    let acknowledged = event::Acknowledged {
        task_id: status.task_id.clone(),
        uuid: status.uuid.clone().expect("an update has a uuid"),
    };
    let event = Event { acknowledged: Some(acknowledged), ..Event::default() };
    say(stream, event::Type::Acknowledged, event);
}

#[tokio::test]
async fn a_command_runs_in_the_sandbox_and_finishes() {
    let runtime = orrery_runtime_real::runtime();
    let sandbox = tempfile::tempdir().expect("a folder");
    let mut agent = Agent::start(&runtime).await;
    let environment = agent.environment(sandbox.path(), "0");
    let executor = tokio::spawn(orrery_net_executor::run(runtime, environment));
    let (stream, _) = agent.subscription().await;
    welcome(&stream);
    launch(&stream, "echo $MESOS_EXECUTOR_ID > made");
    let told = agent.acknowledge_up_to(&stream, v1::TaskState::TaskFinished).await;
    assert_eq!(told, "TASK_STARTING TASK_RUNNING TASK_FINISHED Command exited with status 0");
    assert_eq!(executor.await.expect("it returns"), 0);
    assert_eq!(std::fs::read_to_string(sandbox.path().join("made")).expect("a file"), "e\n");
}

#[tokio::test]
async fn a_killed_command_ends_with_its_children() {
    let runtime = orrery_runtime_real::runtime();
    let sandbox = tempfile::tempdir().expect("a folder");
    let mut agent = Agent::start(&runtime).await;
    let environment = agent.environment(sandbox.path(), "0");
    let executor = tokio::spawn(orrery_net_executor::run(runtime, environment));
    let (stream, _) = agent.subscription().await;
    welcome(&stream);
    launch(&stream, "sleep 1000 & wait");
    agent.acknowledge_up_to(&stream, v1::TaskState::TaskRunning).await;
    let kill = event::Kill { task_id: v1::TaskId { value: "t".to_owned() }, kill_policy: None };
    say(&stream, event::Type::Kill, Event { kill: Some(kill), ..Event::default() });
    let told = agent.acknowledge_up_to(&stream, v1::TaskState::TaskKilled).await;
    assert_eq!(told, "TASK_KILLED Command terminated with signal Terminated");
    assert_eq!(executor.await.expect("it returns"), 0);
}

#[tokio::test]
async fn after_a_lost_connection_updates_come_again() {
    let runtime = orrery_runtime_real::runtime();
    let sandbox = tempfile::tempdir().expect("a folder");
    let mut agent = Agent::start(&runtime).await;
    let environment = agent.environment(sandbox.path(), "1");
    let executor = tokio::spawn(orrery_net_executor::run(runtime, environment));
    let (stream, _) = agent.subscription().await;
    welcome(&stream);
    launch(&stream, "exit 3");
    while agent.update().await.state() != v1::TaskState::TaskFailed {}
    drop(stream);
    let (stream, subscribe) = agent.subscription().await;
    let updates = subscribe.unacknowledged_updates;
    let states: Vec<_> = updates.iter().map(|update| update.status.state()).collect();
    use v1::TaskState::{TaskFailed, TaskRunning, TaskStarting};
    assert_eq!(states, [TaskStarting, TaskRunning, TaskFailed]);
    assert_eq!(subscribe.unacknowledged_tasks.len(), 1);
    welcome(&stream);
    for update in &updates {
        acknowledge(&stream, &update.status);
    }
    assert_eq!(executor.await.expect("it returns"), 0);
}

#[tokio::test]
async fn a_missing_environment_ends_with_an_error() {
    let runtime = orrery_runtime_real::runtime();
    assert_eq!(orrery_net_executor::run(runtime, Vec::new()).await, 1);
}
