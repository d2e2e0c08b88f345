//! The machine: its state, its one entrance, and what all its parts share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use orrery_api::link::{self, from_agent, from_master};
use orrery_api::v1;
use orrery_api::v1::executor;
use orrery_coverage::reachable;
use orrery_journal::Change;
use orrery_runtime::machine::Machine;
use orrery_runtime::{Generator, Instant, Now};

use crate::framework::{Executor, ExecutorKey, ExecutorState, Framework};
use crate::metrics::Counters;
use crate::recovery::Recovery;
use crate::registration::Registration;
use crate::streams::Streams;
use crate::{ConnectionNumber, Input, Options, Output};

/// Why the agent is ending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stopping {
    /// The operator wants it, and starts the agent again afterwards.
    Restart,
    /// The operator wants all executors ended. The next run tells what became of their tasks.
    CleanUp,
    /// The operator wants it, for good.
    Leave,
    /// No master takes the agent as it is; the text says why. It comes back once its operator has
    /// put that right.
    Refused(String),
    /// The master has given it up for good, and its tasks with it; the text says why.
    Gone(String),
    /// `Stop` was said.
    Done,
}

/// The end of an agent that is stopped in order.
#[derive(Debug, Default)]
pub(crate) struct Leave {
    /// When it stops waiting for the master. Set once its executors have ended.
    pub(crate) until: Option<Instant>,
    /// True once it has unregistered.
    pub(crate) said: bool,
}

/// The agent's state machine. See the crate's description.
#[derive(Debug)]
pub struct Agent {
    pub(crate) options: Options,
    pub(crate) random: Generator,
    /// Both clocks at the present step.
    pub(crate) now: Now,
    pub(crate) started: Now,
    pub(crate) registration: Registration,
    pub(crate) recovery: Recovery,
    /// Empty until the first registration.
    pub(crate) agent_id: String,
    pub(crate) master: Option<v1::MasterInfo>,
    pub(crate) frameworks: BTreeMap<String, Framework>,
    /// Frameworks whose executors have all ended, oldest first.
    pub(crate) completed_frameworks: VecDeque<Framework>,
    pub(crate) streams: Streams,
    /// Deadlines of executors, as they stand in [`Executor::deadline`].
    pub(crate) deadlines: BTreeSet<(Instant, ExecutorKey)>,
    pub(crate) connections: BTreeMap<ConnectionNumber, ExecutorKey>,
    pub(crate) counters: Counters,
    pub(crate) stopping: Option<Stopping>,
    /// How a stopping agent takes its leave of the master.
    pub(crate) leave: Leave,
    /// What the present step writes down.
    pub(crate) changes: Vec<Change>,
    pub(crate) outputs: Vec<Output>,
}

impl Agent {
    /// An agent that waits for [`Input::Recovered`] before it does anything. `random` decides ids
    /// and waits.
    pub fn new(options: Options, random: Generator, now: Now) -> Self {
        let registration = Registration::new(now.instant);
        let streams = Streams::default();
        Self {
            options,
            random,
            now,
            started: now,
            registration,
            recovery: Recovery::Reading,
            agent_id: String::new(),
            master: None,
            frameworks: BTreeMap::new(),
            completed_frameworks: VecDeque::new(),
            streams,
            deadlines: BTreeSet::new(),
            connections: BTreeMap::new(),
            counters: Counters::default(),
            stopping: None,
            leave: Leave::default(),
            changes: Vec::new(),
            outputs: Vec::new(),
        }
    }

    fn dispatch(&mut self, input: Input) {
        match input {
            Input::Tick => self.tick(),
            Input::LinkUp { link } => self.link_up(link),
            Input::LinkDown { link } => self.link_down(link),
            Input::FromMaster { link, body } => self.master_message(link, *body),
            Input::ExecutorSubscribe { request, connection, call } => {
                self.executor_subscribe(request, connection, *call);
            }
            Input::ExecutorCall { request, call } => self.executor_call(request, *call),
            Input::ExecutorDisconnected { connection } => self.executor_disconnected(connection),
            Input::ContainerLaunched { container, process, started } => {
                self.container_launched(&container, process, started);
            }
            Input::ContainerLaunchFailed { container, message } => {
                self.container_launch_failed(&container, &message);
            }
            Input::ContainerExited { container, status } => {
                self.container_exited(&container, status);
            }
            Input::Recovered(recovered) => self.recovered(*recovered),
            Input::Stop => self.stop(Stopping::Restart),
            Input::Leave => self.stop(Stopping::Leave),
        }
    }

