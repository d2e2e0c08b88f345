//! All agents of a cluster come back to a master that was restarted.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use orrery_api::link::{self, FromAgent, from_agent, from_master};
use orrery_api::v1;
use orrery_link::{AgentEnds, connect_together};
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Instant, Runtime};
use tokio::sync::{Semaphore, mpsc};

use crate::arguments::Failover;
use crate::cluster::Cluster;
use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::health::Probe;
use crate::latency::Latencies;
use crate::progress::Progress;
use crate::registration::Shape;
use crate::report::Report;
use crate::usage::Usage;

/// Mesos' default beat.
const ALLOCATION_INTERVAL: Duration = Duration::from_secs(1);
/// Connections that are opened at one time.
const OPENING: usize = 512;

struct Measured {
    first_registration: Duration,
    /// From the first message of an agent until the last agent was registered again.
    registration: Duration,
    /// The master before and after that.
    idle: Usage,
    busy: Usage,
    /// How long `/health` took meanwhile.
    health: Latencies,
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
    report.count("completed", "ended tasks of each agent", options.completed);
    report.count("together", "agents on one connection", options.together);
    let label = "until all new agents were registered";
    report.time("first_registration", label, measured.first_registration);
    report.time("registration", "until all were registered again", measured.registration);
    report.latencies("health", "/health meanwhile", measured.health);
    report.cpu("master", "master meanwhile", &measured.idle, &measured.busy);
    report.memory("master", "master with agents and tasks", &measured.busy);
    Ok(report)
}

async fn measure(
    options: &Failover,
    cluster: &mut Cluster,
    progress: &Arc<Progress>,
) -> Result<Measured, Failure> {
    let runtime = orrery_runtime_real::runtime();
    let master = cluster.start_master(&options.common, ALLOCATION_INTERVAL).await?;
    let together = usize::try_from(options.together).unwrap_or(usize::MAX);
    let new = (0..options.agents).map(|number| Shape::default().register(number, None)).collect();
    let burst = Burst { runtime: &runtime, master: &master, progress, together };
    let (ids, first_registration) = burst.register_all(new).await;

    cluster.kill_master().await;
    let master = cluster.start_master(&options.common, ALLOCATION_INTERVAL).await?;
    let shape = Shape { tasks: options.tasks, completed: options.completed, statuses: 0 };
    let again = ids.iter().zip(0..options.agents);
    let again = again.map(|(id, number)| shape.register(number, Some(id))).collect();
    let idle = cluster.master().map(Daemon::usage).transpose()?.unwrap_or_default();
    let probe = Probe::start(&master)?;
    let burst = Burst { runtime: &runtime, master: &master, progress, together };
    let (_, registration) = burst.register_all(again).await;
    let health = probe.finish()?;
    let busy = cluster.master().map(Daemon::usage).transpose()?.unwrap_or_default();
    Ok(Measured { first_registration, registration, idle, busy, health })
}

struct Burst<'a> {
    runtime: &'a Runtime,
    master: &'a Address,
    progress: &'a Arc<Progress>,
    /// Links on one connection.
    together: usize,
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
        let mut tasks: Vec<AbortOnDrop> = Vec::new();
        let mut all = all.into_iter().enumerate().peekable();
        while all.peek().is_some() {
            let agents = all.by_ref().take(self.together).collect();
            let host = Host {
                runtime: self.runtime.clone(),
                master: self.master.clone(),
                opening: Arc::clone(&opening),
                go: Arc::clone(&go),
                opened: opened.clone(),
                registered: registered.clone(),
            };
            let progress = Arc::clone(self.progress);
            let run = async move {
                if let Err(reason) = host.run(agents).await {
                    progress.fail(format!("an agent: {reason}"));
                }
            };
            tasks.push(self.runtime.spawn("agents of a burst", run).abort_on_drop());
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

/// Agents on one connection, which register and then only answer pings.
struct Host {
    runtime: Runtime,
    master: Address,
    opening: Arc<Semaphore>,
    /// Closed when all may begin.
    go: Arc<Semaphore>,
    opened: mpsc::UnboundedSender<()>,
    registered: mpsc::UnboundedSender<(usize, v1::AgentId, Instant)>,
}

impl Host {
    async fn run(self, agents: Vec<(usize, link::Register)>) -> Result<(), String> {
        let links = self.open(agents.len()).await?;
        let agents = agents.into_iter().zip(links);
        let agents = agents.map(|((number, register), link)| self.agent(number, register, link));
        try_join_all(agents).await.map(drop)
    }

    async fn agent(
        &self,
        number: usize,
        register: link::Register,
        (sender, mut receiver): AgentEnds,
    ) -> Result<(), String> {
        let message = |body| FromAgent { body: Some(body), ..Default::default() };
        let register = message(from_agent::Body::Register(register));
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

    async fn open(&self, count: usize) -> Result<Vec<AgentEnds>, String> {
        let _permit = self.opening.acquire().await.map_err(|error| error.to_string())?;
        let links = connect_together(&self.runtime, &self.master, count);
        links.await.map_err(|error| error.to_string())
    }
}
