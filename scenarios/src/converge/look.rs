//! Looking at a cluster after the faults.

use std::collections::{BTreeMap, BTreeSet};

use orrery_agent::Agent;
use orrery_api::v1::TaskState;
use orrery_master::Master;
use orrery_model::task_state::is_terminal;
use orrery_runtime_sim::Host;

use crate::invariants::progress;
use crate::invariants::tasks::AgentTasks;
use crate::plan::Place;
use crate::scenario::Scene;

pub(super) fn expect(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(message()) }
}

/// What the master looks like from outside.
struct MasterView {
    /// Ids of agents, and whether they are connected.
    agents: BTreeMap<String, bool>,
    /// Ids of frameworks, and whether they are connected.
    frameworks: BTreeMap<String, bool>,
    /// What is not free, in words.
    taken: Vec<String>,
}

fn master_view(master: &Master) -> MasterView {
    let agents = master.agents().map(|(_, agent)| (agent.id().to_owned(), agent.is_active()));
    let frameworks = master.frameworks().map(|(_, one)| (one.id().to_owned(), one.is_active()));
    let mut taken = Vec::new();
    for (key, agent) in master.agents() {
        let (used, offered) = (master.used(key), master.offered(key));
        if !used.is_empty() || !offered.is_empty() {
            taken.push(format!("{}: used {used}, offered {offered}", agent.id()));
        }
    }
    MasterView { agents: agents.collect(), frameworks: frameworks.collect(), taken }
}

async fn view_master(scene: &Scene) -> Result<MasterView, String> {
    let view = scene.cluster().inspect_master(master_view).await;
    view.ok_or_else(|| "the master is down".to_owned())
}

/// The ids of the offers that are open in the master.
pub(super) async fn open_offers(scene: &Scene) -> Vec<String> {
    let ids = |master: &Master| {
        master.offers().keys().map(|number| master.offer_id(*number)).collect::<Vec<_>>()
    };
    scene.cluster().inspect_master(ids).await.unwrap_or_default()
}

/// Whether every agent and framework of the core is registered, and no other.
pub(super) async fn back(scene: &Scene) -> Result<(), String> {
    let view = view_master(scene).await?;
    for number in scene.core().agents() {
        let agent = scene.cluster().inspect_agent(number, |agent| {
            agent.is_registered().then(|| agent.agent_id().to_owned())
        });
        let Some(Some(id)) = agent.await else {
            return Err(format!("agent-{number} is not registered"));
        };
        let known = view.agents.get(&id) == Some(&true);
        expect(known, || format!("agent-{number} ({id}) is not connected in the master"))?;
    }
    let expected = scene.core().agent_count();
    expect(view.agents.len() == expected, || {
        format!("the master has {} agents of {expected}", view.agents.len())
    })?;
    for seat in scene.seats() {
        let id = seat.store().lock().framework_id.clone();
        let here = id.is_some_and(|id| view.frameworks.get(&id.value) == Some(&true));
        let expected = scene.core().has_framework(seat.number());
        expect(here == expected, || format!("{seat:?} subscribed: {here}, expected {expected}"))?;
    }
    Ok(())
}

/// The tasks of the core's agents, ended ones until their end is acknowledged, but for those of
/// frameworks that cannot do anything about them.
pub(super) async fn agent_tasks(scene: &Scene) -> Result<AgentTasks, String> {
    let away = scene.seats().iter().filter(|seat| !scene.core().has_framework(seat.number()));
    let away = away.filter_map(|seat| seat.store().lock().framework_id.clone());
    let away: BTreeSet<String> = away.map(|id| id.value).collect();
    let mut tasks = AgentTasks::new();
    for number in scene.core().agents() {
        let away = away.clone();
        let view = scene.cluster().inspect_agent(number, move |agent| agent_view(agent, &away));
        let (id, of_agent) = view.await.ok_or_else(|| format!("agent-{number} is down"))?;
        tasks.insert(id, of_agent);
    }
    Ok(tasks)
}

