//! What a scenario can do to the network beside cutting: delays, lost data, untimely ends, names.

use std::time::Duration;

use super::NetworkControl;
use super::control::Way;
use super::link::{Connecting, Ending, Link, Trap};
use crate::config::{Tail, nanoseconds};
use crate::host::Host;
use crate::probability::Probability;
use crate::trace::Node;

impl NetworkControl {
    /// From now on a few of the pieces from one host to the other take much longer than the
    /// others, and all that their stream sends after them waits for them; `None` ends that.
    pub fn set_tail(&self, from: &Host, to: &Host, tail: Option<Tail>) {
        let parts = tail.map_or(0, |tail| tail.probability.parts_per_million());
        let longest = tail.map_or(0, |tail| nanoseconds(tail.latency.maximum));
        let text = tail.map_or("none".to_owned(), |tail| {
            format!("{} by up to {:?}", tail.probability, tail.latency.maximum)
        });
        self.alter(from, to, "tail", &[u64::from(parts), longest], &text, |link| link.tail = tail);
    }

    /// Sets the bytes a second that each stream carries from one host to the other; `None` is
    /// without limit.
    pub fn set_bandwidth_one_way(&self, from: &Host, to: &Host, bandwidth: Option<u64>) {
        let text = bandwidth.map_or("any".to_owned(), |bandwidth| bandwidth.to_string());
        let number = bandwidth.unwrap_or(u64::MAX);
        self.alter(from, to, "bandwidth", &[number], &text, |link| link.bandwidth = bandwidth);
    }

    /// Sets what becomes of requests of one host to connect to the other. Open streams go on.
    pub fn set_connecting(&self, from: &Host, to: &Host, connecting: Connecting) {
        let number = connecting as u64;
        let text = format!("{connecting:?}").to_lowercase();
        self.alter(from, to, "requests", &[number], &text, |link| link.connecting = connecting);
    }

    /// Sets how likely one bit of what arrives at once from one host at the other is flipped.
    pub fn set_bit_flips(&self, from: &Host, to: &Host, probability: Probability) {
        let number = u64::from(probability.parts_per_million());
        let text = probability.to_string();
        self.alter(from, to, "flips", &[number], &text, |link| link.flips = probability);
    }

    /// Once `bytes` more bytes have arrived from one host at the other, over whatever streams, the
    /// stream of the next byte ends. Works once.
    pub fn break_after(&self, from: &Host, to: &Host, bytes: u64, ending: Ending) {
        let text = format!("{ending:?} after {bytes} bytes").to_lowercase();
        let trap = Some(Trap { bytes, ending });
        self.alter(from, to, "trap", &[bytes, ending as u64], &text, |link| link.trap = trap);
    }

    /// Holds back all that is sent over streams from one host to the other, while connecting and
    /// acknowledgements still work: requests are carried out, but their answers do not come.
    pub fn hold(&self, from: &Host, to: &Host) {
        self.with(|network, world| network.hold(world, from.index(), to.index(), true));
    }

    /// Lets data that was held back arrive, after a retransmission.
    pub fn release(&self, from: &Host, to: &Host) {
        self.with(|network, world| network.hold(world, from.index(), to.index(), false));
    }

    /// Ends all streams between two hosts untimely; returns how many there were. With a reset or an
    /// end, a random part of what was on its way still arrives.
    pub fn break_all(&self, a: &Host, b: &Host, ending: Ending) -> usize {
        let path = (a.index(), b.index());
        self.with(|network, world| network.break_between(world, path, true, ending))
    }

    /// As [`NetworkControl::break_all`], but ends only a random one; false when there was none.
    pub fn break_one(&self, a: &Host, b: &Host, ending: Ending) -> bool {
        let path = (a.index(), b.index());
        self.with(|network, world| network.break_between(world, path, false, ending)) > 0
    }

    /// From now on `name` does not resolve. Open streams go on.
    pub fn forget_name(&self, name: &str) {
        self.with(|network, world| network.set_name(world, name, None));
    }

    /// From now on `name` resolves to `host`.
    pub fn point_name(&self, name: &str, host: &Host) {
        self.with(|network, world| network.set_name(world, name, Some(host.index())));
    }

    /// `name` resolves again to what it did at first.
    pub fn restore_name(&self, name: &str) {
        self.with(|network, world| network.restore_name(world, name));
    }

    /// Gives `host` a new address that none ever had: [`Host::ip`] changes and its name resolves to
    /// it. Streams of the old address fall silent; connecting to the old address fails.
    pub fn change_address(&self, host: &Host) {
        self.with(|network, world| network.renumber(world, host.index()));
    }

    /// Gives `to` the address of `from`, which gets a new one: as a new machine that comes up under
    /// the address of an old one. What others send over their streams to the old owner is answered
    /// with a reset.
    pub fn take_address(&self, to: &Host, from: &Host) {
        self.with(|network, world| network.take_address(world, to.index(), from.index()));
    }

    /// Takes every fault off every link and name: cuts, delays, limits, held data, traps. Streams
    /// that were broken stay so, and addresses stay where they are.
    pub fn mend(&self) {
        self.heal_all();
        self.with(|network, world| {
            network.restore_names(world);
            network.mends += 1;
            for from in 0..network.stations.len() as u32 {
                for to in 0..network.stations.len() as u32 {
                    network.hold(world, from, to, false);
                    let usual = match from == to {
                        true => Link::new(network.config.loopback, None),
                        false => Link::new(network.config.latency, network.config.bandwidth),
                    };
                    if let Some(row) = network.links.get_mut(from as usize)
                        && let Some(link) = row.get_mut(to as usize)
                    {
                        *link = usual;
                    }
                }
            }
            world.record(Node::Named("network"), "mend", &[], String::new);
        });
    }

    /// Cuts a random choice of the ways between `hosts` one after another, up to `step` apart,
    /// waits, and mends them one after another in another order ("swizzle-clogging"). Ways that
    /// were cut before stay out of it. It ends when everything is mended.
    pub async fn swizzle(&self, hosts: &[Host], step: Duration) {
        let ways = self.ways(hosts);
        super::swizzle::run(self, ways, step).await;
    }

    fn ways(&self, hosts: &[Host]) -> Vec<Way> {
        let others = |from: &Host| {
            let from = from.clone();
            hosts.iter().cloned().map(move |to| (from.clone(), to))
        };
        let ways = hosts.iter().flat_map(others);
        ways.filter(|(from, to)| from.index() != to.index() && !self.is_cut(from, to)).collect()
    }

    fn alter(
        &self,
        from: &Host,
        to: &Host,
        kind: &str,
        numbers: &[u64],
        text: &str,
        change: impl FnOnce(&mut Link),
    ) {
        self.with(|network, world| {
            let row = network.links.get_mut(from.index() as usize);
            let Some(link) = row.and_then(|row| row.get_mut(to.index() as usize)) else { return };
            change(link);
            let path = [u64::from(from.index()), u64::from(to.index())];
            world.record(Node::Named("network"), kind, &[&path, numbers].concat(), || {
                format!("{} -> {} {text}", from.name(), to.name())
            });
        });
    }
}
