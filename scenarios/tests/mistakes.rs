//! A scheduler that makes every mistake it can: each is answered, and none does harm.
#![cfg(feature = "sim")]

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use orrery_api::v1;
use orrery_api::v1::framework_info::{Capability, capability};
use orrery_api::v1::scheduler::call::Type;
use orrery_api::v1::scheduler::{Call, Event, call};
use orrery_http::recordio::Decoder;
use orrery_http::{Client, MediaType, ResponseBody, media};
use orrery_model::Resources;
use orrery_runtime::{Address, Runtime};
use orrery_runtime_sim::{Config, simulate};
use orrery_scenarios::checks::Checks;
use orrery_scenarios::cluster::Cluster;
use orrery_scenarios::plan::Shape;
use orrery_scenarios::scenario::watched;
use tokio::sync::mpsc;

/// What comes of the mistakes, all of which must happen.
const POINTS: [&str; 34] = [
    "a call comes from a scheduler that another one has replaced",
    "a call comes without a stream id",
    "a call names a framework that the master does not have",
    "a DECLINE names an offer that is not open to its framework",
    "a dropped operation is answered because it has an id",
    "a framework changes its description",
    "a framework comes back with another principal",
    "a framework leaves a role",
    "a framework subscribes with an empty id",
    "a framework that was removed subscribes again",
    "a kill names the wrong agent",
    "a message is for an agent that is not registered",
    "a message is for an executor that is not connected",
    "a refusal is for a time that is no time",
    "a subscription is refused",
    "a task asks for a container that this version cannot give",
    "a task asks for limits that its agent does not enforce",
    "a task asks for more than its offers hold",
    "a task goes to an executor that runs already",
    "a task group is launched",
    "a task group is refused",
    "a task is for another agent than its offers",
    "a task is refused because another one has its id",
    "a task joins an executor that the agent has already",
    "a task's resource is for another role than its offers",
    "an ACCEPT asks for nothing",
    "an ACCEPT names an offer twice",
    "an ACCEPT names no offer",
    "an ACCEPT puts offers of two agents together",
    "an agent refuses a launch",
    "an executor's id is taken by another one",
    "an executor names another framework than its own",
    "an operation that is no launch is refused",
    "RECONCILE asks for a task that nobody knows",
];

const OWN: &str = "clumsy";

fn id(value: &str) -> v1::FrameworkId {
    v1::FrameworkId { value: value.to_owned() }
}

