//! Agents that come back after they were given up or forgotten, and what their frameworks hear.

mod harness;

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{
    Cluster, Scheduler, framework_info, options, register_message, running_task, states, task,
};
use orrery_api::link::from_agent;
use orrery_api::link::from_master::Body;
use orrery_api::v1::task_status::Reason;
use orrery_api::v1::{self, TaskState};
use orrery_master::{AGENT_INFO_MAX, Input, LinkId, Options, Registry};
use orrery_runtime::WallTime;

const AGENT: &str = "old-S0";
const RESOURCES: &str = "cpus:4;mem:4096";

fn comes(cluster: &mut Cluster, message: orrery_api::link::Register) -> LinkId {
    let link = LinkId(cluster.next_id());
    cluster.register(link, message);
    link
}

/// The agent comes with one task that runs.
fn comes_with_task(cluster: &mut Cluster, framework: &str, agent: &str) -> LinkId {
    let mut message = register_message(1, Some(agent), RESOURCES);
    let status = v1::TaskStatus { healthy: Some(false), ..Default::default() };
    let statuses = vec![status];
    message.tasks.push(v1::Task { statuses, ..running_task(framework, agent) });
    comes(cluster, message)
}

/// What is told of the task "a" with the reason that its agent is back.
fn told_of_return(cluster: &mut Cluster, scheduler: &Scheduler) -> Vec<v1::TaskStatus> {
    let statuses = cluster.take_statuses(scheduler);
    let returned = |status: &v1::TaskStatus| status.reason() == Reason::AgentReregistered;
    statuses.into_iter().filter(returned).collect()
}

fn failures(cluster: &mut Cluster, scheduler: &Scheduler) -> Vec<String> {
    let events = cluster.take_events(scheduler);
    let failures = events.into_iter().filter_map(|event| event.failure);
    failures.filter_map(|failure| Some(failure.agent_id?.value)).collect()
}

fn counter(cluster: &Cluster, name: &str) -> u64 {
    cluster.master.metrics().counter(name)
}

fn registry(agents: usize) -> Registry {
    let info = |id: &str| register_message(1, Some(id), RESOURCES).agent_info.unwrap();
    let ids = (0..agents).map(|number| format!("old-S{number}"));
    let admitted = ids.map(|id| (id.clone(), (&info(&id)).into())).collect();
    Registry { admitted, ..Default::default() }
}

#[test]
fn a_task_that_nobody_remembered_is_told_as_running_when_its_agent_comes() {
    let mut cluster = Cluster::new();
    let scheduler = cluster.subscribe(framework_info("one"));
    cluster.reconcile(&scheduler, &[("a", Some(AGENT))]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskUnknown]);
    comes_with_task(&mut cluster, &scheduler.id, AGENT);
    let told = told_of_return(&mut cluster, &scheduler);
    assert_eq!(states(&told), [TaskState::TaskRunning]);
    assert_eq!(told[0].healthy, Some(false), "health is part of what is known");
    assert_eq!(told[0].agent_id.as_ref().unwrap().value, AGENT);
}

#[test]
fn a_task_of_an_agent_that_only_the_master_changed_for_is_not_told_again() {
    let mut cluster = Cluster::with_registry(options(), registry(1));
    let scheduler = cluster.subscribe(framework_info("one"));
    comes_with_task(&mut cluster, &scheduler.id, AGENT);
    assert_eq!(told_of_return(&mut cluster, &scheduler), []);
}

