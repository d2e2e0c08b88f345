//! Calls of executors: checking them, and what they cause.

use bytes::Bytes;
use orrery_api::link::{self, from_agent};
use orrery_api::v1;
use orrery_api::v1::executor::{Call, Event, call, event};
use orrery_api::v1::task_status::{Reason, Source};
use orrery_coverage::{reachable, sometimes};

use crate::framework::{Executor, ExecutorKey, ExecutorState, Queued};
use crate::kill::{kill_event, shutdown_event};
use crate::{Agent, ConnectionNumber, Output, RequestNumber};

const ACCEPTED: u16 = 202;
const BAD_REQUEST: u16 = 400;
const FORBIDDEN: u16 = 403;
const UNAVAILABLE: u16 = 503;

/// Checks what can be told from the call alone. A call that passes may be fed to the agent.
///
/// # Errors
/// The HTTP status, 400 or 501, and a text that says what was expected.
pub fn validate(call: &Call) -> Result<call::Type, (u16, String)> {
    let expecting =
        |field: &str| Err((BAD_REQUEST, format!("{PREFIX}: Expecting '{field}' to be present")));
    let kind = match call.r#type.map(call::Type::try_from) {
        None | Some(Err(_)) => return expecting("type"),
        Some(Ok(kind)) => kind,
    };
    match kind {
        call::Type::Unknown => Err((501, "Received 'UNKNOWN' call".to_owned())),
        call::Type::Subscribe if call.subscribe.is_none() => expecting("subscribe"),
        call::Type::Update => match &call.update {
            None => expecting("update"),
            Some(update) => validate_status(&call.executor_id, &update.status)
                .map(|()| kind)
                .map_err(|text| (BAD_REQUEST, format!("{PREFIX}: {text}"))),
        },
        call::Type::Message if call.message.is_none() => expecting("message"),
        call::Type::Subscribe | call::Type::Message | call::Type::Heartbeat => Ok(kind),
    }
}

const PREFIX: &str = "Failed to validate executor::Call";

fn validate_status(executor_id: &v1::ExecutorId, status: &v1::TaskStatus) -> Result<(), String> {
    let uuid = status.uuid.as_ref().ok_or("Expecting 'uuid' to be present")?;
    if uuid.len() != 16 || uuid.iter().all(|byte| *byte == 0) {
        return Err("'uuid' is not a valid UUID: expected 16 bytes that are not all zero".into());
    }
    if let Some(id) = status.executor_id.as_ref().filter(|id| *id != executor_id) {
        return Err(format!(
            "ExecutorID '{}' of the call does not match ExecutorID '{}' of the status",
            executor_id.value, id.value
        ));
    }
    if status.source != Some(Source::Executor as i32) {
        return Err("'source' of the status is not SOURCE_EXECUTOR".into());
    }
    if v1::TaskState::try_from(status.state) == Ok(v1::TaskState::TaskStaging) {
        return Err("'state' of the status is TASK_STAGING, which no executor may send".into());
    }
    Ok(())
}

