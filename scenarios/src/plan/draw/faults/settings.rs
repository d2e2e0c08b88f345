//! Daemons that come back as something else.

use super::{Draw, Kind};
use crate::plan::{ClusterFault, Flag, Place};

/// Versions that a daemon may say it has.
const VERSIONS: [&str; 4] = ["1.11.0", "1.12.0", "1.13.0", "2.0.0-rc1"];
/// What agents may say of themselves.
const ATTRIBUTES: [&str; 3] = ["rack:a", "rack:a;zone:1", "rack:b;zone:[1-2]"];
/// More than they have otherwise, and less.
const RESOURCES: [&str; 2] = [
    "cpus:48;mem:16384;disk:20000;ports:[31000-33000]",
    "cpus:24;mem:6144;disk:10000;ports:[31000-31500]",
];

pub(super) const KINDS: &[Kind] = &[
    ("change", |draw| {
        let flag = match draw.is_heads() {
            true => Flag::Attributes((*draw.pick(&ATTRIBUTES)).to_owned()),
            false => Flag::Resources((*draw.pick(&RESOURCES)).to_owned()),
        };
        let place = Place::Agent(draw.agent());
        draw.add(ClusterFault::Change { place, flag });
    }),
    ("upgrade", |draw: &mut Draw<'_>| {
        let place = if draw.is_heads() { draw.master() } else { Place::Agent(draw.agent()) };
        let flag = Flag::Version((*draw.pick(&VERSIONS)).to_owned());
        draw.add(ClusterFault::Change { place, flag });
    }),
];