fn info(name: &str, roles: &[&str]) -> v1::FrameworkInfo {
    let multi_role = Capability { r#type: Some(capability::Type::MultiRole as i32) };
    v1::FrameworkInfo {
        user: "root".to_owned(),
        name: name.to_owned(),
        id: Some(id(name)),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        capabilities: vec![multi_role],
        failover_timeout: Some(1e6),
        ..Default::default()
    }
}

fn subscribe(framework_info: v1::FrameworkInfo) -> Call {
    Call {
        framework_id: framework_info.id.clone(),
        r#type: Some(Type::Subscribe as i32),
        subscribe: Some(call::Subscribe { framework_info, ..Default::default() }),
        ..Default::default()
    }
}

/// A call of the clumsy framework.
fn own(kind: Type) -> Call {
    Call { framework_id: Some(id(OWN)), r#type: Some(kind as i32), ..Default::default() }
}

fn stream_id_of(answer: &http::Response<ResponseBody>) -> String {
    answer.headers()["Mesos-Stream-Id"].to_str().expect("is text").to_owned()
}

/// Speaks to the master by hand.
struct Clumsy {
    runtime: Runtime,
    client: Client,
    master: Address,
    stream_id: String,
    offers: mpsc::UnboundedReceiver<v1::Offer>,
    kept: VecDeque<v1::Offer>,
}

impl Clumsy {
    async fn start(runtime: Runtime, master: Address) -> Self {
        let client = Client::new(runtime.clone());
        let (sender, offers) = mpsc::unbounded_channel();
        let (stream_id, kept) = (String::new(), VecDeque::new());
        let mut clumsy = Self { runtime, client, master, stream_id, offers, kept };
        let answer = clumsy.subscribe(info(OWN, &["a", "b"])).await;
        clumsy.stream_id = stream_id_of(&answer);
        clumsy.listen(answer.into_body(), sender);
        clumsy
    }

    fn request(&self, call: &Call, stream_id: Option<&str>) -> http::Request<Bytes> {
        let request = http::Request::post("/api/v1/scheduler")
            .header(CONTENT_TYPE, MediaType::Json.header_value())
            .header(ACCEPT, MediaType::Json.header_value());
        let request = match stream_id {
            Some(stream_id) => request.header("Mesos-Stream-Id", stream_id),
            None => request,
        };
        request.body(Bytes::from(media::encode(MediaType::Json, call))).expect("is a request")
    }

    /// Subscribes; the stream lives as long as the answer.
    async fn subscribe(&self, info: v1::FrameworkInfo) -> http::Response<ResponseBody> {
        let request = self.request(&subscribe(info), None);
        let answer = self.client.stream(&self.master, request).await.expect("is answered");
        assert_eq!(answer.status(), 200);
        self.runtime.sleep(Duration::from_secs(1)).await;
        answer
    }

    /// Passes on what is offered.
    fn listen(&self, mut body: ResponseBody, offers: mpsc::UnboundedSender<v1::Offer>) {
        self.runtime.spawn("events", async move {
            let mut decoder = Decoder::new(1 << 20);
            while let Some(Ok(piece)) = body.next().await {
                decoder.push(&piece);
                while let Ok(Some(record)) = decoder.next() {
                    let event: Event = media::decode(MediaType::Json, &record).expect("an event");
                    let new = event.offers.map(|body| body.offers).unwrap_or_default();
                    new.into_iter().for_each(|offer| drop(offers.send(offer)));
                }
            }
        });
    }

    async fn call_with(&self, call: &Call, stream_id: Option<&str>) -> u16 {
        let request = self.request(call, stream_id);
        let response = self.client.send(&self.master, request).await.expect("is answered");
        let status = response.status().as_u16();
        response.into_body().collect(1 << 20).await.expect("ends");
        status
    }

    async fn call(&self, call: Call) -> u16 {
        self.call_with(&call, Some(&self.stream_id)).await
    }

    async fn offer(&mut self) -> v1::Offer {
        match self.kept.pop_front() {
            Some(offer) => offer,
            None => self.offers.recv().await.expect("the stream goes on"),
        }
    }

    /// Two open offers of different agents.
    async fn two_offers(&mut self) -> (v1::Offer, v1::Offer) {
        let first = self.offer().await;
        loop {
            let second = self.offer().await;
            if second.agent_id != first.agent_id {
                return (first, second);
            }
        }
    }

    async fn accept(&self, offers: &[&v1::Offer], operations: Vec<v1::offer::Operation>) {
        let offer_ids = offers.iter().map(|offer| offer.id.clone()).collect();
        let filters = Some(v1::Filters { refuse_seconds: Some(-1.0) });
        let accept = Some(call::Accept { offer_ids, operations, filters });
        assert_eq!(self.call(Call { accept, ..own(Type::Accept) }).await, 202);
    }

    async fn launch(&mut self, change: impl FnOnce(&mut v1::TaskInfo)) -> v1::AgentId {
        let offer = self.offer().await;
        let mut task = task(&offer);
        change(&mut task);
        self.accept(&[&offer], vec![orrery_scheduler::launch(vec![task])]).await;
        offer.agent_id
    }
}

fn resources(text: &str) -> Vec<v1::Resource> {
    Resources::parse(text, "*").expect("is well formed").to_messages()
}

fn command(text: &str) -> v1::CommandInfo {
    v1::CommandInfo { value: Some(text.to_owned()), ..Default::default() }
}

/// A task that fits an offer; its id is the offer's.
fn task(offer: &v1::Offer) -> v1::TaskInfo {
    v1::TaskInfo {
        name: "task".to_owned(),
        task_id: v1::TaskId { value: offer.id.value.clone() },
        agent_id: offer.agent_id.clone(),
        resources: resources("cpus:0.1;mem:32"),
        command: Some(command("sleep 1000")),
        ..Default::default()
    }
}

/// The same task for an executor `e` that runs `text`.
fn with_executor(task: &mut v1::TaskInfo, text: &str) {
    task.command = None;
    task.executor = Some(v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: "e".to_owned() },
        command: Some(command(text)),
        resources: resources("cpus:0.1;mem:32"),
        ..Default::default()
    });
}

