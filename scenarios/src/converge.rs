//! After the faults, number 8 of the design's list: the cluster comes to rest within a stated time,
//! serves fresh work, and ends with nothing left over.

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_agent::Agent;
use orrery_api::v1::TaskState;
use orrery_master::Master;

use crate::checks::Invariant;
use crate::frameworks::Seat;
use crate::invariants::tasks::AgentTasks;
use crate::plan::{Place, Script, Temper};
use crate::scenario::Scene;

/// How long agents and frameworks may take to come back: a dead connection is noticed after 75 s
/// without a heartbeat, and both wait for up to a minute before they try again, a few times.
const RETURN: Duration = Duration::from_secs(300);
/// How long tasks may then take to settle: a lost update is repeated after at most ten minutes.
const SETTLE: Duration = Duration::from_secs(700);
/// How long a fresh task on each agent may take.
const SERVE: Duration = Duration::from_secs(60);
/// How long everything may take to end.
const END: Duration = Duration::from_secs(120);

const INTERVAL: Duration = Duration::from_millis(500);

/// Brings a mended cluster to rest, has it do fresh work, and ends everything.
pub async fn converge(scene: &Scene) {
    for seat in scene.seats() {
        seat.store().lock().be_quiet();
        seat.act(|workload, context| workload.be_quiet(context));
    }
    wait(scene, Invariant::Convergence, RETURN, &Goal::Back).await;
    for seat in scene.seats() {
        seat.act(|workload, context| workload.be_quiet(context));
    }
    wait(scene, Invariant::Tasks, SETTLE, &Goal::Settled).await;
    scene.oracle().check_runs();

    let fresh = fresh_framework(scene);
    wait(scene, Invariant::Convergence, SERVE, &Goal::Served(fresh.clone())).await;

    for seat in scene.seats() {
        seat.act(|workload, context| workload.kill_all(context));
    }
    wait(scene, Invariant::Tasks, END, &Goal::Killed).await;
    for seat in scene.seats().iter().chain([&fresh]) {
        seat.act(|_, context| {
            let _ = context.teardown();
        });
    }
    wait(scene, Invariant::Convergence, END, &Goal::Empty).await;
    scene.oracle().note("scenario", "everything has ended");
}

/// One task for each agent, in the hands of a framework that was not there before.
fn fresh_framework(scene: &Scene) -> Seat {
    let number = scene.seats().len();
    let host = scene.world().host("fresh");
    let seat = Seat::new(scene.cluster(), number, Temper::Launcher, host);
    seat.store().lock().want(scene.cluster().shape().agents, Script::Short(100, 0));
    seat.start_process();
    seat
}

/// What is waited for.
enum Goal {
    /// Every agent and framework is registered.
    Back,
    /// Every task has ended, or is what its framework believes it to be.
    Settled,
    /// The fresh framework's tasks have finished.
    Served(Seat),
    /// Every task that an agent had has ended.
    Killed,
    /// Nothing is left.
    Empty,
}

async fn wait(scene: &Scene, invariant: Invariant, limit: Duration, goal: &Goal) {
    let deadline = scene.world().now() + limit;
    loop {
        // What ended by itself meanwhile, such as a process that another one replaced, comes back.
        if !matches!(goal, Goal::Empty) {
            for seat in scene.seats() {
                seat.start_missing();
            }
        }
        let Err(missing) = goal.check(scene).await else { return };
        if scene.world().now() >= deadline {
            let seconds = limit.as_secs();
            scene.oracle().check(invariant, Err(format!("{missing}, {seconds} s after {goal}")));
            return;
        }
        scene.world().sleep(INTERVAL).await;
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Back => "everything was mended",
            Self::Settled => "all agents and frameworks were back",
            Self::Served(_) => "fresh tasks were asked for",
            Self::Killed => "all tasks were killed",
            Self::Empty => "all frameworks were torn down",
        })
    }
}

