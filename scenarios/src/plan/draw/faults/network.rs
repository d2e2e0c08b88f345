//! What goes wrong between hosts.

use std::time::Duration;

use orrery_runtime_sim::{Connecting, Extent, Latency, NetworkFault, Tail};

use super::Kind;
use crate::plan::Place;

pub(super) const KINDS: &[Kind] = &[
    ("cut", |draw| {
        let ([a, b], ways) = (draw.ends(), draw.ways());
        draw.add(NetworkFault::Cut { a, b, ways });
    }),
    ("partition", |draw| {
        let (left, right) = draw.sides();
        let ways = draw.ways();
        draw.add(NetworkFault::Partition { left, right, ways });
    }),
    // Only agents lose the masters, or only frameworks do (N5, N6).
    ("layers", |draw| {
        let masters = draw.hosts(|place| matches!(place, Place::Master(_)));
        let right = match draw.is_heads() {
            true => draw.hosts(|place| matches!(place, Place::Agent(_))),
            false => draw.hosts(|place| matches!(place, Place::Scheduler(_))),
        };
        let ways = draw.ways();
        draw.add(NetworkFault::Partition { left: masters, right, ways });
    }),
    ("isolate", |draw| {
        let host = draw.place().to_string();
        draw.add(NetworkFault::Isolate { host });
    }),
    ("swizzle", |draw| {
        let (left, right) = draw.sides();
        let step = Duration::from_millis(draw.number(1, 1_000));
        draw.once(NetworkFault::Swizzle { hosts: [left, right].concat(), step });
    }),
    ("latency", |draw| {
        let ([a, b], ways, most) = (draw.ends(), draw.ways(), draw.number(5, 800));
        let latency = Latency::from_millis(most / 10, most);
        draw.add(NetworkFault::Slow { a, b, latency, ways });
    }),
    ("tail", |draw| {
        let ([a, b], ways) = (draw.ends(), draw.ways());
        let latency = Latency::from_millis(100, draw.number(200, 10_000));
        let tail = Tail { probability: draw.percent(1, 20), latency };
        draw.add(NetworkFault::Tail { a, b, tail: Some(tail), ways });
    }),
    ("bandwidth", |draw| {
        let ([a, b], ways, bandwidth) = (draw.ends(), draw.ways(), draw.number(50, 20_000));
        draw.add(NetworkFault::Bandwidth { a, b, bandwidth: Some(bandwidth), ways });
    }),
    ("break", |draw| {
        let [a, b] = draw.ends();
        let (ending, extent) = (draw.ending(), *draw.pick(&[Extent::All, Extent::One]));
        draw.once(NetworkFault::Break { a, b, extent, ending });
    }),
    ("break-after", |draw| {
        let ([from, to], ending, bytes) = (draw.ends(), draw.ending(), draw.number(1, 4_000));
        draw.once(NetworkFault::BreakAfter { from, to, bytes, ending });
    }),
    ("connecting", |draw| {
        let [from, to] = draw.ends();
        let answer = *draw.pick(&[Connecting::Hang, Connecting::Refuse, Connecting::Close]);
        draw.add(NetworkFault::Connecting { from, to, answer });
    }),
    ("hold", |draw| {
        let [from, to] = draw.ends();
        draw.add(NetworkFault::Hold { from, to, on: true });
    }),
    ("names", |draw| {
        let name = draw.master().to_string();
        let host = draw.edge().to_string();
        let fault = match draw.is_heads() {
            true => NetworkFault::ForgetName { name },
            false => NetworkFault::PointName { name, host },
        };
        draw.add(fault);
    }),
    ("address", |draw| {
        let (host, owner) = (draw.agent(), draw.agent());
        let [host, owner] = [host, owner].map(|number| Place::Agent(number).to_string());
        let fault = match host == owner {
            true => NetworkFault::ChangeAddress { host },
            false => NetworkFault::TakeAddress { host, owner },
        };
        draw.add(fault);
    }),
];

/// What nothing can be built on: see [`super::BEYOND_REPAIR`].
pub(super) const GARBLING: &[Kind] = &[("flip", |draw| {
    let ([a, b], ways, probability) = (draw.ends(), draw.ways(), draw.percent(1, 10));
    draw.add(NetworkFault::Flip { a, b, probability, ways });
})];
