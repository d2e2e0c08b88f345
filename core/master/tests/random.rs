//! Whatever happens in whatever order, the master's books agree and its promises hold. The harness
//! checks the books after every step; this file adds what a framework and an agent may rely on.

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use harness::{Cluster, Scheduler, framework_info, register_message, task};
use orrery_api::link::from_master::Body;
use orrery_api::v1::{self, TaskState};
use orrery_master::{Input, LinkId};
use orrery_model::Resources;
use proptest::prelude::*;

/// What each agent has.
const TOTAL: &str = "cpus:8;mem:1024";

#[derive(Clone, Debug)]
enum Step {
    Accept {
        framework: usize,
        offer: usize,
        cpus: u32,
    },
    AcceptStale {
        framework: usize,
        offer: usize,
    },
    Decline {
        framework: usize,
        offer: usize,
    },
    Kill {
        framework: usize,
        task: usize,
    },
    Update {
        task: usize,
        state: TaskState,
    },
    Acknowledge {
        framework: usize,
    },
    Disconnect {
        framework: usize,
    },
    Resubscribe {
        framework: usize,
    },
    DropLink {
        agent: usize,
    },
    Return {
        agent: usize,
    },
    Replace {
        agent: usize,
    },
    /// An agent comes with a task whose id means one on another agent.
    Duplicate {
        agent: usize,
        task: usize,
    },
    Pass {
        seconds: u64,
    },
    Reconcile {
        framework: usize,
    },
    Store,
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop_oneof![
        Just(TaskState::TaskStarting),
        Just(TaskState::TaskRunning),
        Just(TaskState::TaskFinished),
        Just(TaskState::TaskFailed),
    ];
    let n = 0..4usize;
    prop_oneof![
        4 => (n.clone(), n.clone(), 0..5u32)
            .prop_map(|(framework, offer, cpus)| Step::Accept { framework, offer, cpus }),
        1 => (n.clone(), n.clone())
            .prop_map(|(framework, offer)| Step::AcceptStale { framework, offer }),
        1 => (n.clone(), n.clone())
            .prop_map(|(framework, offer)| Step::Decline { framework, offer }),
        1 => (n.clone(), n.clone()).prop_map(|(framework, task)| Step::Kill { framework, task }),
        4 => (0..8usize, state).prop_map(|(task, state)| Step::Update { task, state }),
        3 => n.clone().prop_map(|framework| Step::Acknowledge { framework }),
        1 => n.clone().prop_map(|framework| Step::Disconnect { framework }),
        1 => n.clone().prop_map(|framework| Step::Resubscribe { framework }),
        1 => n.clone().prop_map(|agent| Step::DropLink { agent }),
        1 => n.clone().prop_map(|agent| Step::Return { agent }),
        1 => n.clone().prop_map(|agent| Step::Replace { agent }),
        1 => (n.clone(), n.clone()).prop_map(|(agent, task)| Step::Duplicate { agent, task }),
        4 => (0..40u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => n.prop_map(|framework| Step::Reconcile { framework }),
        2 => Just(Step::Store),
    ]
}

/// An agent as the outside sees it.
struct AgentModel {
    port: u16,
    id: Option<String>,
    link: Option<LinkId>,
    tasks: BTreeMap<(String, String), v1::Task>,
    frameworks: BTreeMap<String, v1::FrameworkInfo>,
}

struct World {
    cluster: Cluster,
    schedulers: Vec<Scheduler>,
    agents: Vec<AgentModel>,
    /// Open offers and those that once were, by framework, with their agents.
    offers: BTreeMap<String, Vec<(String, String)>>,
    used: BTreeSet<String>,
    unacknowledged: BTreeMap<String, Vec<v1::TaskStatus>>,
    next_task: u32,
    next_uuid: u8,
}

impl World {
    fn new(stores: bool) -> Self {
        let mut cluster = Cluster::new();
        cluster.stores = stores;
        let agents = (1..=2)
            .map(|port| AgentModel {
                port,
                id: None,
                link: None,
                tasks: BTreeMap::new(),
                frameworks: BTreeMap::new(),
            })
            .collect();
        let mut world = Self {
            cluster,
            schedulers: Vec::new(),
            agents,
            offers: BTreeMap::new(),
            used: BTreeSet::new(),
            unacknowledged: BTreeMap::new(),
            next_task: 0,
            next_uuid: 0,
        };
        for index in 0..2 {
            world.register(index);
        }
        for name in ["x", "y"] {
            let info = v1::FrameworkInfo { failover_timeout: Some(30.0), ..framework_info(name) };
            let scheduler = world.cluster.subscribe(info);
            world.schedulers.push(scheduler);
        }
        world.look();
        world
    }

    fn register(&mut self, index: usize) {
        let link = LinkId(self.cluster.next_id());
        let agent = &mut self.agents[index];
        agent.link = Some(link);
        let mut register = register_message(agent.port, agent.id.as_deref(), TOTAL);
        register.tasks = agent.tasks.values().cloned().collect();
        register.frameworks = agent.frameworks.values().cloned().collect();
        self.cluster.register(link, register);
    }

