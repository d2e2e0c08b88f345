//! All agents of a cluster come back to a master that was restarted.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use orrery_api::link::{self, FromAgent, FromMaster, from_agent, from_master};
use orrery_api::v1::{self, TaskState};
use orrery_http::Client;
use orrery_link::{LinkReceiver, LinkSender, connect};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Instant, Runtime};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::arguments::Failover;
use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::Report;
use crate::usage::Usage;

/// Mesos' default beat.
const ALLOCATION_INTERVAL: Duration = Duration::from_secs(1);
/// Links that are opened at one time.
const OPENING: usize = 512;
/// Pause between two looks at the master's health.
const PROBE: Duration = Duration::from_millis(5);
/// The framework of all tasks, which does not come back.
const FRAMEWORK: &str = "load-0000";

struct Measured {
    first_registration: Duration,
    /// From the first message of an agent until the last agent was registered again.
    registration: Duration,
    master: Option<Usage>,
    /// The slowest answer to `/health` meanwhile.
    health: Duration,
}

/// Registers agents, kills the master, starts it again, and has all agents register with their
/// tasks at once, on links that are open before.
///
/// # Errors
/// The master does not start or ends, or sends an agent away.
pub async fn run(options: &Failover) -> Result<Report, Failure> {
    let progress = Arc::new(Progress::new(0, 0));
    let measured = Cluster::with(&options.common, &progress, async |cluster| {
        measure(options, cluster, &progress).await
    });
    let measured = measured.await?;
    let mut report = Report::default();
    report.word("mode", "mode", "failover");
    report.count("agents", "agents", options.agents);
    report.count("tasks", "tasks of each agent", options.tasks);
    let label = "until all new agents were registered";
    report.time("first_registration", label, measured.first_registration);
    report.time("registration", "until all were registered again", measured.registration);
    report.time("health", "slowest /health meanwhile", measured.health);
    if let Some(usage) = &measured.master {
        report.memory("master", "master with agents and tasks", usage);
    }
    Ok(report)
}

async fn measure(
    options: &Failover,
    cluster: &mut Cluster,
    progress: &Arc<Progress>,
) -> Result<Measured, Failure> {
    let runtime = orrery_runtime_real::runtime();
    let master = cluster.start_master(&options.common, ALLOCATION_INTERVAL).await?;
    let new = (0..options.agents).map(|number| register(number, None, 0)).collect();
    let burst = Burst { runtime: &runtime, master: &master, progress };
    let (ids, first_registration) = burst.register_all(new).await;

    cluster.kill_master().await;
    let master = cluster.start_master(&options.common, ALLOCATION_INTERVAL).await?;
    let again = ids.iter().zip(0..options.agents);
    let again = again.map(|(id, number)| register(number, Some(id), options.tasks)).collect();
    let (slowest, stop) = probe(&runtime, &master);
    let burst = Burst { runtime: &runtime, master: &master, progress };
    let (_, registration) = burst.register_all(again).await;
    drop(stop);
    let health = slowest.await.unwrap_or_default();
    let master = cluster.master().map(Daemon::usage).transpose()?;
    Ok(Measured { first_registration, registration, master, health })
}

/// Asks for the master's health again and again until its second part is dropped; the first then
/// tells the longest time that an answer took.
fn probe(
    runtime: &Runtime,
    master: &Address,
) -> (oneshot::Receiver<Duration>, oneshot::Sender<()>) {
    let (stop, mut stopped) = oneshot::channel();
    let (sender, slowest) = oneshot::channel();
    let (runtime, master) = (runtime.clone(), master.clone());
    runtime.clone().spawn("health probe", async move {
        let client = Client::new(runtime.clone());
        let mut worst = Duration::ZERO;
        let ask = async {
            loop {
                let start = runtime.clock.now();
                let Ok(request) = Request::get("/health").body(Bytes::new()) else { return };
                if let Ok(response) = client.send(&master, request).await {
                    // Read to the end, so that the connection is used again.
                    let _ = response.into_body().collect(1024).await;
                }
                worst = worst.max(runtime.clock.now().since(start));
                runtime.sleep(PROBE).await;
            }
        };
        tokio::select! {
            biased;
            _ = &mut stopped => {}
            () = ask => {}
        }
        // The measurement may have failed meanwhile.
        let _ = sender.send(worst);
    });
    (slowest, stop)
}

struct Burst<'a> {
    runtime: &'a Runtime,
    master: &'a Address,
    progress: &'a Arc<Progress>,
}

