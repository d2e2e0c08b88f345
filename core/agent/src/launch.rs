//! Launching tasks: finding or starting their executor, and handing them over once it subscribed.

use orrery_api::link;
use orrery_api::v1;
use orrery_api::v1::executor::{Event, event};
use orrery_api::v1::task_status::Reason;
use orrery_coverage::{reachable, sometimes};
use orrery_model::validate;
use orrery_runtime::ProcessId;

use crate::framework::{
    Executor, ExecutorKey, ExecutorState, Framework, Queued, Task, Termination, dropped_state,
};
use crate::{Agent, Container, Output, command_executor, container, paths};

/// The status of an executor that was never started.
const NEVER_STARTED: i32 = -1;

/// Tasks that belong together, and the executor they go to.
struct Order {
    framework: v1::FrameworkInfo,
    executor: v1::ExecutorInfo,
    /// The executor was made for the one task.
    generated: bool,
    /// Whether the master does not know that the executor runs; `None` if it does not say.
    launches_executor: Option<bool>,
    tasks: Vec<v1::TaskInfo>,
    is_group: bool,
}

/// Why a launch ends before it began.
struct Refusal {
    state: v1::TaskState,
    reason: Reason,
    message: String,
}

impl Agent {
    pub(crate) fn run_task(&mut self, run: link::RunTask) {
        let (Some(framework), Some(task)) = (run.framework_info, run.task_info) else {
            tracing::warn!("ignoring a launch without framework or task");
            return;
        };
        let framework_id = framework.id.clone().unwrap_or_default();
        let (executor, generated) = match &task.executor {
            Some(executor) => (executor.clone(), false),
            None => (command_executor::describe(&task, &framework_id, &self.options), true),
        };
        let (tasks, launches_executor) = (vec![task], run.launch_executor);
        let is_group = false;
        self.launch(Order { framework, executor, generated, launches_executor, tasks, is_group });
    }

    pub(crate) fn run_task_group(&mut self, run: link::RunTaskGroup) {
        let (Some(framework), Some(executor)) = (run.framework_info, run.executor_info) else {
            tracing::warn!("ignoring the launch of a group without framework or executor");
            return;
        };
        let mut tasks = run.task_group.map(|group| group.tasks).unwrap_or_default();
        for task in &mut tasks {
            task.executor.get_or_insert_with(|| executor.clone());
        }
        let (generated, launches_executor, is_group) = (false, run.launch_executor, true);
        self.launch(Order { framework, executor, generated, launches_executor, tasks, is_group });
    }

    fn launch(&mut self, order: Order) {
        let framework_id = order.framework.id.clone().unwrap_or_default().value;
        let framework = self.frameworks.get(&framework_id);
        let is_known = |task: &v1::TaskInfo| {
            let id = &task.task_id.value;
            framework.is_some_and(|framework| framework.executor_of(id).is_some())
                || self.streams.contains(&(framework_id.clone(), id.clone()))
        };
        if order.tasks.iter().any(is_known) {
            reachable!("a task is launched at its agent for the second time");
            tracing::warn!(framework_id, "ignoring a launch of a task that was launched before");
            return;
        }
        if self.stopping.is_some() || framework.is_some_and(|framework| framework.terminating) {
            reachable!("a launch comes to an agent or a framework that is ending");
            tracing::warn!(framework_id, "ignoring a launch while shutting down");
            return;
        }
        if let Some(refusal) = self.refusal(&framework_id, &order) {
            reachable!("an agent refuses a launch");
            let executor_id = &order.executor.executor_id.value;
            for task in &order.tasks {
                let Refusal { state, reason, message } = &refusal;
                let id = &task.task_id.value;
                self.report(&framework_id, Some(executor_id), id, *state, *reason, message);
            }
            if order.launches_executor == Some(true) {
                reachable!("an executor is not started for a launch that is refused");
                // The master counts on it from when it sent the launch.
                self.tell_executor_exited(&framework_id, executor_id, NEVER_STARTED);
            }
            return;
        }
        self.enqueue(framework_id, order);
    }