    /// Takes in everything that the master said.
    fn look(&mut self) {
        for scheduler in self.schedulers.clone() {
            for event in self.cluster.take_events(&scheduler) {
                for offer in event.offers.into_iter().flat_map(|one| one.offers) {
                    let entry = (offer.id.value, offer.agent_id.value);
                    self.offers.entry(scheduler.id.clone()).or_default().push(entry);
                }
                if let Some(update) = event.update
                    && update.status.uuid.is_some()
                {
                    self.check_source(&scheduler, &update.status);
                    let list = self.unacknowledged.entry(scheduler.id.clone()).or_default();
                    list.push(update.status);
                }
            }
        }
        for agent in &mut self.agents {
            let Some(link) = agent.link else { continue };
            for body in self.cluster.take_messages(link) {
                agent.hear(body);
            }
            if self.cluster.closed_links.contains(&link) {
                agent.link = None;
            }
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Accept { framework, offer, cpus } => self.accept(framework, offer, cpus, false),
            Step::AcceptStale { framework, offer } => self.accept(framework, offer, 1, true),
            Step::Decline { framework, offer } => {
                let scheduler = self.scheduler(framework);
                let offers = self.offers.entry(scheduler.id.clone()).or_default();
                if let Some((offer, _)) = offers.get(offer).cloned()
                    && self.is_connected(&scheduler)
                {
                    self.cluster.decline(&scheduler, &[&offer], 5.0);
                }
            }
            Step::Kill { framework, task } => {
                let scheduler = self.scheduler(framework);
                if self.is_connected(&scheduler) {
                    self.cluster.kill(&scheduler, &format!("t{task}"));
                }
            }
            Step::Update { task, state } => self.update(task, state),
            Step::Acknowledge { framework } => {
                let scheduler = self.scheduler(framework);
                let list = self.unacknowledged.entry(scheduler.id.clone()).or_default();
                if let Some(status) = list.pop()
                    && self.is_connected(&scheduler)
                {
                    self.cluster.acknowledge(&scheduler, &status);
                }
            }
            Step::Disconnect { framework } => {
                let connection = self.scheduler(framework).connection;
                self.cluster.feed(Input::SubscriberGone { connection });
            }
            Step::Resubscribe { framework } => {
                let index = framework % self.schedulers.len();
                let old = self.schedulers[index].clone();
                let new = self.cluster.subscribe_again(&old, "again");
                self.check_announced(&new);
                self.schedulers[index] = Scheduler { id: old.id, ..new };
            }
            Step::DropLink { agent } => {
                let index = agent % self.agents.len();
                if let Some(link) = self.agents[index].link.take() {
                    self.cluster.feed(Input::LinkClosed { link });
                }
            }
            Step::Return { agent } => {
                let index = agent % self.agents.len();
                if self.agents[index].link.is_none() {
                    self.register(index);
                }
            }
            Step::Replace { agent } => {
                let index = agent % self.agents.len();
                if let Some(link) = self.agents[index].link.take() {
                    self.cluster.feed(Input::LinkClosed { link });
                }
                let agent = &mut self.agents[index];
                agent.id = None;
                agent.tasks.clear();
                agent.frameworks.clear();
                self.register(index);
            }
            Step::Duplicate { agent, task } => self.duplicate(agent % self.agents.len(), task),
            Step::Pass { seconds } => self.cluster.pass(Duration::from_secs(seconds)),
            Step::Reconcile { framework } => {
                let scheduler = self.scheduler(framework);
                if self.is_connected(&scheduler) {
                    self.cluster.reconcile(&scheduler, &[]);
                }
            }
            Step::Store => self.cluster.store_all(),
        }
        self.look();
    }

    fn duplicate(&mut self, index: usize, task: usize) {
        let other = &self.agents[(index + 1) % self.agents.len()];
        let known = other.tasks.iter().nth(task).map(|(key, task)| (key.clone(), task.clone()));
        let Some((key, mut task)) = known else { return };
        let frameworks = other.frameworks.clone();
        let agent = &mut self.agents[index];
        let mut held = Resources::from_messages(&task.resources).unwrap();
        for task in agent.tasks.values() {
            held += &Resources::from_messages(&task.resources).unwrap();
        }
        let total = Resources::parse(TOTAL, "*").unwrap();
        if agent.tasks.contains_key(&key) || !total.contains(&held.unallocated()) {
            return;
        }
        task.agent_id = v1::AgentId { value: agent.id.clone().unwrap_or_default() };
        task.state = TaskState::TaskRunning as i32;
        agent.tasks.insert(key, task);
        agent.frameworks.extend(frameworks);
        if let Some(link) = agent.link.take() {
            self.cluster.feed(Input::LinkClosed { link });
        }
        self.register(index);
    }

