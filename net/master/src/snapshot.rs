//! `/metrics/snapshot`: what the master has counted and what there is now.

use std::collections::BTreeMap;

use orrery_api::v1::{MasterInfo, TaskState};
use orrery_master::{Master, Registry};
use orrery_model::Resources;
use orrery_runtime::{Instant, Now, Runtime};

/// Counters that are there from the start, so that whoever draws them sees zeros and not gaps.
const COUNTERS: [&str; 46] = [
    "dropped_messages",
    "duplicate_tasks",
    "http_cache_hits",
    "invalid_executor_to_framework_messages",
    "invalid_framework_to_executor_messages",
    "invalid_operation_status_update_acknowledgements",
    "invalid_operation_status_updates",
    "invalid_status_update_acknowledgements",
    "invalid_status_updates",
    "messages_authenticate",
    "messages_deactivate_framework",
    "messages_decline_offers",
    "messages_executor_to_framework",
    "messages_exited_executor",
    "messages_framework_to_executor",
    "messages_kill_task",
    "messages_launch_tasks",
    "messages_operation_status_update",
    "messages_operation_status_update_acknowledgement",
    "messages_reconcile_operations",
    "messages_reconcile_tasks",
    "messages_register_framework",
    "messages_register_slave",
    "messages_reregister_framework",
    "messages_reregister_slave",
    "messages_resource_request",
    "messages_revive_offers",
    "messages_status_update",
    "messages_status_update_acknowledgement",
    "messages_suppress_offers",
    "messages_unregister_framework",
    "messages_unregister_slave",
    "messages_update_slave",
    "recovery_slave_removals",
    "slave_registrations",
    "slave_removals",
    "slave_removals/reason_registered",
    "slave_removals/reason_unhealthy",
    "slave_removals/reason_unregistered",
    "slave_reregistrations",
    "slave_shutdowns_canceled",
    "slave_shutdowns_completed",
    "slave_shutdowns_scheduled",
    "slave_unreachable_canceled",
    "slave_unreachable_completed",
    "slave_unreachable_scheduled",
];

/// Counters that [`COUNTERS`] continues with: both outcomes of what is checked.
const VALID: [&str; 6] = [
    "valid_executor_to_framework_messages",
    "valid_framework_to_executor_messages",
    "valid_operation_status_update_acknowledgements",
    "valid_operation_status_updates",
    "valid_status_update_acknowledgements",
    "valid_status_updates",
];

/// States that a task is in now.
const CURRENT: [TaskState; 5] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskUnreachable,
];

/// States that a task ended in.
const ENDED: [TaskState; 8] = [
    TaskState::TaskFinished,
    TaskState::TaskFailed,
    TaskState::TaskKilled,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskDropped,
    TaskState::TaskGone,
    TaskState::TaskGoneByOperator,
];

/// All metrics of a master.
pub(crate) fn metrics(master: &Master, now: Now) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    let counted = master.metrics();
    for name in COUNTERS.into_iter().chain(VALID) {
        all.insert(format!("master/{name}"), counted.counter(name) as f64);
    }
    for (name, count) in &counted.terminal_reasons {
        all.insert(format!("master/{name}"), *count as f64);
    }
    for state in ENDED {
        let count = counted.terminal_tasks.get(state.as_str_name()).copied().unwrap_or(0);
        all.insert(task_metric(state), count as f64);
    }
    let uptime = now.instant.since(master.started().instant);
    all.insert("master/uptime_secs".into(), uptime.as_secs_f64());
    all.insert("master/elected".into(), 1.0);
    all.insert("master/outstanding_offers".into(), master.offers().len() as f64);
    all.insert("master/operator_event_stream_subscribers".into(), 0.0);
    all.insert("registrar/queued_operations".into(), master.registry_changes().1 as f64);
    add_agents(master, &mut all);
    add_frameworks(master, &mut all);
    add_resources(master, &mut all);
    add_allocator(master, &mut all);
    all
}

