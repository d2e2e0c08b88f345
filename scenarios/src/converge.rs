//! After the faults, in three steps (L1 to L14 of the catalogue): the part of the cluster that was
//! healed comes to rest within stated times; it does fresh work, asked for through the same API as
//! all else; and everything that was acknowledged is still there. Then everything is ended, and
//! nothing may be left over.

mod excuse;
mod look;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use orrery_detector::Detector;
use orrery_master::Master;
use orrery_model::task_state::is_terminal;
use orrery_scheduler::{HEARTBEAT_INTERVAL, HEARTBEATS_MISSED, LONGEST_DELAY, SUBSCRIBE_TIMEOUT};

use crate::checks::Invariant;
use crate::frameworks::Seat;
use crate::invariants::leaks::Arrivals;
use crate::operator;
use crate::plan::{Profile, Script};
use crate::scenario::Scene;
use look::Connections;

/// What a process needs beside the time-outs that it waits for: latencies, starting up.
const MARGIN: Duration = Duration::from_secs(15);
/// How long an agent waits for an answer to its registration, and at most before the next one.
const AGENT_ANSWER: Duration = Duration::from_secs(20);
const AGENT_BACKOFF: Duration = Duration::from_secs(60);
/// How long the network takes to give up a stream whose peer has vanished.
const DEAD_PEER: Duration = Duration::from_secs(15 * 60);
/// An agent repeats an update after at most this time.
const UPDATE_RETRY: Duration = Duration::from_secs(10 * 60);
/// L11: how long a fresh task on each agent may take. The framework subscribes, is offered what the
/// others gave back at the next periodic allocation, and its tasks take a tenth of a second.
const SERVE: Duration = Duration::from_secs(60);
/// L4: how long a framework that declined what it was offered waits for the next offer: what it
/// refused for, and ten allocation intervals of a second; and then for its task to end.
const SERVE_AGAIN: Duration = Duration::from_secs(1 + 10 + 10);
/// After this time without an answer a framework takes its connection for calls for dead, and says
/// again what it has said there.
const CALL_SILENCE: Duration = Duration::from_secs(60);
/// L5: how long a kill may take: until it was said on a connection that lives, the grace periods of
/// task and executor, and an update that is lost once.
const KILL: Duration = Duration::from_secs(CALL_SILENCE.as_secs() + 60);
/// How long everything may take to end: an executor has 5 s to shut down and its task as long to
/// be killed, and both a lost connection between them.
const END: Duration = Duration::from_secs(120);
/// L13: how long a cluster at rest is watched. Longer than a framework takes a silent connection
/// for dead, and than an agent that hears no ping.
const QUIET: Duration = Duration::from_secs(80);

/// How long the frameworks refuse what they do not want.
const REFUSAL: Duration = Duration::from_secs(1);

/// One run of so many is watched at rest, which takes long, and serves all frameworks once more.
const THOROUGH: u64 = 4;

const INTERVAL: Duration = Duration::from_millis(500);

/// L1, L3: how long agents and frameworks may take to come back. A framework notices a dead
/// connection when heartbeats stay away, may then be in the longest pause, try once in vain and
/// pause again. An agent waits for an answer and pauses likewise. A master gives up an agent that
/// does not answer three pings, or does not register again after a restart, and where it is to take
/// its time one after the other.
fn return_time(scene: &Scene) -> Duration {
    let shape = scene.cluster().shape();
    let framework = HEARTBEAT_INTERVAL * HEARTBEATS_MISSED + LONGEST_DELAY * 2 + SUBSCRIBE_TIMEOUT;
    let agent = shape.ping_timeout * 4 + (AGENT_ANSWER + AGENT_BACKOFF) * 2;
    let one_by_one = shape.removal_interval.unwrap_or_default() * shape.agents as u32;
    let given_up = shape.ping_timeout * 4 + shape.reregister_timeout + one_by_one;
    // The time runs from the first heartbeat that is not acknowledged.
    let dead_peer = DEAD_PEER + HEARTBEAT_INTERVAL * 2;
    let silent = if scene.core().has_silent_framework(scene) { dead_peer } else { Duration::ZERO };
    framework.max(agent).max(given_up).max(silent) + MARGIN
}

/// L5 to L8: how long tasks may then take to settle: until a lost update is repeated, its
/// acknowledgement lost once, or an executor is given up that never registered.
fn settle_time(scene: &Scene) -> Duration {
    UPDATE_RETRY + scene.cluster().shape().executor_registration_timeout + MARGIN * 4
}