fn agent_view(agent: &Agent, away: &BTreeSet<String>) -> (String, BTreeMap<String, TaskState>) {
    let tasks = agent.tasks().filter(|(framework, _)| !away.contains(*framework));
    let tasks = tasks.map(|(_, task)| (task.task_id.value.clone(), task.state()));
    (agent.agent_id().to_owned(), tasks.collect())
}

pub(super) async fn settled(scene: &Scene) -> Result<(), String> {
    let agents = agent_tasks(scene).await?;
    scene.oracle().check_settled(&agents, &scene.core().frameworks_away())?;
    match agents.values().flatten().find(|(_, state)| is_terminal(**state)) {
        None => Ok(()),
        Some((id, _)) => Err(format!("the end of task {id} is not acknowledged")),
    }
}

/// Whether no task is on its way still.
pub(super) async fn underway(scene: &Scene) -> Result<(), String> {
    progress::check(&agent_tasks(scene).await?)
}

pub(super) async fn empty(scene: &Scene) -> Result<(), String> {
    let view = view_master(scene).await?;
    // One whose process died before it learned its id is left behind for its failover timeout.
    let connected = view.frameworks.iter().find(|(_, connected)| **connected);
    if let Some((id, _)) = connected {
        return Err(format!("framework {id} is left"));
    }
    expect(view.taken.is_empty(), || format!("not all is free: {:?}", view.taken))?;
    for number in scene.core().agents() {
        let frameworks = scene
            .cluster()
            .inspect_agent(number, |agent| agent.snapshot().frameworks.len())
            .await
            .ok_or_else(|| format!("agent-{number} is down"))?;
        expect(frameworks == 0, || format!("agent-{number} has frameworks left"))?;
        let host = scene.cluster().host(Place::Agent(number));
        let processes = host.map_or(0, |host| host.processes().len());
        expect(processes == 1, || format!("agent-{number} has {processes} processes"))?;
    }
    Ok(())
}

/// By host, how many connections it has to masters and to itself. Half-open ones, which nobody may
/// ever notice, are among them. What masters and ZooKeeper servers have among themselves, and comes
/// and goes with elections, is not.
pub(super) type Connections = BTreeMap<String, usize>;

pub(super) fn connections(scene: &Scene) -> Connections {
    let network = scene.world().network();
    let masters = (0..scene.cluster().shape().masters).map(Place::Master);
    let masters: Vec<Host> = masters.filter_map(|place| scene.cluster().host(place)).collect();
    let is_server = |host: &&Host| {
        host.name().starts_with("zookeeper-") || masters.iter().any(|one| one.name() == host.name())
    };
    let count = |host: &Host| {
        let to_masters = masters.iter().map(|master| network.streams_between(host, master));
        network.streams_between(host, host) + to_masters.sum::<usize>()
    };
    let hosts = scene.world().hosts();
    let clients = hosts.iter().filter(|host| !is_server(host));
    clients.map(|host| (host.name().to_owned(), count(host))).collect()
}

/// Whether each host has been seen with no more connections than it had when all was at rest, and
/// frameworks of the core with fewer; `seen` are those that were. An agent asks the masters for a
/// moment now and then, so all of them are hardly ever quiet at one time. Whoever reaches nobody
/// goes on trying.
pub(super) fn closed(
    scene: &Scene,
    before: &Connections,
    seen: &mut BTreeSet<String>,
) -> Result<(), String> {
    let connections = connections(scene).into_iter();
    let mut left = Ok(());
    for (name, open) in connections.filter(|(name, _)| !scene.core().keeps_connections(name)) {
        let then = before.get(&name).copied().unwrap_or_default();
        let seat = scene.core_seats().find(|seat| seat.host().name() == name);
        let allowed = if seat.is_some() { then.saturating_sub(1) } else { then };
        if open <= allowed {
            seen.insert(name);
        } else if !seen.contains(&name) {
            left = left.and(Err(format!("{name} has {open} connections left, {then} at rest")));
        }
    }
    left
}