impl Agent {
    pub(crate) fn executor_subscribe(
        &mut self,
        request: RequestNumber,
        connection: ConnectionNumber,
        call: Call,
    ) {
        let key = match self.caller(&call) {
            Ok(key) => key,
            Err(text) => return self.reply(request, BAD_REQUEST, text),
        };
        let Some(executor) = self.executor_mut(&key) else {
            return;
        };
        let is_first = executor.state == ExecutorState::Registering;
        sometimes!(
            executor.state == ExecutorState::Recovering,
            "an executor comes back after its agent's restart"
        );
        if matches!(executor.state, ExecutorState::Registering | ExecutorState::Recovering) {
            executor.state = ExecutorState::Running;
        }
        let is_running = executor.state == ExecutorState::Running;
        let old = executor.connection.replace(connection);
        if let Some(old) = old {
            reachable!("an executor subscribes again while its old stream is open");
            self.connections.remove(&old);
            self.emit(Output::CloseConnection { connection: old });
        }
        self.connections.insert(connection, key.clone());
        self.reply(request, 200, "");
        let subscribed = self.subscribed_event(&key);
        self.send_to_executor(&key, subscribed);
        if !is_running {
            reachable!("an executor subscribes that is to end");
            self.send_to_executor(&key, shutdown_event());
        }
        let subscribe = call.subscribe.unwrap_or_default();
        if is_first {
            self.set_deadline(&key, None);
            self.checkpoint_subscribed(&key);
        } else {
            reachable!("an executor subscribes again");
            self.repeat_or_drop_lost_launches(&key, &subscribe);
        }
        for update in subscribe.unacknowledged_updates {
            // These come from outside too, and their checks stand in for those of an UPDATE.
            match validate_status(&call.executor_id, &update.status) {
                Ok(()) => drop(self.executor_update(&key, update.status)),
                Err(text) => tracing::warn!(text, "ignoring an unacknowledged update"),
            }
        }
        if !is_first {
            self.repeat_kills(&key);
        }
        self.deliver(&key);
        if !is_first {
            self.end_idle_executor(&key);
        }
    }

    fn subscribed_event(&self, key: &ExecutorKey) -> Event {
        let framework = self.frameworks.get(&key.framework);
        let executor = framework.and_then(|framework| framework.executors.get(&key.executor));
        let subscribed = framework.zip(executor).map(|(framework, executor)| event::Subscribed {
            executor_info: executor.info.clone(),
            framework_info: framework.info.clone(),
            agent_info: self.agent_info(),
            container_id: Some(container_id(&executor.container.container_id)),
        });
        Event { r#type: Some(event::Type::Subscribed as i32), subscribed, ..Default::default() }
    }

    /// Sees to the tasks that were sent on a stream which broke before the executor read them. Our
    /// own executors say reliably what they have got, so to them a launch is delivered again; of
    /// others it is not certain that they have not, so the task is dropped.
    fn repeat_or_drop_lost_launches(&mut self, key: &ExecutorKey, subscribe: &call::Subscribe) {
        let Some(framework) = self.frameworks.get(&key.framework) else {
            return;
        };
        let state = framework.dropped_state();
        let Some(executor) = framework.executors.get(&key.executor) else {
            return;
        };
        let is_known = |id: &str| {
            let tasks = subscribe.unacknowledged_tasks.iter().map(|task| &task.task_id);
            let updates = subscribe.unacknowledged_updates.iter().map(|it| &it.status.task_id);
            tasks.chain(updates).any(|known| known.value == id)
        };
        let lost = executor.tasks.iter().filter(|(id, task)| {
            let is_silent = task.state() == v1::TaskState::TaskStaging && !task.arrived;
            task.info.is_none() && is_silent && !is_known(id)
        });
        let lost: Vec<String> = lost.map(|(id, _)| id.clone()).collect();
        for id in lost {
            reachable!("a launch is lost with the executor's stream");
            if self.requeue_sent(key, &id) {
                continue;
            }
            let message = "the executor's connection broke before the task was delivered";
            let reason = Reason::AgentRestarted;
            self.report(&key.framework, Some(&key.executor), &id, state, reason, message);
        }
    }

    /// Queues a task again that was sent to an executor of ours; false when it is none.
    fn requeue_sent(&mut self, key: &ExecutorKey, task_id: &str) -> bool {
        let Some(executor) = self.executor_mut(key) else { return false };
        let Some(task) = executor.tasks.get_mut(task_id) else { return false };
        task.info = task.sent.take();
        let queued = task.info.is_some();
        if queued {
            executor.queue.push_back(Queued::Task(task_id.to_owned()));
        }
        queued
    }

    /// An executor of ours whose task is over before it began would wait for it for ever.
    fn end_idle_executor(&mut self, key: &ExecutorKey) {
        let idle = |executor: &Executor| {
            executor.generated
                && executor.state == ExecutorState::Running
                && executor.queue.is_empty()
                && executor.tasks.values().all(|task| task.is_terminal() && task.is_dropped())
        };
        if self.executor(key).is_some_and(idle) {
            reachable!("an executor comes back to a task that was dropped");
            self.begin_shutdown(key);
        }
    }

    fn repeat_kills(&mut self, key: &ExecutorKey) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        let live = executor.tasks.values().filter(|task| !task.is_terminal());
        let kills: Vec<event::Kill> = live.filter_map(|task| task.kill.clone()).collect();
        for kill in kills {
            reachable!("a kill is said again to an executor that is back");
            self.send_to_executor(key, kill_event(kill));
        }
    }

