//! The replicated log under every fault that the simulator has for it.
#![cfg(feature = "sim")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use orrery_log::{Membership, Options, PlantedBug, Timing};
use orrery_runtime::{Address, ExitStatus, Runtime};
use orrery_runtime_sim::{Config, Host, Latency, Tearing, World, simulate};
use orrery_scenarios::log_cluster::{FOLDER, LogCluster};
use orrery_scenarios::log_faults::{LogFault, inject};

/// Seeds that are run where the environment does not say how many.
const SEEDS: u64 = 20;

/// Seeds that a planted bug may take to be found.
const PLANTED_SEEDS: u64 = 300;

#[allow(clippy::disallowed_methods, reason = "which seeds are played is said by the environment")]
fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    match (number("SIM_SEED"), number("SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(SEEDS),
    }
}

/// A run: what it takes and what goes wrong.
#[derive(Clone, Copy)]
struct Run {
    replicas: usize,
    faults: &'static [LogFault],
    duration: Duration,
    bug: Option<PlantedBug>,
}

impl Run {
    /// Runs one seed; what is wrong, or how many writes were confirmed.
    fn seed(self, seed: u64) -> Result<usize, String> {
        let mut config = Config::default();
        if self.bug.is_some() {
            // What a disk has not made durable yet is where bugs of storage show.
            config.disk.sync = Latency::from_millis(1, 80);
        }
        let report = simulate(seed, config, move |world| self.scenario(world));
        match report.outcome {
            Ok(outcome) => outcome,
            Err(failure) => Err(failure.to_string()),
        }
    }

    async fn scenario(self, world: World) -> Result<usize, String> {
        orrery_planted::plant(self.bug.map(|bug| *bug.bug()));
        let cluster = LogCluster::start(&world, self.replicas);
        inject(&world, &cluster, self.faults, self.duration).await;
        let converged = cluster.converge(Duration::from_secs(120)).await;
        let history = cluster.history();
        history.check()?;
        converged.map(|()| history.confirmed())
    }
}

#[test]
fn a_quiet_log_serves() {
    for replicas in [1, 3, 5] {
        let run = Run { replicas, faults: &[], duration: Duration::ZERO, bug: None };
        let confirmed = run.seed(1).unwrap_or_else(|error| panic!("{error}"));
        assert!(confirmed > 5, "{confirmed}");
    }
}

#[test]
fn histories_are_linearisable() {
    let mut total = 0;
    for seed in seeds() {
        let replicas = if seed % 3 == 0 { 5 } else { 3 };
        let duration = Duration::from_secs(30);
        let run = Run { replicas, faults: LogFault::ALL, duration, bug: None };
        match run.seed(seed) {
            Ok(confirmed) => total += confirmed,
            Err(error) => panic!("seed {seed}, {replicas} replicas: {error}"),
        }
    }
    println!("{total} writes confirmed");
    assert!(total > 0);
}

fn is_found(bug: PlantedBug, faults: &'static [LogFault]) {
    let duration = Duration::from_secs(20);
    let run = Run { replicas: 3, faults, duration, bug: Some(bug) };
    let found = (0..PLANTED_SEEDS).find_map(|seed| Some((seed, run.seed(seed).err()?)));
    println!("{bug:?}: {found:?}");
    assert!(found.is_some(), "{bug:?} was not found with {PLANTED_SEEDS} seeds");
}

#[test]
fn an_answer_before_the_sync_is_found() {
    is_found(PlantedBug::AnswersBeforeSync, &[LogFault::PowerCut]);
}

#[test]
fn an_accepted_torn_record_is_found() {
    is_found(PlantedBug::AcceptsTornRecord, &[LogFault::Rot, LogFault::PowerCut]);
}

/// Flips so many bits of what was written to each segment. Behind it are zeros for what is to come,
/// and segments without anything else, whose rot means nothing.
fn rot(host: &Host, bits: usize) {
    let disk = host.disk();
    for path in disk.files().into_iter().filter(|path| path.starts_with(FOLDER)) {
        let read = || disk.read(&path).expect("it is there");
        let Some(last) = read().iter().rposition(|byte| *byte != 0) else { continue };
        let mut left = bits;
        while left > 0 {
            let before = read();
            assert!(disk.flip_bit(&path));
            let after = read();
            left -= usize::from(before[..=last] != after[..=last]);
        }
    }
}

/// One replica was cut off while the other two wrote; then one of those has rotted and the other is
/// away. Together with the first, the rotten one must not make up a log.
async fn rotten_replica(world: World, bug: Option<PlantedBug>) -> Result<usize, String> {
    orrery_planted::plant(bug.map(|bug| *bug.bug()));
    let cluster = LogCluster::start(&world, 3);
    world.sleep(Duration::from_secs(5)).await;
    let hosts = cluster.hosts().to_vec();
    world.network().isolate(&hosts[2]);
    world.sleep(Duration::from_secs(20)).await;
    cluster.set_writing(false);
    world.sleep(Duration::from_secs(2)).await;
    cluster.kill(0);
    cluster.kill(1);
    rot(&hosts[0], 30);
    world.network().rejoin(&hosts[2]);
    cluster.set_writing(true);
    cluster.start_replica(0);
    world.sleep(Duration::from_secs(20)).await;
    let converged = cluster.converge(Duration::from_secs(60)).await;
    let history = cluster.history();
    history.check()?;
    converged.map(|()| history.confirmed())
}

