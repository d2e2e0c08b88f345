//! Drawing clusters. Most are small, because most bugs are found in small ones and small ones are
//! quick; some have many agents.

use std::time::Duration;

use orrery_runtime::Generator;

use super::{between, pick};
use crate::plan::{Elections, Executor, Profile, Reconfiguration, Shape, Temper};

/// The most agents that are drawn.
const AGENTS: u64 = 50;
/// The most frameworks that are drawn.
const FRAMEWORKS: u64 = 5;
/// The most roles of a framework.
const ROLES: u64 = 12;
/// The most bytes that are added to task ids: with them they are just valid still.
const PADDING: u64 = 200;

pub(super) fn draw(random: &mut Generator) -> Shape {
    let frameworks = match random.below(8) {
        0 => between(random, 1, FRAMEWORKS),
        _ => between(random, 1, 3),
    };
    let offer_timeout = (random.below(2) == 0).then(|| milliseconds(random, 1_000, 8_000));
    let masters = masters(random);
    Shape {
        masters,
        elections: elections(random, masters),
        agents: agents(random) as usize,
        frameworks: (0..frameworks).map(|_| profile(random)).collect(),
        ping_timeout: milliseconds(random, 1_000, 3_000),
        reregister_timeout: milliseconds(random, 2_000, 20_000),
        offer_timeout,
        executor_registration_timeout: milliseconds(random, 3_000, 10_000),
        reconfiguration: *pick(random, &[Reconfiguration::Equal, Reconfiguration::Additive]),
        ..Shape::default()
    }
}

fn masters(random: &mut Generator) -> usize {
    match random.below(48) {
        0 => 5,
        1..5 => 3,
        _ => 1,
    }
}

/// Half of several masters meet in ZooKeeper. A single one seldom does: it could lead without.
fn elections(random: &mut Generator, masters: usize) -> Elections {
    let chances = if masters > 1 { 2 } else { 24 };
    if random.below(chances) == 0 { Elections::ZooKeeper } else { Elections::Peers }
}

fn agents(random: &mut Generator) -> u64 {
    match random.below(64) {
        0 => between(random, 11, AGENTS),
        1..4 => between(random, 5, 10),
        _ => between(random, 1, 4),
    }
}

/// Most frameworks are ordinary in most ways.
fn profile(random: &mut Generator) -> Profile {
    let tempers = [
        Temper::Launcher,
        Temper::Launcher,
        Temper::Hoarder,
        Temper::Hoarder,
        Temper::Killer,
        Temper::Careful,
        Temper::Careful,
        Temper::Decliner,
    ];
    let usual = Profile::default();
    let one_of = |random: &mut Generator, chances| random.below(chances) == 0;
    Profile {
        temper: *pick(random, &tempers),
        partition_aware: !one_of(random, 4),
        failover_timeout: match one_of(random, 6) {
            true => milliseconds(random, 500, 20_000),
            false => usual.failover_timeout,
        },
        checkpoint: one_of(random, 2),
        json: one_of(random, 4),
        roles: if one_of(random, 8) { between(random, 2, ROLES) as usize } else { usual.roles },
        padding: if one_of(random, 8) { between(random, 1, PADDING) as usize } else { 0 },
        executor: if one_of(random, 3) { Executor::Custom } else { usual.executor },
    }
}

fn milliseconds(random: &mut Generator, least: u64, most: u64) -> Duration {
    Duration::from_millis(between(random, least, most))
}