/// Brings what was healed to rest, has it do fresh work, and ends everything. An excuse says that
/// it could not come to rest, and why nobody can be blamed for that.
pub async fn converge(scene: &Scene) -> Result<(), String> {
    let healed = scene.world().now();
    for seat in scene.core_seats() {
        seat.store().lock().be_quiet();
        seat.act(|workload, context| workload.be_quiet(context));
    }
    wait(scene, Invariant::Convergence, return_time(scene), &Goal::Back).await?;
    for seat in scene.core_seats() {
        seat.act(|workload, context| workload.be_quiet(context));
    }
    wait(scene, Invariant::Tasks, settle_time(scene), &Goal::Settled).await?;
    wait(scene, Invariant::Progress, settle_time(scene), &Goal::Underway).await?;
    wait(scene, Invariant::Kills, KILL, &Goal::KillsDone).await?;
    scene.oracle().check_runs();
    // Who broke off in silence is noticed only when it says nothing for too long.
    scene.world().sleep_until(healed + HEARTBEAT_INTERVAL * HEARTBEATS_MISSED + MARGIN).await;
    scene.oracle().set_troubled(false);
    let thorough = scene.world().random(|random| random.below(THOROUGH) == 0);
    if thorough {
        watch(scene).await;
    }
    let connections = look::connections(scene);

    let fresh = fresh_framework(scene);
    let wanted = scene.core().agent_count();
    wait(scene, Invariant::Convergence, SERVE, &Goal::Served(fresh.clone(), wanted)).await?;
    if thorough {
        serve_again(scene, &fresh).await?;
    }
    end(scene, &fresh).await?;
    wait(scene, Invariant::Leaks, END, &Goal::Closed(connections, Mutex::default())).await
}

/// Watches a cluster at rest: nobody comes or leaves, and what was told is known.
async fn watch(scene: &Scene) {
    let before = scene.cluster().inspect_master(Arrivals::of).await;
    scene.world().sleep(QUIET).await;
    let after = scene.cluster().inspect_master(Arrivals::of).await;
    let quiet = match (before, after) {
        (Some(before), Some(after)) => before.check_quiet(&after),
        _ => Err("the master is down".to_owned()),
    };
    scene.oracle().check(Invariant::Leaks, quiet);
    let open = look::open_offers(scene).await;
    // An offer that was just made may still be on its way.
    scene.world().sleep(MARGIN).await;
    let still_open = look::open_offers(scene).await;
    let open: Vec<String> = open.into_iter().filter(|id| still_open.contains(id)).collect();
    scene.oracle().check(Invariant::Streams, scene.oracle().check_streams(&open));
}

/// One task for each agent, in the hands of a framework that was not there before.
fn fresh_framework(scene: &Scene) -> Seat {
    let number = scene.seats().len();
    let host = scene.world().host("fresh");
    let seat = Seat::new(scene.cluster(), number, Profile::default(), host);
    let script = Script::Short(Duration::from_millis(100), 0);
    seat.store().lock().want(scene.core().agent_count(), script);
    seat.start_process();
    seat
}

/// Each framework that was there before gets offers again, also of what it has just declined.
async fn serve_again(scene: &Scene, fresh: &Seat) -> Result<(), String> {
    fresh.act(|workload, context| workload.be_quiet(context));
    for seat in scene.core_seats() {
        seat.act(|workload, context| workload.wake_up(context));
        scene.world().sleep(REFUSAL * 2).await;
        let wanted = {
            let mut store = seat.store().lock();
            store.want(1, Script::Short(Duration::from_millis(100), 0));
            store.ended_count() + 1
        };
        let goal = Goal::ServedAgain(seat.clone(), wanted);
        wait(scene, Invariant::Convergence, SERVE_AGAIN, &goal).await?;
        seat.act(|workload, context| workload.be_quiet(context));
    }
    Ok(())
}

/// Kills all tasks, ends all frameworks, and looks for what is left.
async fn end(scene: &Scene, fresh: &Seat) -> Result<(), String> {
    for seat in scene.core_seats() {
        seat.act(|workload, context| workload.kill_all(context));
    }
    wait(scene, Invariant::Kills, END, &Goal::Killed).await?;
    for seat in scene.core_seats().chain([fresh]) {
        seat.act(|_, context| {
            let _ = context.teardown();
        });
    }
    tear_down_those_away(scene, fresh).await;
    wait(scene, Invariant::Convergence, END, &Goal::Empty).await?;
    scene.oracle().note("scenario", "everything has ended");
    Ok(())
}

