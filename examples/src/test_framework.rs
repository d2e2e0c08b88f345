//! A framework that runs a few short tasks and ends, like the one that comes with Mesos.
//!
//! ```text
//! Registered!
//! Received offer 5e1f6c0a-O0 with cpus(*):4; mem(*):13000; disk(*):23976; ports(*):[31000-32000]
//! Launching task 0 using offer 5e1f6c0a-O0
//! Task 0 is in state TASK_RUNNING
//! Task 0 is in state TASK_FINISHED
//! ```

mod options;

use std::collections::BTreeSet;

use orrery_api::v1;
use orrery_model::{Resources, task_state};
use orrery_scheduler::{Context, Event, Framework};

pub use options::{Options, OptionsError};

/// Where lines for the user go, each without its newline.
pub type Print = Box<dyn FnMut(&str) + Send>;

/// What an executor of our own needs for itself.
const EXECUTOR_RESOURCES: &str = "cpus:0.1;mem:32";

/// The id of an executor of our own. All tasks of an agent share one.
const EXECUTOR_ID: &str = "default";

/// Runs `Options::tasks` tasks, each once. Any that does not finish ends the whole run.
pub struct TestFramework {
    options: Options,
    per_task: Resources,
    per_executor: Resources,
    print: Print,
    launched: u32,
    finished: BTreeSet<String>,
    failed: bool,
    /// Agents on which our executor has been started.
    executors: BTreeSet<String>,
}

impl std::fmt::Debug for TestFramework {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { options, launched, finished, failed, .. } = self;
        let mut debug = formatter.debug_struct("TestFramework");
        debug.field("options", options).field("launched", launched);
        debug.field("finished", finished).field("failed", failed).finish_non_exhaustive()
    }
}

impl TestFramework {
    /// The framework for `options`, printing through `print`.
    ///
    /// # Errors
    /// The options' resources are not amounts.
    pub fn new(options: Options, print: Print) -> Result<Self, OptionsError> {
        let per_task = options.task_resources()?;
        let per_executor = match options.executor {
            Some(_) => options::resources(EXECUTOR_RESOURCES)?,
            None => Resources::default(),
        };
        Ok(Self {
            options,
            per_task,
            per_executor,
            print,
            launched: 0,
            finished: BTreeSet::new(),
            failed: false,
            executors: BTreeSet::new(),
        })
    }

    /// The process's exit code: 0 when every task finished.
    pub fn exit_code(&self) -> u8 {
        if self.is_done() && !self.failed { 0 } else { 1 }
    }

    /// How many tasks have finished.
    pub fn finished(&self) -> usize {
        self.finished.len()
    }

    fn is_done(&self) -> bool {
        u32::try_from(self.finished.len()).is_ok_and(|finished| finished >= self.options.tasks)
    }

    fn print(&mut self, line: impl AsRef<str>) {
        (self.print)(line.as_ref());
    }

    /// Puts as many of the remaining tasks on an offer as fit.
    fn offer(&mut self, context: &mut Context<'_>, offer: v1::Offer) {
        let offered = Resources::from_messages(&offer.resources).unwrap_or_default();
        self.print(format!("Received offer {} with {}", offer.id.value, describe(&offered)));
        let mut rest = offered.unallocated();
        let mut tasks = Vec::new();
        while self.launched < self.options.tasks {
            let first = !self.executors.contains(&offer.agent_id.value);
            let mut needed = self.per_task.clone();
            if first {
                needed += &self.per_executor;
            }
            let Some(left) = rest.checked_sub(&needed) else {
                break;
            };
            rest = left;
            self.executors.insert(offer.agent_id.value.clone());
            let line = format!("Launching task {} using offer {}", self.launched, offer.id.value);
            self.print(line);
            tasks.push(self.task(&offer.agent_id));
            self.launched += 1;
        }
        if tasks.is_empty() {
            context.decline(&[offer.id], None);
        } else {
            context.launch(&[offer.id], tasks, None);
        }
    }

    fn task(&self, agent_id: &v1::AgentId) -> v1::TaskInfo {
        let id = self.launched.to_string();
        let task = v1::TaskInfo {
            name: format!("Task {id}"),
            task_id: v1::TaskId { value: id.clone() },
            agent_id: agent_id.clone(),
            resources: self.per_task.to_messages(),
            ..Default::default()
        };
        match &self.options.executor {
            Some(path) => v1::TaskInfo { executor: Some(self.executor(path)), ..task },
            None => {
                let command = shell(format!("echo 'Hello from task {id}'"));
                v1::TaskInfo { command: Some(command), ..task }
            }
        }
    }

    fn executor(&self, path: &str) -> v1::ExecutorInfo {
        v1::ExecutorInfo {
            r#type: Some(v1::executor_info::Type::Custom as i32),
            executor_id: v1::ExecutorId { value: EXECUTOR_ID.to_owned() },
            name: Some("Test Executor".to_owned()),
            command: Some(shell(path.to_owned())),
            resources: self.per_executor.to_messages(),
            ..Default::default()
        }
    }

    fn update(&mut self, context: &mut Context<'_>, status: &v1::TaskStatus) {
        let id = &status.task_id.value;
        let Ok(state) = v1::TaskState::try_from(status.state) else {
            return;
        };
        self.print(format!("Task {id} is in state {}", state.as_str_name()));
        if state == v1::TaskState::TaskFinished {
            self.finished.insert(id.clone());
        } else if task_state::is_terminal(state) || state == v1::TaskState::TaskUnknown {
            self.failed = true;
            self.print(format!(
                "Aborting because task {id} is in unexpected state {} with reason '{}' from \
                 source '{}' and message '{}'",
                state.as_str_name(),
                status.reason().as_str_name(),
                status.source().as_str_name(),
                status.message(),
            ));
        }
        if self.failed || self.is_done() {
            context.teardown();
        }
    }
}

impl Framework for TestFramework {
    fn event(&mut self, context: &mut Context<'_>, event: Event) {
        match event {
            Event::Subscribed { resubscribed: false, .. } => self.print("Registered!"),
            Event::Subscribed { resubscribed: true, .. } => self.print("Reregistered!"),
            Event::Disconnected { .. } => self.print("Disconnected!"),
            Event::Offers(offers) => {
                for offer in offers {
                    self.offer(context, offer);
                }
                if self.launched >= self.options.tasks {
                    context.suppress(&[]);
                }
            }
            Event::Update(status) => self.update(context, &status),
            Event::Error(message) => {
                self.failed = true;
                self.print(format!("Error: {message}"));
                context.stop();
            }
            Event::CallRefused { call, status, text } => {
                self.failed = true;
                let call = call.as_str_name();
                self.print(format!("Error: {call} was refused with {status}: {text}"));
                context.stop();
            }
            _ => {}
        }
    }
}

fn shell(line: String) -> v1::CommandInfo {
    v1::CommandInfo { shell: Some(true), value: Some(line), ..Default::default() }
}

/// Resources as the logs of frameworks have always shown them: with the role that they are
/// reserved to, `*` when to none.
fn describe(resources: &Resources) -> String {
    let describe_one = |entry: orrery_model::resources::Entry<'_>| {
        let role = entry.reservations().last().map_or("*", |reservation| reservation.role.as_str());
        format!("{}({role}):{}", entry.name(), entry.value())
    };
    resources.iter().map(describe_one).collect::<Vec<_>>().join("; ")
}
