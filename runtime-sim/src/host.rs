//! A simulated machine: an address, clocks, a disk, processes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use orrery_runtime::{
    Command, ExitStatus, Generator, Instant, ProcessId, Runtime, Signal, Target, WallTime,
};

use crate::clock::HostClock;
use crate::config::nanoseconds;
use crate::crash_point::CrashPoints;
use crate::disk::{Disk, DiskControl};
use crate::host_faults::HostFaults;
use crate::lock::Lock;
use crate::process::{ProcessInfo, ProcessTable, Program, Start, program};
use crate::trace::Node;
use crate::world::Inner;

struct Machine {
    world: Arc<Inner>,
    index: u32,
    name: String,
    address: Ipv4Addr,
    clock: Lock<HostClock>,
    disk: Lock<Disk>,
    processes: Lock<ProcessTable>,
    programs: Lock<BTreeMap<PathBuf, Program>>,
    users: Lock<BTreeSet<String>>,
    random: Lock<Generator>,
    faults: Lock<HostFaults>,
    crash_points: CrashPoints,
}

/// A machine of the simulated world. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    machine: Arc<Machine>,
}

impl fmt::Debug for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Host({} {})", self.machine.name, self.machine.address)
    }
}

impl Host {
    pub(crate) fn create(world: Arc<Inner>, index: u32, name: &str) -> Self {
        let number = index + 1;
        let address = Ipv4Addr::new(10, 0, (number >> 8) as u8, number as u8);
        let mut random = world.generator("host", u64::from(index));
        let disk = Disk::new(random.uuid(), world.config.start);
        let machine = Machine {
            index,
            name: name.to_owned(),
            address,
            clock: Lock::new(HostClock::new(world.config.start)),
            disk: Lock::new(disk),
            processes: Lock::new(ProcessTable::new()),
            programs: Lock::new(BTreeMap::new()),
            users: Lock::new(BTreeSet::from(["root".to_owned(), "nobody".to_owned()])),
            random: Lock::new(random),
            faults: Lock::default(),
            crash_points: CrashPoints::default(),
            world,
        };
        machine.world.network.lock().add_host(name, address);
        Self { machine: Arc::new(machine) }
    }

    /// Its name, which other hosts can resolve.
    pub fn name(&self) -> &str {
        &self.machine.name
    }

    /// Its address: 10.0.0.1 for the first host, and so on, unless it was given another one.
    pub fn ip(&self) -> IpAddr {
        let network = self.world().network.lock();
        let station = network.stations.get(self.machine.index as usize);
        IpAddr::V4(station.map_or(self.machine.address, |station| station.address))
    }

    /// Starts a process of the scenario's making, in a session of its own; what `main` returns is
    /// its exit code. `name` stands for its command line.
    ///
    /// # Panics
    /// When the host is down.
    pub fn start<F, Fut>(&self, name: &str, main: F) -> ProcessId
    where
        F: FnOnce(Runtime) -> Fut,
        Fut: Future<Output = i32> + Send + 'static,
    {
        let (process, runtime) = self.attach(name);
        self.run_main(process.0, Box::pin(main(runtime)));
        process
    }

    /// Makes a process without a main of its own and hands out its runtime: the scenario itself
    /// acts as that process. It lives until it is killed; after that, connecting, listening,
    /// launching and waiting through its runtime never complete.
    ///
    /// # Panics
    /// When the host is down.
    pub fn attach(&self, name: &str) -> (ProcessId, Runtime) {
        assert!(self.is_up(), "host '{}' is down: nothing can start on it", self.name());
        let words = name.split_whitespace().map(str::to_owned).collect();
        self.create_process(Start {
            command: words,
            parent: None,
            new_session: true,
            join: None,
            environment: Vec::new(),
            at: self.world().now(),
        })
    }

    /// Registers a program that the process port of this host can launch. See
    /// [`crate::World::install_program`]; a program of the host's own goes first.
    pub fn install_program<F, Fut>(&self, path: impl Into<PathBuf>, main: F)
    where
        F: Fn(Runtime, Command) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = i32> + Send + 'static,
    {
        self.machine.programs.lock().insert(path.into(), program(main));
    }

    /// Makes a user known, beside `root` and `nobody`.
    pub fn add_user(&self, name: &str) {
        self.machine.users.lock().insert(name.to_owned());
    }

    /// Ends a process at once, as SIGKILL does: its peers see its streams end, its children live
    /// on. False when it was not alive.
    pub fn kill(&self, process: ProcessId) -> bool {
        self.deliver(Target::Process(process), Signal::Kill)
    }

    /// Sends a signal as root would. False when nothing of that number lives.
    pub fn signal(&self, target: Target, signal: Signal) -> bool {
        self.deliver(target, signal)
    }

    /// Stops a process as SIGSTOP does: the kernel still answers for its sockets. False when it is
    /// not alive.
    pub fn pause(&self, process: ProcessId) -> bool {
        self.set_stopped(process.0, true)
    }

    /// Lets a stopped process go on. False when it is not alive.
    pub fn resume(&self, process: ProcessId) -> bool {
        self.set_stopped(process.0, false)
    }