async fn make_mistakes(runtime: Runtime, master: Address) {
    // By then the master leads and has its agents.
    runtime.sleep(Duration::from_secs(10)).await;
    let mut clumsy = Clumsy::start(runtime.clone(), master).await;
    mistake_subscriptions(&clumsy).await;
    mistake_calls(&mut clumsy).await;
    mistake_offers(&mut clumsy).await;
    mistake_tasks(&mut clumsy).await;
    mistake_executors(&mut clumsy).await;
    let mut changed = info(OWN, &["a"]);
    changed.name = "less clumsy".to_owned();
    let update = Some(call::UpdateFramework { framework_info: changed, ..Default::default() });
    assert_eq!(
        clumsy.call(Call { update_framework: update, ..own(Type::UpdateFramework) }).await,
        200
    );
    runtime.sleep(Duration::from_secs(20)).await;
}

async fn mistake_subscriptions(clumsy: &Clumsy) {
    let status = clumsy.call_with(&subscribe(info("x", &["a"])), Some("no stream")).await;
    assert_eq!(status, 400);
    clumsy.subscribe(info("bad role", &["a//b"])).await;
    clumsy.subscribe(v1::FrameworkInfo { id: Some(id("")), ..info("y", &["a"]) }).await;
    let other = v1::FrameworkInfo { principal: Some("me".to_owned()), ..info(OWN, &["a"]) };
    clumsy.subscribe(other).await;
    let leaver = clumsy.subscribe(info("leaver", &["a"])).await;
    let teardown = Call { framework_id: Some(id("leaver")), ..own(Type::Teardown) };
    assert_eq!(clumsy.call_with(&teardown, Some(&stream_id_of(&leaver))).await, 202);
    clumsy.subscribe(info("leaver", &["a"])).await;
}

async fn mistake_calls(clumsy: &mut Clumsy) {
    assert_eq!(clumsy.call_with(&own(Type::Revive), None).await, 400);
    assert_eq!(clumsy.call_with(&own(Type::Revive), Some("another stream")).await, 400);
    let nobody = Call { framework_id: Some(id("nobody")), ..own(Type::Revive) };
    assert_eq!(clumsy.call(nobody).await, 400);
    let revive = Some(call::Revive { roles: vec!["c".to_owned()] });
    assert_eq!(clumsy.call(Call { revive, ..own(Type::Revive) }).await, 202);
    let (nowhere, nothing) = (v1::AgentId { value: "nowhere".to_owned() }, "nothing".to_owned());
    let executor_id = v1::ExecutorId { value: "e".to_owned() };
    let agent = clumsy.launch(|task| task.task_id.value = "long".to_owned()).await;
    for agent_id in [nowhere.clone(), agent.clone()] {
        let data = Bytes::from_static(b"hello");
        let message = Some(call::Message { agent_id, executor_id: executor_id.clone(), data });
        assert_eq!(clumsy.call(Call { message, ..own(Type::Message) }).await, 202);
    }
    let shutdown = Some(call::Shutdown { agent_id: nowhere.clone(), executor_id });
    assert_eq!(clumsy.call(Call { shutdown, ..own(Type::Shutdown) }).await, 202);
    let task_id = v1::TaskId { value: "long".to_owned() };
    let kill = Some(call::Kill { task_id, agent_id: Some(nowhere), ..Default::default() });
    assert_eq!(clumsy.call(Call { kill, ..own(Type::Kill) }).await, 202);
    let tasks =
        vec![call::reconcile::Task { task_id: v1::TaskId { value: nothing }, agent_id: None }];
    let reconcile = Some(call::Reconcile { tasks });
    assert_eq!(clumsy.call(Call { reconcile, ..own(Type::Reconcile) }).await, 202);
}

