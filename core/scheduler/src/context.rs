//! What a framework can do.

use bytes::Bytes;
use orrery_api::v1;
use orrery_api::v1::scheduler::{Call, call};
use orrery_runtime::{Instant, Now};

use crate::calls::{Calls, launch};
use crate::machine::{Ending, Output};
use crate::session::Session;

/// What became of a call when it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// It goes to the master under the present subscription. It is still lost if the connection
    /// breaks first; [`crate::Event::Disconnected`] then says so, and reconciliation tells what
    /// became of the tasks concerned.
    Sent,
    /// There is no subscription. The call keeps its meaning and is made after the next one.
    Kept,
    /// There is no subscription, and the call would mean nothing later. It was dropped.
    Dropped,
}

/// A framework's hands: given to it with every event, valid until it returns.
///
/// Calls go to the master in the order in which they are made.
#[derive(Debug)]
pub struct Context<'a> {
    session: &'a mut Session,
    now: Now,
    outputs: &'a mut Vec<Output>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(session: &'a mut Session, now: Now, outputs: &'a mut Vec<Output>) -> Self {
        Self { session, now, outputs }
    }

    /// The time at which the event happened.
    pub fn now(&self) -> Now {
        self.now
    }

    /// The framework's id; `None` until the first subscription of a new framework.
    pub fn framework_id(&self) -> Option<&v1::FrameworkId> {
        self.session.framework_id()
    }

    /// Whether calls can be made now.
    pub fn is_subscribed(&self) -> bool {
        self.session.is_subscribed()
    }

    /// The last state that this session was told of a task; `None` when it was told none, or when
    /// so many tasks ended since that this one was forgotten.
    pub fn task_state(&self, task_id: &v1::TaskId) -> Option<v1::TaskState> {
        self.session.tasks.state_of(task_id)
    }

    /// Launches tasks on the resources of `offers`, which must all be of one agent and one role.
    /// What the tasks leave over is declined with `filters`.
    pub fn launch(
        &mut self,
        offers: &[v1::OfferId],
        tasks: Vec<v1::TaskInfo>,
        filters: Option<v1::Filters>,
    ) -> Delivery {
        self.accept(offers, vec![launch(tasks)], filters)
    }

    /// Uses `offers` for any operations, in their order. No operations means to decline.
    pub fn accept(
        &mut self,
        offers: &[v1::OfferId],
        operations: Vec<v1::offer::Operation>,
        filters: Option<v1::Filters>,
    ) -> Delivery {
        if !self.is_subscribed() {
            return Delivery::Dropped;
        }
        for task in operations.iter().flat_map(launched_tasks) {
            self.session.tasks.launched(task);
        }
        let offers = offers.to_vec();
        self.send(|calls| calls.accept(offers, operations, filters))
    }

    /// Gives offers back. Their resources are not offered again for `filters`' `refuse_seconds`
    /// (5 s by default), unless more of them become free.
    pub fn decline(&mut self, offers: &[v1::OfferId], filters: Option<v1::Filters>) -> Delivery {
        let offers = offers.to_vec();
        self.send(|calls| calls.decline(offers, filters))
    }

    /// Asks for offers again: drops all filters and ends [`Context::suppress`]. No roles means all.
    pub fn revive(&mut self, roles: &[String]) -> Delivery {
        let suppressed = &mut self.session.subscription.suppressed_roles;
        if roles.is_empty() {
            suppressed.clear();
        }
        for role in roles {
            suppressed.remove(role);
        }
        // A subscription starts without filters, and it names the roles that stay suppressed.
        self.send_or_keep(|calls| calls.revive(roles.to_vec()))
    }

    /// Asks for no more offers until [`Context::revive`]. No roles means all.
    pub fn suppress(&mut self, roles: &[String]) -> Delivery {
        let concerned = if roles.is_empty() { self.session.roles() } else { roles.to_vec() };
        self.session.subscription.suppressed_roles.extend(concerned);
        self.send_or_keep(|calls| calls.suppress(roles.to_vec()))
    }

    /// Kills a task. Repeated after every re-subscription until the task is terminal, because a
    /// master that fails over forgets it. `policy` overrides the task's own.
    pub fn kill(&mut self, task_id: &v1::TaskId, policy: Option<v1::KillPolicy>) -> Delivery {
        let kill = call::Kill {
            task_id: task_id.clone(),
            agent_id: self.session.tasks.agent_of(task_id).cloned(),
            kill_policy: policy,
        };
        self.session.tasks.kill(kill.clone());
        self.send_or_keep(|calls| calls.kill(kill))
    }

    /// Ends an executor with all its tasks. [`crate::Event::Failure`] follows.
    pub fn shutdown_executor(
        &mut self,
        executor_id: v1::ExecutorId,
        agent_id: v1::AgentId,
    ) -> Delivery {
        self.send(|calls| calls.shutdown(executor_id, agent_id))
    }

    /// Acknowledges an update, for frameworks with [`crate::Acknowledgements::Explicit`]. Until
    /// then the agent sends no further update of the task. Without effect on an update that needs
    /// none (it has no uuid) or has had its own. One made without a subscription is not repeated:
    /// the agent sends the update again, and the library then acknowledges it.
    pub fn acknowledge(&mut self, status: &v1::TaskStatus) -> Delivery {
        let call = self.session.calls().acknowledge(status);
        match call {
            Some(call) if self.session.tasks.acknowledged(status) => self.send(|_| call),
            _ => Delivery::Dropped,
        }
    }

    /// Asks for the state of tasks, or of all tasks that the master knows when none is named. The
    /// library does this by itself after every re-subscription for the tasks it knows; a framework
    /// that kept a list of its own over a restart asks for those.
    pub fn reconcile(&mut self, tasks: Vec<call::reconcile::Task>) -> Delivery {
        if self.is_subscribed() {
            self.session.reconciliation.ask(tasks.iter().map(|task| &task.task_id));
        }
        self.send(|calls| calls.reconcile(tasks))
    }

    /// Stops asking for a task and killing it, for tasks that the master answers with a state that
    /// is not terminal (TASK_UNKNOWN, TASK_UNREACHABLE) and that the framework has given up.
    pub fn forget(&mut self, task_id: &v1::TaskId) {
        self.session.tasks.forget(task_id);
        self.session.reconciliation.forget(task_id);
    }

    /// Sends a message to an executor. Delivery is not guaranteed.
    pub fn message(
        &mut self,
        agent_id: v1::AgentId,
        executor_id: v1::ExecutorId,
        data: impl Into<Bytes>,
    ) -> Delivery {
        let data = data.into();
        self.send(|calls| calls.message(agent_id, executor_id, data))
    }

    /// Makes a call that has no method of its own here. Its framework id is filled in.
    pub fn call(&mut self, call: Call) -> Delivery {
        self.send(|calls| Call { framework_id: calls.framework_id.cloned(), ..call })
    }

    /// Removes the framework from the cluster, kills its tasks and ends the session; waits for a
    /// subscription if there is none.
    pub fn teardown(&mut self) -> Delivery {
        self.session.teardown = true;
        if self.is_subscribed() { Delivery::Sent } else { Delivery::Kept }
    }

    /// Ends the session and leaves the tasks to a successor with the same framework id. When none
    /// subscribes within `failover_timeout`, the master removes the framework.
    pub fn stop(&mut self) {
        self.session.ending = Some(Ending::Stopped);
    }

    /// Asks for [`crate::Event::Tick`] at `instant`. Several may be outstanding.
    pub fn wake_at(&mut self, instant: Instant) {
        self.session.alarms.insert(instant);
    }

    fn send(&mut self, call: impl FnOnce(Calls<'_>) -> Call) -> Delivery {
        if !self.is_subscribed() {
            return Delivery::Dropped;
        }
        let call = call(self.session.calls());
        self.session.send(call, self.outputs);
        Delivery::Sent
    }

    fn send_or_keep(&mut self, call: impl FnOnce(Calls<'_>) -> Call) -> Delivery {
        match self.send(call) {
            Delivery::Dropped => Delivery::Kept,
            delivery => delivery,
        }
    }
}

fn launched_tasks(operation: &v1::offer::Operation) -> impl Iterator<Item = &v1::TaskInfo> {
    let single = operation.launch.iter().flat_map(|launch| &launch.task_infos);
    let group = operation.launch_group.iter().flat_map(|launch| &launch.task_group.tasks);
    single.chain(group)
}
