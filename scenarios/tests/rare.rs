//! Goals that no random plan meets: each needs a cluster of its own.
#![cfg(feature = "sim")]

use std::time::Duration;

use bytes::Bytes;
use orrery_api::link::{self, from_agent, from_master};
use orrery_api::v1;
use orrery_coverage::Coverage;
use orrery_model::Resources;
use orrery_net_scheduler::Options;
use orrery_runtime::{Address, ProcessId, Runtime};
use orrery_runtime_sim::{Config, Host, simulate};
use orrery_scenarios::checks::{Checks, Invariant};
use orrery_scenarios::cluster::Cluster;
use orrery_scenarios::plan::{Place, Shape};
use orrery_scenarios::scenario::watched;
use orrery_scheduler::{Context, Event, Framework};

/// What a run of `scenario` came by.
fn coverage<F, Fut>(shape: Shape, checks: Checks, scenario: F) -> Coverage
where
    F: FnOnce(Cluster) -> Fut + Send + 'static,
    Fut: Future<Output = ()>,
{
    let report = simulate(1, Config::default(), move |world| async move {
        watched(world, &shape, &Default::default(), checks, scenario).await
    });
    match report.outcome {
        Ok(Ok(())) => report.coverage,
        Ok(Err(violation)) => panic!("{violation}"),
        Err(failure) => panic!("{failure}"),
    }
}

#[track_caller]
fn assert_met(coverage: &Coverage, name: &str) {
    let tally = coverage.tally_of(name).unwrap_or_else(|| panic!("no point is called '{name}'"));
    assert!(tally.times > 0, "'{name}' was not met");
}

/// Launches `tasks` on its first offer, and keeps all others.
struct Hoarder {
    tasks: usize,
}

impl Framework for Hoarder {
    fn event(&mut self, context: &mut Context<'_>, event: Event) {
        let Event::Offers(offers) = event else { return };
        for offer in offers.into_iter().take(std::mem::take(&mut self.tasks)) {
            let resources = Resources::parse("cpus:1;mem:32", "*").expect("is well formed");
            let task = v1::TaskInfo {
                name: "task".to_owned(),
                task_id: v1::TaskId { value: "task".to_owned() },
                agent_id: offer.agent_id.clone(),
                resources: resources.to_messages(),
                command: Some(v1::CommandInfo {
                    value: Some("sleep 5".to_owned()),
                    ..Default::default()
                }),
                ..Default::default()
            };
            context.launch(&[offer.id], vec![task], None);
        }
    }
}

fn start_hoarder(host: &Host, master: Address, name: &str, tasks: usize) -> ProcessId {
    let info = v1::FrameworkInfo {
        user: "root".to_owned(),
        name: name.to_owned(),
        id: Some(v1::FrameworkId { value: name.to_owned() }),
        failover_timeout: Some(1e6),
        ..Default::default()
    };
    host.start(name, move |runtime| async move {
        let options = Options::new(vec![master], info);
        orrery_net_scheduler::run(runtime, options, Hoarder { tasks }).await;
        0
    })
}

#[test]
fn a_thousand_agents_come_back_at_once() {
    let ping_timeout = Duration::from_secs(15);
    let shape = Shape { agents: 1_000, ping_timeout, ..Shape::default() };
    let coverage = coverage(shape, Checks::only(Invariant::Daemons), async |cluster| {
        let world = cluster.world().clone();
        let (host, master) = (world.host("client"), cluster.master_address());
        let hoarder = start_hoarder(&host, master.clone(), "hoarder", 0);
        world.sleep(Duration::from_secs(10)).await;
        cluster.kill_daemon(Place::Master(0));
        cluster.start_daemon(Place::Master(0));
        world.sleep(Duration::from_secs(40)).await;
        // A thousand offers are taken back, and all agents wait for somebody who wants them.
        host.kill(hoarder);
        world.sleep(Duration::from_secs(2)).await;
        start_hoarder(&host, master, "another", 0);
        world.sleep(Duration::from_secs(5)).await;
    });
    assert_met(&coverage, "a thousand agents are back within a minute of the master's start");
    assert_met(&coverage, "a run finds a hundred changes or more");
}

