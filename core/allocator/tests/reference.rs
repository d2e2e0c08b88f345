//! Random operations, checked against a naive model that keeps flat lists and recounts everything.
//!
//! The model does not predict which agent comes next. It checks of every grant that it was allowed
//! (free, subscribed, not suppressed, not refused), that nobody who stood strictly before in the
//! order of shares could have had it, and after every periodic run that nothing is left that
//! somebody would take.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orrery_allocator::{AgentKey, Allocator, FrameworkKey, FrameworkOptions, Grant, Options};
use orrery_model::{Resources, roles};
use orrery_runtime::{Generator, Instant};
use proptest::prelude::*;

const ROLES: [&str; 5] = ["*", "eng", "eng/web", "eng/db", "ops"];
const AGENTS: [&str; 4] = [
    "cpus:4;mem:4096;ports:[1-9]",
    "cpus:2;mem:8192;bugs:3",
    "cpus:1;cpus(eng):3;mem:2048;mem(ops):512",
    "cpus:8;mem:1024;cpus(eng/web):1;disk:10",
];

#[derive(Clone, Debug)]
enum Operation {
    AddFramework {
        framework: u32,
        roles: Vec<usize>,
        active: bool,
    },
    UpdateFramework {
        framework: u32,
        roles: Vec<usize>,
    },
    RemoveFramework(u32),
    ActivateFramework(u32),
    DeactivateFramework(u32),
    Suppress(u32, Vec<usize>),
    Revive(u32, Vec<usize>),
    SetWeight(usize, u32),
    AddAgent {
        agent: u32,
        kind: usize,
    },
    UpdateAgent {
        agent: u32,
        kind: usize,
    },
    RemoveAgent(u32),
    ActivateAgent(u32),
    DeactivateAgent(u32),
    /// Gives back the n-th holding, whole or without one MB.
    Recover {
        holding: usize,
        whole: bool,
        refuse: Option<u64>,
    },
    Wait(u64),
}

fn role_list() -> impl Strategy<Value = Vec<usize>> {
    proptest::sample::subsequence((0..ROLES.len()).collect::<Vec<_>>(), 0..=3)
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let framework = || 0u32..5;
    let agent = || 0u32..6;
    let refuse = proptest::option::of(0u64..4000);
    prop_oneof![
        3 => (framework(), role_list(), any::<bool>())
            .prop_map(|(framework, roles, active)| AddFramework { framework, roles, active }),
        1 => (framework(), role_list())
            .prop_map(|(framework, roles)| UpdateFramework { framework, roles }),
        1 => framework().prop_map(RemoveFramework),
        2 => framework().prop_map(ActivateFramework),
        1 => framework().prop_map(DeactivateFramework),
        1 => (framework(), role_list()).prop_map(|(framework, roles)| Suppress(framework, roles)),
        2 => (framework(), role_list()).prop_map(|(framework, roles)| Revive(framework, roles)),
        1 => (0..ROLES.len(), 1u32..4).prop_map(|(role, weight)| SetWeight(role, weight)),
        4 => (agent(), 0..AGENTS.len()).prop_map(|(agent, kind)| AddAgent { agent, kind }),
        2 => (agent(), 0..AGENTS.len()).prop_map(|(agent, kind)| UpdateAgent { agent, kind }),
        1 => agent().prop_map(RemoveAgent),
        1 => agent().prop_map(ActivateAgent),
        1 => agent().prop_map(DeactivateAgent),
        8 => (any::<usize>(), any::<bool>(), refuse)
            .prop_map(|(holding, whole, refuse)| Recover { holding, whole, refuse }),
        8 => (0u64..2500).prop_map(Wait),
    ]
}

fn names(roles: &[usize]) -> Vec<String> {
    roles.iter().map(|role| ROLES[*role].to_owned()).collect()
}

// === the model ===

#[derive(Default)]
struct Framework {
    roles: BTreeSet<String>,
    suppressed: BTreeSet<String>,
    active: bool,
}

struct Agent {
    total: Resources,
    active: bool,
}

#[derive(Clone)]
struct Holding {
    framework: u32,
    agent: u32,
    role: String,
    resources: Resources,
}

struct Filter {
    framework: u32,
    agent: u32,
    role: String,
    refused: Resources,
    expiry: u64,
}

#[derive(Default)]
struct Model {
    now: u64,
    frameworks: BTreeMap<u32, Framework>,
    agents: BTreeMap<u32, Agent>,
    holdings: Vec<Holding>,
    filters: Vec<Filter>,
    weights: BTreeMap<String, f64>,
}

