//! What a scenario can do to the network.

use std::fmt;
use std::sync::Arc;

use super::link::{Fate, Link};
use super::state::Network;
use crate::config::Latency;
use crate::host::Host;
use crate::world::Inner;

/// From one host to another.
pub(super) type Way = (Host, Host);

/// The network in the scenario's hands. All of its actions take effect at once.
///
/// A cut is silent: bytes in flight and later ones are held and arrive after healing, as
/// retransmission makes them do, but a writer whose bytes stay unacknowledged for
/// [`crate::NetworkConfig::stream_timeout`] is told that the connection timed out. Requests to
/// connect are repeated after 1, 2, 4, … seconds and given up after two minutes.
#[derive(Clone)]
pub struct NetworkControl {
    world: Arc<Inner>,
}

impl fmt::Debug for NetworkControl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("NetworkControl")
    }
}

impl NetworkControl {
    pub(crate) fn new(world: Arc<Inner>) -> Self {
        Self { world }
    }

    pub(super) fn world(&self) -> &Arc<Inner> {
        &self.world
    }

    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Network, &Inner) -> T) -> T {
        act(&mut self.world.network.lock(), &self.world)
    }

    /// Cuts both ways between two hosts.
    pub fn cut(&self, a: &Host, b: &Host) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Cuts what travels from one host to the other; the way back stays whole.
    pub fn cut_one_way(&self, from: &Host, to: &Host) {
        self.with(|network, world| network.cut(world, from.index(), to.index()));
    }

    /// Mends both ways between two hosts.
    pub fn heal(&self, a: &Host, b: &Host) {
        self.heal_one_way(a, b);
        self.heal_one_way(b, a);
    }

    /// Mends what travels from one host to the other.
    pub fn heal_one_way(&self, from: &Host, to: &Host) {
        self.with(|network, world| network.heal(world, from.index(), to.index()));
    }

    /// Mends everything.
    pub fn heal_all(&self) {
        self.with(|network, world| {
            let hosts = network.stations.len() as u32;
            for from in 0..hosts {
                for to in 0..hosts {
                    network.heal(world, from, to);
                }
            }
        });
    }

    /// Cuts a host off from all others, both ways.
    pub fn isolate(&self, host: &Host) {
        self.with(|network, world| {
            for other in 0..network.stations.len() as u32 {
                network.cut(world, host.index(), other);
                network.cut(world, other, host.index());
            }
        });
    }

    /// Mends both ways between a host and all others.
    pub fn rejoin(&self, host: &Host) {
        self.with(|network, world| {
            for other in 0..network.stations.len() as u32 {
                network.heal(world, host.index(), other);
                network.heal(world, other, host.index());
            }
        });
    }

    /// Cuts every way between a host of `left` and one of `right`. With hosts in neither, those
    /// bridge the two sides.
    pub fn partition(&self, left: &[Host], right: &[Host]) {
        for a in left {
            for b in right {
                self.cut(a, b);
            }
        }
    }

    /// Whether what travels from one host to the other is cut.
    pub fn is_cut(&self, from: &Host, to: &Host) -> bool {
        self.with(|network, _| network.link(from.index(), to.index()).cut)
    }

    /// Breaks all streams between two hosts: both ends see a reset, after a random part of what was
    /// on its way.
    pub fn reset_all(&self, a: &Host, b: &Host) {
        self.with(|network, world| network.reset_all(world, a.index(), b.index()));
    }

    /// Sets the delay of each way between two hosts, for what is sent from now on. The two may be
    /// the same host.
    pub fn set_latency(&self, a: &Host, b: &Host, latency: Latency) {
        self.change(a, b, |link| link.latency = latency);
        self.change(b, a, |link| link.latency = latency);
    }

    /// Sets the delay of what travels from one host to the other.
    pub fn set_latency_one_way(&self, from: &Host, to: &Host, latency: Latency) {
        self.change(from, to, |link| link.latency = latency);
    }

    /// Sets the bytes a second that each stream carries each way between two hosts; `None` is
    /// without limit.
    pub fn set_bandwidth(&self, a: &Host, b: &Host, bandwidth: Option<u64>) {
        self.change(a, b, |link| link.bandwidth = bandwidth);
        self.change(b, a, |link| link.bandwidth = bandwidth);
    }

    fn change(&self, from: &Host, to: &Host, change: impl FnOnce(&mut Link)) {
        self.with(|network, world| {
            let row = network.links.get_mut(from.index() as usize);
            if let Some(link) = row.and_then(|row| row.get_mut(to.index() as usize)) {
                let before = (link.latency, link.bandwidth);
                change(link);
                if (link.latency, link.bandwidth) != before {
                    network.record_quality(world, from.index(), to.index());
                }
            }
        });
    }

    /// Streams that are open or being opened between two hosts, half-open ones included.
    pub fn streams_between(&self, a: &Host, b: &Host) -> usize {
        self.with(|network, _| network.between(a.index(), b.index()).len())
    }

    /// Those of them on which nothing arrives any more: their other end learns of nothing, whatever
    /// becomes of this one.
    pub fn silent_streams_between(&self, a: &Host, b: &Host) -> usize {
        self.with(|network, _| {
            let keys = network.between(a.index(), b.index()).into_iter();
            let connections = keys.filter_map(|key| network.connections.get(key));
            connections.filter(|connection| connection.fate != Fate::Whole).count()
        })
    }
}
