//! A master and an executor made of the test's own hands, around a real agent.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request};
use orrery_api::link::{self, from_agent, from_master};
use orrery_api::{json, v1};
use orrery_http::{Client, ResponseBody, recordio, respond, service_fn};
use orrery_link::{Acceptor, LinkReceiver, LinkSender, LinkService};
use orrery_model::Resources;
use orrery_net_agent::{Options, Running};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::mpsc;

pub const AGENT_ID: &str = "M-S0";
/// How long anything that is waited for may take. Only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

pub type Link = (LinkSender<link::FromMaster>, LinkReceiver<link::FromAgent>);

struct Links(mpsc::UnboundedSender<Link>);

impl Acceptor for Links {
    fn accept(
        &self,
        _peer: SocketAddr,
        sender: LinkSender<link::FromMaster>,
        receiver: LinkReceiver<link::FromAgent>,
    ) {
        let _ = self.0.send((sender, receiver));
    }
}

/// A master that does what the test says.
pub struct Master {
    pub address: Address,
    runtime: Runtime,
    links: mpsc::UnboundedReceiver<Link>,
    _server: AbortOnDrop,
}

impl Master {
    pub async fn start(runtime: &Runtime) -> Self {
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = runtime.network.listen(any).await.unwrap();
        let address = listener.local_address().into();
        let (sender, links) = mpsc::unbounded_channel();
        let service = LinkService::new(runtime.clone(), Arc::new(Links(sender)));
        let service = Arc::new(service);
        let service = service_fn(move |request| {
            let service = Arc::clone(&service);
            async move {
                if LinkService::handles(request.uri().path()) {
                    service.call(request).await
                } else {
                    respond::not_found()
                }
            }
        });
        let serving = orrery_http::serve(runtime.clone(), listener, service);
        let server = runtime.spawn("test master", serving).abort_on_drop();
        Self { address, runtime: runtime.clone(), links, _server: server }
    }

    /// Waits for the agent's connection.
    pub async fn accept(&mut self) -> MasterLink {
        let (sender, receiver) =
            self.runtime.timeout(PATIENCE, self.links.recv()).await.expect("in time").unwrap();
        MasterLink { runtime: self.runtime.clone(), sender, receiver }
    }

    /// Waits for the agent's connection and registers it.
    pub async fn admit(&mut self) -> MasterLink {
        let mut link = self.accept().await;
        let from_agent::Body::Register(_) = link.receive().await else { panic!("no Register") };
        link.send(from_master::Body::Registered(link::Registered {
            agent_id: Some(v1::AgentId { value: AGENT_ID.into() }),
            master_info: Some(v1::MasterInfo {
                hostname: Some("localhost".into()),
                ..Default::default()
            }),
            ping_timeout_seconds: 75.0,
            missing_tasks: Vec::new(),
        }));
        link
    }
}

/// The connection of one agent.
pub struct MasterLink {
    runtime: Runtime,
    sender: LinkSender<link::FromMaster>,
    receiver: LinkReceiver<link::FromAgent>,
}

impl MasterLink {
    pub fn send(&self, body: from_master::Body) {
        let message = link::FromMaster { body: Some(body), ..Default::default() };
        self.sender.try_send(message).unwrap();
    }

    pub async fn receive(&mut self) -> from_agent::Body {
        let message = self.runtime.timeout(PATIENCE, self.receiver.receive()).await;
        message.expect("in time").expect("an open link").body.unwrap()
    }

    /// Waits for the next status update, acknowledges it and returns its status.
    pub async fn update(&mut self) -> v1::TaskStatus {
        loop {
            let from_agent::Body::StatusUpdate(update) = self.receive().await else {
                continue;
            };
            let status = update.status.unwrap();
            self.send(from_master::Body::Acknowledgement(link::Acknowledgement {
                framework_id: update.framework_id,
                task_id: Some(status.task_id.clone()),
                uuid: update.uuid,
            }));
            return status;
        }
    }

    /// Launches task `id` on the custom executor `executor`, which runs `command`.
    pub fn run(&self, id: &str, executor: &str, command: &str) {
        let resources = |text| {
            let resources = Resources::parse(text, "*").unwrap().to_messages();
            let allocation_info = Some(v1::resource::AllocationInfo { role: Some("*".into()) });
            let allocated = resources
                .into_iter()
                .map(|it| v1::Resource { allocation_info: allocation_info.clone(), ..it });
            allocated.collect::<Vec<_>>()
        };
        let executor = v1::ExecutorInfo {
            r#type: Some(v1::executor_info::Type::Custom as i32),
            executor_id: v1::ExecutorId { value: executor.into() },
            framework_id: Some(framework_id()),
            command: Some(v1::CommandInfo {
                shell: Some(true),
                value: Some(command.into()),
                ..Default::default()
            }),
            resources: resources("cpus:0.1;mem:32"),
            ..Default::default()
        };
        self.send(from_master::Body::RunTask(Box::new(link::RunTask {
            launch_executor: None,
            framework_info: Some(framework()),
            task_info: Some(v1::TaskInfo {
                name: "t0".into(),
                task_id: v1::TaskId { value: id.into() },
                agent_id: v1::AgentId { value: AGENT_ID.into() },
                resources: resources("cpus:0.1;mem:32"),
                executor: Some(executor),
                ..Default::default()
            }),
        })));
    }
}

pub fn framework_id() -> v1::FrameworkId {
    v1::FrameworkId { value: "M-0000".into() }
}