    fn refusal(&self, framework_id: &str, order: &Order) -> Option<Refusal> {
        use v1::TaskState::{TaskError, TaskFailed};
        let executor_id = &order.executor.executor_id.value;
        let ids = order.tasks.iter().map(|task| task.task_id.value.as_str());
        // Ids become names of folders, so they are checked wherever they came from.
        let ids = ids.chain([framework_id, executor_id]).map(validate::id);
        if let Some(invalid) = ids.filter_map(Result::err).next() {
            let reason = Reason::TaskInvalid;
            return Some(Refusal { state: TaskError, reason, message: invalid.to_string() });
        }
        if let Some(message) = container::unsupported(&order.executor) {
            reachable!("a task asks for a container that this version cannot give");
            let reason = Reason::ContainerLaunchFailed;
            return Some(Refusal { state: TaskFailed, reason, message });
        }
        let key = ExecutorKey { framework: framework_id.to_owned(), executor: executor_id.clone() };
        let Some(executor) = self.executor(&key) else {
            if order.launches_executor != Some(false) {
                return None;
            }
            reachable!("a launch is for an executor that has ended on the agent meanwhile");
            return Some(Refusal {
                state: dropped_state(&order.framework),
                reason: Reason::ExecutorTerminated,
                message: "the executor that the task was for has ended".to_owned(),
            });
        };
        let ending =
            matches!(executor.state, ExecutorState::Terminating | ExecutorState::Terminated);
        sometimes!(ending, "a task comes to an executor that is ending");
        (ending || executor.generated).then(|| Refusal {
            state: dropped_state(&order.framework),
            reason: Reason::ExecutorTerminated,
            message: "executor is terminating".to_owned(),
        })
    }

    /// Puts the tasks into their executor's queue, starting it where it does not run.
    fn enqueue(&mut self, framework_id: String, order: Order) {
        let agent_id = self.agent_id_message();
        let executor_id = order.executor.executor_id.value.clone();
        let key = ExecutorKey { framework: framework_id.clone(), executor: executor_id };
        self.add_framework(&framework_id, order.framework);
        let is_new = self.executor(&key).is_none();
        if is_new {
            self.add_executor(&key, order.executor, order.generated);
        }
        let Some(executor) = self.executor_mut(&key) else {
            return;
        };
        let ids: Vec<String> = order.tasks.iter().map(|it| it.task_id.value.clone()).collect();
        for info in order.tasks {
            let task = Task::new(info, &framework_id, &agent_id);
            executor.tasks.insert(task.task.task_id.value.clone(), task);
        }
        let launches = if order.is_group {
            vec![Queued::Group(ids)]
        } else {
            ids.into_iter().map(Queued::Task).collect()
        };
        for launch in launches {
            self.queue_launch(&key, launch);
        }
        if is_new {
            self.start_executor(&key);
        } else {
            reachable!("a task goes to an executor that runs already");
            self.deliver(&key);
        }
    }

    fn queue_launch(&mut self, key: &ExecutorKey, launch: Queued) {
        let Some(executor) = self.executor_mut(key) else { return };
        let number = executor.next_launch;
        executor.next_launch += 1;
        executor.queue.push_back(launch.clone());
        self.checkpoint_queued(key, number, &launch);
    }

    fn add_framework(&mut self, framework_id: &str, info: v1::FrameworkInfo) {
        if self.frameworks.contains_key(framework_id) {
            return self.describe_framework(framework_id, info);
        }
        // A framework that comes back brings its history along.
        let position = self.completed_frameworks.iter().position(|it| it.id() == framework_id);
        let completed = position.and_then(|position| self.completed_frameworks.remove(position));
        let completed = completed.map(|framework| framework.completed).unwrap_or_default();
        let executors = Default::default();
        let framework = Framework { info, terminating: false, executors, completed };
        self.frameworks.insert(framework_id.to_owned(), framework);
        self.checkpoint_framework(framework_id);
    }

    /// Takes what a framework newly says of itself.
    pub(crate) fn describe_framework(&mut self, framework_id: &str, info: v1::FrameworkInfo) {
        let Some(framework) = self.frameworks.get_mut(framework_id) else { return };
        if framework.info != info {
            framework.info = info;
            self.checkpoint_framework(framework_id);
        }
    }

