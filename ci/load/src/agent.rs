//! An emulated agent: what it answers to its master. No task is run.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orrery_api::link::{self, from_agent, from_master};
use orrery_api::v1::{self, TaskState, task_status};
use orrery_runtime::{Generator, Instant, Now};

use crate::progress::Progress;

/// What all emulated agents have in common.
#[derive(Clone, Debug)]
pub struct Manner {
    /// What each agent has.
    pub resources: Vec<v1::Resource>,
    /// Whether tasks begin in TASK_STARTING.
    pub starting: bool,
    /// How long tasks stay in TASK_RUNNING after it was acknowledged.
    pub run_time: Duration,
}

/// Framework and task.
type Key = (String, String);

/// A task and the update that waits for its acknowledgement.
#[derive(Debug)]
struct Walk {
    state: TaskState,
    uuid: [u8; 16],
}

/// One agent.
#[derive(Debug)]
pub struct EmulatedAgent {
    number: u32,
    manner: Arc<Manner>,
    progress: Arc<Progress>,
    generator: Generator,
    id: Option<v1::AgentId>,
    tasks: BTreeMap<Key, Walk>,
    /// Tasks that run, and until when. All run equally long, so the first ends first.
    running: VecDeque<(Instant, Key)>,
}

impl EmulatedAgent {
    /// Agent number `number` of those that differ in nothing else.
    pub fn new(
        number: u32,
        manner: Arc<Manner>,
        progress: Arc<Progress>,
        generator: Generator,
    ) -> Self {
        Self {
            number,
            manner,
            progress,
            generator,
            id: None,
            tasks: BTreeMap::new(),
            running: VecDeque::new(),
        }
    }

    /// The first message on the link.
    pub fn register(&self) -> from_agent::Body {
        // Agents differ by address, or the master would take one for another.
        let [_, high, middle, low] = self.number.to_be_bytes();
        let ip = format!("127.{high}.{middle}.{low}");
        let agent_info = v1::AgentInfo {
            hostname: ip.clone(),
            port: Some(5051),
            resources: self.manner.resources.clone(),
            ..Default::default()
        };
        from_agent::Body::Register(link::Register {
            agent_info: Some(agent_info),
            version: "1.12.0".to_owned(),
            pid: format!("slave(1)@{ip}:5051"),
            ..Default::default()
        })
    }

    /// Answers a message of the master's.
    pub fn receive(&mut self, now: Now, message: from_master::Body) -> Option<from_agent::Body> {
        match message {
            from_master::Body::Registered(registered) => {
                self.id = registered.agent_id;
                self.progress.registered.count(now.instant);
                None
            }
            from_master::Body::Ping(_) => Some(from_agent::Body::Pong(link::Pong {})),
            from_master::Body::RunTask(run) => self.run(now, *run),
            from_master::Body::Acknowledgement(it) => self.acknowledged(now, it),
            from_master::Body::ShutdownFramework(shutdown) => {
                let id = shutdown.framework_id.unwrap_or_default().value;
                self.tasks.retain(|(framework, _), _| *framework != id);
                self.running.retain(|(_, (framework, _))| *framework != id);
                None
            }
            from_master::Body::Shutdown(shutdown) => {
                let message = shutdown.message;
                self.progress.fail(format!("the master sends an agent away: {message}"));
                None
            }
            _ => None,
        }
    }

