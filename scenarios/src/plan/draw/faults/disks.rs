//! Disks that fail, lie and forget.

use orrery_runtime_sim::{DiskFault, DiskOperation, Latency, ProcessFault, Tearing};

use super::{Draw, Kind};
use crate::plan::Place;

pub(super) const KINDS: &[Kind] = &[
    ("full", |draw| {
        let host = draw.daemon_host();
        draw.add(DiskFault::Full { host, on: true });
    }),
    ("read-only", |draw| {
        let host = draw.daemon_host();
        draw.add(DiskFault::ReadOnly { host, on: true });
    }),
    ("disk-errors", |draw| {
        let host = draw.daemon_host();
        let operation =
            *draw.pick(&[DiskOperation::Read, DiskOperation::Write, DiskOperation::Sync]);
        let (nth, rate) = (draw.number(1, 8), draw.percent(1, 30));
        let fault = match draw.is_heads() {
            true => DiskFault::FailNth { host, operation, nth },
            false => DiskFault::ErrorRate { host, operation, rate },
        };
        draw.add(fault);
    }),
    ("slow-disk", |draw| {
        let (host, most) = (draw.daemon_host(), draw.number(1, 2_000));
        let fault = match draw.is_heads() {
            true => DiskFault::Stall { host, duration: draw.lasting() },
            false => DiskFault::Slow { host, latency: Some(Latency::from_millis(most / 10, most)) },
        };
        draw.add(fault);
    }),
    ("torn", torn),
    ("wipe", |draw| {
        let host = Place::Agent(draw.agent()).to_string();
        draw.add(DiskFault::Wipe { host });
    }),
    // Changes nothing as long as no disk lies.
    ("drop-caches", |draw| {
        let host = draw.daemon_host();
        draw.once(DiskFault::DropCaches { host });
    }),
];

/// The registry loses copies, but only a minority of them, always the same.
pub(super) const COPIES: &[Kind] = &[
    ("lost-copy", |draw| {
        let host = draw.minority().to_string();
        draw.add(DiskFault::Wipe { host });
    }),
    ("rotten-copy", |draw| {
        let host = draw.minority().to_string();
        let path = "/var/lib/master/replicated_log/*".to_owned();
        draw.once(DiskFault::FlipBit { host: host.clone(), path });
        draw.add(ProcessFault::Crash { host });
    }),
];

/// What nothing can be built on: see [`super::BEYOND_REPAIR`].
pub(super) const LYING: &[Kind] = &[("rot", rot), ("restore", restore)];

/// What was durable is something else, and shows once the host has booted.
fn rot(draw: &mut Draw<'_>) {
    let host = draw.daemon_host();
    let path = || "/var/lib/*".to_owned();
    let fault = match draw.number(0, 3) {
        0 => DiskFault::FlipBit { host: host.clone(), path: path() },
        1 => {
            let bytes = draw.number(1, 2_000);
            DiskFault::TruncateTail { host: host.clone(), path: path(), bytes }
        }
        2 => DiskFault::Misdirect { host: host.clone(), victim: path() },
        _ => DiskFault::LoseWrite { host: host.clone() },
    };
    draw.once(fault);
    draw.pass();
    if draw.is_heads() {
        draw.once(DiskFault::DropCaches { host: host.clone() });
    }
    draw.add(ProcessFault::Crash { host });
}

/// A disk is again as it was a while ago.
fn restore(draw: &mut Draw<'_>) {
    let host = draw.daemon_host();
    let name = "before".to_owned();
    draw.once(DiskFault::Snapshot { host: host.clone(), name: name.clone() });
    draw.pass();
    draw.add(DiskFault::Restore { host, name });
}

/// A loss of power that tears what was not synced in one way or another.
fn torn(draw: &mut Draw<'_>) {
    let host = draw.daemon_host();
    let tear = match draw.number(0, 4) {
        0 => DiskFault::Tearing { host: host.clone(), tearing: Tearing::Blocks(512) },
        1 => DiskFault::Tearing { host: host.clone(), tearing: Tearing::Blocks(4_096) },
        2 => DiskFault::Tearing { host: host.clone(), tearing: Tearing::Scattered(512) },
        3 => DiskFault::Tearing { host: host.clone(), tearing: Tearing::Scattered(4_096) },
        _ => DiskFault::EmptyAtCrash { host: host.clone(), on: true },
    };
    draw.add(tear);
    draw.add(ProcessFault::Crash { host });
}
