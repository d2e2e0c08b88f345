//! Election through ZooKeeper under faults: the production contender, detector and client before a
//! simulated ensemble.
//!
//! Catalogue: S7 (the leader holds the lowest live node by its own session, and stops in time), L1
//! (one leader soon after all is mended), Z1 to Z7.
#![cfg(feature = "sim")]

mod cluster;
mod plan;

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::{Cluster, GROUP, MASTERS, TIMEOUT};
use orrery_planted::Bug;
use orrery_runtime::Instant;
use orrery_runtime_sim::{Config, World, simulate};
use plan::{DURATION, Plan};

/// How often the rules are looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long a process that was stopped, or a message on its way, is waited for.
const SLACK: Duration = Duration::from_millis(500);

/// How long a follower may go on answering clients when its leader is out of reach, or lag.
const STALE: Duration = Duration::from_secs(14);

/// Since when something is as it must not stay, by host.
#[derive(Default)]
struct Watch {
    dead: BTreeMap<String, Instant>,
    blind: BTreeMap<String, Instant>,
    paused: BTreeMap<String, Instant>,
}

impl Watch {
    fn look(&mut self, cluster: &Cluster, calm: bool) -> Result<(), String> {
        if let Some(complaint) = cluster.complaints().into_iter().next() {
            return Err(complaint);
        }
        self.one_node_each(cluster)?;
        self.leaders(cluster, calm)?;
        self.sights(cluster)
    }

    /// No session holds two places.
    fn one_node_each(&self, cluster: &Cluster) -> Result<(), String> {
        let mut owners = BTreeMap::new();
        for node in cluster.ensemble.children(GROUP) {
            if let Some(other) = owners.insert(node.session, node.name.clone()) {
                return Err(format!("'{other}' and '{}' are of one session", node.name));
            }
        }
        Ok(())
    }

    fn leaders(&mut self, cluster: &Cluster, calm: bool) -> Result<(), String> {
        let now = cluster.world.now();
        let nodes = cluster.ensemble.children(GROUP);
        let mut leaders = Vec::new();
        for (name, belief) in cluster.beliefs().iter() {
            let host = cluster.world.host(name);
            let stopped = host.processes().iter().any(|process| process.stopped);
            if stopped {
                self.paused.insert(name.clone(), now);
            }
            let awake = self.paused.get(name).is_none_or(|since| now - *since > SLACK);
            let Some((node, session)) = belief.leads.as_ref().filter(|_| awake) else {
                self.dead.remove(name);
                continue;
            };
            leaders.push(name.clone());
            let alive = cluster.ensemble.has_session(*session)
                && nodes.iter().any(|other| other.name == *node);
            if alive {
                self.dead.remove(name);
                continue;
            }
            let since = *self.dead.entry(name.clone()).or_insert(now);
            if calm {
                return Err(format!("{name} leads by '{node}', which is gone"));
            }
            if now - since > TIMEOUT + STALE {
                return Err(format!("{name} leads by '{node}', which is gone since {since:?}"));
            }
        }
        if calm && leaders.len() > 1 {
            return Err(format!("{leaders:?} lead at once"));
        }
        Ok(())
    }

    /// Who is cut off from all servers for the time-out takes nobody for the leader any more.
    fn sights(&mut self, cluster: &Cluster) -> Result<(), String> {
        let now = cluster.world.now();
        let network = cluster.world.network();
        for (name, belief) in cluster.beliefs().iter() {
            let host = cluster.world.host(name);
            let cut = (0..cluster.ensemble.len()).all(|server| {
                let server = cluster.ensemble.host(server);
                network.is_cut(&host, &server) || network.is_cut(&server, &host)
            });
            let stopped = host.processes().iter().any(|process| process.stopped);
            if !cut || stopped || !matches!(belief.sight, Some(Some(_))) {
                self.blind.remove(name);
                continue;
            }
            let since = *self.blind.entry(name.clone()).or_insert(now);
            if now - since > TIMEOUT + SLACK {
                return Err(format!("{name} is cut off since {since:?} and names a leader"));
            }
        }
        Ok(())
    }
}

/// Plays a plan and says what rule was broken.
async fn play(world: World, plan: Plan) -> Result<(), String> {
    let mut cluster = Cluster::new(&world);
    cluster.start_agent();
    let mut watch = Watch::default();
    let mut steps = plan.steps.iter().peekable();
    let end = Instant::from_nanoseconds(0) + Duration::from_secs(DURATION + 60);
    while world.now() < end {
        world.sleep(INTERVAL).await;
        let due = |(at, _): &&(Duration, plan::Act)| Instant::default() + *at <= world.now();
        while let Some((_, act)) = steps.next_if(due) {
            cluster.act(act);
        }
        watch.look(&cluster, plan.calm)?;
    }
    for (_, act) in steps {
        cluster.act(act);
    }
    world.mend();
    for number in 0..MASTERS {
        cluster.start_master(number);
    }
    settle(&mut cluster, &mut watch, &plan).await
}

