//! How an agent comes, and comes back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use orrery_allocator::AgentKey;
use orrery_api::link::{self, from_master};
use orrery_api::v1;
use orrery_coverage::{always, reachable, sometimes};
use orrery_model::Resources;

use crate::adoption::Return;
use crate::pending::Pending;
use crate::state::Agent;
use crate::timers::Timer;
use crate::{Description, LinkId, Master, Output, PlantedBug, RegistryOperation, Ticket};

/// An agent that waits for the registry before it is let in.
#[derive(Debug)]
pub(crate) struct Registration {
    /// Where it waits; `None` once the link broke.
    pub(crate) link: Option<LinkId>,
    pub(crate) register: link::Register,
    pub(crate) info: v1::AgentInfo,
    pub(crate) total: Arc<Resources>,
}

impl Registration {
    fn id(&self) -> &str {
        self.info.id.as_ref().map_or("", |id| id.value.as_str())
    }
}

impl Master {
    pub(crate) fn register(&mut self, link: LinkId, register: link::Register) {
        let registration = match self.check_registration(link, register) {
            Ok(registration) => registration,
            Err(rejection) => {
                reachable!("an agent is refused");
                self.refuse_agent(link, rejection);
                return;
            }
        };
        if registration.info.id.is_none() {
            self.metrics.count("messages_register_slave");
            self.register_new(registration);
        } else {
            self.metrics.count("messages_reregister_slave");
            self.register_again(registration);
        }
    }

    /// An agent without an id. One that is known under the same address is thereby gone for good.
    fn register_new(&mut self, mut registration: Registration) {
        let pid = registration.register.pid.clone();
        if let Some(ticket) = self.waiting_at.get(&pid).copied() {
            reachable!("a new agent asks again while its admission is being stored");
            self.keep_waiting(ticket, &registration);
            return;
        }
        let at = Arc::<str>::from(pid.as_str());
        let replaced: Vec<AgentKey> = self
            .addresses
            .range((Arc::clone(&at), AgentKey(0))..=(at, AgentKey(u32::MAX)))
            .map(|(_, key)| *key)
            .filter(|key| self.agents.get(key).is_some_and(|agent| !agent.leaving))
            .filter(|_| !PlantedBug::ReplacedAgentStays.is_planted())
            .collect();
        for key in replaced {
            reachable!("a new agent registers at the address of another one");
            self.metrics.count("slave_removals/reason_registered");
            self.start_replacement(key);
        }
        let value = format!("{}-S{}", self.options.master_info.id, self.next_agent);
        self.next_agent += u64::from(!PlantedBug::AgentIdIsUsedTwice.is_planted());
        registration.info.id = Some(v1::AgentId { value: value.clone() });
        let operation = RegistryOperation::Admit(Box::new(registration.info.clone()));
        let link = registration.link;
        let ticket = self.store(operation, Pending::Admit(Box::new(registration)));
        self.waiting.insert(value, ticket);
        self.waiting_at.insert(pid, ticket);
        self.wait_on(link, ticket);
    }

    /// An agent that says who it is.
    fn register_again(&mut self, registration: Registration) {
        let id = registration.id().to_owned();
        if self.is_leaving_while_away(&id) {
            reachable!("an agent comes back while the registry is told that it is away");
            self.close_link_of(&registration);
            return;
        }
        if let Some(ticket) = self.waiting.get(&id).copied() {
            reachable!("an agent asks again while its return is being stored");
            self.keep_waiting(ticket, &registration);
            return;
        }
        if let Some(key) = self.agent_by_id(&id) {
            if self.agents[&key].leaving {
                reachable!("an agent registers again while it is being given up");
                // It is being given up; once that is stored it can come back.
                self.close_link_of(&registration);
            } else if registration.link < Some(self.agents[&key].latest_link) {
                reachable!("what an agent sent on an earlier link comes after a later one");
                // It tells of tasks that may have ended since, and nobody is at its other end.
                self.close_link_of(&registration);
            } else if let Some(rejection) = self.moved(key, &registration) {
                reachable!("an agent's id comes from another machine");
                if let Some(link) = registration.link {
                    self.refuse_agent(link, rejection);
                }
            } else {
                self.reconnect(key, registration);
            }
            return;
        }
        match self.recovered.get(&id) {
            Some(known) if *known == Description::from(&registration.info) => {
                reachable!("an agent comes back to a restarted master");
                self.add_agent(registration, true);
            }
            Some(_) => {
                reachable!("an agent comes back to a restarted master with another description");
                let operation = RegistryOperation::Update(Box::new(registration.info.clone()));
                self.readmit(operation, registration);
            }
            None => {
                sometimes!(
                    self.unreachable.contains_key(&id),
                    "an agent comes back that was unreachable"
                );
                sometimes!(
                    !self.unreachable.contains_key(&id),
                    "an agent comes back that the registry does not have"
                );
                let info = Box::new(registration.info.clone());
                self.readmit(RegistryOperation::MarkReachable(info), registration);
            }
        }
    }

