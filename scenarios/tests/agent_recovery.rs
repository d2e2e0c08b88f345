//! Agents that come back: killed, upgraded, booted again, with tasks of every kind running.
//!
//! The plans are played with all rules on, and with several seeds each, as what they leave open
//! (delays, the order of steps) follows from the seed. What no plan can say is looked at directly.
#![cfg(feature = "sim")]

use std::collections::BTreeSet;
use std::time::Duration;

use orrery_agent::PlantedBug as InAgent;
use orrery_api::v1;
use orrery_api::v1::TaskState::{
    self, TaskFinished, TaskGone, TaskRunning, TaskStarting, TaskUnreachable,
};
use orrery_master::PlantedBug as InMaster;
use orrery_model::Resources;
use orrery_net_agent::PlantedBug as InNetAgent;
use orrery_net_scheduler::Options;
use orrery_runtime::disk::read_file;
use orrery_runtime::{ExitStatus, ProcessId};
use orrery_runtime_sim::{Config, Host, simulate};
use orrery_scenarios::checks::Checks;
use orrery_scenarios::cluster::Cluster;
use orrery_scenarios::plan::{Place, Plan, Shape};
use orrery_scenarios::planted::Bugs;
use orrery_scenarios::runner::{self, Settings};
use orrery_scenarios::scenario::watched;
use orrery_scheduler::{Context, Event, Framework};
use tokio::sync::mpsc;

const SEEDS: u64 = 8;
const AGENT: Place = Place::Agent(0);