    /// When [`EmulatedAgent::finish`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        self.running.front().map(|(end, _)| *end)
    }

    /// Ends the task that has run longest if its time has come.
    pub fn finish(&mut self, now: Now) -> Option<from_agent::Body> {
        let (_, key) = self.running.pop_front_if(|(end, _)| *end <= now.instant)?;
        Some(self.enter(now, key, TaskState::TaskFinished))
    }

    fn run(&mut self, now: Now, run: link::RunTask) -> Option<from_agent::Body> {
        let framework = run.framework_info?.id?.value;
        let key = (framework, run.task_info?.task_id.value);
        let first =
            if self.manner.starting { TaskState::TaskStarting } else { TaskState::TaskRunning };
        Some(self.enter(now, key, first))
    }

    fn acknowledged(
        &mut self,
        now: Now,
        acknowledgement: link::Acknowledgement,
    ) -> Option<from_agent::Body> {
        let key = (acknowledgement.framework_id?.value, acknowledgement.task_id?.value);
        let walk = self.tasks.get(&key)?;
        if acknowledgement.uuid[..] != walk.uuid {
            return None;
        }
        match walk.state {
            TaskState::TaskStarting => Some(self.enter(now, key, TaskState::TaskRunning)),
            TaskState::TaskRunning => {
                self.progress.running_acknowledged.count(now.instant);
                if self.manner.run_time.is_zero() {
                    return Some(self.enter(now, key, TaskState::TaskFinished));
                }
                self.running.push_back((now.instant + self.manner.run_time, key));
                None
            }
            _ => {
                self.tasks.remove(&key);
                self.progress.finished_acknowledged.count(now.instant);
                None
            }
        }
    }

    /// Brings a task into a state and makes the update about it.
    fn enter(&mut self, now: Now, key: Key, state: TaskState) -> from_agent::Body {
        let uuid = self.generator.uuid();
        let executor_id = Some(v1::ExecutorId { value: key.1.clone() });
        let uuid_bytes = Bytes::copy_from_slice(&uuid);
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: key.1.clone() },
            state: state as i32,
            source: Some(task_status::Source::Executor as i32),
            agent_id: self.id.clone(),
            executor_id: executor_id.clone(),
            timestamp: Some(now.wall.as_seconds()),
            uuid: Some(uuid_bytes.clone()),
            ..Default::default()
        };
        let update = link::StatusUpdate {
            framework_id: Some(v1::FrameworkId { value: key.0.clone() }),
            executor_id,
            agent_id: self.id.clone(),
            status: Some(status),
            uuid: uuid_bytes,
            latest_state: state as i32,
        };
        self.tasks.insert(key, Walk { state, uuid });
        from_agent::Body::StatusUpdate(update)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(starting: bool, run_time: Duration) -> EmulatedAgent {
        let manner = Manner { resources: Vec::new(), starting, run_time };
        let progress = Arc::new(Progress::new(1, 1));
        EmulatedAgent::new(7, Arc::new(manner), progress, Generator::from_number(1))
    }

    fn at(seconds: u64) -> Now {
        let instant = Instant::from_nanoseconds(seconds * 1_000_000_000);
        Now { instant, ..Default::default() }
    }

    fn run_task() -> from_master::Body {
        let id = Some(v1::FrameworkId { value: "f".to_owned() });
        let task_id = v1::TaskId { value: "t".to_owned() };
        from_master::Body::RunTask(Box::new(link::RunTask {
            framework_info: Some(v1::FrameworkInfo { id, ..Default::default() }),
            task_info: Some(v1::TaskInfo { task_id, ..Default::default() }),
            launch_executor: None,
        }))
    }

    /// The state that an update tells and the acknowledgement that it waits for.
    fn told(body: Option<from_agent::Body>) -> (TaskState, from_master::Body) {
        let Some(from_agent::Body::StatusUpdate(update)) = body else { panic!("no update") };
        let status = update.status.expect("a status");
        let acknowledgement = link::Acknowledgement {
            framework_id: update.framework_id,
            task_id: Some(status.task_id.clone()),
            uuid: update.uuid,
        };
        (status.state(), from_master::Body::Acknowledgement(acknowledgement))
    }

    #[test]
    fn a_task_walks_through_its_states_one_acknowledgement_at_a_time() {
        let mut agent = agent(true, Duration::ZERO);
        let (state, acknowledgement) = told(agent.receive(at(1), run_task()));
        assert_eq!(state, TaskState::TaskStarting);
        let (state, second) = told(agent.receive(at(2), acknowledgement.clone()));
        assert_eq!(state, TaskState::TaskRunning);
        assert_eq!(agent.receive(at(2), acknowledgement), None, "acknowledged already");
        let (state, third) = told(agent.receive(at(3), second));
        assert_eq!(state, TaskState::TaskFinished);
        assert_eq!(agent.progress.running_acknowledged.get(), 1);
        assert_eq!(agent.progress.finished_acknowledged.get(), 0);
        assert_eq!(agent.receive(at(4), third), None);
        assert_eq!(agent.progress.finished_acknowledged.get(), 1);
        assert!(agent.tasks.is_empty());
    }

    #[test]
    fn a_task_runs_as_long_as_it_should() {
        let mut agent = agent(false, Duration::from_secs(5));
        let (state, acknowledgement) = told(agent.receive(at(1), run_task()));
        assert_eq!(state, TaskState::TaskRunning);
        assert_eq!(agent.receive(at(2), acknowledgement), None);
        assert_eq!(agent.deadline(), Some(at(7).instant));
        assert_eq!(agent.finish(at(6)), None);
        assert_eq!(told(agent.finish(at(7))).0, TaskState::TaskFinished);
        assert_eq!(agent.deadline(), None);
    }

    #[test]
    fn agents_have_different_addresses() {
        let Some(from_agent::Body::Register(register)) =
            Some(agent(false, Duration::ZERO).register())
        else {
            panic!("no registration")
        };
        assert_eq!(register.pid, "slave(1)@127.0.0.7:5051");
    }

    #[test]
    fn pings_are_answered_and_an_ended_framework_is_forgotten() {
        let mut agent = agent(false, Duration::ZERO);
        let ping = from_master::Body::Ping(link::Ping { connected: true });
        assert_eq!(agent.receive(at(1), ping), Some(from_agent::Body::Pong(link::Pong {})));
        agent.receive(at(1), run_task());
        let framework_id = Some(v1::FrameworkId { value: "f".to_owned() });
        let shutdown = link::ShutdownFramework { framework_id };
        agent.receive(at(1), from_master::Body::ShutdownFramework(shutdown));
        assert!(agent.tasks.is_empty());
    }
}