impl Goal {
    async fn check(&self, scene: &Scene) -> Result<(), String> {
        match self {
            Self::Back => back(scene).await,
            Self::Settled => {
                back(scene).await?;
                settled(scene).await?;
                scene.oracle().check_processes()
            }
            Self::Served(seat) => {
                let finished = seat.store().lock().finished();
                let wanted = scene.cluster().shape().agents;
                expect(finished == wanted, || format!("{finished} of {wanted} tasks have finished"))
            }
            Self::Killed => {
                let agents = agent_tasks(scene).await?;
                let live = agents.values().flatten().next();
                let checked = live.map_or(Ok(()), |(id, state)| {
                    Err(format!("task {id} is still {}", state.as_str_name()))
                });
                checked?;
                settled(scene).await?;
                scene.oracle().check_processes()
            }
            Self::Empty => empty(scene).await,
        }
    }
}

fn expect(holds: bool, message: impl FnOnce() -> String) -> Result<(), String> {
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
    let view = scene.cluster().inspect_master(0, master_view).await;
    view.ok_or_else(|| "the master is down".to_owned())
}

async fn back(scene: &Scene) -> Result<(), String> {
    let view = view_master(scene).await?;
    let expected = scene.cluster().shape().agents;
    for number in 0..expected {
        let agent = scene.cluster().inspect_agent(number, |agent| {
            agent.is_registered().then(|| agent.agent_id().to_owned())
        });
        let Some(Some(id)) = agent.await else {
            return Err(format!("agent-{number} is not registered"));
        };
        let known = view.agents.get(&id) == Some(&true);
        expect(known, || format!("agent-{number} ({id}) is not connected in the master"))?;
    }
    expect(view.agents.len() == expected, || {
        format!("the master has {} agents of {expected}", view.agents.len())
    })?;
    for seat in scene.seats() {
        let id = seat.store().lock().framework_id.clone();
        let here = id.is_some_and(|id| view.frameworks.get(&id.value) == Some(&true));
        expect(here, || format!("{seat:?} is not subscribed"))?;
    }
    Ok(())
}

/// The tasks of all agents that have not ended, or whose end is not acknowledged.
async fn agent_tasks(scene: &Scene) -> Result<AgentTasks, String> {
    let mut tasks = AgentTasks::new();
    for number in 0..scene.cluster().shape().agents {
        let view = scene.cluster().inspect_agent(number, agent_view).await;
        let (id, of_agent) = view.ok_or_else(|| format!("agent-{number} is down"))?;
        tasks.insert(id, of_agent);
    }
    Ok(tasks)
}

fn agent_view(agent: &Agent) -> (String, BTreeMap<String, TaskState>) {
    let mut tasks = BTreeMap::new();
    for executor in agent.snapshot().frameworks.into_iter().flat_map(|one| one.executors) {
        let queued = executor.queued_tasks.into_iter().map(|queued| queued.task);
        let all = queued.chain(executor.launched_tasks).chain(executor.terminated_tasks);
        for task in all {
            tasks.insert(task.task_id.value.clone(), task.state());
        }
    }
    (agent.agent_id().to_owned(), tasks)
}

async fn settled(scene: &Scene) -> Result<(), String> {
    let agents = agent_tasks(scene).await?;
    scene.oracle().check_settled(&agents)?;
    let owed =
        agents.values().flatten().find(|(_, state)| orrery_model::task_state::is_terminal(**state));
    match owed {
        None => Ok(()),
        Some((id, _)) => Err(format!("the end of task {id} is not acknowledged")),
    }
}

async fn empty(scene: &Scene) -> Result<(), String> {
    let view = view_master(scene).await?;
    // One whose process died before it learned its id is left behind for its failover timeout.
    let connected = view.frameworks.iter().find(|(_, connected)| **connected);
    if let Some((id, _)) = connected {
        return Err(format!("framework {id} is left"));
    }
    expect(view.taken.is_empty(), || format!("not all is free: {:?}", view.taken))?;
    for number in 0..scene.cluster().shape().agents {
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