#[test]
fn forgotten_agents_take_their_tasks_off_the_record_until_they_return() {
    let hour = Duration::from_secs(3600);
    let options = Options { registry_max_agent_age: hour, ..options() };
    let mut cluster = Cluster::with(options);
    let (link, agent) = cluster.agent(1, RESOURCES);
    let scheduler = cluster.subscribe(framework_info("one"));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    cluster.accept(&scheduler, &[&offer], vec![task("a", &agent, "cpus:1;mem:32")]);
    cluster.feed(Input::LinkClosed { link });
    cluster.pass(hour / 2);
    let unreachable = |cluster: &Cluster| {
        let (_, framework) = cluster.master.frameworks().next().unwrap();
        framework.unreachable_tasks.len()
    };
    assert_eq!(unreachable(&cluster), 1);
    cluster.pass(2 * hour);
    assert_eq!(unreachable(&cluster), 0);
    cluster.take_events(&scheduler);
    cluster.reconcile(&scheduler, &[("a", Some(&agent))]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskUnknown]);
    comes_with_task(&mut cluster, &scheduler.id, &agent);
    assert_eq!(states(&told_of_return(&mut cluster, &scheduler)), [TaskState::TaskRunning]);
}

#[test]
fn very_many_agents_are_forgotten_in_several_changes() {
    let since = WallTime::from_nanoseconds(0);
    let unreachable = (0..8_000).map(|number| (format!("old-S{number}"), since)).collect();
    let gone = BTreeMap::from([("old-G".to_owned(), since)]);
    let registry = Registry { unreachable, gone, ..Default::default() };
    let mut cluster = Cluster::with_registry(options(), registry);
    cluster.pass(options().registry_gc_interval);
    assert!(cluster.registry.unreachable.is_empty() && cluster.registry.gone.is_empty());
    assert_eq!(cluster.master.unreachable_agents().len(), 0);
    assert_eq!(cluster.master.registry_changes(), (4, 0));
}

#[test]
fn an_agent_that_does_not_return_to_a_new_master_is_a_failure_and_is_counted() {
    let mut cluster = Cluster::with_registry(options(), registry(2));
    let scheduler = cluster.subscribe(framework_info("one"));
    cluster.pass(Duration::from_secs(595));
    comes(&mut cluster, register_message(1, Some("old-S1"), RESOURCES));
    cluster.pass(Duration::from_secs(6));
    assert_eq!(failures(&mut cluster, &scheduler), [AGENT]);
    for name in [
        "recovery_slave_removals",
        "slave_removals",
        "slave_removals/reason_unhealthy",
        "slave_unreachable_scheduled",
        "slave_unreachable_completed",
    ] {
        assert_eq!(counter(&cluster, name), 1, "{name}");
    }
}

#[test]
fn who_answers_before_its_turn_counts_as_canceled() {
    let interval = Some(Duration::from_secs(60));
    let mut cluster = Cluster::with(Options { agent_removal_interval: interval, ..options() });
    let links: Vec<_> = (1..=3).map(|port| cluster.agent(port, RESOURCES).0).collect();
    cluster.pass(Duration::from_secs(91));
    let scheduled = counter(&cluster, "slave_unreachable_scheduled");
    assert_eq!(scheduled, 3);
    cluster.agent_says(links[2], from_agent::Body::Pong(Default::default()));
    assert_eq!(counter(&cluster, "slave_unreachable_canceled"), 1);
    cluster.pass(Duration::from_secs(65));
    assert_eq!(counter(&cluster, "slave_unreachable_completed"), 2);
}

/// As long as an agent that does not answer: the ping before the break may have been answered.
#[test]
fn an_agent_whose_link_breaks_has_as_much_time_as_a_silent_one() {
    for answered in [1, 5, 14] {
        let mut cluster = Cluster::new();
        let (link, _) = cluster.agent(1, RESOURCES);
        cluster.pass(Duration::from_secs(15));
        cluster.agent_says(link, from_agent::Body::Pong(Default::default()));
        cluster.pass(Duration::from_secs(answered));
        cluster.feed(Input::LinkClosed { link });
        cluster.pass(Duration::from_secs(74));
        assert_eq!(cluster.master.agents().count(), 1, "{answered} s after a ping");
        cluster.pass(Duration::from_secs(16));
        assert_eq!(cluster.master.agents().count(), 0, "{answered} s after a ping");
    }
}

