//! LAUNCH and LAUNCH_GROUP: checks a task against its offer, books it, and sends it to its agent.

use std::sync::Arc;

use orrery_api::link::{self, from_master};
use orrery_api::v1::task_status::Reason;
use orrery_api::v1::{self, TaskState};
use orrery_coverage::{always, reachable, sometimes, unreachable};
use orrery_model::{Resources, validate};

use crate::Master;
use crate::accept::Accepted;
use crate::state::Executor;

/// What one task takes from its offer.
struct Charge {
    task: Resources,
    /// Set when the task's executor does not run yet.
    executor: Option<(v1::ExecutorInfo, Resources)>,
}

impl Master {
    pub(crate) fn launch_task(
        &mut self,
        accepted: &mut Accepted,
        mut task: v1::TaskInfo,
        has_operation_id: bool,
    ) {
        if let Some(executor) = &mut task.executor {
            self.complete_executor(accepted, executor);
        }
        let checked = if has_operation_id {
            Err("Operation.id is not allowed for LAUNCH".to_owned())
        } else {
            self.check_task(accepted, &task)
        };
        let charge = match checked {
            Ok(charge) => charge,
            Err(message) => {
                reachable!("a task is refused");
                let (key, reason) = (accepted.framework, Reason::TaskInvalid);
                self.tell_end_of_unlaunched(key, &task, TaskState::TaskError, reason, message);
                return;
            }
        };
        task.resources = charge.task.to_messages();
        let launch_executor = task.executor.is_some().then_some(charge.executor.is_some());
        self.book_task(accepted, &task, None, charge);
        let Some(framework) = self.frameworks.get(&accepted.framework) else { return };
        let framework_info = Some(framework.info.clone());
        let run = link::RunTask { framework_info, task_info: Some(task), launch_executor };
        self.tell_agent(accepted.agent, from_master::Body::RunTask(Box::new(run)));
    }

    /// A group is launched as a whole or not at all.
    pub(crate) fn launch_group(
        &mut self,
        accepted: &mut Accepted,
        mut group: v1::offer::operation::LaunchGroup,
        has_operation_id: bool,
    ) {
        self.complete_executor(accepted, &mut group.executor);
        let checked = if has_operation_id {
            Err("Operation.id is not allowed for LAUNCH_GROUP".to_owned())
        } else {
            self.check_group(accepted, &group)
        };
        let charges = match checked {
            Ok(charges) => charges,
            Err(message) => {
                reachable!("a task group is refused");
                let (key, reason) = (accepted.framework, Reason::TaskGroupInvalid);
                for task in &group.task_group.tasks {
                    let message = message.clone();
                    self.tell_end_of_unlaunched(key, task, TaskState::TaskError, reason, message);
                }
                return;
            }
        };
        reachable!("a task group is launched");
        let executor_info = group.executor;
        let mut task_group = group.task_group;
        let launch_executor = Some(charges.iter().any(|charge| charge.executor.is_some()));
        for (task, charge) in task_group.tasks.iter_mut().zip(charges) {
            task.resources = charge.task.to_messages();
            self.book_task(accepted, task, Some(&executor_info), charge);
        }
        let Some(framework) = self.frameworks.get(&accepted.framework) else { return };
        let run = link::RunTaskGroup {
            framework_info: Some(framework.info.clone()),
            executor_info: Some(executor_info),
            task_group: Some(task_group),
            launch_executor,
        };
        self.tell_agent(accepted.agent, from_master::Body::RunTaskGroup(Box::new(run)));
    }

    /// Writes into an executor what the framework may leave out: whose it is, and for which role
    /// its resources are allocated. What is wrong in it stays, for the checks to find.
    fn complete_executor(&self, accepted: &Accepted, executor: &mut v1::ExecutorInfo) {
        if executor.framework_id.is_none() {
            let framework = self.frameworks.get(&accepted.framework);
            executor.framework_id = framework.and_then(|framework| framework.info.id.clone());
        }
        if let Ok(resources) = allocated(&executor.resources, &accepted.role) {
            executor.resources = resources.to_messages();
        }
    }

