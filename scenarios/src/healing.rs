//! What is healed when the faults stop: everything, or a random core. What is outside of a core is
//! broken for good: dead, stopped or cut off.

use std::collections::BTreeSet;

use orrery_runtime::Generator;
use orrery_runtime_sim::Host;

use crate::daemons::zookeeper_hosts;
use crate::plan::{Place, Shape};
use crate::scenario::Scene;

/// So many runs in a hundred heal only a core.
const CORES_IN_A_HUNDRED: u64 = 30;
/// So many in a hundred of the agents and frameworks are in a core.
const MEMBERS_IN_A_HUNDRED: u64 = 60;

/// The part of a cluster that is whole from now on. Most of the masters and ZooKeeper servers are
/// always in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Core {
    agents: BTreeSet<usize>,
    frameworks: BTreeSet<usize>,
    /// What is outside, and how it is broken.
    outside: Vec<(Place, Broken)>,
}

/// How a host outside of the core is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// It has no power.
    Dead,
    /// Its daemon is stopped, or killed where that is a framework's: a stopped framework that keeps
    /// its offers is not broken, it is slow.
    Stopped,
    /// Nothing reaches it or comes from it.
    CutOff,
}

impl Core {
    /// All of the cluster.
    pub fn whole(shape: &Shape) -> Self {
        let frameworks = (0..shape.frameworks.len()).collect();
        Self { agents: (0..shape.agents).collect(), frameworks, outside: Vec::new() }
    }

    /// Mostly all of it; else some agents, one at least, some frameworks, and a majority of the
    /// masters and ZooKeeper servers, or all masters where `all_masters` are needed.
    pub fn draw(shape: &Shape, all_masters: bool, random: &mut Generator) -> Self {
        let mut core = Self::whole(shape);
        if random.below(100) >= CORES_IN_A_HUNDRED {
            return core;
        }
        let mut leave_out = |members: &mut BTreeSet<usize>, least: usize| {
            let mut out: Vec<usize> = members.iter().copied().collect();
            random.shuffle(&mut out);
            out.retain(|_| random.below(100) >= MEMBERS_IN_A_HUNDRED);
            out.truncate(members.len().saturating_sub(least));
            members.retain(|member| !out.contains(member));
            let broken = [Broken::Dead, Broken::Stopped, Broken::CutOff];
            out.into_iter().map(|one| (one, broken[random.below(3) as usize])).collect::<Vec<_>>()
        };
        let agents = leave_out(&mut core.agents, 1);
        let frameworks = leave_out(&mut core.frameworks, 0);
        let masters = if all_masters { 1 } else { shape.masters };
        let servers = zookeeper_hosts(shape).len();
        let [masters, servers] = [masters, servers].map(|count| {
            let mut members: BTreeSet<usize> = (0..count).collect();
            leave_out(&mut members, count / 2 + 1)
        });
        let agents = agents.into_iter().map(|(one, broken)| (Place::Agent(one), broken));
        let frameworks = frameworks.into_iter();
        let frameworks = frameworks.map(|(one, broken)| (Place::Scheduler(one), broken));
        let masters = masters.into_iter().map(|(one, broken)| (Place::Master(one), broken));
        let servers = servers.into_iter().map(|(one, broken)| (Place::ZooKeeper(one), broken));
        core.outside = agents.chain(frameworks).chain(masters).chain(servers).collect();
        core
    }

    /// The numbers of its agents.
    pub fn agents(&self) -> impl Iterator<Item = usize> {
        self.agents.iter().copied()
    }

    /// How many agents it has.
    pub fn agent_count(&self) -> usize {
        self.agents.len()
    }

    /// Whether a framework is in it.
    pub fn has_framework(&self, number: usize) -> bool {
        self.frameworks.contains(&number)
    }

    /// Whether it has all masters.
    pub(crate) fn has_all_masters(&self) -> bool {
        !self.outside.iter().any(|(place, _)| matches!(place, Place::Master(_)))
    }

    /// The frameworks outside.
    pub fn frameworks_away(&self) -> BTreeSet<usize> {
        let away = self.outside.iter().filter_map(|(place, _)| match place {
            Place::Scheduler(number) => Some(*number),
            _ => None,
        });
        away.collect()
    }

