//! Drawing faults: which kinds a plan has, and where they hit. What each kind draws stands in the
//! files beside this one, each about one part of the catalogue; `docs/simulation.md` lists them.

mod clocks;
mod disks;
mod hosts;
mod network;
mod settings;
mod zookeeper;

use std::time::Duration;

use orrery_runtime::Generator;
use orrery_runtime_sim::{Ending, Probability, Ways};

use super::{between, pick, time, weighted};
use crate::plan::{Action, Elections, Fault, Place, Shape, Step};

/// So many ZooKeeper servers there are, where masters meet there.
const SERVERS: usize = 3;

/// A kind of fault: its name, and what adds steps with it.
type Kind = (&'static str, fn(&mut Draw<'_>));

/// Every kind that any cluster can have. Each is switched on and off by itself.
const EVERYWHERE: [&[Kind]; 5] =
    [hosts::KINDS, network::KINDS, disks::KINDS, clocks::KINDS, settings::KINDS];

/// Kinds after which only what daemons promise themselves is checked: what is told or found is not
/// what was told or written, so that anything can follow from it.
const BEYOND_REPAIR: [&[Kind]; 2] = [network::GARBLING, disks::LYING];
/// One plan of so many has such kinds among its others.
const BEYOND_REPAIR_RARITY: u64 = 6;

/// The names of all kinds.
pub(super) fn kinds() -> Vec<&'static str> {
    let kinds = EVERYWHERE.into_iter().chain(BEYOND_REPAIR);
    let kinds = kinds.chain([disks::COPIES, zookeeper::KINDS]).flatten();
    kinds.map(|(name, _)| *name).collect()
}

/// The kinds that a plan for this cluster may have.
fn kinds_of(shape: &Shape, random: &mut Generator) -> Vec<Kind> {
    let mut groups = EVERYWHERE.to_vec();
    if random.below(BEYOND_REPAIR_RARITY) == 0 {
        groups.extend(BEYOND_REPAIR);
    }
    if shape.masters > 1 {
        groups.push(disks::COPIES);
    }
    if shape.elections == Elections::ZooKeeper {
        groups.push(zookeeper::KINDS);
    }
    groups.into_iter().flatten().copied().collect()
}

/// The faults of one plan.
pub(super) fn draw(
    random: &mut Generator,
    shape: &Shape,
    length: Duration,
    wanted: impl Fn(&str) -> bool,
) -> Vec<Step> {
    let kinds = kinds_of(shape, random);
    // Few kinds at once, some, or most.
    let percent = *pick(random, &[10, 25, 60]);
    let weights: Vec<u64> = kinds
        .iter()
        .map(|(name, _)| {
            let weight = between(random, 1, 4);
            let is_on = random.below(100) < percent;
            if is_on && wanted(name) { weight } else { 0 }
        })
        .collect();
    let count = random.below(10);
    let mut draw = Draw { random, shape, at: Duration::ZERO, steps: Vec::new() };
    for _ in 0..count {
        draw.at = time(draw.random, length);
        if let Some((_, add)) = weighted(draw.random, &weights).and_then(|kind| kinds.get(kind)) {
            add(&mut draw);
        }
    }
    draw.steps
}

/// Where a fault is being drawn.
struct Draw<'a> {
    random: &'a mut Generator,
    shape: &'a Shape,
    at: Duration,
    steps: Vec<Step>,
}