    fn check_task(&self, accepted: &Accepted, task: &v1::TaskInfo) -> Result<Charge, String> {
        validate::task(task).map_err(|invalid| invalid.to_string())?;
        self.check_identity(accepted, task)?;
        self.check_limits(accepted, task)?;
        let resources = allocated(&task.resources, &accepted.role)?;
        let executor = match &task.executor {
            Some(executor) => self.check_executor(accepted, executor)?,
            None => None,
        };
        let charge = Charge { task: resources, executor };
        check_fits(&accepted.remaining, &charge)?;
        Ok(charge)
    }

    fn check_identity(&self, accepted: &Accepted, task: &v1::TaskInfo) -> Result<(), String> {
        let task_id = &task.task_id.value;
        let Some(framework) = self.frameworks.get(&accepted.framework) else {
            return Err("Framework is not known".to_owned());
        };
        let unreachable = framework.unreachable_tasks.iter().any(|known| **known.id() == **task_id);
        let agent = self.agents.get(&accepted.agent);
        let duplicate = agent.is_some_and(|one| one.has_duplicate(accepted.framework, task_id));
        if framework.tasks.contains_key(task_id.as_str()) || unreachable || duplicate {
            sometimes!(unreachable, "a task is refused because an unreachable one has its id");
            sometimes!(!unreachable, "a task is refused because another one has its id");
            return Err(format!("Task has duplicate ID: {task_id}"));
        }
        let agent_id = agent.map_or("", |agent| agent.id());
        if task.agent_id.value != agent_id {
            reachable!("a task is for another agent than its offers");
            return Err(format!(
                "Task uses invalid agent {} while agent {agent_id} is expected",
                task.agent_id.value
            ));
        }
        Ok(())
    }