#[test]
fn an_agent_is_back_before_its_loss_is_stored() {
    let shape = Shape { agents: 1, ..Shape::default() };
    let coverage = coverage(shape, Checks::only(Invariant::Conservation), async |cluster| {
        let world = cluster.world().clone();
        let master = cluster.host(Place::Master(0)).expect("there is one master");
        let agent = cluster.host(Place::Agent(0)).expect("there is one agent");
        world.sleep(Duration::from_secs(10)).await;
        world.network().cut(&master, &agent);
        world.sleep(Duration::from_secs(5)).await;
        // Within this time the master gives the agent up, and the agent looks for the master.
        master.disk().stall(Duration::from_secs(20));
        world.sleep(Duration::from_secs(5)).await;
        world.network().heal(&master, &agent);
        world.sleep(Duration::from_secs(60)).await;
    });
    assert_met(&coverage, "an agent registers again while it is being given up");
    assert_met(&coverage, "an agent comes back that was unreachable");
}

#[test]
fn a_task_comes_to_an_agent_whose_disk_is_full() {
    let shape = Shape { agents: 1, ..Shape::default() };
    let coverage = coverage(shape, Checks::only(Invariant::Conservation), async |cluster| {
        let world = cluster.world().clone();
        world.sleep(Duration::from_secs(5)).await;
        let agent = cluster.host(Place::Agent(0)).expect("there is one agent");
        agent.disk().set_full(true);
        start_hoarder(&world.host("client"), cluster.master_address(), "full", 1);
        world.sleep(Duration::from_secs(30)).await;
    });
    assert_met(&coverage, "a sandbox cannot be made because the disk is full");
    assert_met(&coverage, "a container cannot be started");
}

/// Registers as an agent, then has its executor say `count` times `size` bytes to a framework.
async fn shout(runtime: Runtime, master: Address, framework: &str, count: usize, size: usize) {
    let (sender, mut receiver) = orrery_link::connect(&runtime, &master).await.expect("connects");
    let send = |body| sender.try_send(link::FromAgent { body: Some(body), ..Default::default() });
    let register = link::Register {
        agent_info: Some(v1::AgentInfo { hostname: "noisy".to_owned(), ..Default::default() }),
        version: "1".to_owned(),
        pid: "slave(1)@10.9.9.9:5051".to_owned(),
        ..Default::default()
    };
    send(from_agent::Body::Register(register)).expect("the link is empty");
    while let Some(message) = receiver.receive().await {
        if let Some(from_master::Body::Registered(_)) = message.body {
            break;
        }
    }
    for _ in 0..count {
        let message = link::ExecutorMessage {
            framework_id: Some(v1::FrameworkId { value: framework.to_owned() }),
            executor_id: Some(v1::ExecutorId { value: "shouter".to_owned() }),
            data: Bytes::from(vec![b'x'; size]),
        };
        send(from_agent::Body::ExecutorMessage(message)).expect("the master reads");
        runtime.sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_framework_stops_reading_what_it_is_told() {
    let shape = Shape { agents: 0, ping_timeout: Duration::from_secs(60), ..Shape::default() };
    let coverage = coverage(shape, Checks::only(Invariant::Daemons), async |cluster| {
        let world = cluster.world().clone();
        let (host, master) = (world.host("client"), cluster.master_address());
        let deaf = start_hoarder(&host, master.clone(), "deaf", 0);
        world.sleep(Duration::from_secs(5)).await;
        host.pause(deaf);
        world.host("noisy").start("noisy", |runtime| async move {
            shout(runtime, master, "deaf", 100, 1 << 20).await;
            0
        });
        world.sleep(Duration::from_secs(20)).await;
    });
    assert_met(&coverage, "a stream is full because its peer reads too slowly");
    assert_met(&coverage, "a subscriber is given up because it reads too slowly");
}
