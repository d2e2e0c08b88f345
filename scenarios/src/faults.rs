//! Carrying out faults, and setting right again what they did.

mod undo;

use std::time::Duration;

use orrery_runtime_sim::{self as sim, DiskFault, NetworkFault, ProcessFault};

use crate::plan::{Action, ClusterFault, Fault, Flag, Place};
use crate::scenario::Scene;

/// What a fault does to the daemon of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Nothing that ends it.
    None,
    /// It may end, now or at some time until the fault is over.
    Daemon,
    /// The host may lose power, now or at some time until the fault is over.
    Host,
    /// It needs a host without power.
    Offline,
}

impl Scene {
    /// Breaks something; after `lasting` it is set right again, as far as it can be.
    pub(crate) fn fail(&self, fault: &Fault, lasting: Duration) {
        self.oracle().note("fault", &Action::Fail(fault.clone(), lasting).to_string());
        self.oracle().set_troubled(true);
        match fault {
            Fault::World(fault) => self.fail_world(fault, lasting),
            Fault::Cluster(fault) => self.fail_cluster(fault, lasting),
        }
    }

    /// Mends everything, and starts what is down.
    pub(crate) fn mend(&self) {
        self.oracle().note("scenario", "everything is mended");
        self.oracle().set_troubled(true);
        self.stop_faults();
        self.world().mend();
        self.cluster().stop_stranded();
        let usual = self.world().config().network.latency;
        let hosts = self.world().hosts();
        for (number, one) in hosts.iter().enumerate() {
            for other in &hosts[number + 1..] {
                self.world().network().set_latency(one, other, usual);
            }
        }
        for place in self.cluster().correct_quorums() {
            self.oracle().excuse(&place.to_string(), false);
            self.cluster().kill_daemon(place);
        }
        for place in self.cluster().lift_removal_limit() {
            self.oracle().removal_limit_lifted();
            self.cluster().kill_daemon(place);
        }
        for place in self.cluster().places() {
            self.power_on(place);
            self.start(place);
        }
        self.seats().iter().for_each(|seat| seat.end_replaced());
    }

    fn later(&self, time: Duration, mend: impl FnOnce(&Self) + Send + 'static) {
        let scene = self.clone();
        self.world().spawn(async move {
            scene.world().sleep(time).await;
            if !scene.are_faults_over() {
                mend(&scene);
            }
        });
    }

    fn fail_world(&self, fault: &sim::Fault, lasting: Duration) {
        let (reach, places) = reach(fault);
        if let sim::Fault::Process(ProcessFault::Behave { .. }) = fault {
            self.oracle().executors_misbehave();
        }
        if let sim::Fault::Network(NetworkFault::TakeAddress { .. }) = fault {
            self.oracle().addresses_move();
        }
        if let sim::Fault::Network(
            NetworkFault::TakeAddress { .. } | NetworkFault::ChangeAddress { .. },
        ) = fault
        {
            places.iter().for_each(|place| self.oracle().address_changes(&place.to_string()));
        }
        if spoils_disk(fault) {
            self.oracle().disk_spoiled();
        }
        if matches!(fault, sim::Fault::Disk(_)) {
            places.iter().for_each(|place| self.oracle().disk_fault(&place.to_string()));
        }
        if matches!(fault, sim::Fault::Disk(_)) || reach == Reach::Offline {
            places.iter().for_each(|place| self.oracle().may_change_identity(&place.to_string()));
        }
        if let Some((host, is_gone)) = spoiled_copy(fault) {
            self.oracle()
                .copies(|copies| if is_gone { copies.lose(host) } else { copies.rot(host) });
        }
        match fault {
            sim::Fault::Process(ProcessFault::Crash { .. } | ProcessFault::Reboot { .. }) => {
                places.iter().for_each(|place| self.cluster().crash(*place));
            }
            sim::Fault::Process(ProcessFault::Terminate { process, .. })
                if places.iter().any(|place| stops_in_order(*place, process)) =>
            {
                places.iter().for_each(|place| self.cluster().stop_daemon(*place));
            }
            _ if reach == Reach::Offline => {
                places.iter().for_each(|place| self.cluster().crash(*place));
                self.inject(fault, &places);
            }
            _ => self.inject(fault, &places),
        }
        let undo = undo::undo(fault, self.world().config());
        let excused: Vec<String> = excused_host(fault).into_iter().cloned().collect();
        excused.iter().for_each(|host| self.oracle().excuse(host, true));
        self.later(lasting.max(stalled(fault)), move |scene| {
            excused.iter().for_each(|host| scene.oracle().excuse(host, false));
        });
        self.later(lasting, move |scene| {
            undo.iter().for_each(|fault| scene.inject(fault, &[]));
            for place in places {
                if matches!(reach, Reach::Host | Reach::Offline) {
                    scene.power_on(place);
                }
                if reach != Reach::None {
                    scene.start(place);
                }
            }
        });
    }