    /// Limits are refused where the agent would not enforce them.
    fn check_limits(&self, accepted: &Accepted, task: &v1::TaskInfo) -> Result<(), String> {
        use v1::agent_info::capability::Type;
        let enforced = self.agents.get(&accepted.agent).is_some_and(|agent| {
            agent.capabilities.iter().any(|one| one.r#type() == Type::TaskResourceLimits)
        });
        if task.limits.is_empty() || enforced {
            return Ok(());
        }
        reachable!("a task asks for limits that its agent does not enforce");
        Err("Agent is not capable of handling task resource limits".to_owned())
    }

    /// The executor with what it will hold, or `None` when it runs already.
    fn check_executor(
        &self,
        accepted: &Accepted,
        executor: &v1::ExecutorInfo,
    ) -> Result<Option<(v1::ExecutorInfo, Resources)>, String> {
        validate::executor(executor).map_err(|invalid| invalid.to_string())?;
        let framework_id =
            self.frameworks.get(&accepted.framework).map_or("", |framework| framework.id());
        let named = executor.framework_id.as_ref().map(|id| id.value.as_str());
        if named.is_some_and(|id| id != framework_id) {
            reachable!("an executor names another framework than its own");
            return Err(format!(
                "ExecutorInfo has an invalid FrameworkID (Actual: {} vs Expected: {framework_id})",
                named.unwrap_or_default()
            ));
        }
        let resources = allocated(&executor.resources, &accepted.role)?;
        let key = (accepted.framework, executor.executor_id.value.clone());
        let running = self.agents.get(&accepted.agent).and_then(|agent| agent.executors.get(&key));
        match running {
            None => Ok(Some((executor.clone(), resources))),
            Some(running) if same_executor(running, executor, &resources) => {
                reachable!("a task joins an executor that the agent has already");
                Ok(None)
            }
            Some(_) => {
                reachable!("an executor's id is taken by another one");
                Err(format!(
                    "ExecutorInfo is not compatible with existing ExecutorInfo with same \
                     ExecutorID '{}'",
                    key.1
                ))
            }
        }
    }

    fn check_group(
        &self,
        accepted: &Accepted,
        group: &v1::offer::operation::LaunchGroup,
    ) -> Result<Vec<Charge>, String> {
        validate::task_group(&group.executor, &group.task_group)
            .map_err(|invalid| invalid.to_string())?;
        let mut executor = self.check_executor(accepted, &group.executor)?;
        let mut remaining = accepted.remaining.clone();
        let mut charges = Vec::new();
        for task in &group.task_group.tasks {
            let id = &task.task_id.value;
            self.check_identity(accepted, task)
                .and_then(|()| self.check_limits(accepted, task))
                .map_err(|message| format!("Task '{id}' is invalid: {message}"))?;
            let task = allocated(&task.resources, &accepted.role)?;
            let charge = Charge { task, executor: executor.take() };
            check_fits(&remaining, &charge)?;
            remaining -= &charge.total();
            charges.push(charge);
        }
        Ok(charges)
    }

    fn book_task(
        &mut self,
        accepted: &mut Accepted,
        info: &v1::TaskInfo,
        group_executor: Option<&v1::ExecutorInfo>,
        charge: Charge,
    ) {
        accepted.remaining -= &charge.total();
        let Some(framework) = self.frameworks.get_mut(&accepted.framework) else { return };
        let Some(agent) = self.agents.get_mut(&accepted.agent) else { return };
        let framework_id = framework.info.id.clone().unwrap_or_default();
        let executor = group_executor.or(info.executor.as_ref());
        let message = task_record(info, framework_id, executor);
        let task_id = info.task_id.value.as_str();
        let (framework_id, agent_id) = (framework.id(), agent.id());
        tracing::debug!(%task_id, framework_id, agent_id, "launching");
        always!(!framework.tasks.contains_key(task_id), "a task is booked once", task_id);
        let Ok(task) = self.records.record(message, accepted.agent) else {
            return unreachable!("a task is booked whose resources are none", task_id);
        };
        agent.tasks.insert((accepted.framework, Arc::clone(task.id())));
        framework.tasks.insert(Arc::clone(task.id()), Box::new(task));
        if let Some((info, resources)) = charge.executor {
            let key = (accepted.framework, info.executor_id.value.clone());
            agent.executors.insert(key, Executor { info, resources });
        }
        self.metrics.tasks_launched += 1;
    }
}

impl Charge {
    fn total(&self) -> Resources {
        let mut total = self.task.clone();
        if let Some((_, resources)) = &self.executor {
            total += resources;
        }
        total
    }
}

fn check_fits(remaining: &Resources, charge: &Charge) -> Result<(), String> {
    let total = charge.total();
    if remaining.contains(&total) {
        return Ok(());
    }
    reachable!("a task asks for more than its offers hold");
    Err(format!(
        "Total resources {total} required by task and its executor is more than available \
         {remaining}"
    ))
}

/// The resources of a task or executor with the offer's role as their allocation role. A different
/// role on them is an error.
fn allocated(messages: &[v1::Resource], role: &str) -> Result<Resources, String> {
    for resource in messages {
        let named = resource.allocation_info.as_ref().and_then(|info| info.role.as_deref());
        if named.is_some_and(|named| named != role) {
            reachable!("a task's resource is for another role than its offers");
            return Err(format!(
                "Resource '{}' is allocated to role '{}' but the offer to role '{role}'",
                resource.name,
                named.unwrap_or_default()
            ));
        }
    }
    let resources = Resources::from_messages(messages).map_err(|error| error.to_string())?;
    Ok(resources.unallocated().allocated_to(role))
}

/// Executors are compared by everything but how their resources and owner are written down.
fn same_executor(running: &Executor, info: &v1::ExecutorInfo, resources: &Resources) -> bool {
    let plain = |info: &v1::ExecutorInfo| v1::ExecutorInfo {
        resources: Vec::new(),
        framework_id: None,
        ..info.clone()
    };
    running.resources == *resources && plain(&running.info) == plain(info)
}

/// The record of a task that was just accepted.
fn task_record(
    info: &v1::TaskInfo,
    framework_id: v1::FrameworkId,
    executor: Option<&v1::ExecutorInfo>,
) -> v1::Task {
    let user = info.command.as_ref().and_then(|command| command.user.clone());
    let executor_user = || executor?.command.as_ref()?.user.clone();
    v1::Task {
        name: info.name.clone(),
        task_id: info.task_id.clone(),
        framework_id,
        executor_id: executor.map(|executor| executor.executor_id.clone()),
        agent_id: info.agent_id.clone(),
        state: TaskState::TaskStaging as i32,
        resources: info.resources.clone(),
        limits: info.limits.clone(),
        labels: info.labels.clone(),
        discovery: info.discovery.clone().map(Box::new),
        container: info.container.clone().map(Box::new),
        health_check: info.health_check.clone().map(Box::new),
        kill_policy: info.kill_policy,
        user: user.or_else(executor_user),
        ..Default::default()
    }
}
