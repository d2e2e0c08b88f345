//! Status updates that the agent has not acknowledged yet.

use orrery_api::v1;
use orrery_api::v1::executor::{Call, call};
use orrery_coverage::sometimes;

use crate::planted::PlantedBug;
use crate::settings::Settings;

/// Who calls.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    executor_id: v1::ExecutorId,
    framework_id: v1::FrameworkId,
}

impl Caller {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            executor_id: v1::ExecutorId { value: settings.executor_id.clone() },
            framework_id: v1::FrameworkId { value: settings.framework_id.clone() },
        }
    }

    pub(crate) fn executor_id(&self) -> &v1::ExecutorId {
        &self.executor_id
    }

    fn call(&self, kind: call::Type) -> Call {
        Call {
            executor_id: self.executor_id.clone(),
            framework_id: self.framework_id.clone(),
            r#type: Some(kind as i32),
            ..Call::default()
        }
    }

    pub(crate) fn heartbeat(&self) -> Call {
        self.call(call::Type::Heartbeat)
    }

    fn update(&self, update: call::Update) -> Call {
        Call { update: Some(update), ..self.call(call::Type::Update) }
    }

    fn subscribe(&self, subscribe: call::Subscribe) -> Call {
        Call { subscribe: Some(subscribe), ..self.call(call::Type::Subscribe) }
    }
}

struct Pending {
    update: call::Update,
    /// Whether the present connection carries it already.
    carried: bool,
}

/// Updates in the order in which they came about, and the task that no acknowledged update has
/// told the agent about yet.
#[derive(Default)]
pub(crate) struct Updates {
    pending: Vec<Pending>,
    task: Option<v1::TaskInfo>,
}

impl Updates {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Remembers a task until one of its updates is acknowledged.
    pub(crate) fn add_task(&mut self, task: v1::TaskInfo) {
        self.task = Some(task);
    }

    /// The task of which no update was acknowledged yet.
    pub(crate) fn task(&self) -> Option<&v1::TaskInfo> {
        self.task.as_ref()
    }

    pub(crate) fn add(&mut self, status: v1::TaskStatus) {
        self.pending.push(Pending { update: call::Update { status }, carried: false });
    }

    /// Forgets an update; false when there is none with this uuid.
    pub(crate) fn acknowledge(&mut self, task_id: &str, uuid: &[u8]) -> bool {
        let before = self.pending.len();
        self.pending.retain(|pending| pending.update.status.uuid.as_deref() != Some(uuid));
        let known = self.pending.len() < before;
        if known && self.task.as_ref().is_some_and(|task| task.task_id.value == task_id) {
            self.task = None;
        }
        known
    }

    /// The call that opens a connection; it carries everything that is not acknowledged.
    pub(crate) fn subscribe(&mut self, caller: &Caller) -> Call {
        sometimes!(
            !self.pending.is_empty(),
            "an executor subscribes again with unacknowledged updates"
        );
        for pending in &mut self.pending {
            pending.carried = true;
        }
        caller.subscribe(call::Subscribe {
            unacknowledged_tasks: self.task.iter().cloned().collect(),
            unacknowledged_updates: self
                .pending
                .iter()
                .filter(|_| !PlantedBug::BrokenConnectionLosesUpdates.is_planted())
                .map(|one| one.update.clone())
                .collect(),
        })
    }

    /// The calls for updates that the present connection does not carry yet, in order.
    pub(crate) fn calls(&mut self, caller: &Caller) -> Vec<Call> {
        let fresh = self.pending.iter_mut().filter(|pending| !pending.carried);
        fresh
            .map(|pending| {
                pending.carried = true;
                caller.update(pending.update.clone())
            })
            .collect()
    }
}
