//! The older JSON endpoints that show what the master knows: `/state`, `/slaves`, `/frameworks`,
//! `/roles`, `/state-summary`.

use std::collections::{BTreeMap, BTreeSet};

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_api::v1::TaskState;
use orrery_endpoints::objects::{self, Object, number};
use orrery_endpoints::{Query, system};
use orrery_master::{Agent, Framework, Master, Task};
use orrery_model::Resources;
use orrery_model::resources::ValueRef;
use serde_json::{Value, json};

use crate::Options;

/// The states that `/state-summary` counts.
const COUNTED: [TaskState; 10] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskKilled,
    TaskState::TaskFailed,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskUnreachable,
];

/// `/state`.
pub(crate) fn state(master: &Master, options: &Options) -> Value {
    let master_info = &master.options().master_info;
    let mut object = system::version(&options.version);
    let started = number(master.started().wall.as_seconds());
    object.insert("start_time".into(), started.clone());
    object.insert("elected_time".into(), started);
    object.insert("id".into(), master_info.id.as_str().into());
    object.insert("pid".into(), master_info.pid().into());
    object.insert("hostname".into(), master_info.hostname().into());
    let capabilities = master_info.capabilities.iter().map(|it| it.r#type().as_str_name());
    object.insert("capabilities".into(), capabilities.collect());
    let active = master.agents().filter(|(_, agent)| agent.is_active()).count();
    let inactive = master.agents().count() - active;
    object.insert("activated_slaves".into(), number(active as f64));
    object.insert("deactivated_slaves".into(), number(inactive as f64));
    let unreachable = master.unreachable_agents().len();
    object.insert("unreachable_slaves".into(), number(unreachable as f64));
    object.insert("leader".into(), master_info.pid().into());
    object.insert(
        "leader_info".into(),
        json!({"id": master_info.id, "pid": master_info.pid(), "port": master_info.port,
               "hostname": master_info.hostname()}),
    );
    if let Some(cluster) = &options.cluster {
        object.insert("cluster".into(), cluster.as_str().into());
    }
    object.insert("flags".into(), json!(options.flags));
    let agents = master.agents().map(|(key, agent)| Value::from(agent_object(master, key, agent)));
    object.insert("slaves".into(), agents.collect());
    object.insert("recovered_slaves".into(), recovered_agents(master));
    object.extend(frameworks_object(master, None));
    object.insert("orphan_tasks".into(), json!([]));
    Value::Object(object)
}

/// `/slaves`, of all agents or the one that `slave_id` names.
pub(crate) fn slaves(master: &Master, query: &Query) -> Value {
    let wanted = query.get("slave_id");
    let agents = master.agents().filter(|(_, agent)| wanted.is_none_or(|id| agent.id() == id));
    let agents = agents.map(|(key, agent)| {
        let mut object = agent_object(master, key, agent);
        let total = &agent.total;
        object
            .insert("reserved_resources_full".into(), reserved(total, objects::resources_in_full));
        for (name, resources) in [
            ("unreserved_resources_full", total.unreserved()),
            ("used_resources_full", master.used(key)),
            ("offered_resources_full", master.offered(key)),
        ] {
            object.insert(name.into(), objects::resources_in_full(&resources));
        }
        Value::from(object)
    });
    json!({"slaves": agents.collect::<Vec<_>>(), "recovered_slaves": recovered_agents(master)})
}

/// `/frameworks`, of all frameworks or the one that `framework_id` names.
pub(crate) fn frameworks(master: &Master, query: &Query) -> Value {
    Value::Object(frameworks_object(master, query.get("framework_id")))
}

fn frameworks_object(master: &Master, wanted: Option<&str>) -> Object {
    let is_wanted = |framework: &Framework| wanted.is_none_or(|id| framework.id() == id);
    let current = master
        .frameworks()
        .filter(|(_, framework)| is_wanted(framework))
        .map(|(key, framework)| Value::from(framework_object(master, Some(key), framework)));
    let completed = master
        .completed_frameworks()
        .filter(|framework| is_wanted(framework))
        .map(|framework| Value::from(framework_object(master, None, framework)));
    let mut object = Object::new();
    object.insert("frameworks".into(), current.collect());
    object.insert("completed_frameworks".into(), completed.collect());
    object.insert("unregistered_frameworks".into(), json!([]));
    object
}

fn agent_object(master: &Master, key: AgentKey, agent: &Agent) -> Object {
    let mut object = objects::agent_identity(&agent.info.message());
    object.insert("pid".into(), agent.pid.as_ref().into());
    object.insert("registered_time".into(), number(agent.registered.as_seconds()));
    if let Some(time) = agent.reregistered {
        object.insert("reregistered_time".into(), number(time.as_seconds()));
    }
    for (name, resources) in [
        ("resources", agent.total.as_ref()),
        ("used_resources", &master.used(key)),
        ("offered_resources", &master.offered(key)),
        ("unreserved_resources", &agent.total.unreserved()),
    ] {
        object.insert(name.into(), objects::resources(resources));
    }
    object.insert("reserved_resources".into(), reserved(&agent.total, objects::resources));
    object.insert("active".into(), agent.is_active().into());
    object.insert("deactivated".into(), false.into());
    object.insert("version".into(), agent.version.as_ref().into());
    let capabilities = agent.capabilities.iter().map(|it| it.r#type().as_str_name());
    object.insert("capabilities".into(), capabilities.collect());
    object
}

/// Reserved resources by role.
fn reserved(total: &Resources, show: impl Fn(&Resources) -> Value) -> Value {
    let by_role = total.reservations();
    Value::Object(by_role.into_iter().map(|(role, part)| (role, show(&part))).collect())
}

fn recovered_agents(master: &Master) -> Value {
    let recovered = master.recovered_agents().values();
    recovered.map(|info| Value::from(objects::agent_identity(&info.message()))).collect()
}

fn framework_summary(master: &Master, key: Option<FrameworkKey>, framework: &Framework) -> Object {
    let mut object = Object::new();
    object.insert("id".into(), framework.id().into());
    object.insert("name".into(), framework.info.name.as_str().into());
    object.insert("used_resources".into(), objects::resources(&used_by(master, framework, key)));
    object.insert("offered_resources".into(), objects::resources(&offered_to(master, framework)));
    let shown = objects::framework_summary(&framework.info);
    for name in ["capabilities", "hostname", "webui_url"] {
        object.insert(name.into(), shown.get(name).cloned().unwrap_or_default());
    }
    object.insert("active".into(), framework.is_active().into());
    object.insert("connected".into(), framework.connection.is_some().into());
    object.insert("recovered".into(), framework.recovered.into());
    object
}

fn framework_object(master: &Master, key: Option<FrameworkKey>, framework: &Framework) -> Object {
    let mut object = objects::framework_summary(&framework.info);
    object.extend(framework_summary(master, key, framework));
    object.insert("registered_time".into(), number(framework.registered.as_seconds()));
    let unregistered = framework.unregistered.map_or(0.0, |time| time.as_seconds());
    object.insert("unregistered_time".into(), number(unregistered));
    if let Some(time) = framework.reregistered.filter(|time| *time != framework.registered) {
        object.insert("reregistered_time".into(), number(time.as_seconds()));
    }
    let resources = used_by(master, framework, key) + offered_to(master, framework);
    object.insert("resources".into(), objects::resources(&resources));
    let tasks = |tasks: &mut dyn Iterator<Item = &Task>| -> Value {
        tasks.map(|task| Value::from(objects::task(&task.message()))).collect()
    };
    object.insert("tasks".into(), tasks(&mut framework.tasks.values().map(AsRef::as_ref)));
    object.insert("unreachable_tasks".into(), tasks(&mut framework.unreachable_tasks.iter()));
    object.insert("completed_tasks".into(), tasks(&mut framework.completed_tasks.iter()));
    let offers = framework.offers.iter().filter_map(|number| {
        let offer = master.offers().get(number)?;
        Some(Value::from(objects::offer(&master.offer_message(*number, offer))))
    });
    object.insert("offers".into(), offers.collect());
    object.insert("executors".into(), executors(master, key));
    object.insert("offer_constraints".into(), json!({}));
    object
}

fn executors(master: &Master, key: Option<FrameworkKey>) -> Value {
    let mut list = Vec::new();
    for (_, agent) in master.agents() {
        for ((owner, _), executor) in &agent.executors {
            if Some(*owner) == key {
                list.push(Value::from(objects::executor(&executor.info, agent.id())));
            }
        }
    }
    list.into()
}

/// What a framework's tasks and executors hold, and older tasks under the ids of newer ones.
pub(crate) fn used_by(
    master: &Master,
    framework: &Framework,
    key: Option<FrameworkKey>,
) -> Resources {
    let mut used = Resources::default();
    for task in framework.tasks.values().filter(|task| task.holds_resources()) {
        used += task.resources();
    }
    let Some(key) = key else { return used };
    for (_, agent) in master.agents() {
        let duplicates = agent.duplicates.iter().filter(|((owner, _), _)| *owner == key);
        for (_, task) in duplicates.filter(|(_, task)| task.holds_resources()) {
            used += task.resources();
        }
        for ((owner, _), executor) in &agent.executors {
            if *owner == key {
                used += &executor.resources;
            }
        }
    }
    used
}

/// What is offered to a framework.
pub(crate) fn offered_to(master: &Master, framework: &Framework) -> Resources {
    let mut offered = Resources::default();
    for offer in framework.offers.iter().filter_map(|number| master.offers().get(number)) {
        offered += &offer.resources;
    }
    offered
}

/// `/state-summary`.
pub(crate) fn summary(master: &Master, options: &Options) -> Value {
    let master_info = &master.options().master_info;
    let on_agents = tasks_by_agent(master);
    let nothing = OnAgent::default();
    let agents = master.agents().map(|(key, agent)| {
        let mut object = agent_object(master, key, agent);
        let found = on_agents.get(agent.id()).unwrap_or(&nothing);
        insert_counts(&mut object, &found.counts);
        object.insert("framework_ids".into(), json!(found.frameworks));
        Value::from(object)
    });
    let agents: Vec<Value> = agents.collect();
    let frameworks = master.frameworks().map(|(key, framework)| {
        let mut object = framework_summary(master, Some(key), framework);
        let mut agents = BTreeSet::new();
        let mut counts = BTreeMap::new();
        for task in all_tasks(framework) {
            *counts.entry(task.state()).or_default() += 1;
            agents.insert(task.agent_id());
        }
        insert_counts(&mut object, &counts);
        object.insert("slave_ids".into(), json!(agents));
        Value::from(object)
    });
    let frameworks: Vec<Value> = frameworks.collect();
    let mut object = Object::new();
    object.insert("hostname".into(), master_info.hostname().into());
    if let Some(cluster) = &options.cluster {
        object.insert("cluster".into(), cluster.as_str().into());
    }
    object.insert("slaves".into(), agents.into());
    object.insert("frameworks".into(), frameworks.into());
    Value::Object(object)
}

/// Tasks of every kind that were launched on one agent.
#[derive(Default)]
struct OnAgent<'a> {
    frameworks: BTreeSet<&'a str>,
    counts: BTreeMap<TaskState, u64>,
}

fn tasks_by_agent(master: &Master) -> BTreeMap<&str, OnAgent<'_>> {
    let mut all = BTreeMap::<&str, OnAgent<'_>>::new();
    for (_, framework) in master.frameworks() {
        for task in all_tasks(framework) {
            let agent = all.entry(task.agent_id()).or_default();
            *agent.counts.entry(task.state()).or_default() += 1;
            agent.frameworks.insert(framework.id());
        }
    }
    all
}