impl Draw<'_> {
    /// A fault that lasts for a while.
    fn add(&mut self, fault: impl Into<Fault>) {
        let lasting = self.lasting();
        self.for_time(lasting, fault);
    }

    /// A fault that is over at once.
    fn once(&mut self, fault: impl Into<Fault>) {
        self.for_time(Duration::ZERO, fault);
    }

    fn for_time(&mut self, lasting: Duration, fault: impl Into<Fault>) {
        self.steps.push(Step { at: self.at, action: Action::Fail(fault.into(), lasting) });
    }

    /// Most faults are short; some last longer than every time-out.
    fn lasting(&mut self) -> Duration {
        let most = *self.pick(&[200, 2_000, 8_000, 30_000]);
        Duration::from_millis(self.number(1, most))
    }

    fn number(&mut self, least: u64, most: u64) -> u64 {
        between(self.random, least, most)
    }

    fn percent(&mut self, least: u64, most: u64) -> Probability {
        Probability::from_percent(self.number(least, most) as u32)
    }

    fn is_heads(&mut self) -> bool {
        self.random.below(2) == 0
    }

    fn pick<'b, T>(&mut self, all: &'b [T]) -> &'b T {
        pick(self.random, all)
    }

    /// What follows comes up to ten seconds later.
    fn pass(&mut self) {
        self.at += time(self.random, Duration::from_secs(10));
    }

    /// Whether a fault was drawn already, by its first word.
    fn has(&self, keyword: &str) -> bool {
        self.steps.iter().any(|step| step.action.to_string().starts_with(keyword))
    }

    fn agent(&mut self) -> usize {
        self.random.below(self.shape.agents as u64) as usize
    }

    /// An agent or, more rarely, a framework.
    fn edge(&mut self) -> Place {
        match self.random.below(3) {
            0 => Place::Scheduler(self.random.below(self.shape.frameworks.len() as u64) as usize),
            _ => Place::Agent(self.agent()),
        }
    }

    fn master(&mut self) -> Place {
        Place::Master(self.random.below(self.shape.masters as u64) as usize)
    }

    /// One of the few masters whose copies of the registry the others can do without.
    fn minority(&mut self) -> Place {
        let most = (self.shape.masters.saturating_sub(1) / 2).max(1);
        Place::Master(self.random.below(most as u64) as usize)
    }

    /// The number of a ZooKeeper server.
    fn server(&mut self) -> usize {
        self.random.below(SERVERS as u64) as usize
    }

    /// Mostly an agent or a framework.
    fn place(&mut self) -> Place {
        match self.random.below(8) {
            0 | 1 => self.master(),
            2 if self.has_servers() => Place::ZooKeeper(self.server()),
            _ => self.edge(),
        }
    }

    fn has_servers(&self) -> bool {
        self.shape.elections == Elections::ZooKeeper
    }

    /// A host with a disk that its daemon uses.
    fn daemon_host(&mut self) -> String {
        let place =
            if self.random.below(4) == 0 { self.master() } else { Place::Agent(self.agent()) };
        place.to_string()
    }

    /// A master and something that talks with it, in either order.
    fn ends(&mut self) -> [String; 2] {
        let (master, peer) = (self.master(), self.master());
        let is_peer = peer != master && self.random.below(3) == 0;
        let other = if is_peer { peer } else { self.edge() };
        let [a, b] = [master, other].map(|place| place.to_string());
        if self.is_heads() { [a, b] } else { [b, a] }
    }

    fn ways(&mut self) -> Ways {
        if self.is_heads() { Ways::Both } else { Ways::One }
    }

    fn ending(&mut self) -> Ending {
        *self.pick(&[Ending::Reset, Ending::End, Ending::Silence])
    }

    /// The hosts of the cluster that are `wanted`.
    fn hosts(&self, wanted: impl Fn(Place) -> bool) -> Vec<String> {
        let Shape { masters, agents, ref frameworks, .. } = *self.shape;
        let masters = (0..masters).map(Place::Master);
        let agents = (0..agents).map(Place::Agent);
        let servers = if self.has_servers() { SERVERS } else { 0 };
        let places = masters.chain(agents).chain((0..frameworks.len()).map(Place::Scheduler));
        let places = places.chain((0..servers).map(Place::ZooKeeper));
        places.filter(|place| wanted(*place)).map(|place| place.to_string()).collect()
    }

    /// All hosts in two groups, sometimes with a few in neither, which are a bridge between them
    /// (N3).
    fn sides(&mut self) -> (Vec<String>, Vec<String>) {
        let groups = *self.pick(&[2, 2, 3]);
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for host in self.hosts(|_| true) {
            match self.random.below(groups) {
                0 => left.push(host),
                1 => right.push(host),
                _ => {}
            }
        }
        (left, right)
    }
}