    /// What a framework hears of a task that is on record comes from the agent that it is on.
    fn check_source(&self, scheduler: &Scheduler, status: &v1::TaskStatus) {
        let mut frameworks = self.cluster.master.frameworks().map(|(_, framework)| framework);
        let framework = frameworks.find(|framework| framework.id() == scheduler.id);
        let task_id = status.task_id.value.as_str();
        let task = framework.and_then(|framework| framework.tasks.get(task_id));
        let told = status.agent_id.as_ref().map(|id| id.value.as_str());
        assert!(task.is_none_or(|task| Some(task.agent_id()) == told), "{status:?}");
    }

    /// Every agent that may have updates for a framework has just heard that it is there.
    fn check_announced(&self, scheduler: &Scheduler) {
        let master = &self.cluster.master;
        for agent in &self.agents {
            let has_task = agent.tasks.keys().any(|(owner, _)| *owner == scheduler.id);
            let registered = master.agents().any(|(_, known)| known.link == agent.link);
            let Some(link) = agent.link.filter(|_| has_task && registered) else { continue };
            let last = self.cluster.messages.get(&link).and_then(|messages| messages.last());
            assert!(matches!(last, Some(Body::UpdateFramework(_))), "{last:?}");
        }
    }

    fn scheduler(&self, index: usize) -> Scheduler {
        self.schedulers[index % self.schedulers.len()].clone()
    }

    fn is_connected(&self, scheduler: &Scheduler) -> bool {
        self.cluster
            .master
            .frameworks()
            .any(|(_, framework)| framework.connection == Some(scheduler.connection))
    }

    fn accept(&mut self, framework: usize, offer: usize, cpus: u32, stale: bool) {
        let scheduler = self.scheduler(framework);
        if !self.is_connected(&scheduler) {
            return;
        }
        let offers = self.offers.entry(scheduler.id.clone()).or_default();
        let index = if stale { offer } else { offers.len().saturating_sub(1 + offer) };
        let Some((offer, agent)) = offers.get(index).cloned() else { return };
        let id = format!("t{}", self.next_task);
        self.next_task += 1;
        let wanted = format!("cpus:{cpus}.5;mem:16");
        let before = self.launched_on_agents();
        self.cluster.accept(&scheduler, &[&offer], vec![task(&id, &agent, &wanted)]);
        self.look();
        if self.launched_on_agents() > before {
            assert!(self.used.insert(offer.clone()), "offer {offer} was used twice");
        }
    }

    fn launched_on_agents(&self) -> usize {
        self.agents.iter().map(|agent| agent.tasks.len()).sum()
    }

    fn update(&mut self, task: usize, state: TaskState) {
        let id = format!("t{task}");
        // Of two tasks of one id, each may be the one that changes.
        let last_first = self.next_uuid.is_multiple_of(2);
        let mut agents: Vec<_> = self.agents.iter_mut().collect();
        if last_first {
            agents.reverse();
        }
        for agent in agents {
            let Some(link) = agent.link else { continue };
            let found = agent.tasks.iter_mut().find(|((_, name), _)| *name == id);
            if let Some(((framework, _), record)) = found {
                record.state = state as i32;
                self.next_uuid = self.next_uuid.wrapping_add(1).max(1);
                let framework = framework.clone();
                self.cluster.update(link, &framework, &id, state, self.next_uuid);
                return;
            }
        }
    }
}

impl AgentModel {
    fn hear(&mut self, body: Body) {
        match body {
            Body::Registered(registered) => self.id = registered.agent_id.map(|id| id.value),
            Body::RunTask(run) => {
                let (Some(framework), Some(info)) = (run.framework_info, run.task_info) else {
                    panic!("RunTask without its parts");
                };
                let framework_id = framework.id.clone().unwrap_or_default();
                let key = (framework_id.value.clone(), info.task_id.value.clone());
                self.frameworks.insert(key.0.clone(), framework);
                let record = v1::Task {
                    name: info.name,
                    task_id: info.task_id,
                    framework_id,
                    agent_id: info.agent_id,
                    state: TaskState::TaskStaging as i32,
                    resources: info.resources,
                    ..Default::default()
                };
                assert!(self.tasks.insert(key, record).is_none(), "a task was launched twice");
            }
            Body::ShutdownFramework(shutdown) => {
                let id = shutdown.framework_id.unwrap_or_default().value;
                self.frameworks.remove(&id);
                self.tasks.retain(|(framework, _), _| *framework != id);
            }
            Body::Acknowledgement(acknowledgement) => {
                let key = (
                    acknowledgement.framework_id.unwrap_or_default().value,
                    acknowledgement.task_id.unwrap_or_default().value,
                );
                let ended = self.tasks.get(&key).is_some_and(|task| {
                    matches!(task.state(), TaskState::TaskFinished | TaskState::TaskFailed)
                });
                if ended {
                    self.tasks.remove(&key);
                }
            }
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_books_agree_whatever_happens(
        steps in proptest::collection::vec(step(), 1..80),
        stores in any::<bool>(),
    ) {
        let mut world = World::new(stores);
        for step in steps {
            world.apply(step);
        }
    }
}