/// Catalogue: L1. Within two time-outs and ten seconds one master leads, everybody knows it, and
/// all others stand behind it; and it stays so.
async fn settle(cluster: &mut Cluster, watch: &mut Watch, plan: &Plan) -> Result<(), String> {
    let world = cluster.world.clone();
    let start = world.now();
    loop {
        world.sleep(INTERVAL).await;
        watch.look(cluster, plan.calm)?;
        let waited = world.now() - start;
        match settled(cluster) {
            Err(why) if waited > TIMEOUT * 2 + Duration::from_secs(10) => return Err(why),
            Ok(()) if waited > Duration::from_secs(60) => return Ok(()),
            _ => {}
        }
    }
}

fn settled(cluster: &Cluster) -> Result<(), String> {
    let beliefs = cluster.beliefs();
    let leaders: Vec<_> =
        beliefs.iter().filter(|(_, belief)| belief.leads.is_some()).map(|(name, _)| name).collect();
    let [leader] = leaders[..] else { return Err(format!("{leaders:?} lead after the end")) };
    for (name, belief) in beliefs.iter() {
        let named = belief.sight.as_ref().and_then(Option::as_ref).map(|info| info.id.as_str());
        if !named.is_some_and(|id| id.starts_with(&format!("{leader} "))) {
            return Err(format!("{leader} leads after the end, but {name} names {named:?}"));
        }
    }
    let nodes = cluster.ensemble.children(GROUP).len();
    if nodes != MASTERS || beliefs.len() != MASTERS + 1 {
        return Err(format!("{nodes} nodes of {} processes after the end", beliefs.len()));
    }
    Ok(())
}

fn run(seed: u64, trace: bool, planted: Option<Bug>) -> Result<(), String> {
    let config = Config { trace, ..Config::default() };
    let report = simulate(seed, config, move |world| async move {
        orrery_planted::plant(planted);
        let plan = Plan::draw(&mut world.generator("plan"));
        let text = plan.to_string();
        let outcome = play(world.clone(), plan).await;
        outcome.map_err(|why| format!("{why}, at {:?}. The plan:\n{text}", world.now()))
    });
    match report.outcome {
        Ok(outcome) => outcome.map_err(|why| {
            let lines: Vec<_> =
                report.lines.iter().filter(|line| !line.contains(" data ")).collect();
            let last = lines.len().saturating_sub(200);
            let lines: Vec<_> = lines[last..].iter().map(|line| line.as_str()).collect();
            format!("seed {seed}: {why}\n{}", lines.join("\n"))
        }),
        Err(failure) => Err(format!("seed {seed}: {failure}")),
    }
}

/// `SIM_SEEDS=N` looks at more of them than usual.
#[allow(clippy::disallowed_methods, reason = "a test is where the environment is read")]
fn seeds() -> std::ops::Range<u64> {
    let count = std::env::var("SIM_SEEDS").ok().and_then(|count| count.parse().ok());
    0..count.unwrap_or(200)
}

#[test]
fn under_faults() {
    for seed in seeds() {
        if let Err(why) = run(seed, false, None) {
            let again = run(seed, true, None).err().unwrap_or(why);
            panic!("{again}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let hash = |seed| {
        let report = simulate(seed, Config::default(), |world| async move {
            let plan = Plan::draw(&mut world.generator("plan"));
            play(world, plan).await
        });
        report.hash
    };
    for seed in 0..3 {
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
    }
}

/// What cannot work is said once, and clearly.
#[test]
fn wrong_settings_are_told() {
    for (credentials, path, expected) in [
        ("", "/taken/x", "cannot create '/taken/x' in ZooKeeper: the parent is ephemeral and"),
        ("u:wrong@", "/guarded", "cannot create a node below '/guarded' in ZooKeeper: not allowed"),
        ("nobody:@", "/guarded", "cannot create a node below '/guarded' in ZooKeeper: not allowed"),
    ] {
        let report = simulate(1, Config::default(), move |world| async move {
            let cluster = Cluster::new(&world);
            cluster.guard("/guarded", "/taken").await;
            cluster.fail_to_contend(credentials, path).await
        });
        let error = report.outcome.unwrap_or_else(|failure| panic!("{failure}")).to_string();
        assert!(error.starts_with(expected), "{path}: {error}");
    }
}

/// Every planted bug is found within so many seeds.
#[test]
fn planted_bugs_are_found() {
    let bugs = orrery_election::PlantedBug::ALL.iter().chain(orrery_zookeeper::PlantedBug::ALL);
    for bug in bugs {
        let found = (0..300).find_map(|seed| run(seed, false, Some(*bug)).err());
        let found = found.unwrap_or_else(|| panic!("300 seeds did not find {}", bug.name));
        println!("{}: {}", bug.name, found.lines().next().unwrap_or_default());
    }
}