async fn mistake_offers(clumsy: &mut Clumsy) {
    let offer = clumsy.offer().await;
    clumsy.accept(&[&offer, &offer], Vec::new()).await;
    let (first, second) = clumsy.two_offers().await;
    clumsy.accept(&[&first, &second], Vec::new()).await;
    let offer = clumsy.offer().await;
    clumsy.accept(&[&offer], Vec::new()).await;
    let decline = Some(call::Decline { offer_ids: vec![offer.id], ..Default::default() });
    assert_eq!(clumsy.call(Call { decline, ..own(Type::Decline) }).await, 202);
    clumsy.accept(&[], Vec::new()).await;
    let offer = clumsy.offer().await;
    let reserve = v1::offer::Operation {
        r#type: Some(v1::offer::operation::Type::Reserve as i32),
        id: Some(v1::OperationId { value: "reserve".to_owned() }),
        ..Default::default()
    };
    clumsy.accept(&[&offer], vec![reserve]).await;
}

async fn mistake_tasks(clumsy: &mut Clumsy) {
    clumsy.launch(|task| task.task_id.value = "long".to_owned()).await;
    clumsy.launch(|task| task.agent_id.value = "nowhere".to_owned()).await;
    clumsy.launch(|task| task.resources = resources("cpus:1000;mem:32")).await;
    clumsy
        .launch(|task| {
            let role = Some("c".to_owned());
            task.resources[0].allocation_info = Some(v1::resource::AllocationInfo { role });
        })
        .await;
    clumsy
        .launch(|task| {
            let amount = v1::value::Scalar { value: 2.0 };
            task.limits.insert("cpus".to_owned(), amount);
        })
        .await;
    let uri = v1::command_info::Uri { value: "http://x/y".to_owned(), ..Default::default() };
    clumsy.launch(|task| task.command.as_mut().expect("has one").uris.push(uri)).await;
    for kind in [v1::executor_info::Type::Default, v1::executor_info::Type::Unknown] {
        let offer = clumsy.offer().await;
        let executor = v1::ExecutorInfo {
            r#type: Some(kind as i32),
            executor_id: v1::ExecutorId { value: "group".to_owned() },
            resources: resources("cpus:0.1;mem:32;disk:1"),
            ..Default::default()
        };
        let group = v1::offer::operation::LaunchGroup {
            executor,
            task_group: v1::TaskGroupInfo { tasks: vec![task(&offer)] },
        };
        let operation = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::LaunchGroup as i32),
            launch_group: Some(group),
            ..Default::default()
        };
        clumsy.accept(&[&offer], vec![operation]).await;
    }
}

async fn mistake_executors(clumsy: &mut Clumsy) {
    let foreign = |task: &mut v1::TaskInfo| {
        with_executor(task, "sleep 100");
        task.executor.as_mut().expect("has one").framework_id = Some(id("other"));
    };
    clumsy.launch(foreign).await;
    let offer = clumsy.offer().await;
    let mut tasks = vec![task(&offer), task(&offer), task(&offer)];
    for (number, task) in tasks.iter_mut().enumerate() {
        task.task_id.value = format!("{}-{number}", offer.id.value);
        with_executor(task, if number == 2 { "sleep 200" } else { "sleep 100" });
    }
    clumsy.accept(&[&offer], vec![orrery_scheduler::launch(tasks)]).await;
}

#[test]
fn every_mistake_is_answered_and_does_no_harm() {
    let shape = Shape { agents: 3, ..Shape::default() };
    let scenario = async |cluster: Cluster| {
        let master = cluster.master_address();
        let host = cluster.world().host("client");
        let process = host.start("clumsy", |runtime| async move {
            make_mistakes(runtime, master).await;
            0
        });
        let limit = Duration::from_secs(300);
        let runtime = cluster.world().clone();
        runtime.sleep(limit).await;
        assert!(host.exit_status(process).is_some(), "the scheduler waits for something");
    };
    let report = simulate(1, Config::default(), move |world| async move {
        watched(world, &shape, &Default::default(), Checks::all(), scenario).await
    });
    match report.outcome {
        Ok(Ok(())) => {}
        Ok(Err(violation)) => panic!("{violation}"),
        Err(failure) => panic!("{failure}"),
    }
    let times = |name: &str| report.coverage.tally_of(name).map(|tally| tally.times);
    let missing: Vec<_> = POINTS.iter().filter(|name| times(name).unwrap_or(0) == 0).collect();
    assert!(missing.is_empty(), "no mistake leads to {missing:#?}");
}