#[test]
fn a_copy_of_an_agent_on_another_machine_is_sent_away() {
    let mut cluster = Cluster::new();
    let (_, agent) = cluster.agent(1, RESOURCES);
    let again = register_message(1, Some(&agent), RESOURCES);
    let mut elsewhere = again.clone();
    elsewhere.pid = "slave(1)@10.0.0.2:1".to_owned();
    let mut renamed = again.clone();
    renamed.agent_info.as_mut().unwrap().hostname = "other".to_owned();
    for copy in [elsewhere, renamed] {
        let link = comes(&mut cluster, copy);
        let messages = cluster.take_messages(link);
        let [Body::Shutdown(shutdown)] = messages.as_slice() else { panic!("{messages:?}") };
        assert!(shutdown.message.contains("is registered at host-1"), "{}", shutdown.message);
        assert!(shutdown.keeps_identity, "its tasks would end, and nobody would hear of it");
    }
    let mut port = again;
    port.pid = "slave(1)@10.0.0.1:2".to_owned();
    let link = comes(&mut cluster, port);
    assert!(matches!(cluster.take_messages(link).as_slice(), [Body::Registered(_), ..]));
}

#[test]
fn an_agent_with_too_large_a_description_is_refused_before_the_registry_hears_of_it() {
    let mut cluster = Cluster::new();
    let (_, known) = cluster.agent(1, RESOURCES);
    let before = cluster.registry.clone();
    for id in [None, Some("old-S0"), Some(known.as_str())] {
        let mut message = register_message(1, id, RESOURCES);
        let name = "x".repeat(AGENT_INFO_MAX);
        let attribute = v1::Attribute { name, ..Default::default() };
        message.agent_info.as_mut().unwrap().attributes.push(attribute);
        let link = comes(&mut cluster, message);
        let messages = cluster.take_messages(link);
        let [Body::Shutdown(shutdown)] = messages.as_slice() else { panic!("{messages:?}") };
        let said = &shutdown.message;
        assert!(said.starts_with("AgentInfo has 10486"), "{said}");
        assert!(said.contains("in its attributes") && said.ends_with("at most 1048576"), "{said}");
        assert!(shutdown.keeps_identity, "a smaller one is welcome");
        assert!(cluster.closed_links.contains(&link));
    }
    assert_eq!(cluster.registry, before);
    assert_eq!(cluster.master.agents().count(), 1);
}

#[test]
fn an_agent_that_the_registry_does_not_take_is_refused_and_may_come_again() {
    let mut cluster = Cluster::new();
    cluster.stores = false;
    for id in [None, Some("old-S0")] {
        let message = register_message(1, id, RESOURCES);
        let link = comes(&mut cluster, message.clone());
        cluster.refuse_store("no room");
        let messages = cluster.take_messages(link);
        let [Body::Shutdown(shutdown)] = messages.as_slice() else { panic!("{messages:?}") };
        assert_eq!((shutdown.message.as_str(), shutdown.keeps_identity), ("no room", true));
        let link = comes(&mut cluster, message);
        cluster.store_all();
        assert!(matches!(cluster.take_messages(link).as_slice(), [Body::Registered(_), ..]));
    }
}

/// A framework that knows no partitions hears the older reason.
#[test]
fn a_gone_agent_is_removed_for_older_frameworks() {
    let mut cluster = Cluster::new();
    let (_, agent) = cluster.agent(1, RESOURCES);
    let older = v1::FrameworkInfo { capabilities: Vec::new(), ..framework_info("older") };
    let scheduler = cluster.subscribe(older);
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    cluster.accept(&scheduler, &[&offer], vec![task("a", &agent, "cpus:1;mem:32")]);
    cluster.mark_gone(&agent);
    let statuses = cluster.take_statuses(&scheduler);
    let told: Vec<_> = statuses.iter().map(|status| (status.state(), status.reason())).collect();
    assert_eq!(told, [(TaskState::TaskLost, Reason::AgentRemoved)]);
}
