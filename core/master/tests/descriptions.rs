//! What agents are told of frameworks: that they have subscribed, and what they look like now.

mod harness;

use std::time::Duration;

use harness::{Cluster, Scheduler, framework_info, register_message, running_task, task};
use orrery_api::link::from_master::Body;
use orrery_api::v1::{self, TaskState, scheduler};
use orrery_master::{Answer, Input, LinkId};

const RESOURCES: &str = "cpus:4;mem:4096";

/// The names of the frameworks of which an agent was told since this was last asked.
fn told(cluster: &mut Cluster, link: LinkId) -> Vec<String> {
    let messages = cluster.take_messages(link).into_iter();
    let updates = messages.filter_map(|body| match body {
        Body::UpdateFramework(update) => update.framework_info,
        _ => None,
    });
    updates.map(|info| info.name).collect()
}

fn goes_away(cluster: &mut Cluster, scheduler: &Scheduler) {
    cluster.feed(Input::SubscriberGone { connection: scheduler.connection });
}

/// A framework that may be away for an hour.
fn patient(name: &str) -> v1::FrameworkInfo {
    v1::FrameworkInfo { failover_timeout: Some(3600.0), ..framework_info(name) }
}

/// Launches a plain command, whose executor is the agent's own affair.
fn launch(cluster: &mut Cluster, scheduler: &Scheduler, agent: &str) {
    let offers = cluster.take_offers(scheduler);
    let offer = offers.into_iter().find(|offer| offer.agent_id.value == agent).unwrap().id.value;
    cluster.accept(scheduler, &[&offer], vec![task("a", agent, "cpus:1;mem:32")]);
}

#[test]
fn an_agent_with_an_update_to_tell_hears_of_every_subscription() {
    let mut cluster = Cluster::new();
    let (link, agent) = cluster.agent(1, RESOURCES);
    let (other, _) = cluster.agent(2, RESOURCES);
    let scheduler = cluster.subscribe(patient("one"));
    launch(&mut cluster, &scheduler, &agent);
    assert_eq!(told(&mut cluster, link), [""; 0], "nothing was there when it subscribed");
    goes_away(&mut cluster, &scheduler);
    cluster.update(link, &scheduler.id, "a", TaskState::TaskFinished, 1);
    let again = cluster.subscribe_again(&scheduler, "one");
    assert_eq!(told(&mut cluster, link), ["one"], "although nothing else has changed");
    let replaced = cluster.subscribe_again(&again, "one");
    assert_eq!(told(&mut cluster, link), ["one"], "whether or not it was away");
    cluster.update(link, &scheduler.id, "a", TaskState::TaskFinished, 1);
    let status = cluster.take_statuses(&replaced).remove(0);
    cluster.acknowledge(&replaced, &status);
    cluster.subscribe_again(&replaced, "one");
    assert_eq!(told(&mut cluster, link), [""; 0], "there is nothing left that it could tell");
    assert_eq!(told(&mut cluster, other), [""; 0], "it never had anything to tell");
}

#[test]
fn a_framework_that_comes_after_its_agents_is_announced_to_them() {
    let mut cluster = Cluster::new();
    let mut message = register_message(1, Some("old-S0"), RESOURCES);
    message.frameworks = vec![with_id(patient("one"), "F")];
    message.tasks = vec![running_task("F", "old-S0")];
    let running = LinkId(cluster.next_id());
    cluster.register(running, message);
    // It knows nothing of the framework but the id: the launch was lost, and it has said so.
    let mut message = register_message(2, Some("old-S1"), RESOURCES);
    let state = TaskState::TaskLost as i32;
    let task_id = v1::TaskId { value: "b".to_owned() };
    message.tasks = vec![v1::Task { state, task_id, ..running_task("G", "old-S1") }];
    let refused = LinkId(cluster.next_id());
    cluster.register(refused, message);
    cluster.subscribe(with_id(patient("one"), "F"));
    cluster.subscribe(with_id(patient("two"), "G"));
    assert_eq!(told(&mut cluster, running), ["one"]);
    assert_eq!(told(&mut cluster, refused), ["two"]);
}