    fn add_executor(&mut self, key: &ExecutorKey, mut info: v1::ExecutorInfo, generated: bool) {
        let framework_id = v1::FrameworkId { value: key.framework.clone() };
        info.framework_id.get_or_insert(framework_id);
        let container = Container {
            framework_id: key.framework.clone(),
            executor_id: key.executor.clone(),
            container_id: self.random.uuid_text(),
        };
        let directory = paths::sandbox(&self.options.work_dir, &self.agent_id, &container);
        let executor = Executor::new(container, info, directory, generated);
        if let Some(framework) = self.frameworks.get_mut(&key.framework) {
            framework.executors.insert(key.executor.clone(), executor);
        }
        self.checkpoint_new_executor(key);
    }

    pub(crate) fn start_executor(&mut self, key: &ExecutorKey) {
        let Some(framework) = self.frameworks.get(&key.framework) else {
            return;
        };
        let Some(executor) = framework.executors.get(&key.executor) else {
            return;
        };
        let launch = container::launch(framework, executor, &self.agent_id, &self.options);
        tracing::info!(
            framework_id = key.framework,
            executor_id = key.executor,
            container_id = launch.container.container_id,
            "starting an executor"
        );
        self.emit(Output::Launch(Box::new(launch)));
        let deadline = self.now.instant + self.options.executor_registration_timeout;
        self.set_deadline(key, Some(deadline));
    }

    pub(crate) fn container_launched(
        &mut self,
        container: &Container,
        process: ProcessId,
        started: Option<u64>,
    ) {
        let key = key_of(container);
        let executor = self.executor_mut(&key).filter(|it| it.container == *container);
        let Some(executor) = executor else {
            reachable!("a container starts whose executor is known no more");
            let container = container.clone();
            return self.emit(Output::Destroy { container, process });
        };
        executor.process = Some(process);
        let unwanted = executor.destroy_when_launched;
        self.checkpoint_process(&key, process, started);
        if unwanted {
            reachable!("a container is ended as soon as it has started");
            let container = container.clone();
            self.emit(Output::Destroy { container, process });
        }
    }

    pub(crate) fn container_launch_failed(&mut self, container: &Container, message: &str) {
        let key = key_of(container);
        let executor = self.executor_mut(&key).filter(|it| it.container == *container);
        let Some(executor) = executor else { return };
        executor.termination.get_or_insert_with(|| Termination {
            reason: Reason::ContainerLaunchFailed,
            message: format!("Failed to launch container: {message}"),
        });
        reachable!("a container cannot be started");
        self.counters.container_launch_errors += 1;
        self.executor_ended(&key, "never ran", -1);
    }

    /// Hands queued launches to an executor that is connected, in their order.
    pub(crate) fn deliver(&mut self, key: &ExecutorKey) {
        while let Some(executor) = self.executor_mut(key) {
            if executor.connection.is_none() || executor.state != ExecutorState::Running {
                return;
            }
            let Some(queued) = executor.queue.pop_front() else {
                return;
            };
            let keeps = executor.generated;
            if !keeps {
                self.checkpoint_delivered(key, &queued);
            }
            let Some(executor) = self.executor_mut(key) else {
                return;
            };
            executor.had_task = true;
            let take_info = |id: &String| {
                let task = executor.tasks.get_mut(id)?;
                task.sent = task.info.clone().filter(|_| keeps);
                task.info.take()
            };
            let infos: Vec<v1::TaskInfo> =
                queued.task_ids().iter().filter_map(take_info).map(|info| *info).collect();
            let event = match queued {
                Queued::Task(_) => infos.into_iter().next().map(launch_event),
                Queued::Group(_) => Some(launch_group_event(infos)),
            };
            if let Some(event) = event {
                self.send_to_executor(key, event);
            }
        }
    }
}

/// The executor that a container belongs to.
pub(crate) fn key_of(container: &Container) -> ExecutorKey {
    ExecutorKey {
        framework: container.framework_id.clone(),
        executor: container.executor_id.clone(),
    }
}

fn launch_event(task: v1::TaskInfo) -> Event {
    Event {
        r#type: Some(event::Type::Launch as i32),
        launch: Some(event::Launch { task }),
        ..Default::default()
    }
}

fn launch_group_event(tasks: Vec<v1::TaskInfo>) -> Event {
    Event {
        r#type: Some(event::Type::LaunchGroup as i32),
        launch_group: Some(event::LaunchGroup { task_group: v1::TaskGroupInfo { tasks } }),
        ..Default::default()
    }
}