impl Model {
    fn free(&self, agent: u32) -> Resources {
        let held = self.holdings.iter().filter(|holding| holding.agent == agent);
        held.fold(self.agents[&agent].total.clone(), |free, holding| free - &holding.resources)
    }

    /// What `framework` may be offered in `role` out of `free`.
    fn offer(&self, framework: u32, role: &str, agent: u32, free: &Resources) -> Option<Resources> {
        let known = &self.frameworks[&framework];
        let offered = free.allocatable_to(role);
        let quantities = offered.quantities();
        let minimum = Options::default().minimum_allocatable;
        let worth = minimum.iter().any(|minimum| quantities.contains(minimum));
        let refused = self.filters.iter().any(|filter| {
            (filter.framework, filter.agent, filter.role.as_str()) == (framework, agent, role)
                && filter.expiry > self.now
                && filter.refused.contains(&offered)
        });
        let wants = known.active && known.roles.contains(role) && !known.suppressed.contains(role);
        (wants && worth && !refused && self.agents[&agent].active).then_some(offered)
    }

    fn share(&self, weight: f64, counts: impl Fn(&Holding) -> bool) -> f64 {
        let total: Resources = self.agents.values().map(|agent| &agent.total).sum();
        let held: Resources =
            self.holdings.iter().filter(|h| counts(h)).map(|holding| &holding.resources).sum();
        let total = total.quantities();
        let fraction = |(name, amount): (&str, orrery_model::Scalar)| {
            amount.0 as f64 / total.get(name).0 as f64
        };
        held.quantities().iter().map(fraction).fold(0.0, f64::max) / weight
    }

    /// Compares two roles at the first level where their paths part.
    fn compare_roles(&self, left: &str, right: &str) -> Ordering {
        let nodes = |role: &str| {
            let mut nodes: Vec<String> = roles::with_ancestors(role).map(str::to_owned).collect();
            nodes.reverse();
            nodes.push(format!("{role}/."));
            nodes
        };
        let weight = |node: &str| self.weights.get(node).copied().unwrap_or(1.0);
        let share = |node: &str| match node.strip_suffix("/.") {
            Some(role) => self.share(1.0, |h| h.role == role),
            None => self.share(weight(node), |h| h.role == node || roles::is_below(&h.role, node)),
        };
        let parting = nodes(left).into_iter().zip(nodes(right)).find(|(a, b)| a != b);
        parting.map_or(Ordering::Equal, |(a, b)| share(&a).total_cmp(&share(&b)))
    }

    fn compare(&self, left: (&str, u32), right: (&str, u32)) -> Ordering {
        let inside = |(role, framework): (&str, u32)| {
            self.share(1.0, |h| h.role == role && h.framework == framework)
        };
        self.compare_roles(left.0, right.0).then_with(|| match left.0 == right.0 {
            true => inside(left).total_cmp(&inside(right)),
            false => Ordering::Equal,
        })
    }

    fn subscriptions(&self) -> impl Iterator<Item = (&str, u32)> {
        self.frameworks
            .iter()
            .flat_map(|(key, known)| known.roles.iter().map(move |role| (role.as_str(), *key)))
    }

    /// Checks the grants of one agent's turn, all of which follow the shares before it.
    fn check_turn(&self, grants: &[Grant]) {
        let agent = grants[0].agent.0;
        let mut free = self.free(agent);
        let mut served = BTreeSet::new();
        for grant in grants {
            let subject = (grant.role.as_str(), grant.framework.0);
            let offered = self.offer(subject.1, subject.0, agent, &free).expect("may be offered");
            assert_eq!(grant.resources, offered.allocated_to(&grant.role));
            for other in self.subscriptions().filter(|other| !served.contains(other)) {
                let before = self.compare(other, subject) == Ordering::Less;
                let could = self.offer(other.1, other.0, agent, &free).is_some();
                assert!(!(before && could), "{other:?} stands before {subject:?}");
            }
            free -= &offered;
            served.insert(subject);
        }
    }

    fn take(&mut self, grants: &[Grant]) {
        for turn in grants.chunk_by(|a, b| a.agent == b.agent) {
            self.check_turn(turn);
            self.holdings.extend(turn.iter().map(|grant| Holding {
                framework: grant.framework.0,
                agent: grant.agent.0,
                role: grant.role.clone(),
                resources: grant.resources.unallocated(),
            }));
        }
    }

