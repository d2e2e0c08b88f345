//! Faults between hosts.

use std::time::Duration;

use super::InjectError;
use super::table::faults;
use super::values::{Extent, Ways};
use crate::config::{Latency, Tail};
use crate::host::Host;
use crate::network::{Connecting, Ending};
use crate::probability::Probability;
use crate::world::World;

faults! {
    /// Something between hosts.
    NetworkFault {
        /// Nothing travels between two hosts, or from the first to the second.
        Cut("N2", "cut") {
            /// A host.
            a: String,
            /// Another.
            b: String,
            /// There and back, or there only.
            ways: Ways,
        }
        /// Everything travels again.
        Heal("", "heal") {
            /// A host.
            a: String,
            /// Another.
            b: String,
            /// There and back, or there only.
            ways: Ways,
        }
        /// All cuts are healed.
        HealAll("", "heal-all") {}
        /// Nothing travels between a host of one side and one of the other. Hosts that stand on
        /// neither side are a bridge between them.
        Partition("N1 N3 N4 N5 N6", "partition") {
            /// One side.
            left: Vec<String>,
            /// The other.
            right: Vec<String>,
            /// There and back, or from the first side to the other only.
            ways: Ways,
        }
        /// A host is cut off from all others.
        Isolate("N1", "isolate") {
            /// The host.
            host: String,
        }
        /// A host is no longer cut off from any other.
        Rejoin("", "rejoin") {
            /// The host.
            host: String,
        }
        /// A random choice of the ways between hosts is cut one after another and mended in another
        /// order.
        Swizzle("N7", "swizzle") {
            /// The hosts.
            hosts: Vec<String>,
            /// The most that lies between two steps.
            step: Duration,
        }
        /// What is sent between two hosts takes so long.
        Slow("N8", "latency") {
            /// A host.
            a: String,
            /// Another.
            b: String,
            /// How long, each way.
            latency: Latency,
            /// There and back, or there only.
            ways: Ways,
        }
        /// Some of what is sent between two hosts takes much longer.
        Tail("N8", "tail") {
            /// A host.
            a: String,
            /// Another.
            b: String,
            /// How often and how much longer.
            tail: Option<Tail>,
            /// There and back, or there only.
            ways: Ways,
        }
        /// Each stream between two hosts carries only so many bytes a second.
        Bandwidth("N9", "bandwidth") {
            /// A host.
            a: String,
            /// Another.
            b: String,
            /// Bytes a second.
            bandwidth: Option<u64>,
            /// There and back, or there only.
            ways: Ways,
        }
        /// Streams between two hosts end untimely; a part of what was on its way may still arrive.
        Break("N10 N11 N12", "break") {
            /// A host.
            a: String,
            /// Another.
            b: String,
            /// All of the streams or one.
            extent: Extent,
            /// How they end.
            ending: Ending,
        }
        /// A stream ends untimely once so many more bytes have arrived from one host at the other.
        BreakAfter("N10 N11 N12", "break-after") {
            /// The host that sends.
            from: String,
            /// The host that receives.
            to: String,
            /// How many.
            bytes: u64,
            /// How it ends.
            ending: Ending,
        }
        /// What becomes of requests to connect.
        Connecting("N13 N14", "connecting") {
            /// The host that asks.
            from: String,
            /// The host that is asked.
            to: String,
            /// What becomes of them.
            answer: Connecting,
        }
        /// What is sent from one host to the other is held back; acknowledgements travel.
        Hold("N19", "hold") {
            /// The host that sends.
            from: String,
            /// The host that receives.
            to: String,
            /// Held or released.
            on: bool,
        }
        /// Bits flip on the way between two hosts.
        Flip("N20", "flip") {
            /// A host.
            a: String,
            /// Another.
            b: String,
            /// How likely one does in what arrives at once.
            probability: Probability,
            /// There and back, or there only.
            ways: Ways,
        }
        /// A name does not resolve.
        ForgetName("N17", "forget-name") {
            /// The name.
            name: String,
        }
        /// A name resolves to another host.
        PointName("N17", "point-name") {
            /// The name.
            name: String,
            /// The host that it resolves to.
            host: String,
        }
        /// A name resolves again to what it did at first.
        RestoreName("", "restore-name") {
            /// The name.
            name: String,
        }
        /// A host gets a new address.
        ChangeAddress("N17", "change-address") {
            /// The host.
            host: String,
        }
        /// A host gets the address of another one, which gets a new one.
        TakeAddress("N18", "take-address") {
            /// The host that gets it.
            host: String,
            /// The host that loses it.
            owner: String,
        }
    }
}

