//! Names and addresses: which host they mean, and how that changes.

use std::net::{IpAddr, Ipv4Addr};

use super::link::Fate;
use super::state::{NOWHERE, Network};
use crate::trace::{Chain, Node};
use crate::world::Inner;

impl Network {
    /// The host that a name or address means to host `asking`.
    pub(crate) fn resolve(&self, name: &str, asking: u32) -> Option<u32> {
        let address = name.parse::<IpAddr>().ok();
        if name == "localhost" || address.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified())
        {
            return Some(asking);
        }
        if let Some(changed) = self.aliases.get(name) {
            return *changed;
        }
        let known = self.names.get(name).copied();
        // An address without a host is a place that never answers; a name without one is an error.
        known.or(address.is_some().then_some(NOWHERE))
    }

    /// From now on `name` means `host`, or nothing.
    pub(crate) fn set_name(&mut self, world: &Inner, name: &str, host: Option<u32>) {
        self.aliases.insert(name.to_owned(), host);
        self.record_name(world, name, host);
    }

    /// `name` means again what it meant at first.
    pub(crate) fn restore_name(&mut self, world: &Inner, name: &str) {
        if self.aliases.remove(name).is_some() {
            let host = self.names.get(name).copied();
            self.record_name(world, name, host);
        }
    }

    /// All names mean again what they meant at first.
    pub(crate) fn restore_names(&mut self, world: &Inner) {
        let names: Vec<String> = self.aliases.keys().cloned().collect();
        for name in names {
            self.restore_name(world, &name);
        }
    }

    fn record_name(&self, world: &Inner, name: &str, host: Option<u32>) {
        let mut chain = Chain::new(0);
        chain.bytes(name.as_bytes());
        let index = host.map_or(u64::MAX, u64::from);
        world.record(Node::Named("network"), "name", &[chain.value(), index], || {
            let station = host.and_then(|host| self.stations.get(host as usize));
            format!("{name} means {}", station.map_or("nothing", |station| &station.name))
        });
    }

    /// Gives a host an address that nobody ever had.
    pub(crate) fn renumber(&mut self, world: &Inner, host: u32) {
        self.moved += 1;
        let [.., high, low] = self.moved.to_be_bytes();
        self.set_address(world, host, Ipv4Addr::new(10, 1, high, low));
    }

    /// Gives `to` the address of `from`, which gets a new one.
    pub(crate) fn take_address(&mut self, world: &Inner, to: u32, from: u32) {
        let Some(station) = self.stations.get(from as usize).filter(|_| to != from) else { return };
        let address = station.address;
        self.renumber(world, from);
        self.set_address(world, to, address);
        // What others still send to the old owner's streams reaches the new one, which has no such.
        for key in self.touching(from) {
            let Some(connection) = self.connections.get_mut(key) else { continue };
            for side in [0, 1] {
                if connection.ends[1 - side].address.ip() == IpAddr::V4(address) {
                    connection.fate = Fate::Stranger(side);
                }
            }
            for side in [0, 1] {
                self.is_lost(world, key, side);
            }
        }
    }

    /// The streams of the old address fall silent: nothing that is sent to it arrives.
    fn set_address(&mut self, world: &Inner, host: u32, address: Ipv4Addr) {
        let Some(station) = self.stations.get_mut(host as usize) else { return };
        let old = std::mem::replace(&mut station.address, address);
        if self.names.get(&old.to_string()) == Some(&host) {
            self.names.remove(&old.to_string());
        }
        self.names.insert(address.to_string(), host);
        for key in self.touching(host) {
            let Some(connection) = self.connections.get(key) else { continue };
            if connection.ends.iter().any(|end| end.address.ip() == IpAddr::V4(old)) {
                self.silence(world, key, Fate::Silent);
            }
        }
        let numbers = [u64::from(host), u64::from(u32::from(address))];
        world.record(Node::Named("network"), "address", &numbers, || {
            let name = self.stations.get(host as usize).map_or("", |station| &station.name);
            format!("{name} has {address}")
        });
    }
}