    fn check_nothing_left(&self) {
        for agent in self.agents.keys() {
            let free = self.free(*agent);
            for (role, framework) in self.subscriptions() {
                let left = self.offer(framework, role, *agent, &free);
                assert!(left.is_none(), "{framework} in {role} would take {free} of {agent}");
            }
        }
    }

    fn remove_filters(&mut self, framework: u32, roles: &[String]) {
        self.filters.retain(|f| f.framework != framework || !roles.contains(&f.role));
    }
}

// === operations on both ===

struct Pair {
    allocator: Allocator,
    model: Model,
}

impl Pair {
    fn instant(&self) -> Instant {
        Instant::from_nanoseconds(self.model.now * 1_000_000)
    }

    fn run(&mut self) {
        let grants = self.allocator.run(self.instant());
        self.model.take(&grants);
        self.allocator.check_conservation().unwrap();
    }

    fn framework(&mut self, key: u32, change: impl FnOnce(&mut Framework)) {
        if let Some(framework) = self.model.frameworks.get_mut(&key) {
            change(framework);
        }
    }

    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::AddFramework { framework, roles, active } => {
                self.remove_framework(framework);
                let roles = names(&roles);
                let known = Framework {
                    roles: roles.iter().cloned().collect(),
                    suppressed: BTreeSet::new(),
                    active,
                };
                self.model.frameworks.insert(framework, known);
                let options = FrameworkOptions { roles, ..Default::default() };
                let id = format!("fw-{framework}");
                self.allocator.add_framework(FrameworkKey(framework), &id, options, active);
            }
            Operation::UpdateFramework { framework, roles } => {
                self.update(framework, names(&roles))
            }
            Operation::RemoveFramework(framework) => {
                self.remove_framework(framework);
                self.allocator.remove_framework(FrameworkKey(framework));
            }
            Operation::ActivateFramework(framework) => {
                self.framework(framework, |known| known.active = true);
                self.allocator.activate_framework(FrameworkKey(framework));
            }
            Operation::DeactivateFramework(framework) => {
                self.framework(framework, |known| known.active = false);
                self.model.filters.retain(|filter| filter.framework != framework);
                self.allocator.deactivate_framework(FrameworkKey(framework));
            }
            Operation::Suppress(framework, roles) => {
                let roles = names(&roles);
                self.framework(framework, |known| match roles.is_empty() {
                    true => known.suppressed.extend(known.roles.clone()),
                    false => known.suppressed.extend(roles.clone()),
                });
                self.allocator.suppress(FrameworkKey(framework), &roles);
            }
            Operation::Revive(framework, roles) => self.revive(framework, names(&roles)),
            Operation::SetWeight(role, weight) => {
                self.model.weights.insert(ROLES[role].to_owned(), f64::from(weight));
                self.allocator.set_weight(ROLES[role], f64::from(weight));
            }
            Operation::AddAgent { agent, kind } => {
                self.remove_agent(agent);
                let total = Resources::parse(AGENTS[kind], "*").unwrap();
                self.allocator.add_agent(AgentKey(agent), format!("S{agent}"), total.clone(), &[]);
                self.model.agents.insert(agent, Agent { total, active: true });
            }
            Operation::UpdateAgent { agent, kind } => self.update_agent(agent, kind),
            Operation::RemoveAgent(agent) => self.remove_agent(agent),
            Operation::ActivateAgent(agent) => self.set_agent(agent, true),
            Operation::DeactivateAgent(agent) => self.set_agent(agent, false),
            Operation::Recover { holding, whole, refuse } => self.recover(holding, whole, refuse),
            Operation::Wait(milliseconds) => self.model.now += milliseconds,
        }
    }

    fn remove_framework(&mut self, framework: u32) {
        if self.model.frameworks.remove(&framework).is_some() {
            self.model.holdings.retain(|holding| holding.framework != framework);
            self.model.filters.retain(|filter| filter.framework != framework);
        }
    }

    fn update(&mut self, framework: u32, roles: Vec<String>) {
        if let Some(known) = self.model.frameworks.get_mut(&framework) {
            let new: BTreeSet<String> = roles.iter().cloned().collect();
            let left: Vec<String> = known.roles.difference(&new).cloned().collect();
            known.suppressed.clear();
            known.roles = new;
            self.model.remove_filters(framework, &left);
        }
        let options = FrameworkOptions { roles, ..Default::default() };
        self.allocator.update_framework(FrameworkKey(framework), options);
    }

    fn revive(&mut self, framework: u32, roles: Vec<String>) {
        if let Some(known) = self.model.frameworks.get_mut(&framework) {
            let all = known.roles.iter().cloned().collect();
            let revived = if roles.is_empty() { all } else { roles.clone() };
            known.suppressed.retain(|role| !revived.contains(role));
            self.model.remove_filters(framework, &revived);
        }
        self.allocator.revive(FrameworkKey(framework), &roles);
    }

    /// An agent never gets a total that is less than what is held there.
    fn update_agent(&mut self, agent: u32, kind: usize) {
        let held = self.model.holdings.iter().filter(|holding| holding.agent == agent);
        let held: Resources = held.map(|holding| &holding.resources).sum();
        let total = Resources::parse(AGENTS[kind], "*").unwrap() + &held;
        if let Some(known) = self.model.agents.get_mut(&agent) {
            known.total = total.clone();
            self.model.filters.retain(|filter| filter.agent != agent);
        }
        self.allocator.update_agent(AgentKey(agent), total);
    }

    fn remove_agent(&mut self, agent: u32) {
        self.model.agents.remove(&agent);
        self.model.holdings.retain(|holding| holding.agent != agent);
        self.model.filters.retain(|filter| filter.agent != agent);
        self.allocator.remove_agent(AgentKey(agent));
    }

    fn set_agent(&mut self, agent: u32, active: bool) {
        if let Some(known) = self.model.agents.get_mut(&agent) {
            known.active = active;
        }
        match active {
            true => self.allocator.activate_agent(AgentKey(agent)),
            false => self.allocator.deactivate_agent(AgentKey(agent)),
        }
    }

    fn recover(&mut self, holding: usize, whole: bool, refuse: Option<u64>) {
        if self.model.holdings.is_empty() {
            return;
        }
        let index = holding % self.model.holdings.len();
        let held = self.model.holdings[index].clone();
        let crumb = Resources::parse("mem:1", "*").unwrap();
        let most = held.resources.checked_sub(&crumb).filter(|_| !whole);
        let part = most.unwrap_or_else(|| held.resources.clone());
        self.model.holdings[index].resources -= &part;
        self.model.holdings.retain(|holding| !holding.resources.is_empty());
        let refuse = refuse.map(Duration::from_millis);
        let given_back = part.allocated_to(&held.role);
        let now = self.instant();
        let (framework, agent) = (FrameworkKey(held.framework), AgentKey(held.agent));
        self.allocator.recover(framework, agent, &given_back, refuse, now);
        let subscribed = self
            .model
            .frameworks
            .get(&held.framework)
            .is_some_and(|known| known.active && known.roles.contains(&held.role));
        if let (true, Some(refuse)) = (subscribed, refuse.filter(|refuse| !refuse.is_zero())) {
            let expiry = self.model.now + (refuse.as_millis() as u64).max(1000);
            let Holding { framework, agent, role, .. } = held;
            self.model.filters.push(Filter { framework, agent, role, refused: part, expiry });
        }
    }
}