    /// Cuts the power: every process is gone without a word to its peers, what was not synced to
    /// disk is lost or torn. Without effect on a host that is down.
    pub fn crash(&self) {
        let Some(nodes) = self.machine.processes.lock().power_off() else { return };
        self.record(0, "crash", &[], String::new);
        self.world().network.lock().crash_host(self.world(), self.machine.index);
        for node in nodes {
            self.world().handle.kill(node);
        }
        let now = self.wall();
        self.machine.disk.lock().crash(&mut self.machine.random.lock(), now);
    }

    /// Starts a crashed host again, with a new boot id and no processes. Without effect on a host
    /// that is up.
    pub fn boot(&self) {
        if !self.is_up() {
            self.power_on();
        }
    }

    pub(crate) fn power_on(&self) {
        let mut random = self.machine.random.lock();
        let uptime = 1_000_000_000 + random.below(1_000_000_000_000);
        let boot_id = random.uuid_text();
        drop(random);
        self.machine.clock.lock().reboot(self.world().now(), uptime);
        let now = self.wall();
        self.machine.disk.lock().set_boot_id(&boot_id, now);
        self.machine.processes.lock().power_on();
        self.record(0, "boot", &[uptime], || boot_id);
        self.world().network.lock().boot_host(self.world(), self.machine.index);
    }

    /// Whether the host has power.
    pub fn is_up(&self) -> bool {
        self.machine.processes.lock().is_up()
    }

    /// Whether a process of this number lives. Numbers start anew at every boot.
    pub fn is_alive(&self, process: ProcessId) -> bool {
        self.machine.processes.lock().is_alive(process.0)
    }

    /// The processes that live, by number.
    pub fn processes(&self) -> Vec<ProcessInfo> {
        self.machine.processes.lock().list()
    }

    /// How a process that the scenario started has ended; `None` while it lives or when nothing is
    /// known of it.
    pub fn exit_status(&self, process: ProcessId) -> Option<ExitStatus> {
        self.machine.processes.lock().status(process.0)
    }

    /// Waits until a process that the scenario started has ended; `None` when nothing is known of
    /// it, or once the host has lost power.
    pub async fn wait(&self, process: ProcessId) -> Option<ExitStatus> {
        self.exit_of(process.0).await
    }

    /// What can be done to the disk.
    pub fn disk(&self) -> DiskControl {
        DiskControl::new(self.clone())
    }

    /// Steps the wall clock: from now on it is ahead of the true time by `ahead`.
    pub fn set_clock_offset(&self, ahead: Duration) {
        let offset = i64::try_from(nanoseconds(ahead)).unwrap_or(i64::MAX);
        self.set_offset_nanoseconds(offset);
    }

    /// Steps the wall clock: from now on it is behind the true time by `behind`.
    pub fn set_clock_behind(&self, behind: Duration) {
        let offset = i64::try_from(nanoseconds(behind)).unwrap_or(i64::MAX);
        self.set_offset_nanoseconds(-offset);
    }

    fn set_offset_nanoseconds(&self, offset: i64) {
        self.machine.clock.lock().set_offset(offset);
        self.record(0, "clock", &[offset as u64], || format!("wall clock off by {offset} ns"));
    }

    /// From now on both clocks run fast by `drift` parts per million (slow when negative), within
    /// ±500,000.
    pub fn set_clock_drift(&self, drift: i64) {
        self.machine.clock.lock().set_drift(self.world().now(), drift);
        self.record(0, "clock", &[drift as u64], || format!("drift {drift} ppm"));
    }

    /// What the host's wall clock shows.
    pub fn wall(&self) -> WallTime {
        self.machine.clock.lock().wall(self.world().now())
    }

    /// What the host's monotonic clock shows.
    pub fn monotonic(&self) -> Instant {
        self.machine.clock.lock().monotonic(self.world().now())
    }
}

/// For the models.
impl Host {
    pub(crate) fn world(&self) -> &Arc<Inner> {
        &self.machine.world
    }

    pub(crate) fn index(&self) -> u32 {
        self.machine.index
    }

    pub(crate) fn clock(&self) -> &Lock<HostClock> {
        &self.machine.clock
    }

    pub(crate) fn files(&self) -> &Lock<Disk> {
        &self.machine.disk
    }

    pub(crate) fn table(&self) -> &Lock<ProcessTable> {
        &self.machine.processes
    }

    pub(crate) fn programs(&self) -> &Lock<BTreeMap<PathBuf, Program>> {
        &self.machine.programs
    }

    pub(crate) fn random(&self) -> &Lock<Generator> {
        &self.machine.random
    }

    pub(crate) fn faults(&self) -> &Lock<HostFaults> {
        &self.machine.faults
    }

    pub(crate) fn crash_points(&self) -> &CrashPoints {
        &self.machine.crash_points
    }

    pub(crate) fn knows_user(&self, name: &str) -> bool {
        self.machine.users.lock().contains(name)
    }

    pub(crate) fn node(&self, process: u32) -> Node<'_> {
        Node::Host { index: self.machine.index + 1, name: &self.machine.name, process }
    }

    pub(crate) fn record(
        &self,
        process: u32,
        kind: &str,
        numbers: &[u64],
        text: impl FnOnce() -> String,
    ) {
        self.world().record(self.node(process), kind, numbers, text);
    }

    /// Ends everything at the end of the run, unrecorded.
    pub(crate) fn discard(&self) {
        let nodes = self.machine.processes.lock().power_off();
        for node in nodes.unwrap_or_default() {
            self.world().handle.kill(node);
        }
        let programs = std::mem::take(&mut *self.machine.programs.lock());
        drop(programs);
    }
}