#[test]
fn an_agent_that_was_away_hears_what_has_changed_meanwhile() {
    let mut cluster = Cluster::new();
    let (link, agent) = cluster.agent(1, RESOURCES);
    let scheduler = cluster.subscribe(patient("one"));
    launch(&mut cluster, &scheduler, &agent);
    cluster.feed(Input::LinkClosed { link });
    let scheduler = cluster.subscribe_again(&scheduler, "renamed");
    let back = |cluster: &mut Cluster, name: &str| {
        let mut message = register_message(1, Some(&agent), RESOURCES);
        message.frameworks = vec![with_id(patient(name), &scheduler.id)];
        message.tasks = vec![running_task(&scheduler.id, &agent)];
        let link = LinkId(cluster.next_id());
        cluster.register(link, message);
        let first = cluster.messages.get(&link).and_then(|messages| messages.first());
        assert!(matches!(first, Some(Body::Registered(_))), "it heeds nothing before: {first:?}");
        (link, told(cluster, link))
    };
    let (link, heard) = back(&mut cluster, "one");
    assert_eq!(heard, ["renamed"], "the master has not forgotten the agent");
    cluster.feed(Input::LinkClosed { link });
    cluster.pass(Duration::from_secs(700));
    assert_eq!(cluster.master.agents().count(), 0);
    let (link, heard) = back(&mut cluster, "one");
    assert_eq!(heard, ["renamed"], "the agent was unreachable");
    cluster.feed(Input::LinkClosed { link });
    let scheduler = cluster.subscribe(with_id(patient("one"), &scheduler.id));
    assert_eq!(back(&mut cluster, "one").1, [""; 0], "it is the same again");
    goes_away(&mut cluster, &scheduler);
}

/// Which of two agents knows the newer description is unknown until the framework comes itself.
#[test]
fn nothing_is_told_of_a_framework_that_only_agents_know() {
    let mut cluster = Cluster::new();
    for (port, name) in [(1, "one"), (2, "two")] {
        let id = format!("old-S{port}");
        let mut message = register_message(port, Some(&id), RESOURCES);
        message.frameworks = vec![with_id(patient(name), "F")];
        let link = LinkId(cluster.next_id());
        cluster.register(link, message);
        assert_eq!(told(&mut cluster, link), [""; 0]);
    }
}

#[test]
fn a_description_that_contradicts_itself_is_refused() {
    let mut cluster = Cluster::new();
    let scheduler = cluster.subscribe(patient("one"));
    let mut update = |suppressed_roles: &[&str]| {
        let update = scheduler::call::UpdateFramework {
            framework_info: with_id(patient("renamed"), &scheduler.id),
            suppressed_roles: suppressed_roles.iter().map(|role| (*role).to_owned()).collect(),
            ..Default::default()
        };
        let r#type = Some(scheduler::call::Type::UpdateFramework as i32);
        let update_framework = Some(update);
        let call = scheduler::Call { r#type, update_framework, ..Default::default() };
        let answer = cluster.call(&scheduler, call);
        (answer, cluster.master.frameworks().next().unwrap().1.info.name.clone())
    };
    let (Answer::Refused(refusal), name) = update(&["foreign"]) else { panic!() };
    assert_eq!((refusal.status, name.as_str()), (400, "one"), "nothing of it counts");
    let expected = "'UpdateFramework' call is not valid: Suppressed role 'foreign'";
    assert!(refusal.text.starts_with(expected), "{}", refusal.text);
    assert_eq!(update(&["*"]), (Answer::Done, "renamed".to_owned()));
}

fn with_id(info: v1::FrameworkInfo, id: &str) -> v1::FrameworkInfo {
    v1::FrameworkInfo { id: Some(v1::FrameworkId { value: id.to_owned() }), ..info }
}