fn framework() -> v1::FrameworkInfo {
    use v1::framework_info::{Capability, capability::Type};
    let capability = |kind: Type| Capability { r#type: Some(kind as i32) };
    v1::FrameworkInfo {
        id: Some(framework_id()),
        user: "root".into(),
        name: "test".into(),
        roles: vec!["*".into()],
        failover_timeout: Some(0.0),
        checkpoint: Some(false),
        capabilities: vec![capability(Type::MultiRole), capability(Type::PartitionAware)],
        ..Default::default()
    }
}

pub fn options(master: &Master, work_dir: &std::path::Path) -> Options {
    let resources = Resources::parse("cpus:4;mem:8192;disk:20000;ports:[31000-32000]", "*");
    let mut options = Options::new(
        "127.0.0.1".parse().unwrap(),
        0,
        master.address.clone(),
        work_dir.to_owned(),
        resources.unwrap(),
        "/bin/false".into(),
    );
    options.attributes = orrery_model::attributes::parse("rack:r1;zone:z1").unwrap();
    options.flags.insert("attributes".into(), "rack:r1;zone:z1".into());
    options.registration_backoff_factor = Duration::from_millis(1);
    options.executor_shutdown_grace_period = Duration::from_millis(1);
    options.switch_user = false;
    options
}

/// What a client sees of an agent.
pub struct Http {
    pub runtime: Runtime,
    client: Client,
    address: Address,
}

/// Status, content type and body of an answer.
pub type Answer = (u16, String, Bytes);

impl Http {
    pub fn new(runtime: &Runtime, agent: &Running) -> Self {
        let client = Client::new(runtime.clone());
        Self { runtime: runtime.clone(), client, address: agent.address.into() }
    }

    pub async fn send(&self, request: Request<Bytes>) -> Answer {
        let response = self.client.send(&self.address, request).await.unwrap();
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get("content-type").map_or("", |it| it.to_str().unwrap());
        (parts.status.as_u16(), kind.to_owned(), body.collect(1 << 24).await.unwrap())
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::builder().uri(path).body(Bytes::new()).unwrap()).await
    }

    /// The JSON document at `path`.
    pub async fn json(&self, path: &str) -> Value {
        let (status, kind, body) = self.get(path).await;
        assert_eq!((status, kind.as_str()), (200, "application/json"), "{path}");
        serde_json::from_slice(&body).unwrap()
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(post(path, body)).await
    }

    /// The answer to an operator call without parameters.
    pub async fn call(&self, kind: &str) -> Value {
        let (status, _, body) = self.post("/api/v1", &format!("{{\"type\":\"{kind}\"}}")).await;
        assert_eq!(status, 200, "{kind}: {body:?}");
        serde_json::from_slice(&body).unwrap()
    }

    /// Subscribes as an executor; repeats it until the agent knows the executor.
    pub async fn subscribe(&self, executor: &str) -> Events {
        let call = executor_call(executor, "\"type\":\"SUBSCRIBE\",\"subscribe\":{}");
        for _ in 0..PATIENCE.as_millis() / 10 {
            let request = post("/api/v1/executor", &call);
            let response = self.client.stream(&self.address, request).await.unwrap();
            if response.status() == 200 {
                let decoder = recordio::Decoder::new(1 << 20);
                let (runtime, body) = (self.runtime.clone(), response.into_body());
                return Events { runtime, decoder, body };
            }
            self.runtime.sleep(Duration::from_millis(10)).await;
        }
        panic!("the executor cannot subscribe");
    }

    /// Sends a status update as an executor.
    pub async fn update(&self, executor: &str, task: &str, state: &str, uuid: u8) -> Answer {
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: task.into() },
            state: v1::TaskState::from_str_name(state).unwrap() as i32,
            source: Some(v1::task_status::Source::Executor as i32),
            uuid: Some(Bytes::from(vec![uuid; 16])),
            ..Default::default()
        };
        let status = String::from_utf8(json::encode(&status)).unwrap();
        let fields = format!("\"type\":\"UPDATE\",\"update\":{{\"status\":{status}}}");
        self.post("/api/v1/executor", &executor_call(executor, &fields)).await
    }

    /// Asks `path` until `is_good` likes the answer.
    pub async fn wait_for(&self, path: &str, is_good: impl Fn(&Answer) -> bool) -> Answer {
        for _ in 0..PATIENCE.as_millis() / 10 {
            let answer = self.get(path).await;
            if is_good(&answer) {
                return answer;
            }
            self.runtime.sleep(Duration::from_millis(10)).await;
        }
        panic!("{path} did not become what was expected");
    }
}

pub fn post(path: &str, body: &str) -> Request<Bytes> {
    let builder = Request::builder().method(Method::POST).uri(path);
    let builder = builder.header("content-type", "application/json");
    builder.body(Bytes::from(body.to_owned())).unwrap()
}

pub fn executor_call(executor: &str, fields: &str) -> String {
    let framework = framework_id().value;
    format!(
        "{{\"executor_id\":{{\"value\":\"{executor}\"}},\
         \"framework_id\":{{\"value\":\"{framework}\"}},{fields}}}"
    )
}

/// An executor's event stream.
pub struct Events {
    runtime: Runtime,
    decoder: recordio::Decoder,
    body: ResponseBody,
}

impl Events {
    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(record) = self.decoder.next().unwrap() {
                return Some(serde_json::from_slice(&record).unwrap());
            }
            let piece = self.runtime.timeout(PATIENCE, self.body.next()).await;
            self.decoder.push(&piece.expect("in time")?.ok()?);
        }
    }

    /// The next event, which must be of this type.
    pub async fn expect(&mut self, kind: &str) -> Value {
        let event = self.next().await.expect("an event");
        assert_eq!(event["type"], kind, "{event}");
        event
    }
}