    fn master_message(&mut self, link: crate::LinkNumber, body: from_master::Body) {
        if !self.registration.is_current(link) {
            return reachable!("a message comes on a link that the agent has given up");
        }
        match body {
            from_master::Body::Registered(registered) => self.registered(registered),
            from_master::Body::Ping(ping) => self.ping(ping),
            from_master::Body::Shutdown(shutdown) => {
                self.stop(ordered(&shutdown));
            }
            _ if !self.registration.is_registered() => {
                reachable!("a message comes before the agent is registered");
                tracing::warn!("ignoring a message of a master that has not registered this agent");
            }
            from_master::Body::RunTask(run) => self.run_task(*run),
            from_master::Body::RunTaskGroup(run) => self.run_task_group(*run),
            from_master::Body::KillTask(kill) => self.kill_task(kill),
            from_master::Body::Acknowledgement(acknowledgement) => {
                self.acknowledge(&acknowledgement);
            }
            from_master::Body::ShutdownExecutor(shutdown) => self.shutdown_executor(shutdown),
            from_master::Body::ShutdownFramework(shutdown) => self.shutdown_framework(&shutdown),
            from_master::Body::UpdateFramework(update) => self.update_framework(update),
            from_master::Body::FrameworkMessage(message) => self.framework_message(message),
        }
    }

    fn tick(&mut self) {
        self.registration_due();
        self.streams.retry_due(self.now.instant);
        while let Some((at, key)) = self.deadlines.first().cloned() {
            if at > self.now.instant {
                return;
            }
            self.set_deadline(&key, None);
            self.executor_deadline(&key);
        }
    }

    // What the parts share.

    pub(crate) fn emit(&mut self, output: Output) {
        self.outputs.push(output);
    }

    /// Sends to the master if it has registered this agent; drops the message otherwise.
    pub(crate) fn send_to_master(&mut self, body: from_agent::Body) {
        if self.registration.is_registered() {
            self.emit(Output::ToMaster(Box::new(body)));
        } else {
            reachable!("the agent has something to say and no master");
        }
    }

    /// Sends to an executor if it is connected; false when it is not.
    pub(crate) fn send_to_executor(&mut self, key: &ExecutorKey, event: executor::Event) -> bool {
        let Some(connection) = self.executor(key).and_then(|executor| executor.connection) else {
            return false;
        };
        self.emit(Output::ExecutorEvent { connection, event: Box::new(event) });
        true
    }

    pub(crate) fn executor(&self, key: &ExecutorKey) -> Option<&Executor> {
        self.frameworks.get(&key.framework)?.executors.get(&key.executor)
    }

    pub(crate) fn executor_mut(&mut self, key: &ExecutorKey) -> Option<&mut Executor> {
        self.frameworks.get_mut(&key.framework)?.executors.get_mut(&key.executor)
    }

    /// Sets or clears when [`Agent::executor_deadline`] looks at an executor.
    pub(crate) fn set_deadline(&mut self, key: &ExecutorKey, deadline: Option<Instant>) {
        let Some(executor) = self.executor_mut(key) else {
            return;
        };
        let old = std::mem::replace(&mut executor.deadline, deadline);
        if let Some(old) = old {
            self.deadlines.remove(&(old, key.clone()));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, key.clone()));
        }
    }

    pub(crate) fn agent_id_message(&self) -> v1::AgentId {
        v1::AgentId { value: self.agent_id.clone() }
    }

    /// The agent as others see it; without an id before the first registration.
    pub(crate) fn agent_info(&self) -> v1::AgentInfo {
        let options = &self.options;
        v1::AgentInfo {
            hostname: options.hostname.clone(),
            port: Some(i32::from(options.port)),
            resources: options.resources.to_messages(),
            attributes: options.attributes.clone(),
            id: Some(self.agent_id_message()).filter(|id| !id.value.is_empty()),
            domain: options.domain.clone(),
        }
    }

    /// Counts executors in a state.
    pub(crate) fn executors_in(&self, state: ExecutorState) -> usize {
        let executors = self.frameworks.values().flat_map(|framework| framework.executors.values());
        executors.filter(|executor| executor.state == state).count()
    }
}

/// Why an agent ends that its master sends away.
fn ordered(shutdown: &link::Shutdown) -> Stopping {
    let message = &shutdown.message;
    if shutdown.keeps_identity {
        reachable!("the master refuses the agent as it is");
        return Stopping::Refused(format!("the master refused it: {message}"));
    }
    reachable!("the master orders the agent to end");
    Stopping::Gone(format!("the master ordered it: {message}"))
}

impl Machine for Agent {
    type Input = Input;
    type Output = Output;

    fn step(&mut self, now: Now, input: Input, outputs: &mut Vec<Output>) {
        if self.stopping == Some(Stopping::Done) {
            return;
        }
        self.now = now;
        self.dispatch(input);
        self.recovery_due();
        self.forward_updates();
        self.stop_if_ended();
        self.emit_checkpoint();
        outputs.append(&mut self.outputs);
    }

    fn deadline(&self) -> Option<Instant> {
        if self.stopping == Some(Stopping::Done) {
            return None;
        }
        let executors = self.deadlines.first().map(|(at, _)| *at);
        let registration = self.registration.deadline();
        let (streams, recovery) = (self.streams.deadline(), self.recovery_deadline());
        [registration, streams, recovery, executors, self.leave.until].into_iter().flatten().min()
    }

    fn tick() -> Input {
        Input::Tick
    }
}
