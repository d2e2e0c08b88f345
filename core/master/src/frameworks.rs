//! How a framework leaves: for a while, or for good.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_api::link::{self, from_master};
use orrery_api::v1;
use orrery_coverage::{reachable, sometimes};
use orrery_runtime::WallTime;

use crate::state::{Framework, remember};
use crate::timers::Timer;
use crate::{ConnectionId, Master, Output};

impl Framework {
    pub(crate) fn new(info: v1::FrameworkInfo, registered: WallTime) -> Self {
        Self {
            info,
            connection: None,
            stream_id: String::new(),
            recovered: false,
            registered,
            reregistered: None,
            unregistered: None,
            tasks: BTreeMap::new(),
            unreachable_tasks: VecDeque::new(),
            completed_tasks: VecDeque::new(),
            offers: BTreeSet::new(),
            departures: 0,
        }
    }
}

impl Master {
    /// The event stream ended. The framework keeps its tasks for `failover_timeout`.
    pub(crate) fn subscriber_gone(&mut self, connection: ConnectionId) {
        let Some(key) = self.connections.remove(&connection) else { return };
        let Some(framework) = self.frameworks.get_mut(&key) else { return };
        framework.connection = None;
        framework.departures += 1;
        let departures = framework.departures;
        let timeout = failover_timeout(&framework.info);
        tracing::info!(framework_id = framework.id(), ?timeout, "framework disconnected");
        sometimes!(!framework.tasks.is_empty(), "a framework with tasks loses its stream");
        sometimes!(!framework.offers.is_empty(), "a framework with open offers loses its stream");
        self.discard_framework_offers(key);
        self.allocator.deactivate_framework(key);
        self.set_timer(timeout, Timer::Failover(key, departures));
    }

    pub(crate) fn failover_timeout(&mut self, key: FrameworkKey, departures: u64) {
        let expired = self.frameworks.get(&key).is_some_and(|framework| {
            framework.connection.is_none() && framework.departures == departures
        });
        let known = self.frameworks.contains_key(&key);
        sometimes!(known && !expired, "a framework is back before its failover timeout is over");
        if expired {
            reachable!("a framework does not come back within its failover timeout");
            tracing::info!(framework = key.0, "framework did not come back in time");
            self.remove_framework(key);
        }
    }

    /// Ends a framework: its executors are shut down, its tasks count as killed, and its id is
    /// refused from now on.
    pub(crate) fn remove_framework(&mut self, key: FrameworkKey) {
        self.discard_framework_offers(key);
        let agents: Vec<AgentKey> = self.agents.keys().copied().collect();
        for agent in agents {
            self.remove_framework_from_agent(key, agent);
        }
        let Some(mut framework) = self.frameworks.remove(&key) else { return };
        tracing::info!(framework_id = framework.id(), "framework removed");
        if let Some(connection) = framework.connection.take() {
            self.connections.remove(&connection);
            self.emit(Output::CloseConnection { connection });
        }
        self.framework_keys.remove(framework.id());
        self.allocator.remove_framework(key);
        framework.unregistered = Some(self.now.wall);
        let limit = self.options.max_completed_frameworks;
        remember(&mut self.completed_frameworks, limit, framework);
    }

    fn remove_framework_from_agent(&mut self, key: FrameworkKey, agent_key: AgentKey) {
        let Some(agent) = self.agents.get(&agent_key) else { return };
        let tasks: Vec<Arc<str>> = agent
            .tasks
            .iter()
            .filter(|(framework, _)| *framework == key)
            .map(|(_, task)| Arc::clone(task))
            .collect();
        let executors: Vec<String> = agent
            .executors
            .keys()
            .filter(|(framework, _)| *framework == key)
            .map(|(_, executor)| executor.clone())
            .collect();
        sometimes!(
            agent.link.is_none() && !tasks.is_empty(),
            "a framework ends while an agent with its work is away"
        );
        let duplicates = self.drop_duplicates_of(key, agent_key);
        if tasks.is_empty() && executors.is_empty() && !duplicates {
            return;
        }
        for task_id in tasks {
            self.end_task_of_removed_framework(key, &task_id);
        }
        for executor_id in executors {
            self.remove_executor(key, agent_key, &executor_id);
        }
        let framework_id = self.frameworks.get(&key).and_then(|one| one.info.id.clone());
        self.tell_agent(
            agent_key,
            from_master::Body::ShutdownFramework(link::ShutdownFramework { framework_id }),
        );
    }

    fn end_task_of_removed_framework(&mut self, key: FrameworkKey, task_id: &str) {
        let framework = self.frameworks.get(&key);
        let task = framework.and_then(|framework| framework.tasks.get(task_id));
        let status = v1::TaskStatus {
            message: Some("Framework removed".to_owned()),
            agent_id: task.map(|task| v1::AgentId { value: task.agent_id().to_owned() }),
            ..self.master_status(
                task_id,
                v1::TaskState::TaskKilled,
                v1::task_status::Reason::FrameworkRemoved,
            )
        };
        self.update_task(key, task_id, &status, v1::TaskState::TaskKilled);
        self.complete_task(key, task_id);
    }

    /// Tells the agents that hold something of a framework what it looks like now, and that it is
    /// subscribed: they send what waits for its acknowledgement at once. Mesos tells all agents;
    /// with tens of thousands of them, and hundreds of frameworks that come back to a new master
    /// together, that would be millions of messages. The others have nothing to send: a task stays
    /// on record here, whether or not it ever had an executor, until the framework has acknowledged
    /// its last update, and an agent that is not connected sends what waits when it registers.
    pub(crate) fn tell_agents_of_framework(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.get(&key) else { return };
        let mut agents: BTreeSet<AgentKey> =
            framework.tasks.values().map(|task| task.agent).collect();
        for (agent, record) in &self.agents {
            let mut executors = record.executors.range((key, String::new())..);
            if executors.next().is_some_and(|((owner, _), _)| *owner == key)
                || record.duplicates.keys().any(|(owner, _)| *owner == key)
            {
                agents.insert(*agent);
            }
        }
        sometimes!(!agents.is_empty(), "agents hear that a framework of theirs has subscribed");
        for agent in agents {
            self.describe_framework(agent, key);
        }
    }

    /// Tells an agent what a framework looks like now.
    pub(crate) fn describe_framework(&mut self, agent: AgentKey, key: FrameworkKey) {
        let framework_info = self.frameworks.get(&key).map(|framework| framework.info.clone());
        let update = link::UpdateFramework { framework_info };
        self.tell_agent(agent, from_master::Body::UpdateFramework(update));
    }

    /// Forgets an executor and gives back what it held.
    pub(crate) fn remove_executor(
        &mut self,
        framework: FrameworkKey,
        agent_key: AgentKey,
        executor_id: &str,
    ) {
        let Some(agent) = self.agents.get_mut(&agent_key) else { return };
        let Some(executor) = agent.executors.remove(&(framework, executor_id.to_owned())) else {
            return;
        };
        self.allocator.recover(framework, agent_key, &executor.resources, None, self.now.instant);
    }
}

/// How long a framework may be away. A value that no clock can count means the longest that one
/// can; a negative one means none.
pub(crate) fn failover_timeout(info: &v1::FrameworkInfo) -> std::time::Duration {
    let seconds = info.failover_timeout.unwrap_or(0.0);
    if seconds.is_nan() || seconds <= 0.0 {
        return std::time::Duration::ZERO;
    }
    std::time::Duration::try_from_secs_f64(seconds).unwrap_or(std::time::Duration::MAX)
}