    pub(crate) fn executor_call(&mut self, request: RequestNumber, call: Call) {
        if call.r#type == Some(call::Type::Heartbeat as i32) {
            return self.reply(request, ACCEPTED, "");
        }
        let key = match self.caller(&call) {
            Ok(key) => key,
            Err(text) => return self.reply(request, BAD_REQUEST, text),
        };
        let state = self.executor(&key).map(|it| it.state);
        if state == Some(ExecutorState::Recovering) {
            // It sends the call again once it has subscribed.
            return self.reply(request, UNAVAILABLE, "Agent has not finished recovery");
        }
        if state == Some(ExecutorState::Registering) {
            reachable!("an executor calls before it has subscribed");
            return self.reply(request, FORBIDDEN, "Executor is not subscribed");
        }
        if let Some(update) = call.update {
            match self.executor_update(&key, update.status) {
                Ok(()) => self.reply(request, ACCEPTED, ""),
                Err(text) => self.reply(request, BAD_REQUEST, text),
            }
        } else if let Some(message) = call.message {
            self.counters.valid_framework_messages += 1;
            self.send_to_master(from_agent::Body::ExecutorMessage(link::ExecutorMessage {
                framework_id: Some(call.framework_id),
                executor_id: Some(call.executor_id),
                data: message.data,
            }));
            self.reply(request, ACCEPTED, "");
        } else {
            self.reply(request, BAD_REQUEST, "Expecting a call with a body");
        }
    }

    /// The executor that a call names, unless it has ended.
    fn caller(&self, call: &Call) -> Result<ExecutorKey, &'static str> {
        let framework = self.frameworks.get(&call.framework_id.value);
        let framework = framework.ok_or("Framework cannot be found")?;
        let executor = framework.executors.get(&call.executor_id.value);
        let executor = executor.filter(|it| it.state != ExecutorState::Terminated);
        Ok(executor.ok_or("Executor cannot be found")?.key())
    }

    /// Takes an update that an executor sent, and tells the executor so.
    fn executor_update(
        &mut self,
        key: &ExecutorKey,
        mut status: v1::TaskStatus,
    ) -> Result<(), &'static str> {
        let task_id = status.task_id.clone();
        let Some(executor) = self.executor(key) else {
            return Err("Executor cannot be found");
        };
        // A task that was not delivered yet is none of the executor's business.
        let task = executor.tasks.get(&task_id.value);
        let is_live = task.is_some_and(|task| task.info.is_none());
        // The acknowledgement of an ended task's last update may have been lost.
        if !is_live && !executor.completed.iter().any(|task| task.task_id == task_id) {
            reachable!("an executor reports on a task that it does not have");
            self.counters.invalid_status_updates += 1;
            return Err("Task cannot be found");
        }
        let uuid = status.uuid.clone().unwrap_or_default();
        self.fill_in(key, &mut status);
        self.counters.valid_status_updates += 1;
        sometimes!(!is_live, "an executor repeats the update of a task that is over");
        sometimes!(is_live && self.is_repeated(key, &status), "an executor repeats an update");
        if is_live && !self.is_repeated(key, &status) {
            self.record(&key.framework, Some(&key.executor), status);
        }
        self.send_to_executor(key, acknowledged_event(task_id, uuid));
        Ok(())
    }

    fn is_repeated(&self, key: &ExecutorKey, status: &v1::TaskStatus) -> bool {
        let stream = (key.framework.clone(), status.task_id.value.clone());
        let uuid = status.uuid.as_deref().unwrap_or_default();
        self.streams.has_received(&stream, uuid)
    }

    /// Adds what the agent knows better than the executor.
    fn fill_in(&self, key: &ExecutorKey, status: &mut v1::TaskStatus) {
        let Some(executor) = self.executor(key) else {
            return;
        };
        status.agent_id = Some(self.agent_id_message());
        status.timestamp.get_or_insert(self.now.wall.as_seconds());
        let container = status.container_status.get_or_insert_default();
        let own_id = container_id(&executor.container.container_id);
        container.container_id.get_or_insert(own_id);
        if container.executor_pid.is_none() {
            container.executor_pid = executor.process.map(|process| process.0);
        }
        if container.network_infos.is_empty() {
            container.network_infos.push(self.network_info());
        }
    }

    /// Containers share the agent's address.
    fn network_info(&self) -> v1::NetworkInfo {
        use v1::network_info::Protocol;
        let protocol = if self.options.ip.is_ipv4() { Protocol::IPv4 } else { Protocol::IPv6 };
        let address = v1::network_info::IpAddress {
            protocol: Some(protocol as i32),
            ip_address: Some(self.options.ip.to_string()),
        };
        v1::NetworkInfo { ip_addresses: vec![address], ..Default::default() }
    }

    pub(crate) fn executor_disconnected(&mut self, connection: ConnectionNumber) {
        let Some(key) = self.connections.remove(&connection) else {
            return;
        };
        if let Some(executor) = self.executor_mut(&key)
            && executor.connection == Some(connection)
        {
            sometimes!(
                executor.state == ExecutorState::Running,
                "a running executor loses its agent"
            );
            executor.connection = None;
        }
    }

    pub(crate) fn framework_message(&mut self, message: link::FrameworkMessage) {
        let key = ExecutorKey {
            framework: message.framework_id.unwrap_or_default().value,
            executor: message.executor_id.unwrap_or_default().value,
        };
        let event = Event {
            r#type: Some(event::Type::Message as i32),
            message: Some(event::Message { data: message.data }),
            ..Default::default()
        };
        // Messages are best effort in Mesos too: neither side repeats them.
        if self.send_to_executor(&key, event) {
            self.counters.valid_framework_messages += 1;
        } else {
            reachable!("a message is for an executor that is not connected");
            self.counters.invalid_framework_messages += 1;
        }
    }

    /// A framework has subscribed, or describes itself anew. It may be unknown here and yet wait
    /// for updates: of launches that were refused.
    pub(crate) fn update_framework(&mut self, update: link::UpdateFramework) {
        let Some(info) = update.framework_info else {
            return;
        };
        let id = info.id.clone().unwrap_or_default().value;
        if self.frameworks.get(&id).is_some_and(|framework| framework.terminating) {
            return reachable!("a framework that is to end describes itself anew");
        }
        self.describe_framework(&id, info);
        self.streams.resume_framework(self.now.instant, &id);
    }

    fn reply(&mut self, request: RequestNumber, status: u16, text: impl Into<String>) {
        self.emit(Output::Reply { request, status, text: text.into() });
    }
}

fn container_id(value: &str) -> v1::ContainerId {
    v1::ContainerId { value: value.to_owned(), parent: None }
}

fn acknowledged_event(task_id: v1::TaskId, uuid: Bytes) -> Event {
    Event {
        r#type: Some(event::Type::Acknowledged as i32),
        acknowledged: Some(event::Acknowledged { task_id, uuid }),
        ..Default::default()
    }
}