/// All metrics of a master that does not lead and runs since `started`: what one counts that has
/// only just begun to lead.
pub(crate) fn standby(started: Instant, runtime: &Runtime) -> BTreeMap<String, f64> {
    let (now, generator) = (runtime.now(), runtime.random.generator());
    let options = orrery_master::Options::new(MasterInfo::default());
    let master = Master::new(options, Registry::default(), generator, now);
    let mut all = metrics(&master, now);
    all.insert("master/uptime_secs".into(), now.instant.since(started).as_secs_f64());
    all
}

fn task_metric(state: TaskState) -> String {
    let name = state.as_str_name().to_ascii_lowercase();
    format!("master/tasks_{}", name.trim_start_matches("task_"))
}

fn add_agents(master: &Master, all: &mut BTreeMap<String, f64>) {
    let count = |condition: fn(&orrery_master::Agent) -> bool| {
        master.agents().filter(|(_, agent)| condition(agent)).count() as f64
    };
    for (name, value) in [
        ("slaves_connected", count(|agent| agent.link.is_some())),
        ("slaves_disconnected", count(|agent| agent.link.is_none())),
        ("slaves_active", count(|agent| agent.is_active())),
        ("slaves_inactive", count(|agent| !agent.is_active())),
        ("slaves_unreachable", master.unreachable_agents().len() as f64),
    ] {
        all.insert(format!("master/{name}"), value);
    }
}

fn add_frameworks(master: &Master, all: &mut BTreeMap<String, f64>) {
    let total = master.frameworks().count() as f64;
    let connected = master.frameworks().filter(|(_, one)| one.is_active()).count() as f64;
    for (name, value) in [
        ("frameworks_connected", connected),
        ("frameworks_active", connected),
        ("frameworks_disconnected", total - connected),
        ("frameworks_inactive", total - connected),
    ] {
        all.insert(format!("master/{name}"), value);
    }
    let mut counts = BTreeMap::<TaskState, usize>::new();
    for (_, framework) in master.frameworks() {
        for task in framework.tasks.values() {
            *counts.entry(task.state()).or_default() += 1;
        }
        *counts.entry(TaskState::TaskUnreachable).or_default() += framework.unreachable_tasks.len();
    }
    for state in CURRENT {
        all.insert(task_metric(state), counts.get(&state).copied().unwrap_or(0) as f64);
    }
}

fn add_resources(master: &Master, all: &mut BTreeMap<String, f64>) {
    let mut total = Resources::default();
    let mut used = Resources::default();
    for (key, agent) in master.agents() {
        total += agent.total.as_ref();
        used += &master.used(key);
    }
    for (suffix, total, used) in [
        ("", total.non_revocable(), used.non_revocable()),
        ("_revocable", total.revocable(), used.revocable()),
    ] {
        for name in ["cpus", "gpus", "mem", "disk"] {
            let (total, used) = (total.scalar(name).as_f64(), used.scalar(name).as_f64());
            let percent = if total > 0.0 { used / total } else { 0.0 };
            all.insert(format!("master/{name}{suffix}_total"), total);
            all.insert(format!("master/{name}{suffix}_used"), used);
            all.insert(format!("master/{name}{suffix}_percent"), percent);
        }
    }
}

fn add_allocator(master: &Master, all: &mut BTreeMap<String, f64>) {
    let allocator = master.allocator();
    let runs = master.metrics().allocation_runs as f64;
    all.insert("allocator/mesos/allocation_runs".into(), runs);
    for dispatches in ["allocator", "allocator/mesos"] {
        all.insert(format!("{dispatches}/event_queue_dispatches"), 0.0);
    }
    for name in ["cpus", "mem", "disk"] {
        let total = allocator.total().get(name).as_f64();
        let taken = allocator.offered_or_allocated().get(name).as_f64();
        all.insert(format!("allocator/mesos/resources/{name}/total"), total);
        all.insert(format!("allocator/mesos/resources/{name}/offered_or_allocated"), taken);
    }
    let mut roles: Vec<String> = master.frameworks().flat_map(|(_, one)| one.roles()).collect();
    roles.sort();
    roles.dedup();
    for role in roles {
        let share = allocator.role_share(&role);
        all.insert(format!("allocator/mesos/roles/{role}/shares/dominant"), share);
        let active = allocator.active_filters(&role) as f64;
        all.insert(format!("allocator/mesos/offer_filters/roles/{role}/active"), active);
    }
}
