//! What an agent brings when it comes: frameworks, tasks and executors that are not on record are
//! adopted, and what is on record and does not come with it is missing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_api::link::{self, from_master};
use orrery_api::v1;
use orrery_api::v1::task_status::Reason;
use orrery_coverage::{reachable, sometimes};
use orrery_model::Resources;
use orrery_model::task_state::is_terminal;

use crate::state::{Executor, Framework, holds_resources, remember};
use crate::subscribe::allocator_options;
use crate::{Master, PlantedBug};

/// An agent that comes back after its tasks were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Return {
    /// It was unreachable.
    Unreachable,
    /// Nobody here knows it any more: it was away for too long, or the registry is not kept.
    Unknown,
}

impl Return {
    fn message(self) -> &'static str {
        match self {
            Self::Unreachable => "Agent registered again after it was unreachable",
            Self::Unknown => "Agent registered again after it had been forgotten",
        }
    }

    fn is_silent(self) -> bool {
        match self {
            Self::Unreachable => PlantedBug::ReturnIsNotTold.is_planted(),
            Self::Unknown => PlantedBug::UnknownReturnIsNotTold.is_planted(),
        }
    }
}

/// What an agent is to hear of the frameworks that it brought.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    /// They are over: the agent is to end them.
    ended: Vec<v1::FrameworkId>,
    /// They have described themselves anew while the agent was away.
    changed: Vec<FrameworkKey>,
}

