//! Faults of processes and hosts.

use orrery_runtime::{Signal, Target};

use super::InjectError;
use super::table::faults;
use crate::config::Latency;
use crate::crash_point::{CrashPoint, matches};
use crate::host::Host;
use crate::probability::Probability;
use crate::process::{Behaviour, ProcessInfo};
use crate::world::World;

faults! {
    /// Something about processes or a host. Processes are named by a pattern of the first word of
    /// their command line, in which `*` stands for anything; all that match are meant.
    ProcessFault {
        /// SIGKILL.
        Kill("P1 P9", "kill") {
            /// Where.
            host: String,
            /// Which.
            process: String,
        }
        /// SIGTERM.
        Terminate("P2", "terminate") {
            /// Where.
            host: String,
            /// Which.
            process: String,
        }
        /// SIGSTOP.
        Pause("P3", "pause") {
            /// Where.
            host: String,
            /// Which.
            process: String,
        }
        /// SIGCONT.
        Resume("", "resume") {
            /// Where.
            host: String,
            /// Which.
            process: String,
        }
        /// The host loses power.
        Crash("P7 D1 D3", "crash") {
            /// The host.
            host: String,
        }
        /// The host has power again, with a new boot id and no processes.
        Boot("P7", "boot") {
            /// The host.
            host: String,
        }
        /// The host loses power and has it again at once.
        Reboot("P7 D1 D3", "reboot") {
            /// The host.
            host: String,
        }
        /// Memory runs out.
        OutOfMemory("P12", "out-of-memory") {
            /// Where.
            host: String,
            /// Which.
            process: String,
            /// Whether all of its session goes with it.
            session: bool,
        }
        /// Launching a process takes so long, or as long as usual.
        LaunchLatency("P13", "launch-latency") {
            /// Where.
            host: String,
            /// How long.
            latency: Option<Latency>,
        }
        /// Launching a process fails this likely.
        LaunchFailures("P13", "launch-failures") {
            /// Where.
            host: String,
            /// How likely.
            probability: Probability,
        }
        /// Launching a process hangs.
        LaunchHang("P13", "launch-hang") {
            /// Where.
            host: String,
            /// Hanging or not.
            on: bool,
        }
        /// A program misbehaves from its next launch on, or is itself again.
        Behave("P9 P10", "behave") {
            /// Where.
            host: String,
            /// Its name, the last part of its path.
            program: String,
            /// How.
            behaviour: Option<Behaviour>,
        }
        /// Something dies at a named point.
        CrashAt("P15", "crash-at") {
            /// Where.
            host: String,
            /// Which process, at what, what dies.
            point: CrashPoint,
        }
        /// Takes back the points that were not reached.
        ClearCrashPoints("", "clear-crash-points") {
            /// Where.
            host: String,
        }
    }
}

impl ProcessFault {
    pub(super) fn apply(&self, world: &World) -> Result<(), InjectError> {
        match self {
            Self::Kill { host, process } => each(&world.known(host)?, process, |host, process| {
                host.kill(process.id);
            }),
            Self::Terminate { host, process } => {
                each(&world.known(host)?, process, |host, process| {
                    host.signal(Target::Process(process.id), Signal::Terminate);
                });
            }
            Self::Pause { host, process } => each(&world.known(host)?, process, |host, process| {
                host.pause(process.id);
            }),
            Self::Resume { host, process } => {
                each(&world.known(host)?, process, |host, process| {
                    host.resume(process.id);
                })
            }
            Self::Crash { host } => world.known(host)?.crash(),
            Self::Boot { host } => world.known(host)?.boot(),
            Self::Reboot { host } => {
                let host = world.known(host)?;
                host.crash();
                host.boot();
            }
            Self::OutOfMemory { host, process, session } => {
                each(&world.known(host)?, process, |host, process| {
                    match session {
                        true => host.kill_session_out_of_memory(process.session),
                        false => host.kill_out_of_memory(process.id),
                    };
                });
            }
            Self::LaunchLatency { host, latency } => {
                world.known(host)?.set_launch_latency(*latency);
            }
            Self::LaunchFailures { host, probability } => {
                world.known(host)?.set_launch_failures(*probability);
            }
            Self::LaunchHang { host, on } => world.known(host)?.set_launches_hang(*on),
            Self::Behave { host, program, behaviour } => {
                world.known(host)?.set_behaviour(program, *behaviour);
            }
            Self::CrashAt { host, point } => world.known(host)?.crash_at(point.clone()),
            Self::ClearCrashPoints { host } => {
                world.known(host)?.clear_crash_points();
            }
        }
        Ok(())
    }
}

fn each(host: &Host, pattern: &str, act: impl Fn(&Host, &ProcessInfo)) {
    for process in host.processes() {
        let name = process.command.first().map_or("", String::as_str);
        if matches(pattern, name) {
            act(host, &process);
        }
    }
}
