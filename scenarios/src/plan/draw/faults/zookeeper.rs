//! ZooKeeper, where masters meet there: its servers, its sessions, and the ways to it.

use orrery_runtime_sim::{Ending, Extent, NetworkFault, ProcessFault, ZookeeperFault};

use super::{Draw, Kind};
use crate::plan::Place;

/// Where masters meet.
const GROUP: &str = "/orrery";
/// The last numbers before they go on below zero.
const LAST_SEQUENCE: u32 = i32::MAX.cast_unsigned();

pub(super) const KINDS: &[Kind] = &[
    // Too few servers are left to serve (Z6).
    ("quorum", |draw| {
        let (first, lasting, kill) = (draw.server(), draw.lasting(), draw.is_heads());
        for number in [first, (first + 1) % 3] {
            let place = Place::ZooKeeper(number);
            let (host, process) = (place.to_string(), place.daemon().to_owned());
            draw.for_time(
                lasting,
                match kill {
                    true => ProcessFault::Kill { host, process },
                    false => ProcessFault::Pause { host, process },
                },
            );
        }
    }),
    // A host loses ZooKeeper and keeps its peers, or the other way round (N4).
    ("coordination", |draw| {
        let place = if draw.is_heads() { draw.master() } else { draw.edge() };
        let is_server = |place: Place| matches!(place, Place::ZooKeeper(_));
        let right = match draw.is_heads() {
            true => draw.hosts(is_server),
            false => draw.hosts(|other| !is_server(other) && other != place),
        };
        let (left, ways) = (vec![place.to_string()], draw.ways());
        draw.add(NetworkFault::Partition { left, right, ways });
    }),
    // A client loses its connection, and mostly keeps its session (Z2).
    ("client", |draw| {
        let a = if draw.is_heads() { draw.master() } else { draw.edge() }.to_string();
        let b = Place::ZooKeeper(draw.server()).to_string();
        let ending = *draw.pick(&[Ending::Reset, Ending::End, Ending::Silence]);
        draw.once(NetworkFault::Break { a, b, extent: Extent::All, ending });
    }),
    ("sessions", |draw| {
        let extent = *draw.pick(&[Extent::One, Extent::All]);
        draw.once(ZookeeperFault::ExpireSessions { path: GROUP.to_owned(), extent });
    }),
    ("watches", |draw| {
        let (host, count) = (Place::ZooKeeper(draw.server()).to_string(), draw.number(1, 3));
        draw.add(ZookeeperFault::LoseWatches { host, count: count as u32 });
    }),
    ("answers", |draw| {
        let (host, count) = (Place::ZooKeeper(draw.server()).to_string(), draw.number(1, 3));
        draw.add(ZookeeperFault::LoseAnswers { host, count: count as u32 });
        draw.once(ZookeeperFault::ExpireSessions { path: GROUP.to_owned(), extent: Extent::All });
    }),
    ("lag", |draw| {
        let host = Place::ZooKeeper(draw.server()).to_string();
        let by = draw.lasting();
        draw.add(ZookeeperFault::Lag { host, by });
    }),
    ("sequence", sequence),
];

/// Numbers are never given out again, so only one plan of many comes to their end, once.
fn sequence(draw: &mut Draw<'_>) {
    if !draw.has("set-sequence") {
        let next = LAST_SEQUENCE - draw.number(0, 2) as u32;
        draw.once(ZookeeperFault::SetSequence { path: GROUP.to_owned(), next });
        draw.once(ZookeeperFault::ExpireSessions { path: GROUP.to_owned(), extent: Extent::One });
    }
}
