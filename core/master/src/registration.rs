//! How an agent comes, and comes back.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_api::link::{self, from_master};
use orrery_api::v1::task_status::Reason;
use orrery_api::v1::{self, TaskState};
use orrery_coverage::{always, reachable, sometimes};
use orrery_model::Resources;
use orrery_model::task_state::is_terminal;

use crate::state::{Agent, Executor, Framework, Pending, Task, holds_resources};
use crate::subscribe::allocator_options;
use crate::timers::Timer;
use crate::{LinkId, Master, Output, PlantedBug, RegistryOperation, Ticket};

/// An agent that waits for the registry before it is let in.
#[derive(Debug)]
pub(crate) struct Registration {
    /// Where it waits; `None` once the link broke.
    link: Option<LinkId>,
    register: link::Register,
    info: v1::AgentInfo,
    total: Resources,
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
            Err(message) => {
                reachable!("an agent is refused");
                tracing::warn!(%message, "agent refused");
                self.refuse_agent(link, message);
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

    fn check_registration(
        &self,
        link: LinkId,
        mut register: link::Register,
    ) -> Result<Registration, String> {
        let Some(mut info) = register.agent_info.take() else {
            reachable!("a registration lacks the agent's description");
            return Err("Register.agent_info is missing".to_owned());
        };
        if info.id.as_ref().is_some_and(|id| id.value.is_empty()) {
            info.id = None;
        }
        if let Some(id) = &info.id {
            orrery_model::validate::id(&id.value).map_err(|invalid| invalid.to_string())?;
            if self.gone.contains_key(&id.value) {
                reachable!("an agent that is gone asks to register");
                return Err("Agent has been marked gone".to_owned());
            }
        }
        let total = Resources::from_messages(&info.resources)
            .map_err(|error| format!("AgentInfo.resources: {error}"))?;
        Ok(Registration { link: Some(link), register, info, total })
    }

    fn refuse_agent(&mut self, link: LinkId, message: String) {
        let shutdown = from_master::Body::Shutdown(link::Shutdown { message });
        self.emit(Output::ToAgent { link, body: Box::new(shutdown) });
        self.emit(Output::CloseLink { link });
    }

    /// An agent without an id. One that is known under the same address is thereby gone for good.
    fn register_new(&mut self, mut registration: Registration) {
        let pid = registration.register.pid.clone();
        let waiting = self.find_pending(
            |pending| matches!(pending, Pending::Admit(other) if other.register.pid == pid),
        );
        if let Some(ticket) = waiting {
            reachable!("a new agent asks again while its admission is being stored");
            self.keep_waiting(ticket, &registration);
            return;
        }
        let replaced: Vec<AgentKey> = self
            .agents
            .iter()
            .filter(|(_, agent)| agent.pid == pid && !agent.leaving)
            .filter(|_| !PlantedBug::ReplacedAgentStays.is_planted())
            .map(|(key, _)| *key)
            .collect();
        for key in replaced {
            reachable!("a new agent registers at the address of another one");
            self.metrics.count("slave_removals/reason_registered");
            self.start_removal(key, "a new agent registered at the same address");
        }
        let value = format!("{}-S{}", self.options.master_info.id, self.next_agent);
        self.next_agent += u64::from(!PlantedBug::AgentIdIsUsedTwice.is_planted());
        registration.info.id = Some(v1::AgentId { value });
        let operation = RegistryOperation::Admit(Box::new(registration.info.clone()));
        let link = registration.link;
        let ticket = self.store(operation, Pending::Admit(Box::new(registration)));
        self.wait_on(link, ticket);
    }

    /// An agent that says who it is.
    fn register_again(&mut self, registration: Registration) {
        let id = registration.id().to_owned();
        let waiting = self.find_pending(|pending| {
            let (Pending::Admit(other) | Pending::Readmit(other)) = pending else { return false };
            other.id() == id
        });
        if let Some(ticket) = waiting {
            reachable!("an agent asks again while its return is being stored");
            self.keep_waiting(ticket, &registration);
            return;
        }
        if let Some(key) = self.agent_by_id(&id) {
            if self.agents[&key].leaving {
                reachable!("an agent registers again while it is being given up");
                // It is being given up; once that is stored it can come back.
                self.close_link_of(&registration);
            } else {
                self.reconnect(key, registration);
            }
            return;
        }
        match self.recovered.get(&id) {
            Some(known) if *known == registration.info => {
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
        let link = registration.link;
        let ticket = self.store(operation, Pending::Readmit(Box::new(registration)));
        self.wait_on(link, ticket);
    }

    fn find_pending(&self, matches: impl Fn(&Pending) -> bool) -> Option<Ticket> {
        self.pending.iter().find(|(_, pending)| matches(pending)).map(|(ticket, _)| *ticket)
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
            self.pending.get_mut(&ticket)
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
            self.pending.get_mut(&ticket)
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
        self.find_pending(|pending| {
            matches!(pending, Pending::Readmit(registration) if registration.id() == agent_id)
        })
        .is_some()
    }

    pub(crate) fn admitted(&mut self, _ticket: Ticket, registration: Registration) {
        self.metrics.count("slave_registrations");
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
        let id = info.id.as_ref().map_or_else(String::new, |id| id.value.clone());
        tracing::info!(agent_id = %id, pid = %register.pid, returned, "agent registered");
        self.recovered.remove(&id);
        let was_unreachable = self.unreachable.contains_key(&id);
        if !PlantedBug::ReturnedAgentStaysUnreachable.is_planted() {
            self.unreachable.remove(&id);
        }
        always!(!self.agent_keys.contains_key(&id), "an agent is added once", id);
        self.agent_keys.insert(id.clone(), key);
        self.agents.insert(
            key,
            Agent {
                info,
                pid: register.pid.clone(),
                version: register.version.clone(),
                capabilities: register.capabilities.clone(),
                link,
                total: total.clone(),
                registered: self.now.wall,
                reregistered: returned.then_some(self.now.wall),
                tasks: BTreeSet::new(),
                executors: Default::default(),
                offers: BTreeSet::new(),
                unclaimed: Vec::new(),
                pending_kills: Default::default(),
                ping_outstanding: false,
                missed_pings: 0,
                departures: 0,
                leaving: false,
            },
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
            was_unreachable && !register.tasks.is_empty(),
            "an agent that was unreachable comes back with tasks"
        );
        let ended = self.adopt_frameworks(&register);
        let used = self.adopt_work(key, &register, was_unreachable);
        self.allocator.add_agent(key, &id, total, &used);
        let missing = self.missing_unreachable_tasks(key);
        self.send_registered(key, missing);
        self.shutdown_frameworks(key, ended);
        self.set_timer(self.options.agent_ping_timeout, Timer::Ping(key));
        if link.is_none() {
            self.allocator.deactivate_agent(key);
            reachable!("an agent is let in after its link broke");
            self.set_timer(self.options.agent_reregister_timeout, Timer::Reregister(key, 0));
        }
    }

    /// A registered agent comes back on a new link.
    fn reconnect(&mut self, key: AgentKey, registration: Registration) {
        let Registration { link, register, info, total } = registration;
        self.metrics.count("slave_reregistrations");
        self.rescind_agent_offers(key);
        let Some(agent) = self.agents.get_mut(&key) else { return };
        tracing::info!(agent_id = agent.id(), "agent registered again");
        let old = std::mem::replace(&mut agent.link, link);
        agent.reregistered = Some(self.now.wall);
        agent.ping_outstanding = false;
        agent.missed_pings = 0;
        agent.pid.clone_from(&register.pid);
        agent.version.clone_from(&register.version);
        agent.capabilities.clone_from(&register.capabilities);
        let changed = agent.info != info;
        agent.info.clone_from(&info);
        agent.total = total.clone();
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
        let ended = self.adopt_frameworks(&register);
        for (framework, resources) in self.adopt_work(key, &register, false) {
            self.allocator.add_allocation(framework, key, &resources);
        }
        let mut missing = self.missing_work(key, &register);
        if PlantedBug::LostLaunchIsForgotten.is_planted() {
            missing.clear();
        }
        self.send_registered(key, missing);
        self.shutdown_frameworks(key, ended);
        self.send_pending_kills(key);
        self.allocator.activate_agent(key);
    }

    /// Frameworks that the agent runs something of and that nobody here knows yet. Those that are
    /// over are returned: the agent is to end them.
    fn adopt_frameworks(&mut self, register: &link::Register) -> Vec<v1::FrameworkId> {
        let mut ended = Vec::new();
        for info in &register.frameworks {
            let Some(id) = &info.id else { continue };
            if self.is_completed(&id.value) {
                reachable!("an agent comes back with work of a framework that is over");
                ended.push(id.clone());
            } else if !self.framework_keys.contains_key(&id.value) {
                reachable!("a framework becomes known through an agent");
                let key = FrameworkKey(self.next_key());
                let framework =
                    Framework { recovered: true, ..Framework::new(info.clone(), self.now.wall) };
                let options = allocator_options(info, &[]);
                self.allocator.add_framework(key, &id.value, options, false);
                self.framework_keys.insert(id.value.clone(), key);
                self.frameworks.insert(key, framework);
                self.claim_tasks(key, &id.value);
            }
        }
        ended
    }

    /// Takes over tasks and executors that the agent runs and that are not on record; returns what
    /// they hold, by framework.
    fn adopt_work(
        &mut self,
        key: AgentKey,
        register: &link::Register,
        was_unreachable: bool,
    ) -> Vec<(FrameworkKey, Resources)> {
        self.put_aside(key, register);
        let mut used = Vec::new();
        for message in &register.tasks {
            let Some(framework) = self.framework_by_id(&message.framework_id.value) else {
                continue;
            };
            if let Some(resources) = self.adopt_task(key, framework, message, was_unreachable) {
                used.push((framework, resources));
            }
        }
        for info in &register.executors {
            let id = info.framework_id.as_ref().map_or("", |id| id.value.as_str());
            let Some(framework) = self.framework_by_id(id) else { continue };
            let executor_key = (framework, info.executor_id.value.clone());
            let Some(agent) = self.agents.get_mut(&key) else { continue };
            if agent.executors.contains_key(&executor_key) {
                continue;
            }
            let Ok(resources) = Resources::from_messages(&info.resources) else { continue };
            let executor = Executor { info: info.clone(), resources: resources.clone() };
            agent.executors.insert(executor_key, executor);
            used.push((framework, resources));
        }
        used
    }

    pub(crate) fn adopt_task(
        &mut self,
        key: AgentKey,
        framework_key: FrameworkKey,
        message: &v1::Task,
        was_unreachable: bool,
    ) -> Option<Resources> {
        let framework = self.frameworks.get_mut(&framework_key)?;
        let task_id = message.task_id.value.clone();
        if let Some(task) = framework.tasks.get(&task_id) {
            sometimes!(task.agent != key, "an agent brings a task whose id another one has");
            return None;
        }
        let resources = Resources::from_messages(&message.resources).ok()?;
        framework.unreachable_tasks.retain(|task| task.task_id.value != task_id);
        let task = Task { message: message.clone(), agent: key, resources: resources.clone() };
        let (state, told) = (task.state(), task.told_state());
        framework.tasks.insert(task_id.clone(), task);
        self.agents.get_mut(&key)?.tasks.insert((framework_key, task_id.clone()));
        // A framework may have been told that the agent is unreachable by this master or, when it
        // asked for the task, by one that never had it on record.
        sometimes!(is_terminal(state), "an agent brings a task whose end was not acknowledged");
        let silent = PlantedBug::ReturnIsNotTold.is_planted();
        if was_unreachable && holds_resources(state) && !silent {
            // Not the state that the agent knows: its updates are still to come, in order.
            self.tell_task_returned(framework_key, &task_id, told, message);
        }
        holds_resources(state).then_some(resources)
    }

    fn tell_task_returned(
        &mut self,
        key: FrameworkKey,
        task_id: &str,
        state: TaskState,
        task: &v1::Task,
    ) {
        let status = v1::TaskStatus {
            message: Some("Agent registered again after it was unreachable".to_owned()),
            agent_id: Some(task.agent_id.clone()),
            executor_id: task.executor_id.clone(),
            ..self.master_status(task_id, state, Reason::AgentReregistered)
        };
        self.tell_status(key, status);
    }

    /// Tasks of an agent that was unreachable and is back without them: their launch was lost. They
    /// are on record again, without resources, until the agent has said that it does not have them.
    fn missing_unreachable_tasks(&mut self, key: AgentKey) -> Vec<link::TaskReference> {
        let mut missing = Vec::new();
        let Some(agent) = self.agents.get_mut(&key) else { return missing };
        for (framework_key, framework) in &mut self.frameworks {
            let unreachable = std::mem::take(&mut framework.unreachable_tasks);
            let (ours, others): (VecDeque<_>, VecDeque<_>) =
                unreachable.into_iter().partition(|task| task.agent_id.value == agent.id());
            framework.unreachable_tasks = others;
            for message in ours {
                reachable!("an agent that was unreachable comes back without a task");
                missing.push(link::TaskReference {
                    framework_id: framework.info.id.clone(),
                    task_id: Some(message.task_id.clone()),
                });
                let task_id = message.task_id.value.clone();
                agent.tasks.insert((*framework_key, task_id.clone()));
                let resources = Resources::from_messages(&message.resources).unwrap_or_default();
                framework.tasks.insert(task_id, Task { message, agent: key, resources });
            }
        }
        missing
    }

    /// Work on record that the agent does not report. Executors and tasks that have ended are
    /// simply forgotten; for other tasks the agent is asked to say that it does not have them.
    fn missing_work(
        &mut self,
        key: AgentKey,
        register: &link::Register,
    ) -> Vec<link::TaskReference> {
        let reported: BTreeSet<(&str, &str)> = register
            .tasks
            .iter()
            .map(|task| (task.framework_id.value.as_str(), task.task_id.value.as_str()))
            .collect();
        let mut missing = Vec::new();
        let mut over = Vec::new();
        let Some(agent) = self.agents.get(&key) else { return missing };
        for (framework_key, task_id) in &agent.tasks {
            let Some(framework) = self.frameworks.get(framework_key) else { continue };
            let Some(task) = framework.tasks.get(task_id) else { continue };
            if reported.contains(&(framework.id(), task_id.as_str())) {
                continue;
            }
            if holds_resources(task.state()) {
                reachable!("an agent comes back without a task that it should run");
                missing.push(link::TaskReference {
                    framework_id: framework.info.id.clone(),
                    task_id: Some(task.message.task_id.clone()),
                });
            } else {
                reachable!("an agent comes back without a task that has ended");
                over.push((*framework_key, task_id.clone()));
            }
        }
        let gone_executors = self.missing_executors(key, register);
        for (framework, task_id) in over {
            self.tell_known_end(framework, &task_id);
            self.complete_task(framework, &task_id);
        }
        sometimes!(!gone_executors.is_empty(), "an agent comes back without an executor");
        for (framework, executor_id) in gone_executors {
            self.remove_executor(framework, key, &executor_id);
        }
        missing
    }

    /// Tells the end of a task, if only the updates before it were told: its agent has lost the
    /// rest, as one does that was booted and keeps nothing for the framework.
    fn tell_known_end(&mut self, key: FrameworkKey, task_id: &str) {
        let Some(task) = self.frameworks.get(&key).and_then(|one| one.tasks.get(task_id)) else {
            return;
        };
        if is_terminal(task.told_state()) {
            return;
        }
        reachable!("an agent comes back without the end of a task that it has to tell");
        let message = "The agent has come back without the task, which had ended";
        let status = v1::TaskStatus {
            message: Some(message.to_owned()),
            agent_id: Some(task.message.agent_id.clone()),
            executor_id: task.message.executor_id.clone(),
            ..self.master_status(task_id, task.state(), Reason::Reconciliation)
        };
        self.tell_status(key, status);
    }

    fn missing_executors(
        &self,
        key: AgentKey,
        register: &link::Register,
    ) -> Vec<(FrameworkKey, String)> {
        let reported: BTreeSet<(&str, &str)> = register
            .executors
            .iter()
            .filter_map(|info| {
                Some((info.framework_id.as_ref()?.value.as_str(), info.executor_id.value.as_str()))
            })
            .collect();
        let Some(agent) = self.agents.get(&key) else { return Vec::new() };
        agent
            .executors
            .keys()
            .filter(|(framework, executor)| {
                let id = self.frameworks.get(framework).map_or("", |framework| framework.id());
                !reported.contains(&(id, executor.as_str()))
            })
            .cloned()
            .collect()
    }

    fn send_registered(&mut self, key: AgentKey, missing_tasks: Vec<link::TaskReference>) {
        let agent_id = self.agents.get(&key).and_then(|agent| agent.info.id.clone());
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

    fn shutdown_frameworks(&mut self, key: AgentKey, ended: Vec<v1::FrameworkId>) {
        for framework_id in ended {
            let shutdown = link::ShutdownFramework { framework_id: Some(framework_id) };
            self.tell_agent(key, from_master::Body::ShutdownFramework(shutdown));
        }
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
                    task_id: Some(v1::TaskId { value: task_id }),
                    kill_policy,
                }),
            );
        }
    }
}