/// A plan of one agent and one framework that checkpoints.
fn plan(temper: &str, steps: &str) -> Plan {
    let text = format!(
        "agents 1\nping-timeout 1s\nreregister-timeout 30s\nexecutor-registration-timeout 5s\n\
         framework {temper} checkpoint on\n{steps}"
    );
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn play(temper: &str, steps: &str) {
    let plan = plan(temper, steps);
    for seed in 0..SEEDS {
        let run = runner::run_plan(Plan { seed, ..plan.clone() }, &Settings::default());
        if let Some(failed) = runner::failure(&run) {
            panic!("seed {seed}: {failed}");
        }
    }
}

const EVERY_SCRIPT: &str = "\
at 1s framework 0 launch 1 nothing
at 1s framework 0 launch 2 long
at 1s framework 0 launch 1 stubborn
at 1s framework 0 launch 2 parent
at 1s framework 0 launch 2 short 4s 0
at 1s framework 0 launch 2 short 4s 3
";

#[test]
fn a_killed_agent_takes_tasks_of_every_kind_up_again() {
    for down in ["10ms", "1s", "4s"] {
        for temper in ["launcher", "careful", "killer"] {
            let kill = format!("at 3s kill agent-0 mesos-agent for {down}\n");
            play(temper, &format!("{EVERY_SCRIPT}{kill}at 12s framework 0 kill 4\n"));
        }
    }
}

#[test]
fn an_agent_that_is_killed_again_and_again_loses_nothing() {
    let loops = "at 1500ms crash-loop agent-0 700ms for 12s\n";
    play("launcher", &format!("{EVERY_SCRIPT}{loops}at 15s framework 0 launch 2 nothing\n"));
    play("careful", &format!("{EVERY_SCRIPT}{loops}"));
}

#[test]
fn an_agent_may_die_in_the_middle_of_launches() {
    for at in ["1005ms", "1010ms", "1015ms", "1020ms", "1030ms", "1050ms"] {
        let kill = format!("at {at} kill agent-0 mesos-agent for 500ms\n");
        play("launcher", &format!("{EVERY_SCRIPT}{kill}"));
    }
}

#[test]
fn a_booted_agent_reports_its_tasks_once() {
    for down in ["1s", "10s"] {
        let crash = format!("at 3s crash agent-0 for {down}\n");
        play("launcher", &format!("{EVERY_SCRIPT}{crash}at 20s framework 0 launch 2 nothing\n"));
        play("careful", &format!("{EVERY_SCRIPT}{crash}"));
    }
}

#[test]
fn an_executor_that_dies_while_the_agent_is_down_leaves_nothing_running() {
    let steps = "at 3s kill agent-0 mesos-agent for 3s\nat 4s kill-executor agent-0 for 0s\n\
                 at 4500ms kill-executor agent-0 for 0s\n";
    play("launcher", &format!("{EVERY_SCRIPT}{steps}"));
}

#[test]
fn a_paused_agent_that_is_then_killed_comes_back() {
    let steps = "at 3s pause agent-0 mesos-agent for 2s\n\
                 at 4s kill agent-0 mesos-agent for 2s\n";
    play("launcher", &format!("{EVERY_SCRIPT}{steps}"));
}

#[test]
fn the_master_may_be_replaced_while_the_agent_is_down() {
    let steps = "at 3s kill agent-0 mesos-agent for 4s\nat 4s kill master-0 mesos-master for 1s\n";
    play("launcher", &format!("{EVERY_SCRIPT}{steps}"));
}

/// Bugs of the recovery are found by plans like those above. Those that show only together with
/// other bugs or faults are left to random plans.
#[test]
fn planted_bugs_of_the_recovery_are_found() {
    let kill = "at 3s kill agent-0 mesos-agent for 1s\n";
    let early = "at 1004ms kill agent-0 mesos-agent for 500ms\n";
    let orphan = "at 3s kill agent-0 mesos-agent for 3s\nat 4s kill-executor agent-0 for 0s\n";
    let crash = "at 3s crash agent-0 for 1s\n";
    let cases = [
        (InAgent::ForgetsUpdatesAtRestart.bug(), kill),
        (InAgent::OverlooksReboot.bug(), crash),
        (InAgent::ForgetsExecutorsToStart.bug(), early),
        (InNetAgent::OrphansStay.bug(), orphan),
        (InNetAgent::ActsBeforeItIsWritten.bug(), early),
    ];
    let is_missed = |(bug, fault): &(&orrery_planted::Bug, &str)| {
        let plan = plan("careful", &format!("{EVERY_SCRIPT}{fault}"));
        let settings = Settings { bugs: [*bug].into_iter().collect(), ..Settings::default() };
        !(0..2 * SEEDS).any(|seed| {
            let run = runner::run_plan(Plan { seed, ..plan.clone() }, &settings);
            runner::failure(&run).is_some()
        })
    };
    let missed: Vec<&str> =
        cases.iter().filter(|case| is_missed(case)).map(|(bug, _)| bug.name).collect();
    assert_eq!(missed, [""; 0]);
}

/// Launches tasks and tells what it hears of them.
struct Teller {
    scripts: Vec<&'static str>,
    subscribed: mpsc::UnboundedSender<v1::FrameworkId>,
    heard: mpsc::UnboundedSender<v1::TaskStatus>,
}

impl Framework for Teller {
    fn event(&mut self, context: &mut Context<'_>, event: Event) {
        match event {
            Event::Offers(offers) => {
                let Some(offer) = offers.into_iter().next() else { return };
                let scripts = std::mem::take(&mut self.scripts);
                let tasks = scripts
                    .iter()
                    .zip(0..)
                    .map(|(script, number)| task(&format!("t{number}"), script, &offer.agent_id));
                context.launch(&[offer.id], tasks.collect(), None);
            }
            Event::Subscribed { framework_id, .. } => {
                // As below.
                let _ = self.subscribed.send(framework_id);
            }
            Event::Update(status) => {
                // Nobody listens once the scenario is over.
                let _ = self.heard.send(status);
            }
            _ => {}
        }
    }
}

fn task(id: &str, script: &str, agent: &v1::AgentId) -> v1::TaskInfo {
    let resources = Resources::parse("cpus:1;mem:32", "*").expect("is well formed");
    v1::TaskInfo {
        name: id.to_owned(),
        task_id: v1::TaskId { value: id.to_owned() },
        agent_id: agent.clone(),
        resources: resources.to_messages(),
        command: Some(v1::CommandInfo { value: Some(script.to_owned()), ..Default::default() }),
        ..Default::default()
    }
}

type Heard = mpsc::UnboundedReceiver<v1::TaskStatus>;

/// A process of a framework, when it is subscribed, and what it hears of its tasks.
struct Client {
    process: ProcessId,
    subscribed: mpsc::UnboundedReceiver<v1::FrameworkId>,
    heard: Heard,
}

fn framework_info(checkpoint: bool) -> v1::FrameworkInfo {
    let aware = v1::framework_info::capability::Type::PartitionAware;
    v1::FrameworkInfo {
        user: "root".to_owned(),
        name: "teller".to_owned(),
        failover_timeout: Some(1e6),
        checkpoint: Some(checkpoint),
        capabilities: vec![v1::framework_info::Capability { r#type: Some(aware as i32) }],
        ..Default::default()
    }
}

/// Starts a framework that launches `scripts`, each as a task of its own.
fn start(cluster: &Cluster, checkpoint: bool, scripts: Vec<&'static str>) -> Heard {
    start_as(cluster, framework_info(checkpoint), scripts).heard
}

fn start_as(cluster: &Cluster, info: v1::FrameworkInfo, scripts: Vec<&'static str>) -> Client {
    let (said, subscribed) = mpsc::unbounded_channel();
    let (told, heard) = mpsc::unbounded_channel();
    let master = cluster.master_address();
    let process = cluster.world().host("client").start("teller", move |runtime| async move {
        let options = Options::new(vec![master], info);
        let teller = Teller { scripts, subscribed: said, heard: told };
        orrery_net_scheduler::run(runtime, options, teller).await;
        0
    });
    Client { process, subscribed, heard }
}

async fn states(heard: &mut Heard, count: usize) -> Vec<TaskState> {
    let mut states = Vec::new();
    while states.len() < count {
        states.push(heard.recv().await.expect("the framework lives").state());
    }
    states
}

/// What remains of the agent when nothing concerns it any more: no folder of a framework.
fn has_frameworks(host: &Host) -> bool {
    host.disk().exists("/var/lib/agent/meta/slaves/latest/frameworks")
}

fn on_every_seed<Fut>(scenario: impl Fn(Cluster) -> Fut + Copy + Send + 'static)
where
    Fut: Future<Output = ()>,
{
    for seed in 0..SEEDS {
        if let Err(failure) = try_seed(seed, Bugs::default(), scenario) {
            panic!("seed {seed}: {failure}");
        }
    }
}

/// Plays a scenario with a bug on a seed: the rule that was broken, or what the scenario found.
fn try_seed<Fut>(
    seed: u64,
    bugs: Bugs,
    scenario: impl Fn(Cluster) -> Fut + Send + 'static,
) -> Result<(), String>
where
    Fut: Future<Output = ()>,
{
    let report = simulate(seed, Config::default(), move |world| async move {
        let shape = Shape { agents: 1, ..Shape::default() };
        watched(world, &shape, &bugs, Checks::all(), scenario).await
    });
    match report.outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(violation)) => Err(violation.to_string()),
        Err(failure) => Err(failure.to_string()),
    }
}

async fn agent_id(cluster: &Cluster) -> String {
    cluster.inspect_agent(0, |agent| agent.agent_id().to_owned()).await.expect("it runs")
}

async fn agent_is_back(cluster: &Cluster) {
    loop {
        let registered = cluster.inspect_agent(0, orrery_agent::Agent::is_registered).await;
        if registered == Some(true) {
            return;
        }
        cluster.world().sleep(Duration::from_millis(100)).await;
    }
}

async fn seconds(cluster: &Cluster, count: u64) {
    cluster.world().sleep(Duration::from_secs(count)).await;
}

#[test]
fn an_end_that_came_while_the_agent_was_down_is_told_exactly_once() {
    on_every_seed(async |cluster: Cluster| {
        let mut heard = start(&cluster, true, vec!["sleep 1; exit 0"]);
        assert_eq!(states(&mut heard, 2).await, [TaskStarting, TaskRunning]);
        let id = agent_id(&cluster).await;
        cluster.kill_daemon(AGENT);
        seconds(&cluster, 3).await;
        cluster.start_missing();
        assert_eq!(states(&mut heard, 1).await, [TaskFinished]);
        assert_eq!(agent_id(&cluster).await, id);
        seconds(&cluster, 60).await;
        assert!(heard.try_recv().is_err(), "nothing is told twice");
        let host = cluster.host(AGENT).expect("there is one");
        assert!(!has_frameworks(&host) || host.processes().len() == 1);
    });
}

#[test]
fn a_reboot_is_told_once_and_the_agent_keeps_its_id() {
    on_every_seed(async |cluster: Cluster| {
        let mut heard = start(&cluster, true, vec!["sleep 1000000"]);
        assert_eq!(states(&mut heard, 2).await, [TaskStarting, TaskRunning]);
        let id = agent_id(&cluster).await;
        for _ in 0..2 {
            cluster.crash(AGENT);
            cluster.host(AGENT).expect("there is one").boot();
            cluster.start_missing();
            seconds(&cluster, 1).await;
        }
        agent_is_back(&cluster).await;
        assert_eq!(agent_id(&cluster).await, id);
        assert_eq!(states(&mut heard, 1).await, [TaskGone]);
        seconds(&cluster, 60).await;
        assert!(heard.try_recv().is_err(), "nothing is told twice");
    });
}

#[test]
fn tasks_of_frameworks_that_do_not_checkpoint_end_with_their_agent() {
    on_every_seed(async |cluster: Cluster| {
        let scripts = vec!["sleep 1000000", "trap '' TERM; sleep 1000000"];
        let mut heard = start(&cluster, false, scripts);
        states(&mut heard, 4).await;
        let host = cluster.host(AGENT).expect("there is one");
        // With its executor gone there is nobody but the next agent to end the second one.
        for executor in cluster.executors(AGENT) {
            host.pause(executor);
        }
        cluster.kill_daemon(AGENT);
        cluster.start_missing();
        agent_is_back(&cluster).await;
        assert_eq!(host.processes().len(), 1, "{:?}", host.processes());
        let ended: BTreeSet<_> = states(&mut heard, 2).await.into_iter().collect();
        assert!(ended.iter().all(|state| orrery_model::task_state::is_terminal(*state)));
    });
}

/// An update that nobody was there to hear is told within so long of a subscription.
const SOON: Duration = Duration::from_secs(3);

/// A framework comes back under its id, and hears soon how its only task has ended.
async fn hears_soon(cluster: &Cluster, id: v1::FrameworkId) {
    let info = v1::FrameworkInfo { id: Some(id), ..framework_info(true) };
    let mut client = start_as(cluster, info, Vec::new());
    client.subscribed.recv().await.expect("it lives");
    let told = async {
        // Answers to a reconciliation are no updates of the agent's.
        while client.heard.recv().await.is_some_and(|status| status.uuid.is_none()) {}
    };
    tokio::select! {
        biased;
        () = told => {}
        () = cluster.world().sleep(SOON) => panic!("no update comes within {SOON:?}"),
    }
}

/// A framework with one task that ends 5 s after its start; it is killed once the task runs.
async fn leaves_a_task(cluster: &Cluster) -> v1::FrameworkId {
    let mut client = start_as(cluster, framework_info(true), vec!["sleep 5; exit 0"]);
    let id = client.subscribed.recv().await.expect("it lives");
    assert_eq!(states(&mut client.heard, 2).await, [TaskStarting, TaskRunning]);
    // Its acknowledgement is on its way.
    seconds(cluster, 1).await;
    cluster.world().host("client").kill(client.process);
    id
}

async fn comes_back_late(cluster: Cluster) {
    let id = leaves_a_task(&cluster).await;
    // The agent has sent it several times by now, and waits for long between two times.
    seconds(&cluster, 90).await;
    hears_soon(&cluster, id).await;
}

async fn comes_back_after_the_agent(cluster: Cluster) {
    let id = leaves_a_task(&cluster).await;
    cluster.kill_daemon(Place::Master(0));
    seconds(&cluster, 8).await;
    cluster.start_missing();
    seconds(&cluster, 1).await;
    agent_is_back(&cluster).await;
    seconds(&cluster, 1).await;
    hears_soon(&cluster, id).await;
}

#[test]
fn an_update_that_nobody_heard_reaches_its_framework_as_soon_as_that_is_back() {
    on_every_seed(comes_back_late);
    on_every_seed(comes_back_after_the_agent);
    let bugs = || [InAgent::PendingUpdatesWaitForRetry.bug()].into_iter().collect();
    let found =
        [try_seed(0, bugs(), comes_back_late), try_seed(0, bugs(), comes_back_after_the_agent)];
    for found in found {
        let found = found.expect_err("the bug shows");
        assert!(found.contains("no update comes within"), "{found}");
    }
}

/// Starts the agent of the host as if at another address; it ends when it is refused.
fn start_elsewhere(cluster: &Cluster) -> ProcessId {
    let host = cluster.host(AGENT).expect("there is one");
    let resources = Resources::parse(&cluster.shape().agent_resources, "*").expect("is one");
    let mut options = orrery_net_agent::Options::new(
        host.ip(),
        5051,
        cluster.masters(),
        "/var/lib/agent".into(),
        resources,
        "/usr/libexec/orrery/executor".into(),
    );
    options.hostname = Some(host.name().to_owned());
    options.advertise_ip = Some([10, 99, 99, 99].into());
    options.registration_backoff_factor = Duration::from_millis(500);
    host.start("agent elsewhere", move |runtime| async move {
        let mut running = orrery_net_agent::start(runtime, options).await.expect("it starts");
        let ended = running.ended().await;
        assert!(ended.to_string().contains("the same agent cannot come from"), "{ended}");
        1
    })
}

async fn goes_back(cluster: Cluster) {
    let mut heard = start(&cluster, true, vec!["sleep 1000000"]);
    assert_eq!(states(&mut heard, 2).await, [TaskStarting, TaskRunning]);
    let id = agent_id(&cluster).await;
    seconds(&cluster, 1).await;
    let host = cluster.host(AGENT).expect("there is one");
    let executors = cluster.executors(AGENT);
    // Elsewhere they do not find their agent.
    assert!(executors.iter().all(|executor| host.pause(*executor)));
    cluster.kill_daemon(AGENT);
    let ended = host.wait(start_elsewhere(&cluster)).await;
    assert_eq!(ended, Some(ExitStatus::Exited(1)));
    assert!(executors.iter().all(|executor| host.resume(*executor)));
    cluster.start_missing();
    agent_is_back(&cluster).await;
    assert_eq!(agent_id(&cluster).await, id);
    seconds(&cluster, 60).await;
    assert!(heard.try_recv().is_err(), "its task goes on");
    assert_eq!(cluster.executors(AGENT), executors);
}

#[test]
fn an_agent_that_is_refused_at_another_address_goes_on_at_its_own() {
    on_every_seed(goes_back);
    let bugs = [InAgent::RefusalForgetsIdentity.bug()].into_iter().collect();
    try_seed(0, bugs, goes_back).expect_err("the bug shows");
}

#[test]
fn an_agent_that_was_given_up_goes_on_at_another_address() {
    on_every_seed(async |cluster: Cluster| {
        let mut heard = start(&cluster, true, vec!["sleep 1000000"]);
        assert_eq!(states(&mut heard, 2).await, [TaskStarting, TaskRunning]);
        cluster.kill_daemon(AGENT);
        assert_eq!(states(&mut heard, 1).await, [TaskUnreachable]);
        let elsewhere = start_elsewhere(&cluster);
        assert_eq!(states(&mut heard, 1).await, [TaskRunning]);
        let host = cluster.host(AGENT).expect("there is one");
        assert!(host.is_alive(elsewhere));
        assert_eq!(cluster.executors(AGENT).len(), 1);
    });
}

/// The host of one agent takes the address of another one's and forgets who it was; the other one
/// boots at another address and finds its master again.
const REPLACED: &str = include_str!("../regressions/tasks-replaced-agent-returns.plan");

#[test]
fn an_agent_that_was_replaced_at_its_address_never_comes_back() {
    let plan: Plan = REPLACED.parse().unwrap_or_else(|error| panic!("{error}"));
    let found = |bugs: Bugs| {
        let settings = Settings { bugs, ..Settings::default() };
        (0..SEEDS).find_map(|seed| {
            let run = runner::run_plan(Plan { seed, ..plan.clone() }, &settings);
            runner::failure(&run).map(|failed| failed.violation.to_string())
        })
    };
    assert_eq!(found(Bugs::default()), None);
    let found = found([InMaster::ReplacedAgentMayReturn.bug()].into_iter().collect());
    assert!(found.is_some_and(|found| found.contains("after the terminal TASK_LOST")));
}

/// Each prefix of the journal of a run with launches, updates, acknowledgements and ends opens, and
/// holds nothing but what the agent had at some time.
#[test]
fn every_prefix_of_the_journal_of_a_run_can_be_recovered() {
    on_every_seed(async |cluster: Cluster| {
        let scripts = vec!["exit 0", "sleep 1; exit 3", "sleep 1000000"];
        let mut heard = start(&cluster, true, scripts);
        while heard.recv().await.expect("it lives").state() != TaskState::TaskFailed {}
        let host = cluster.host(AGENT).expect("there is one");
        let (_, runtime) = host.attach("reader");
        let folder = std::path::Path::new("/var/lib/agent/meta/slaves/latest");
        let journal = read_file(&*runtime.disk, &folder.join("journal.1")).await.expect("is there");
        let mut tasks = BTreeSet::new();
        for length in (0..journal.len()).step_by(61) {
            let copy = std::path::PathBuf::from(format!("/copy/{length}"));
            let torn = journal.slice(..length);
            host.disk().install(copy.join("journal.1"), torn).expect("takes a file");
            let opened = orrery_journal::Journal::open(&runtime, &copy, false).await;
            let mut opened = opened.expect("a torn tail is no damage");
            let contents = opened.take_contents();
            let mut recovered = orrery_agent::Recovered::read("S".into(), &contents, false)
                .expect("what was written together is found together");
            assert_eq!(recovered.errors, 0);
            assert!(recovered.executors_mut().count() <= 3);
            tasks.insert(recovered.executors_mut().count());
        }
        assert!(tasks.contains(&0) && tasks.contains(&3), "{tasks:?}");
    });
}