#[test]
fn voting_despite_damage_is_found() {
    let run = |seed, bug| {
        let report =
            simulate(seed, Config::default(), move |world| rotten_replica(world, bug)).outcome;
        report.map_err(|failure| failure.to_string()).flatten()
    };
    for seed in 0..5 {
        if let Err(error) = run(seed, None) {
            panic!("seed {seed}: {error}");
        }
    }
    let bug = PlantedBug::VotesDespiteDamage;
    let found = (0..20).find_map(|seed| Some((seed, run(seed, Some(bug)).err()?)));
    println!("{bug:?}: {found:?}");
    assert!(found.is_some(), "{bug:?} was not found");
}

/// Two of three disks have rotted: nobody serves, the message says what to do, and doing it helps.
#[test]
fn a_damaged_majority_refuses_until_the_loss_is_accepted() {
    let report = simulate(3, Config::default(), |world| async move {
        let cluster = LogCluster::start(&world, 3);
        world.sleep(Duration::from_secs(10)).await;
        assert!(cluster.confirmed() > 0);
        (0..3).for_each(|replica| cluster.kill(replica));
        cluster.hosts()[..2].iter().for_each(|host| rot(host, 8));
        let confirmed = cluster.confirmed();
        (0..3).for_each(|replica| cluster.start_replica(replica));
        world.sleep(Duration::from_secs(20)).await;
        assert_eq!(cluster.confirmed(), confirmed, "nothing is confirmed");
        let refusals = cluster.refusals();
        let advised = refusals.iter().filter(|text| text.contains("orrery log initialize"));
        assert!(advised.count() > 0, "{refusals:?}");
        for replica in 0..2 {
            cluster.kill(replica);
            let tool =
                cluster.hosts()[replica].start("orrery log initialize", |runtime| async move {
                    let done = orrery_log::initialize(&runtime, FOLDER.as_ref(), true).await;
                    i32::from(done.is_err())
                });
            let status = cluster.hosts()[replica].wait(tool).await;
            assert_eq!(status, Some(ExitStatus::Exited(0)));
        }
        cluster.converge(Duration::from_secs(60)).await.expect("it serves again");
    });
    if let Err(failure) = report.outcome {
        panic!("{failure}");
    }
}

/// A replica without others, which appends so much that one segment follows the other, and
/// truncates. `confirmed` is the last position that it was told.
async fn lonely_writer(runtime: Runtime, confirmed: Arc<AtomicU64>) -> i32 {
    let address = Address::new("127.0.0.1", 5052);
    let options = Options {
        folder: FOLDER.into(),
        address: address.clone(),
        quorum: 1,
        membership: Membership::Fixed(BTreeSet::from([address])),
        auto_initialize: true,
        timing: Timing::default(),
    };
    let limit = Duration::from_secs(60);
    let Ok((log, _service)) = orrery_net_log::start(&runtime, options).await else { return 1 };
    let Ok(writer) = log.writer().await else { return 1 };
    let mut random = runtime.random.generator();
    loop {
        let data = vec![7; 20_000 + random.below(100_000) as usize];
        let Ok(position) = writer.append(data.into(), limit).await else { return 1 };
        confirmed.store(position.0, Ordering::Relaxed);
        if random.below(30) == 0 && writer.truncate(position, limit).await.is_err() {
            return 1;
        }
        if random.below(8) == 0 {
            runtime.sleep(Duration::from_millis(random.below(400))).await;
        }
    }
}

/// What can be read after a loss of power is whole and holds everything that was confirmed.
async fn power_is_lost(world: World) {
    let (host, mut random) = (world.host("replica"), world.generator("power"));
    let confirmed = Arc::new(AtomicU64::new(0));
    for round in 0..12 {
        let writer = Arc::clone(&confirmed);
        host.start("replica", |runtime| lonely_writer(runtime, writer));
        world.sleep(Duration::from_millis(random.below(3_000))).await;
        match random.below(4) {
            0 => host.disk().set_tearing(Tearing::Mixed),
            1 => host.disk().set_tearing(Tearing::Blocks(512)),
            2 => host.disk().set_tearing(Tearing::Scattered(4096)),
            _ => host.disk().fail_next_sync(),
        }
        world.sleep(Duration::from_millis(random.below(50))).await;
        host.crash();
        host.boot();
        let expected = confirmed.load(Ordering::Relaxed);
        let look = host.start("look", move |runtime| async move {
            match orrery_log::inspect(&runtime, FOLDER.as_ref()).await {
                Ok(found) if found.damage().is_empty() && found.end().0 >= expected => 0,
                // The power was lost before anything was written.
                Err(_) if expected == 0 => 0,
                other => panic!("{:?}", other.map(|found| found.damage().to_vec())),
            }
        });
        assert_eq!(host.wait(look).await, Some(ExitStatus::Exited(0)), "round {round}");
    }
    println!("{} confirmed", confirmed.load(Ordering::Relaxed));
}

#[test]
fn a_loss_of_power_is_no_damage() {
    for seed in seeds() {
        let mut config = Config::default();
        config.disk.sync = Latency::from_millis(0, 20);
        if let Err(failure) = simulate(seed, config, power_is_lost).outcome {
            panic!("seed {seed}: {failure}");
        }
    }
}