impl Master {
    /// Takes over frameworks that the agent runs something of and that nobody here knows yet.
    pub(crate) fn adopt_frameworks(&mut self, register: &link::Register) -> Answers {
        let mut answers = Answers::default();
        for info in &register.frameworks {
            let Some(id) = &info.id else { continue };
            if self.is_completed(&id.value) {
                reachable!("an agent comes back with work of a framework that is over");
                answers.ended.push(id.clone());
            } else if let Some(key) = self.framework_by_id(&id.value) {
                // What is known from agents alone may be as old as what this one brings.
                let known = self.frameworks.get(&key).filter(|known| !known.recovered);
                if known.is_some_and(|known| known.info != *info) {
                    reachable!("a framework has changed while an agent with its work was away");
                    answers.changed.push(key);
                }
            } else {
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
        answers
    }

    /// Tells an agent that has just registered what became of the frameworks that it brought: a
    /// later master will believe what the agent says of them.
    pub(crate) fn answer_for_frameworks(&mut self, key: AgentKey, answers: Answers) {
        for framework_id in answers.ended {
            let shutdown = link::ShutdownFramework { framework_id: Some(framework_id) };
            self.tell_agent(key, from_master::Body::ShutdownFramework(shutdown));
        }
        for framework in answers.changed {
            self.describe_framework(key, framework);
        }
    }

    /// Takes over tasks and executors that the agent runs and that are not on record; returns what
    /// they hold, by framework.
    pub(crate) fn adopt_work(
        &mut self,
        key: AgentKey,
        register: link::Register,
        returns: Option<Return>,
    ) -> Vec<(FrameworkKey, Resources)> {
        self.put_aside(key, &register);
        let mut used = BTreeMap::<FrameworkKey, Resources>::new();
        for message in register.tasks {
            let Some(framework) = self.framework_by_id(&message.framework_id.value) else {
                continue;
            };
            if let Some(resources) = self.adopt_task(key, framework, message, returns) {
                *used.entry(framework).or_default() += &resources;
            }
        }
        for info in register.executors {
            let id = info.framework_id.as_ref().map_or("", |id| id.value.as_str());
            let Some(framework) = self.framework_by_id(id) else { continue };
            let executor_key = (framework, info.executor_id.value.clone());
            let Some(agent) = self.agents.get_mut(&key) else { continue };
            if agent.executors.contains_key(&executor_key) {
                continue;
            }
            let Ok(resources) = Resources::from_messages(&info.resources) else { continue };
            *used.entry(framework).or_default() += &resources;
            agent.executors.insert(executor_key, Executor { info, resources });
        }
        used.into_iter().collect()
    }

    /// Remembers tasks that ended under an earlier master. Of a framework that nobody here knows
    /// nothing is kept, and neither is what this master has seen end itself.
    pub(crate) fn adopt_history(&mut self, key: AgentKey, tasks: Vec<v1::Task>) {
        sometimes!(!tasks.is_empty(), "an agent brings tasks that ended under an earlier master");
        let limit = self.options.max_completed_tasks_per_framework;
        for message in tasks {
            let framework = self.framework_keys.get(&message.framework_id.value);
            let framework = framework.and_then(|key| self.frameworks.get_mut(key));
            let (Some(framework), Ok(task)) = (framework, self.records.record(message, key)) else {
                continue;
            };
            remember(&mut framework.completed_tasks, limit, task);
        }
    }

    pub(crate) fn adopt_task(
        &mut self,
        key: AgentKey,
        framework_key: FrameworkKey,
        message: v1::Task,
        returns: Option<Return>,
    ) -> Option<Resources> {
        if self.is_duplicate(key, framework_key, &message.task_id.value) {
            return self.adopt_duplicate(key, framework_key, message);
        }
        let framework = self.frameworks.get_mut(&framework_key)?;
        if framework.tasks.contains_key(message.task_id.value.as_str()) {
            return None;
        }
        let agent = self.agents.get_mut(&key)?;
        let task = self.records.record(message, key).ok()?;
        framework.unreachable_tasks.retain(|known| known.id() != task.id());
        if returns.is_some() {
            // This master may have called it ended, which its agent did not hear (MESOS-9940).
            framework.completed_tasks.retain(|known| known.id() != task.id());
        }
        let (task_id, state) = (Arc::clone(task.id()), task.state());
        let resources = task.resources().clone();
        framework.tasks.insert(Arc::clone(&task_id), Box::new(task));
        agent.tasks.insert((framework_key, Arc::clone(&task_id)));
        sometimes!(is_terminal(state), "an agent brings a task whose end was not acknowledged");
        if let Some(returns) = returns
            && holds_resources(state)
            && !returns.is_silent()
        {
            self.tell_task_returned(framework_key, &task_id, returns);
        }
        holds_resources(state).then_some(resources)
    }

    /// A framework may have been told that the task is unreachable, lost or unknown, by this master
    /// or an earlier one. It hears the state that it was told last before that, not the one that
    /// the agent knows: the agent's updates are still to come, in order.
    fn tell_task_returned(&mut self, key: FrameworkKey, task_id: &str, returns: Return) {
        let framework = self.frameworks.get(&key);
        let Some(task) = framework.and_then(|framework| framework.tasks.get(task_id)) else {
            return;
        };
        let status = v1::TaskStatus {
            message: Some(returns.message().to_owned()),
            reason: Some(Reason::AgentReregistered as i32),
            ..self.known_task_status(task_id, task)
        };
        self.tell_status(key, status);
    }

    /// Tasks of an agent that was unreachable and is back without them: their launch was lost. They
    /// are on record again, without resources, until the agent has said that it does not have them.
    pub(crate) fn missing_unreachable_tasks(&mut self, key: AgentKey) -> Vec<link::TaskReference> {
        let mut missing = Vec::new();
        let Some(agent) = self.agents.get_mut(&key) else { return missing };
        for (framework_key, framework) in &mut self.frameworks {
            let unreachable = std::mem::take(&mut framework.unreachable_tasks);
            let (ours, others): (VecDeque<_>, VecDeque<_>) =
                unreachable.into_iter().partition(|task| task.agent_id() == agent.id());
            framework.unreachable_tasks = others;
            for mut task in ours {
                reachable!("an agent that was unreachable comes back without a task");
                let task_id = Arc::clone(task.id());
                missing.push(link::TaskReference {
                    framework_id: framework.info.id.clone(),
                    task_id: Some(v1::TaskId { value: task_id.as_ref().to_owned() }),
                });
                agent.tasks.insert((*framework_key, Arc::clone(&task_id)));
                task.agent = key;
                framework.tasks.insert(task_id, Box::new(task));
            }
        }
        missing
    }

    /// Work on record that the agent does not report. Executors and tasks that have ended are
    /// simply forgotten; for other tasks the agent is asked to say that it does not have them.
    pub(crate) fn missing_work(
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
            if reported.contains(&(framework.id(), task_id.as_ref())) {
                continue;
            }
            if holds_resources(task.state()) {
                reachable!("an agent comes back without a task that it should run");
                missing.push(link::TaskReference {
                    framework_id: framework.info.id.clone(),
                    task_id: Some(v1::TaskId { value: task_id.as_ref().to_owned() }),
                });
            } else {
                reachable!("an agent comes back without a task that has ended");
                over.push((*framework_key, Arc::clone(task_id)));
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
            agent_id: Some(v1::AgentId { value: task.agent_id().to_owned() }),
            executor_id: task.executor_id(),
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
}