    /// A fault of a host that the shape does not have comes to nothing.
    fn inject(&self, fault: &sim::Fault, places: &[Place]) {
        let hosts: Vec<_> = places.iter().filter_map(|place| self.cluster().host(*place)).collect();
        let injected = self.oracle().losing(&hosts, || self.world().inject(fault));
        if let Err(error) = injected {
            self.oracle().note("scenario", &error.to_string());
        }
    }

    fn fail_cluster(&self, fault: &ClusterFault, lasting: Duration) {
        match fault {
            ClusterFault::KillExecutor { agent } => self.kill_executor(*agent),
            ClusterFault::Strand { agent, time } => {
                let place = *agent;
                self.cluster().kill_daemon(place);
                self.cluster().stop_executors(place, *time);
                self.later(lasting, move |scene| scene.start(place));
            }
            ClusterFault::CleanUp { agent } => {
                let place = *agent;
                self.cluster().kill_daemon(place);
                self.cluster().start_cleanup(place);
                self.oracle().cleans_up(&place.to_string());
                // One whose launch was lost is shut down without ever having had its task.
                self.oracle().executors_misbehave();
                self.later(lasting, move |scene| scene.start(place));
            }
            ClusterFault::CrashLoop { place, life } => self.crash_loop(*place, *life, lasting),
            ClusterFault::Change { place, flag } => {
                let place = *place;
                self.oracle().may_change_identity(&place.to_string());
                self.cluster().kill_daemon(place);
                let had_one = self.cluster().change(place, flag);
                if matches!(flag, Flag::Quorum(_)) && !had_one {
                    self.oracle().excuse(&place.to_string(), true);
                }
                self.later(lasting, move |scene| scene.start(place));
            }
        }
    }

    /// Gives a host power again, unless it has it.
    fn power_on(&self, place: Place) {
        if let Place::Scheduler(number) = place
            && let Some(seat) = self.seat(number).filter(|seat| !seat.host().is_up())
        {
            seat.host_crashed();
        }
        self.cluster().power_on(place);
    }

    /// Starts the daemon of a place if there is power and it does not run.
    fn start(&self, place: Place) {
        match place {
            Place::Scheduler(number) => {
                self.seat(number).into_iter().for_each(|seat| seat.start_missing());
            }
            _ => self.cluster().start_daemon(place),
        }
    }

    fn kill(&self, place: Place) {
        match place {
            Place::Scheduler(number) => {
                if let Some(seat) = self.seat(number)
                    && let Some(process) = seat.process()
                {
                    seat.host().kill(process);
                }
            }
            _ => self.cluster().kill_daemon(place),
        }
    }

    fn kill_executor(&self, agent: Place) {
        let executors = self.cluster().executors(agent);
        let chosen = self.world().random(|random| random.below(executors.len().max(1) as u64));
        if let (Some(host), Some(process)) =
            (self.cluster().host(agent), executors.get(chosen as usize))
        {
            host.kill(*process);
        }
    }

