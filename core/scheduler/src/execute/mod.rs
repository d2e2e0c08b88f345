//! The framework behind `mesos-execute`: launches one task on the first offer that fits it, tells
//! every state of it, and ends with it.

mod container;
mod options;

use std::time::Duration;

use orrery_api::v1;
use orrery_api::v1::scheduler::call;
use orrery_model::{Resources, task_state};

use crate::{Context, Event, Framework};

pub use options::{Containerizer, DEFAULT_RESOURCES, FRAMEWORK_NAME, InvalidOption, Options};

/// Where lines for the user go, each without its newline.
pub type Print = Box<dyn FnMut(&str) + Send>;

/// Runs one task.
pub struct Execute {
    task: v1::TaskInfo,
    required: Resources,
    kill_after: Option<Duration>,
    print: Print,
    launched: bool,
    /// Whether the delay of `kill_after` has begun.
    kill_planned: bool,
    finished: Option<bool>,
}

impl std::fmt::Debug for Execute {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { task, launched, finished, .. } = self;
        let mut debug = formatter.debug_struct("Execute");
        debug.field("task_id", &task.task_id.value).field("launched", launched);
        debug.field("finished", finished).finish_non_exhaustive()
    }
}

impl Execute {
    /// The framework for `options`, printing through `print`.
    ///
    /// # Errors
    /// The options do not describe a task.
    pub fn new(options: &Options, print: Print) -> Result<Self, InvalidOption> {
        let task = options.task_info()?;
        let required = Resources::from_messages(&task.resources)
            .map_err(|error| InvalidOption::wrong("resources", error))?;
        let kill_after = options.kill_after;
        Ok(Self {
            task,
            required,
            kill_after,
            print,
            launched: false,
            kill_planned: false,
            finished: None,
        })
    }

    /// The process's exit code: 0 when the task finished, 1 in every other case.
    pub fn exit_code(&self) -> u8 {
        if self.finished == Some(true) { 0 } else { 1 }
    }

    /// The task as it is or will be launched.
    pub fn task(&self) -> &v1::TaskInfo {
        &self.task
    }

    fn print(&mut self, line: impl AsRef<str>) {
        (self.print)(line.as_ref());
    }

    fn offers(&mut self, context: &mut Context<'_>, offers: Vec<v1::Offer>) {
        for offer in offers {
            if self.launched || !self.fits(&offer) {
                context.decline(&[offer.id], None);
                continue;
            }
            self.launched = true;
            self.task.agent_id = offer.agent_id;
            context.launch(&[offer.id], vec![self.task.clone()], None);
            context.suppress(&[]);
            let line = format!(
                "Submitted task '{}' to agent '{}'",
                self.task.name, self.task.agent_id.value
            );
            self.print(line);
        }
    }

    fn fits(&self, offer: &v1::Offer) -> bool {
        match Resources::from_messages(&offer.resources) {
            Ok(offered) => offered.unallocated().contains(&self.required),
            Err(error) => {
                tracing::warn!(offer_id = %offer.id.value, %error, "ignored an offer");
                false
            }
        }
    }

    fn update(&mut self, context: &mut Context<'_>, status: &v1::TaskStatus) {
        if status.task_id != self.task.task_id {
            return;
        }
        self.print_status(status);
        let Ok(state) = v1::TaskState::try_from(status.state) else {
            return;
        };
        if state == v1::TaskState::TaskRunning
            && !self.kill_planned
            && let Some(delay) = self.kill_after
        {
            self.kill_planned = true;
            context.wake_at(context.now().instant + delay);
        }
        // A master that has never heard of the task's agent will not hear of the task either.
        if task_state::is_terminal(state) || state == v1::TaskState::TaskUnknown {
            self.finished = Some(state == v1::TaskState::TaskFinished);
            context.teardown();
        }
    }

    fn print_status(&mut self, status: &v1::TaskStatus) {
        let state = v1::TaskState::try_from(status.state)
            .map_or_else(|_| status.state.to_string(), |state| state.as_str_name().to_owned());
        self.print(format!("Received status update {state} for task '{}'", status.task_id.value));
        if let Some(message) = &status.message {
            self.print(format!("  message: '{message}'"));
        }
        if status.source.is_some() {
            self.print(format!("  source: {}", status.source().as_str_name()));
        }
        if status.reason.is_some() {
            self.print(format!("  reason: {}", status.reason().as_str_name()));
        }
        if let Some(healthy) = status.healthy {
            self.print(format!("  healthy?: {healthy}"));
        }
    }

    fn refused(&mut self, context: &mut Context<'_>, call: call::Type, status: u16, text: &str) {
        self.print(format!(
            "The master refused the call {} with {status}: {text}",
            call.as_str_name()
        ));
        if matches!(call, call::Type::Subscribe | call::Type::Accept) {
            context.stop();
        }
    }
}

impl Framework for Execute {
    fn event(&mut self, context: &mut Context<'_>, event: Event) {
        match event {
            Event::Subscribed { framework_id, .. } => {
                self.print(format!("Subscribed with ID {}", framework_id.value));
            }
            Event::Offers(offers) => self.offers(context, offers),
            Event::Update(status) => self.update(context, &status),
            Event::Tick => {
                let task_id = self.task.task_id.clone();
                let agent = &self.task.agent_id.value;
                self.print(format!("Asked to kill task '{}' on agent '{agent}'", task_id.value));
                context.kill(&task_id, None);
            }
            Event::Error(message) => {
                self.print(format!("Received an ERROR event: {message}"));
                context.stop();
            }
            Event::CallRefused { call, status, text } => {
                self.refused(context, call, status, &text);
            }
            _ => {}
        }
    }
}