/// A framework's tasks of every kind.
pub(crate) fn all_tasks(framework: &Framework) -> impl Iterator<Item = &Task> {
    let current = framework.tasks.values().map(AsRef::as_ref);
    current.chain(&framework.unreachable_tasks).chain(&framework.completed_tasks)
}

fn insert_counts(object: &mut Object, counts: &BTreeMap<TaskState, u64>) {
    for state in COUNTED {
        let count = counts.get(&state).copied().unwrap_or(0);
        object.insert(state.as_str_name().into(), count.into());
    }
}

/// `/roles`: roles that frameworks are subscribed to or that resources are reserved to.
pub(crate) fn roles(master: &Master) -> Value {
    let mut names: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (_, framework) in master.frameworks() {
        for role in framework.roles() {
            names.entry(role).or_default().push(framework.id());
        }
    }
    for (_, agent) in master.agents() {
        for role in agent.total.reservations().into_keys() {
            names.entry(role).or_default();
        }
    }
    let roles = names.into_iter().map(|(name, frameworks)| {
        let (allocated, offered) = role_resources(master, &name);
        let reserved = master
            .agents()
            .fold(Resources::default(), |sum, (_, agent)| sum + agent.total.reserved_to(&name));
        let consumed = amounts(&allocated);
        json!({
            "name": name, "weight": 1.0, "frameworks": frameworks,
            "quota": {"role": name, "guarantee": {}, "limit": {}, "consumed": consumed},
            "allocated": amounts(&allocated), "offered": amounts(&offered),
            "reserved": amounts(&reserved), "resources": amounts(&(allocated + offered)),
        })
    });
    json!({"roles": roles.collect::<Vec<_>>()})
}

/// What is allocated and what is offered to a role.
pub(crate) fn role_resources(master: &Master, role: &str) -> (Resources, Resources) {
    let mut allocated = Resources::default();
    let mut offered = Resources::default();
    for (key, agent) in master.agents() {
        if let Some(used) = master.used(key).allocations().get(role) {
            allocated += used;
        }
        for offer in agent.offers.iter().filter_map(|number| master.offers().get(number)) {
            if offer.role == role {
                offered += &offer.resources;
            }
        }
    }
    (allocated, offered)
}

/// Amounts by name; ranges and sets count their members.
fn amounts(resources: &Resources) -> Value {
    let quantities = resources.quantities();
    let mut sums: BTreeMap<&str, f64> =
        quantities.iter().map(|(name, amount)| (name, amount.as_f64())).collect();
    for entry in resources.iter() {
        let members = match entry.value() {
            ValueRef::Scalar(_) => continue,
            ValueRef::Ranges(ranges) => ranges.count() as f64,
            ValueRef::Set(members) => members.len() as f64,
        };
        *sums.entry(entry.name()).or_default() += members;
    }
    Value::Object(sums.into_iter().map(|(name, sum)| (name.to_owned(), number(sum))).collect())
}
