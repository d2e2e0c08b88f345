//! What goes wrong around replicas of the log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use orrery_runtime::Generator;
use orrery_runtime_sim::{Latency, Tearing, World};

use crate::log_cluster::{FOLDER, LogCluster};

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFault {
    /// A replica's process is killed.
    Kill,
    /// A replica's host loses power; what was not synced is lost or torn.
    Crash,
    /// All hosts lose power at once.
    PowerCut,
    /// Nothing reaches a replica, nor comes from it.
    Isolate,
    /// Nothing travels from one replica to another.
    OneWay,
    /// What travels between two replicas takes long.
    Slow,
    /// Connections between two replicas are reset.
    Reset,
    /// A sync fails.
    SyncFails,
    /// A disk does nothing for a while.
    Stall,
    /// A disk is replaced by an empty one.
    Wipe,
    /// Bits on a disk flip.
    Rot,
}

impl LogFault {
    /// All of them, in a mix.
    pub const ALL: &'static [Self] = &[
        Self::Kill,
        Self::Kill,
        Self::Crash,
        Self::PowerCut,
        Self::Isolate,
        Self::OneWay,
        Self::Slow,
        Self::Reset,
        Self::SyncFails,
        Self::Stall,
        Self::Wipe,
        Self::Rot,
    ];
}

/// Does what the world's seed says with these kinds of faults for `duration`, and leaves some of it
/// behind.
pub async fn inject(
    world: &World,
    cluster: &LogCluster,
    kinds: &'static [LogFault],
    duration: Duration,
) {
    let mut random = world.generator("log faults");
    let until = world.now() + duration;
    let untrusted = Arc::new(Mutex::new(false));
    while world.now() < until {
        let faults = Faults {
            world: world.clone(),
            cluster: cluster.clone(),
            random: random.clone(),
            untrusted: Arc::clone(&untrusted),
            kinds,
        };
        random.next_u64();
        world.spawn(faults.one());
        world.sleep(Duration::from_millis(random.below(3_000))).await;
    }
}

struct Faults {
    world: World,
    cluster: LogCluster,
    random: Generator,
    kinds: &'static [LogFault],
    /// Whether a replica has just lost what it knew and may not have recovered yet. Only one may be
    /// in that state at a time, for a log survives the loss of a minority.
    untrusted: Arc<Mutex<bool>>,
}

impl Faults {
    async fn one(mut self) {
        let replicas = self.cluster.hosts().len() as u64;
        let victim = self.random.below(replicas) as usize;
        let disk = self.cluster.hosts()[victim].disk();
        let kind = self.random.below(self.kinds.len() as u64) as usize;
        match self.kinds[kind] {
            LogFault::Kill => self.kill(victim).await,
            LogFault::Crash => self.crash(victim).await,
            LogFault::PowerCut => self.power_cut().await,
            LogFault::Isolate => self.isolate(victim).await,
            LogFault::OneWay => self.one_way(victim).await,
            LogFault::Slow => self.slow(victim).await,
            LogFault::Reset => self.reset(victim),
            LogFault::SyncFails => disk.fail_next_sync(),
            LogFault::Stall => disk.stall(Duration::from_millis(800)),
            LogFault::Wipe => self.wipe(victim).await,
            LogFault::Rot => self.rot(victim).await,
        }
        self.rest(3_000).await;
        self.restart_all();
    }

    async fn rest(&mut self, milliseconds: u64) {
        let pause = Duration::from_millis(self.random.below(milliseconds));
        self.world.sleep(pause).await;
    }

    fn restart_all(&self) {
        for (index, host) in self.cluster.hosts().iter().enumerate() {
            if host.is_up() {
                self.cluster.start_replica(index);
            }
        }
    }

    async fn kill(&mut self, victim: usize) {
        self.cluster.kill(victim);
        self.rest(2_000).await;
        self.cluster.start_replica(victim);
    }

    async fn power_cut(&mut self) {
        for victim in 0..self.cluster.hosts().len() {
            self.tear(victim);
            self.cluster.crash(victim);
        }
        self.rest(2_000).await;
        for (victim, host) in self.cluster.hosts().iter().enumerate() {
            host.boot();
            self.cluster.start_replica(victim);
        }
    }

    /// How the disk of a host behaves when it loses power.
    fn tear(&mut self, victim: usize) {
        let tearing = match self.random.below(3) {
            0 => Tearing::Mixed,
            1 => Tearing::Blocks(512),
            _ => Tearing::Scattered(4096),
        };
        self.cluster.hosts()[victim].disk().set_tearing(tearing);
    }

    async fn crash(&mut self, victim: usize) {
        let host = self.cluster.hosts()[victim].clone();
        self.tear(victim);
        self.cluster.crash(victim);
        self.rest(3_000).await;
        host.boot();
        self.cluster.start_replica(victim);
    }

    async fn isolate(&mut self, victim: usize) {
        let host = &self.cluster.hosts()[victim].clone();
        self.world.network().isolate(host);
        self.rest(6_000).await;
        self.world.network().rejoin(host);
    }

    async fn one_way(&mut self, victim: usize) {
        let hosts = self.cluster.hosts().to_vec();
        let other = (victim + 1) % hosts.len();
        self.world.network().cut_one_way(&hosts[victim], &hosts[other]);
        self.rest(6_000).await;
        self.world.network().heal_one_way(&hosts[victim], &hosts[other]);
    }

    async fn slow(&mut self, victim: usize) {
        let hosts = self.cluster.hosts().to_vec();
        let other = (victim + 1) % hosts.len();
        let network = self.world.network().clone();
        network.set_latency(&hosts[victim], &hosts[other], Latency::from_millis(0, 800));
        self.rest(6_000).await;
        network.set_latency(&hosts[victim], &hosts[other], Latency::from_micros(100, 500));
    }

    fn reset(&self, victim: usize) {
        let hosts = self.cluster.hosts();
        self.world.network().reset_all(&hosts[victim], &hosts[(victim + 1) % hosts.len()]);
    }

    /// False when another replica may not have recovered yet.
    fn may_lose(&self) -> bool {
        let mut untrusted = self.untrusted.lock().unwrap_or_else(PoisonError::into_inner);
        if *untrusted || !self.cluster.all_vote() {
            return false;
        }
        *untrusted = true;
        true
    }

    async fn recovered(&self) {
        let (limit, interval) = (Duration::from_secs(600), Duration::from_millis(100));
        self.world.until(limit, interval, || self.cluster.all_vote()).await;
        *self.untrusted.lock().unwrap_or_else(PoisonError::into_inner) = false;
    }

    /// The disk is replaced by an empty one.
    async fn wipe(&mut self, victim: usize) {
        if !self.may_lose() {
            return;
        }
        let host = self.cluster.hosts()[victim].clone();
        self.cluster.crash(victim);
        host.disk().wipe();
        self.rest(500).await;
        host.boot();
        self.cluster.start_replica(victim);
        self.recovered().await;
    }

    /// A bit of what was written a while ago flips, and the replica starts anew.
    async fn rot(&mut self, victim: usize) {
        if !self.may_lose() {
            return;
        }
        let disk = self.cluster.hosts()[victim].disk();
        let segment = |path: &std::path::PathBuf| path.starts_with(FOLDER);
        for path in disk.files().into_iter().filter(segment) {
            disk.flip_bit(path);
        }
        self.world.sleep(Duration::from_secs(1)).await;
        self.cluster.kill(victim);
        self.rest(500).await;
        self.cluster.start_replica(victim);
        self.recovered().await;
    }
}