    fn readmit(&mut self, operation: RegistryOperation, registration: Registration) {
        let (link, id) = (registration.link, registration.id().to_owned());
        let ticket = self.store(operation, Pending::Readmit(Box::new(registration)));
        self.waiting.insert(id, ticket);
        self.wait_on(link, ticket);
    }

    fn wait_on(&mut self, link: Option<LinkId>, ticket: Ticket) {
        if let Some(link) = link {
            self.registering.insert(link, ticket);
        }
    }

    /// The agent asked again on another link while the registry was at work. If it is still the
    /// same one it waits there; one that has changed is sent away and will ask once more.
    fn keep_waiting(&mut self, ticket: Ticket, again: &Registration) {
        let Some(Pending::Admit(waiting) | Pending::Readmit(waiting)) =
            self.pending.get_mut(ticket)
        else {
            return;
        };
        if waiting.register != again.register || waiting.total != again.total {
            reachable!("an agent changes while its registration is being stored");
            self.close_link_of(again);
            return;
        }
        if let Some(old) = std::mem::replace(&mut waiting.link, again.link) {
            self.registering.remove(&old);
            self.emit(Output::CloseLink { link: old });
        }
        self.wait_on(again.link, ticket);
    }

    /// A link broke while the agent on it waited for the registry.
    pub(crate) fn registering_link_closed(&mut self, link: LinkId) {
        let Some(ticket) = self.registering.remove(&link) else { return };
        reachable!("an agent's link breaks while its registration is being stored");
        if let Some(Pending::Admit(registration) | Pending::Readmit(registration)) =
            self.pending.get_mut(ticket)
        {
            registration.link = None;
        }
    }

    fn close_link_of(&mut self, registration: &Registration) {
        if let Some(link) = registration.link {
            self.emit(Output::CloseLink { link });
        }
    }

    /// Whether an agent of this id waits for the registry.
    pub(crate) fn is_registering(&self, agent_id: &str) -> bool {
        let pending = self.waiting.get(agent_id).and_then(|ticket| self.pending.get(*ticket));
        matches!(pending, Some(Pending::Readmit(_)))
    }

    pub(crate) fn admitted(&mut self, _ticket: Ticket, registration: Registration) {
        self.metrics.count("slave_registrations");
        self.waiting_at.remove(&registration.register.pid);
        self.add_agent(registration, false);
    }

    pub(crate) fn readmitted(&mut self, _ticket: Ticket, registration: Registration) {
        self.add_agent(registration, true);
    }

    fn add_agent(&mut self, registration: Registration, returned: bool) {
        let Registration { link, register, info, total } = registration;
        if let Some(link) = link {
            self.registering.remove(&link);
        }
        let key = AgentKey(self.next_key());
        let description = Description::from(&info);
        let id = self.records.text(info.id.map_or_else(String::new, |id| id.value));
        tracing::info!(agent_id = %id, pid = %register.pid, returned, "agent registered");
        let returns = if returned { self.return_of(&id) } else { None };
        let known = self.recovered.remove(id.as_ref());
        self.waiting.remove(id.as_ref());
        if !PlantedBug::ReturnedAgentStaysUnreachable.is_planted() {
            self.unreachable.remove(id.as_ref());
        }
        always!(!self.agent_keys.contains_key(&id), "an agent is added once", id);
        self.agent_keys.insert(Arc::clone(&id), key);
        let pid = Arc::<str>::from(register.pid.as_str());
        self.addresses.insert((Arc::clone(&pid), key));
        self.agents.insert(
            key,
            Box::new(Agent {
                id: Arc::clone(&id),
                // The registry's copy, where there is one: it takes no more memory.
                info: known.filter(|known| *known == description).unwrap_or(description),
                pid,
                version: self.records.text(register.version.clone()),
                capabilities: register.capabilities.clone(),
                link,
                latest_link: link.unwrap_or(LinkId(0)),
                total,
                registered: self.now.wall,
                reregistered: returned.then_some(self.now.wall),
                tasks: BTreeSet::new(),
                duplicates: Default::default(),
                executors: Default::default(),
                offers: BTreeSet::new(),
                unclaimed: Vec::new(),
                pending_kills: Default::default(),
                ping_outstanding: false,
                missed_pings: 0,
                departures: 0,
                leaving: false,
            }),
        );
        if let Some(link) = link {
            self.links.insert(link, key);
        }
        if returned {
            self.metrics.count("slave_reregistrations");
        }
        let since_start = self.now.instant.since(self.started.instant);
        sometimes!(
            returned && self.agents.len() >= 1_000 && since_start <= Duration::from_secs(60),
            "a thousand agents are back within a minute of the master's start"
        );
        sometimes!(
            returns == Some(Return::Unreachable) && !register.tasks.is_empty(),
            "an agent that was unreachable comes back with tasks"
        );
        self.take_in(key, register, returns);
        self.set_timer(self.options.agent_ping_timeout, Timer::Ping(key));
        if link.is_none() {
            self.allocator.deactivate_agent(key);
            reachable!("an agent is let in after its link broke");
            self.set_timer(self.options.agent_reregister_timeout, Timer::Reregister(key, 0));
        }
    }