proptest! {
    #[test]
    fn every_grant_is_allowed_and_fair(
        operations in proptest::collection::vec(operation(), 1..80),
        seed in any::<u64>(),
    ) {
        let allocator = Allocator::new(Options::default(), Generator::from_number(seed));
        let mut pair = Pair { allocator, model: Model::default() };
        for operation in operations {
            let waited = matches!(operation, Operation::Wait(_));
            pair.apply(operation);
            pair.allocator.check_conservation().unwrap();
            if waited {
                pair.run();
            }
        }
        // The second after the next periodic run there is nothing left to wait for but filters.
        pair.model.now = (pair.model.now / 1000 + 1) * 1000;
        pair.run();
        pair.model.check_nothing_left();
        let deadline = pair.allocator.deadline();
        prop_assert!(deadline.is_none_or(|deadline| deadline > pair.instant()));
    }

    #[test]
    fn the_same_calls_give_the_same_grants(
        operations in proptest::collection::vec(operation(), 1..60),
    ) {
        let grants = || {
            let allocator = Allocator::new(Options::default(), Generator::from_number(3));
            let mut pair = Pair { allocator, model: Model::default() };
            let mut all = Vec::new();
            for operation in &operations {
                pair.apply(operation.clone());
                let grants = pair.allocator.run(pair.instant());
                pair.model.take(&grants);
                all.push(grants);
            }
            all
        };
        prop_assert_eq!(grants(), grants());
    }
}
