//! Daemons, executors and hosts that die, hang or stop.

use std::time::Duration;

use orrery_runtime_sim::{
    Behaviour, CrashKind, CrashPoint, Latency, Moment, Operation, ProcessFault,
};

use super::{Draw, Kind};
use crate::plan::{ClusterFault, Place};

pub(super) const KINDS: &[Kind] = &[
    ("kill", |draw| {
        let place = draw.place();
        draw.add(ProcessFault::Kill {
            host: place.to_string(),
            process: place.daemon().to_owned(),
        });
    }),
    ("terminate", |draw| {
        let place = draw.place();
        let (host, process) = (place.to_string(), place.daemon().to_owned());
        draw.add(ProcessFault::Terminate { host, process });
    }),
    ("kill-executor", |draw| {
        let agent = Place::Agent(draw.agent());
        draw.once(ClusterFault::KillExecutor { agent });
    }),
    ("crash-loop", |draw| {
        let (place, life) = (draw.place(), Duration::from_millis(draw.number(10, 3_000)));
        draw.add(ClusterFault::CrashLoop { place, life });
    }),
    ("crash", |draw| {
        let host = draw.place().to_string();
        draw.add(ProcessFault::Crash { host });
    }),
    ("reboot", |draw| {
        let host = draw.place().to_string();
        draw.once(ProcessFault::Reboot { host });
    }),
    ("pause", |draw| {
        let place = draw.place();
        draw.add(ProcessFault::Pause {
            host: place.to_string(),
            process: place.daemon().to_owned(),
        });
    }),
    ("out-of-memory", |draw| {
        let host = Place::Agent(draw.agent()).to_string();
        let process = (*draw.pick(&["mesos-executor", "mesos-agent"])).to_owned();
        let session = draw.is_heads();
        draw.add(ProcessFault::OutOfMemory { host, process, session });
    }),
    ("launches", |draw| {
        let host = Place::Agent(draw.agent()).to_string();
        let slow = Latency::from_millis(0, draw.number(1, 20_000));
        let probability = draw.percent(1, 100);
        let fault = match draw.number(0, 2) {
            0 => ProcessFault::LaunchLatency { host, latency: Some(slow) },
            1 => ProcessFault::LaunchFailures { host, probability },
            _ => ProcessFault::LaunchHang { host, on: true },
        };
        draw.add(fault);
    }),
    ("behave", |draw| {
        let host = Place::Agent(draw.agent()).to_string();
        let within = Latency::from_millis(0, *draw.pick(&[1, 100, 5_000]));
        let code = *draw.pick(&[0, 1]);
        let behaviour = match draw.number(0, 3) {
            0 => Behaviour::Exit { within, code },
            1 => Behaviour::Die { within },
            2 => Behaviour::Hang,
            _ => Behaviour::IgnoreTerminate,
        };
        let program = "executor".to_owned();
        draw.add(ProcessFault::Behave { host, program, behaviour: Some(behaviour) });
    }),
    ("crash-at", crash_at),
];

/// Crash points of daemons: what they do when they die.
fn crash_at(draw: &mut Draw<'_>) {
    let place = draw.place();
    let any = || "*".to_owned();
    let operation = match draw.number(0, 6) {
        0 => Operation::Open(any()),
        1 => Operation::Write(any()),
        2 => Operation::Sync(any()),
        3 => Operation::Rename(any()),
        4 => Operation::Remove(any()),
        5 => Operation::Launch(any()),
        _ => Operation::Send(draw.number(1, 4_000)),
    };
    let point = CrashPoint {
        process: place.daemon().to_owned(),
        operation,
        nth: draw.number(1, 10),
        moment: *draw.pick(&[Moment::Before, Moment::After]),
        kind: *draw.pick(&[CrashKind::ProcessKill, CrashKind::HostCrash]),
    };
    draw.add(ProcessFault::CrashAt { host: place.to_string(), point });
}