    /// Books what an agent that was just added brings, and answers it.
    fn take_in(&mut self, key: AgentKey, mut register: link::Register, returns: Option<Return>) {
        let answers = self.adopt_frameworks(&register);
        if returns != Some(Return::Unreachable) {
            self.adopt_history(key, std::mem::take(&mut register.completed_tasks));
        }
        let used = self.adopt_work(key, register, returns);
        let Some(agent) = self.agents.get(&key) else { return };
        self.allocator.add_agent(key, Arc::clone(&agent.id), Arc::clone(&agent.total), &used);
        let missing = self.missing_unreachable_tasks(key);
        self.send_registered(key, missing);
        self.answer_for_frameworks(key, answers);
        self.send_pending_kills(key);
    }

    /// From where an agent comes back whose tasks have been given up; `None` where only the master
    /// has changed.
    fn return_of(&self, agent_id: &str) -> Option<Return> {
        if self.unreachable.contains_key(agent_id) {
            return Some(Return::Unreachable);
        }
        (!self.recovered.contains_key(agent_id)).then_some(Return::Unknown)
    }

    /// A registered agent comes back on a new link.
    fn reconnect(&mut self, key: AgentKey, registration: Registration) {
        let Registration { link, register, info, total } = registration;
        self.metrics.count("slave_reregistrations");
        self.rescind_agent_offers(key);
        self.keep(key);
        let Some(agent) = self.agents.get_mut(&key) else { return };
        tracing::info!(agent_id = agent.id(), "agent registered again");
        let old = std::mem::replace(&mut agent.link, link);
        agent.latest_link = link.unwrap_or(agent.latest_link);
        agent.reregistered = Some(self.now.wall);
        agent.ping_outstanding = false;
        agent.missed_pings = 0;
        if *agent.pid != *register.pid {
            let pid = Arc::<str>::from(register.pid.as_str());
            self.addresses.insert((Arc::clone(&pid), key));
            self.addresses.remove(&(std::mem::replace(&mut agent.pid, pid), key));
        }
        agent.version = self.records.text(register.version.clone());
        agent.capabilities.clone_from(&register.capabilities);
        let description = Description::from(&info);
        let changed = agent.info != description;
        if changed {
            agent.info = description;
        }
        agent.total = Arc::clone(&total);
        if let Some(old) = old.filter(|old| Some(*old) != link) {
            reachable!("an agent's new link comes before the end of its old one");
            self.links.remove(&old);
            self.emit(Output::CloseLink { link: old });
        }
        if let Some(link) = link {
            self.links.insert(link, key);
        }
        if changed {
            reachable!("a registered agent comes back with another description");
            self.store(RegistryOperation::Update(Box::new(info)), Pending::Nothing);
            self.allocator.update_agent(key, total);
        }
        let answers = self.adopt_frameworks(&register);
        let mut missing = self.missing_work(key, &register);
        if PlantedBug::LostLaunchIsForgotten.is_planted() {
            missing.clear();
        }
        self.drop_missing_duplicates(key, &register);
        for (framework, resources) in self.adopt_work(key, register, None) {
            self.allocator.add_allocation(framework, key, &resources);
        }
        self.send_registered(key, missing);
        self.answer_for_frameworks(key, answers);
        self.send_pending_kills(key);
        self.allocator.activate_agent(key);
    }

    fn send_registered(&mut self, key: AgentKey, missing_tasks: Vec<link::TaskReference>) {
        let agent_id = self.agents.get(&key).map(|agent| agent.agent_id());
        self.tell_agent(
            key,
            from_master::Body::Registered(link::Registered {
                agent_id,
                master_info: Some(self.options.master_info.clone()),
                ping_timeout_seconds: self.options.total_ping_timeout().as_secs_f64(),
                missing_tasks,
            }),
        );
    }

    fn send_pending_kills(&mut self, key: AgentKey) {
        let Some(agent) = self.agents.get(&key) else { return };
        for ((framework, task_id), kill_policy) in agent.pending_kills.clone() {
            reachable!("a kill that waited goes to the agent that is back");
            let framework_id = self.frameworks.get(&framework).and_then(|one| one.info.id.clone());
            self.tell_agent(
                key,
                from_master::Body::KillTask(link::KillTask {
                    framework_id,
                    task_id: Some(v1::TaskId { value: task_id.as_ref().to_owned() }),
                    kill_policy,
                }),
            );
        }
    }
}