    /// What supervises the daemon starts it again at once, and it dies again.
    fn crash_loop(&self, place: Place, life: Duration, lasting: Duration) {
        self.kill(place);
        self.start(place);
        let left = lasting.saturating_sub(life);
        if life > Duration::ZERO && left > Duration::ZERO {
            self.later(life, move |scene| scene.crash_loop(place, life, left));
        }
    }
}

/// Whether what SIGTERM is sent to is a daemon that knows what to do then.
fn stops_in_order(place: Place, process: &str) -> bool {
    matches!(place, Place::Master(_) | Place::Agent(_)) && process == place.daemon()
}

/// What a fault may end, and where.
fn reach(fault: &sim::Fault) -> (Reach, Vec<Place>) {
    let (reach, hosts) = match fault {
        sim::Fault::Process(fault) => process_reach(fault),
        sim::Fault::Disk(fault) => match fault {
            DiskFault::Wipe { host } | DiskFault::Restore { host, .. } => {
                (Reach::Offline, vec![host])
            }
            _ => (Reach::Daemon, vec![fault.host()]),
        },
        sim::Fault::Network(NetworkFault::ChangeAddress { host }) => (Reach::Offline, vec![host]),
        sim::Fault::Network(NetworkFault::TakeAddress { host, owner }) => {
            (Reach::Offline, vec![host, owner])
        }
        _ => (Reach::None, Vec::new()),
    };
    (reach, hosts.into_iter().filter_map(|host| Place::of_host(host)).collect())
}

fn process_reach(fault: &ProcessFault) -> (Reach, Vec<&String>) {
    match fault {
        ProcessFault::Crash { host }
        | ProcessFault::Boot { host }
        | ProcessFault::Reboot { host }
        | ProcessFault::CrashAt { host, .. } => (Reach::Host, vec![host]),
        ProcessFault::Kill { host, .. }
        | ProcessFault::Terminate { host, .. }
        | ProcessFault::OutOfMemory { host, .. } => (Reach::Daemon, vec![host]),
        _ => (Reach::None, Vec::new()),
    }
}

/// Whether a disk forgets what was durable, or has something else in its place.
fn spoils_disk(fault: &sim::Fault) -> bool {
    use DiskFault::{FlipBit, LoseWrite, Misdirect, Restore, TruncateTail, Wipe};
    let sim::Fault::Disk(fault) = fault else { return false };
    matches!(
        fault,
        FlipBit { .. }
            | LoseWrite { .. }
            | Misdirect { .. }
            | Restore { .. }
            | TruncateTail { .. }
            | Wipe { .. }
    )
}

/// The master's host whose disk spoils what was synced there, and whether it is gone at once; rot
/// shows when it is read.
fn spoiled_copy(fault: &sim::Fault) -> Option<(&String, bool)> {
    let sim::Fault::Disk(fault) = fault else { return None };
    let (host, is_gone) = match fault {
        DiskFault::Wipe { host }
        | DiskFault::TruncateTail { host, .. }
        | DiskFault::Misdirect { host, .. }
        | DiskFault::Restore { host, .. } => (host, true),
        DiskFault::FlipBit { host, .. } => (host, false),
        _ => return None,
    };
    matches!(Place::of_host(host), Some(Place::Master(_))).then_some((host, is_gone))
}

/// The host whose daemon cannot do its work while the fault lasts, and may end.
fn excused_host(fault: &sim::Fault) -> Option<&String> {
    let sim::Fault::Disk(fault) = fault else { return None };
    match fault {
        DiskFault::Full { host, on: true }
        | DiskFault::ReadOnly { host, on: true }
        | DiskFault::FailNth { host, .. }
        | DiskFault::ErrorRate { host, .. }
        | DiskFault::Stall { host, .. } => Some(host),
        _ => None,
    }
}

/// For how long a disk answers nothing by itself, whenever the fault is taken back.
fn stalled(fault: &sim::Fault) -> Duration {
    match fault {
        sim::Fault::Disk(DiskFault::Stall { duration, .. }) => *duration,
        _ => Duration::ZERO,
    }
}
