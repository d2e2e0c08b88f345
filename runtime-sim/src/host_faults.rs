//! What a scenario can do to a host beside cutting its power: launches that go wrong, programs that
//! misbehave, too little memory.

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_runtime::{ExitStatus, ProcessId, Target};

use crate::config::{Latency, nanoseconds};
use crate::disk::DiskSnapshot;
use crate::host::Host;
use crate::probability::Probability;
use crate::process::Behaviour;

const SIGKILL: i32 = 9;

/// Faults of a host as a whole.
#[derive(Debug, Default)]
pub(crate) struct HostFaults {
    /// How long a launch takes, instead of the usual time.
    pub(crate) launch_latency: Option<Latency>,
    pub(crate) launch_failures: Probability,
    pub(crate) launches_hang: bool,
    /// By the name of the program.
    pub(crate) behaviours: BTreeMap<String, Behaviour>,
    pub(crate) snapshots: BTreeMap<String, DiskSnapshot>,
}

impl Host {
    /// Ends a process as the kernel does when memory runs out: SIGKILL. False when it was not
    /// alive.
    pub fn kill_out_of_memory(&self, process: ProcessId) -> bool {
        self.kill_for_memory(Target::Process(process))
    }

    /// As [`Host::kill_out_of_memory`] for the whole session that a process leads or led and all
    /// descendants, as a memory cgroup does that is to die as one.
    pub fn kill_session_out_of_memory(&self, leader: ProcessId) -> bool {
        self.kill_for_memory(Target::Session(leader))
    }

    fn kill_for_memory(&self, target: Target) -> bool {
        let selected = self.table().lock().select(target);
        for process in &selected {
            self.record(*process, "oom", &[], || "out of memory".to_owned());
            self.end_process(*process, ExitStatus::Signaled(SIGKILL));
        }
        !selected.is_empty()
    }

    /// From now on launching a process takes so long; `None` is the time of
    /// [`crate::Config::launch`].
    pub fn set_launch_latency(&self, latency: Option<Latency>) {
        let longest = latency.map_or(0, |latency| nanoseconds(latency.maximum));
        self.record(0, "launches", &[0, longest], || format!("take {latency:?}"));
        self.faults().lock().launch_latency = latency;
    }

    /// From now on launching a process fails this likely, with EAGAIN as where there are too many.
    pub fn set_launch_failures(&self, probability: Probability) {
        let parts = u64::from(probability.parts_per_million());
        self.record(0, "launches", &[1, parts], || format!("fail: {probability}"));
        self.faults().lock().launch_failures = probability;
    }

    /// From now on launches hang, and go on when they no longer do.
    pub fn set_launches_hang(&self, hang: bool) {
        self.record(0, "launches", &[2, u64::from(hang)], || format!("hang: {hang}"));
        self.faults().lock().launches_hang = hang;
    }

    /// From now on every program of this name (the last part of its path) behaves so when it is
    /// launched; `None` lets it be itself again.
    pub fn set_behaviour(&self, program: &str, behaviour: Option<Behaviour>) {
        let code = behaviour.map_or(0, Behaviour::code);
        self.record(0, "behaviour", &[code], || format!("{program} {behaviour:?}"));
        let behaviours = &mut self.faults().lock().behaviours;
        match behaviour {
            Some(behaviour) => behaviours.insert(program.to_owned(), behaviour),
            None => behaviours.remove(program),
        };
    }

    /// From now on timers ring together: each one late, by up to `slack`, when the monotonic clock
    /// shows a multiple of it. Zero ends that.
    pub fn set_timer_slack(&self, slack: Duration) {
        self.clock().lock().set_slack(nanoseconds(slack));
        self.record(0, "clock", &[nanoseconds(slack)], || format!("timer slack {slack:?}"));
    }

    /// Takes every fault off the host, its clock and its disk, and lets stopped processes go on.
    /// A host without power stays so; what is lost stays lost; snapshots are kept.
    pub fn mend(&self) {
        for process in self.processes() {
            if process.stopped {
                self.resume(process.id);
            }
        }
        self.clear_crash_points();
        let mut faults = self.faults().lock();
        let snapshots = std::mem::take(&mut faults.snapshots);
        *faults = HostFaults { snapshots, ..HostFaults::default() };
        drop(faults);
        self.set_timer_slack(Duration::ZERO);
        self.set_clock_drift(0);
        self.set_clock_offset(Duration::ZERO);
        self.disk().mend();
        self.record(0, "mend", &[], String::new);
    }
}