impl NetworkFault {
    pub(super) fn apply(&self, world: &World) -> Result<(), InjectError> {
        let network = world.network();
        match self {
            Self::HealAll {} => network.heal_all(),
            Self::Partition { left, right, ways } => {
                for from in world.all_known(left)? {
                    for to in world.all_known(right)? {
                        each_way(&from, &to, *ways, |from, to| network.cut_one_way(from, to));
                    }
                }
            }
            Self::Isolate { host } => network.isolate(&world.known(host)?),
            Self::Rejoin { host } => network.rejoin(&world.known(host)?),
            Self::Swizzle { hosts, step } => {
                let (hosts, step) = (world.all_known(hosts)?, *step);
                let network = network.clone();
                world.spawn(async move { network.swizzle(&hosts, step).await });
            }
            Self::ForgetName { name } => network.forget_name(name),
            Self::PointName { name, host } => network.point_name(name, &world.known(host)?),
            Self::RestoreName { name } => network.restore_name(name),
            Self::ChangeAddress { host } => network.change_address(&world.known(host)?),
            Self::TakeAddress { host, owner } => {
                network.take_address(&world.known(host)?, &world.known(owner)?);
            }
            _ => self.apply_between(world)?,
        }
        Ok(())
    }

    /// Those between two hosts.
    fn apply_between(&self, world: &World) -> Result<(), InjectError> {
        let network = world.network();
        let between = |a: &str, b: &str, ways: Ways, act: &dyn Fn(&Host, &Host)| {
            each_way(&world.known(a)?, &world.known(b)?, ways, act);
            Ok(())
        };
        match self {
            Self::Cut { a, b, ways } => {
                between(a, b, *ways, &|from, to| network.cut_one_way(from, to))
            }
            Self::Heal { a, b, ways } => {
                between(a, b, *ways, &|from, to| network.heal_one_way(from, to))
            }
            Self::Slow { a, b, latency, ways } => {
                between(a, b, *ways, &|from, to| network.set_latency_one_way(from, to, *latency))
            }
            Self::Tail { a, b, tail, ways } => {
                between(a, b, *ways, &|from, to| network.set_tail(from, to, *tail))
            }
            Self::Bandwidth { a, b, bandwidth, ways } => between(a, b, *ways, &|from, to| {
                network.set_bandwidth_one_way(from, to, *bandwidth);
            }),
            Self::Flip { a, b, probability, ways } => {
                between(a, b, *ways, &|from, to| network.set_bit_flips(from, to, *probability))
            }
            Self::Break { a, b, extent, ending } => between(a, b, Ways::One, &|a, b| {
                match extent {
                    Extent::All => network.break_all(a, b, *ending) > 0,
                    Extent::One => network.break_one(a, b, *ending),
                };
            }),
            Self::BreakAfter { from, to, bytes, ending } => {
                between(from, to, Ways::One, &|from, to| {
                    network.break_after(from, to, *bytes, *ending);
                })
            }
            Self::Connecting { from, to, answer } => between(from, to, Ways::One, &|from, to| {
                network.set_connecting(from, to, *answer);
            }),
            Self::Hold { from, to, on } => between(from, to, Ways::One, &|from, to| match on {
                true => network.hold(from, to),
                false => network.release(from, to),
            }),
            _ => Ok(()),
        }
    }
}

fn each_way(a: &Host, b: &Host, ways: Ways, act: impl Fn(&Host, &Host)) {
    act(a, b);
    if ways == Ways::Both {
        act(b, a);
    }
}