impl Burst<'_> {
    /// Opens a link for each agent, then has all register at once. Returns their ids in order, and
    /// how long it took from the first message on. The links are closed then.
    async fn register_all(&self, all: Vec<link::Register>) -> (Vec<v1::AgentId>, Duration) {
        let opening = Arc::new(Semaphore::new(OPENING));
        let go = Arc::new(Semaphore::new(0));
        let count = all.len();
        let (opened, mut opens) = mpsc::unbounded_channel();
        let (registered, mut registrations) = mpsc::unbounded_channel();
        let mut tasks: Vec<AbortOnDrop> = Vec::with_capacity(count);
        for (number, register) in all.into_iter().enumerate() {
            let agent = Agent {
                runtime: self.runtime.clone(),
                master: self.master.clone(),
                opening: Arc::clone(&opening),
                go: Arc::clone(&go),
                opened: opened.clone(),
                registered: registered.clone(),
            };
            let progress = Arc::clone(self.progress);
            let run = async move {
                if let Err(reason) = agent.run(number, register).await {
                    progress.fail(format!("agent {number}: {reason}"));
                }
            };
            tasks.push(self.runtime.spawn("agent of a burst", run).abort_on_drop());
        }
        for _ in 0..count {
            opens.recv().await;
        }
        let start = self.runtime.clock.now();
        go.close();
        let mut ids = vec![v1::AgentId::default(); count];
        let mut last = start;
        for _ in 0..count {
            let Some((number, id, at)) = registrations.recv().await else { break };
            last = last.max(at);
            if let Some(slot) = ids.get_mut(number) {
                *slot = id;
            }
        }
        (ids, last.since(start))
    }
}

/// An agent that registers and then only answers pings.
struct Agent {
    runtime: Runtime,
    master: Address,
    opening: Arc<Semaphore>,
    /// Closed when all may begin.
    go: Arc<Semaphore>,
    opened: mpsc::UnboundedSender<()>,
    registered: mpsc::UnboundedSender<(usize, v1::AgentId, Instant)>,
}

impl Agent {
    async fn run(self, number: usize, register: link::Register) -> Result<(), String> {
        let message = |body| FromAgent { body: Some(body), ..Default::default() };
        let register = message(from_agent::Body::Register(register));
        let (sender, mut receiver) = self.open().await?;
        let _ = self.opened.send(());
        // It never gives a permit: its end is the sign.
        let _ = self.go.acquire().await;
        sender.try_send(register).map_err(|error| error.to_string())?;
        loop {
            let received = receiver.receive().await.ok_or("the master closed its link")?;
            match received.body {
                Some(from_master::Body::Registered(registered)) => {
                    let id = registered.agent_id.unwrap_or_default();
                    let _ = self.registered.send((number, id, self.runtime.clock.now()));
                }
                Some(from_master::Body::Ping(_)) => {
                    let pong = message(from_agent::Body::Pong(link::Pong {}));
                    sender.try_send(pong).map_err(|error| error.to_string())?;
                }
                Some(from_master::Body::Shutdown(shutdown)) => return Err(shutdown.message),
                _ => {}
            }
        }
    }

    async fn open(&self) -> Result<(LinkSender<FromAgent>, LinkReceiver<FromMaster>), String> {
        let _permit = self.opening.acquire().await.map_err(|error| error.to_string())?;
        connect(&self.runtime, &self.master).await.map_err(|error| error.to_string())
    }
}

/// What an agent says of itself: with an id, it has so many tasks of a framework that is away.
fn register(number: u32, id: Option<&v1::AgentId>, tasks: u32) -> link::Register {
    let [_, high, middle, low] = number.to_be_bytes();
    let ip = format!("127.{high}.{middle}.{low}");
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: None,
        ..Default::default()
    };
    let agent_info = v1::AgentInfo {
        id: id.cloned(),
        hostname: ip.clone(),
        port: Some(5051),
        resources: vec![scalar("cpus", 64.0), scalar("mem", 262_144.0)],
        ..Default::default()
    };
    let framework = v1::FrameworkInfo {
        user: "root".to_owned(),
        name: "load".to_owned(),
        id: Some(v1::FrameworkId { value: FRAMEWORK.to_owned() }),
        failover_timeout: Some(1e6),
        ..Default::default()
    };
    let role = Some(v1::resource::AllocationInfo { role: Some("*".to_owned()) });
    let allocated =
        |name, value| v1::Resource { allocation_info: role.clone(), ..scalar(name, value) };
    let task = |task: u32| v1::Task {
        name: format!("task-{number}-{task}"),
        task_id: v1::TaskId { value: format!("task-{number}-{task}") },
        framework_id: v1::FrameworkId { value: FRAMEWORK.to_owned() },
        agent_id: id.cloned().unwrap_or_default(),
        state: TaskState::TaskRunning as i32,
        status_update_state: Some(TaskState::TaskRunning as i32),
        resources: vec![allocated("cpus", 0.1), allocated("mem", 32.0)],
        ..Default::default()
    };
    link::Register {
        agent_info: Some(agent_info),
        version: "1.12.0".to_owned(),
        pid: format!("slave(1)@{ip}:5051"),
        frameworks: if tasks > 0 { vec![framework] } else { Vec::new() },
        tasks: (0..tasks).map(task).collect(),
        ..Default::default()
    }
}