    /// Whether a framework outside is cut off in a way that the master cannot notice by itself. It
    /// notices the end of a process, unless the process's connection was dead before.
    pub(crate) fn has_silent_framework(&self, scene: &Scene) -> bool {
        let frameworks =
            self.outside.iter().filter(|(place, _)| matches!(place, Place::Scheduler(_)));
        let mut frameworks = frameworks.map(|(place, broken)| (*place, *broken));
        frameworks.any(|(place, broken)| broken != Broken::Stopped || is_silent(scene, place))
    }

    /// Whether a host keeps connections for good: nothing reaches it or comes from it, or its agent
    /// is stopped, to which executors may connect again and again.
    pub(crate) fn keeps_connections(&self, host: &str) -> bool {
        let place = Place::of_host(host);
        self.outside.iter().any(|(one, how)| {
            Some(*one) == place
                && match how {
                    Broken::CutOff => true,
                    Broken::Stopped => matches!(one, Place::Agent(_)),
                    Broken::Dead => false,
                }
        })
    }

    /// Breaks what is outside, for good.
    pub(crate) fn break_outside(&self, scene: &Scene) {
        for (place, broken) in &self.outside {
            let how = format!("{place} is outside of the core: {broken:?} for good");
            scene.oracle().note("scenario", &how);
            match broken {
                Broken::Dead => scene.cluster().crash(*place),
                Broken::CutOff => {}
                Broken::Stopped => stop(scene, *place),
            }
        }
        self.cut_off(scene);
    }

    /// Cuts off once more what is to be cut off, should something else have healed it.
    pub(crate) fn cut_off(&self, scene: &Scene) {
        for (place, broken) in &self.outside {
            if *broken == Broken::CutOff
                && let Some(host) = scene.cluster().host(*place)
            {
                scene.world().network().isolate(&host);
            }
        }
    }
}

/// Whether a connection of a host to a master is dead without either of them knowing.
fn is_silent(scene: &Scene, place: Place) -> bool {
    let masters = scene.cluster().places().filter(|place| matches!(place, Place::Master(_)));
    let masters: Vec<Host> = masters.filter_map(|place| scene.cluster().host(place)).collect();
    let Some(host) = scene.cluster().host(place) else { return false };
    let network = scene.world().network();
    masters.iter().any(|master| network.silent_streams_between(&host, master) > 0)
}

fn stop(scene: &Scene, place: Place) {
    let Some(host) = scene.cluster().host(place) else { return };
    if let Some(process) = scene.cluster().daemon(place) {
        host.pause(process);
    }
    if let Place::Scheduler(_) = place {
        for process in host.processes() {
            host.kill(process.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Elections;

    #[test]
    fn a_core_has_agents_and_everything_else_is_outside() {
        let frameworks = vec![Default::default(); 3];
        let shape = Shape { agents: 4, frameworks, ..Shape::default() };
        let mut partial = 0;
        for seed in 0..200 {
            let core = Core::draw(&shape, false, &mut Generator::from_number(seed));
            assert!(core.agent_count() > 0);
            let members = core.agents.len() + core.frameworks.len();
            assert_eq!(members + core.outside.len(), 7);
            partial += u32::from(!core.outside.is_empty());
        }
        assert!((30..90).contains(&partial), "{partial} of 200 are partial");
    }

    #[test]
    fn a_core_has_a_majority_of_masters_and_servers() {
        let shape = Shape { masters: 5, elections: Elections::ZooKeeper, ..Shape::default() };
        let (mut most_masters, mut most_servers) = (0, 0);
        for seed in 0..400 {
            let core = Core::draw(&shape, false, &mut Generator::from_number(seed));
            let outside =
                |is: fn(&Place) -> bool| core.outside.iter().filter(|(place, _)| is(place)).count();
            most_masters = most_masters.max(outside(|place| matches!(place, Place::Master(_))));
            most_servers = most_servers.max(outside(|place| matches!(place, Place::ZooKeeper(_))));
            let core = Core::draw(&shape, true, &mut Generator::from_number(seed));
            let is_master = |place: &Place| matches!(place, Place::Master(_));
            assert!(!core.outside.iter().any(|(place, _)| is_master(place)));
        }
        assert_eq!((most_masters, most_servers), (2, 1));
    }
}