/// An operator ends the frameworks that cannot do it themselves: all that the master has and that
/// no process of the core is. One that died before it learned its id is among them.
async fn tear_down_those_away(scene: &Scene, fresh: &Seat) {
    let host = scene.world().host("operator");
    let ours = scene
        .core_seats()
        .chain([fresh])
        .filter_map(|seat| seat.store().lock().framework_id.clone());
    let ours: BTreeSet<String> = ours.map(|id| id.value).collect();
    let known = move |master: &Master| {
        let frameworks = master.frameworks().map(|(_, framework)| framework.id().to_owned());
        frameworks.filter(|id| !ours.contains(id)).collect::<Vec<_>>()
    };
    for id in scene.cluster().inspect_master(known).await.unwrap_or_default() {
        let masters = scene.cluster().masters();
        let process = host.start("operator", move |runtime| async move {
            let master = Detector::new(runtime.clone(), masters).leader().await;
            i32::from(!operator::tear_down(runtime, master, &id).await)
        });
        // One that was removed before is not found, which is as good.
        let _ = host.wait(process).await;
    }
}

/// What is waited for.
enum Goal {
    /// Every agent and framework of the core is registered, and no other.
    Back,
    /// Every task has ended, or is what its framework believes it to be.
    Settled,
    /// Every task that lives has been started.
    Underway,
    /// Every task has ended whose kill must have been heard.
    KillsDone,
    /// So many tasks of the framework have finished.
    Served(Seat, usize),
    /// So many tasks of the framework have ended.
    ServedAgain(Seat, usize),
    /// Every task that an agent had has ended.
    Killed,
    /// Nothing is left.
    Empty,
    /// No connection is left that was not there when all was at rest; and on which hosts that was
    /// seen already.
    Closed(Connections, Mutex<BTreeSet<String>>),
}

/// Waits until the goal is reached. When it is not in time, an excuse ends the run without blame;
/// without one the rule is broken.
async fn wait(
    scene: &Scene,
    invariant: Invariant,
    limit: Duration,
    goal: &Goal,
) -> Result<(), String> {
    let deadline = scene.world().now() + limit;
    loop {
        scene.core().cut_off(scene);
        // What ended by itself meanwhile, such as a process that another one replaced or a master
        // that would have had to give up too many agents, comes back.
        if !matches!(goal, Goal::Empty | Goal::Closed(..)) {
            for seat in scene.core_seats() {
                seat.start_missing();
            }
            let ended = scene.oracle().take_ended();
            ended.into_iter().for_each(|place| scene.cluster().start_daemon(place));
        }
        let Err(missing) = goal.check(scene).await else { return Ok(()) };
        if scene.world().now() >= deadline {
            if let Some(proof) = excuse::prove(scene) {
                scene.oracle().note("scenario", &format!("excused: {missing}, but {proof}"));
                return Err(proof);
            }
            let seconds = limit.as_secs();
            scene.oracle().check(invariant, Err(format!("{missing}, {seconds} s after {goal}")));
            return Ok(());
        }
        scene.world().sleep(INTERVAL).await;
    }
}

impl std::fmt::Display for Goal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Back => "the faults stopped",
            Self::Settled => "all agents and frameworks were back",
            Self::Underway | Self::KillsDone => "all tasks had settled",
            Self::Served(..) | Self::ServedAgain(..) => "tasks were asked for",
            Self::Killed => "all tasks were killed",
            Self::Empty | Self::Closed(..) => "all frameworks were torn down",
        })
    }
}

impl Goal {
    async fn check(&self, scene: &Scene) -> Result<(), String> {
        match self {
            Self::Back => look::back(scene).await,
            Self::Settled => {
                look::back(scene).await?;
                look::settled(scene).await?;
                scene.oracle().check_processes()
            }
            Self::Served(seat, wanted) => {
                let finished = seat.store().lock().finished();
                look::expect(finished >= *wanted, || {
                    format!("{finished} of {wanted} tasks of {seat:?} have finished")
                })
            }
            Self::ServedAgain(seat, wanted) => {
                let ended = seat.store().lock().ended_count();
                look::expect(ended >= *wanted, || {
                    format!("{ended} of {wanted} tasks of {seat:?} have ended")
                })
            }
            Self::Underway => look::underway(scene).await,
            Self::KillsDone => scene.oracle().check_kills(&scene.core().frameworks_away()),
            Self::Killed => {
                let agents = look::agent_tasks(scene).await?;
                let mut live = agents.values().flatten().filter(|(_, state)| !is_terminal(**state));
                let live = live.find(|(id, _)| !scene.oracle().is_given_up(id));
                let checked = live.map_or(Ok(()), |(id, state)| {
                    Err(format!("task {id} is still {}", state.as_str_name()))
                });
                checked?;
                look::settled(scene).await?;
                scene.oracle().check_processes()
            }
            Self::Empty => look::empty(scene).await,
            Self::Closed(before, seen) => {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                look::closed(scene, before, &mut seen)
            }
        }
    }
}
