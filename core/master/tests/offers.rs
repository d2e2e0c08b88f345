//! Offers: who gets them, what they can be used for, and when they end.

mod harness;

use std::time::Duration;

use harness::{Cluster, amount, framework_info, options, resources, states, task};
use orrery_api::link::from_master::Body;
use orrery_api::v1::task_status::Reason;
use orrery_api::v1::{self, TaskState, scheduler};
use orrery_master::{Answer, Input};

#[test]
fn two_tasks_from_one_offer_leave_the_rest_to_a_second_framework() {
    let mut cluster = Cluster::new();
    let (link, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let first = cluster.subscribe(framework_info("first"));
    let offers = cluster.take_offers(&first);
    assert_eq!(offers.iter().map(amount).collect::<Vec<_>>(), ["cpus:4; mem:4096"]);

    let tasks = vec![task("a", &agent, "cpus:2;mem:1024"), task("b", &agent, "cpus:1;mem:2048")];
    cluster.accept(&first, &[&offers[0].id.value], tasks);
    let launched = cluster.take_messages(link);
    assert_eq!(launched.iter().filter(|body| matches!(body, Body::RunTask(_))).count(), 2);

    let second = cluster.subscribe(framework_info("second"));
    cluster.pass(Duration::from_secs(2));
    let offers = cluster.take_offers(&second);
    assert_eq!(offers.iter().map(amount).collect::<Vec<_>>(), ["cpus:1; mem:1024"]);
}

#[test]
fn an_offer_can_be_used_only_once() {
    let mut cluster = Cluster::new();
    let (_, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let scheduler = cluster.subscribe(framework_info("one"));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    cluster.accept(&scheduler, &[&offer], vec![task("a", &agent, "cpus:1;mem:32")]);
    cluster.accept(&scheduler, &[&offer], vec![task("b", &agent, "cpus:1;mem:32")]);
    let statuses = cluster.take_statuses(&scheduler);
    assert_eq!(states(&statuses), [TaskState::TaskDropped]);
    assert_eq!(statuses[0].reason(), Reason::InvalidOffers);
    assert_eq!(statuses[0].task_id.value, "b");
}

#[test]
fn one_bad_offer_spoils_the_whole_accept() {
    let mut cluster = Cluster::new();
    let (_, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let scheduler = cluster.subscribe(framework_info("one"));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    let tasks = vec![task("a", &agent, "cpus:1;mem:32")];
    cluster.accept(&scheduler, &[&offer, "m-O999"], tasks);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskDropped]);
    assert!(cluster.master.offers().is_empty(), "the good offer is thrown away too");
}

#[test]
fn a_task_larger_than_its_offer_is_an_error_and_the_offer_comes_back() {
    let mut cluster = Cluster::new();
    let (_, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let scheduler = cluster.subscribe(framework_info("one"));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    cluster.accept(&scheduler, &[&offer], vec![task("big", &agent, "cpus:5;mem:32")]);
    let statuses = cluster.take_statuses(&scheduler);
    assert_eq!(states(&statuses), [TaskState::TaskError]);
    assert_eq!(statuses[0].reason(), Reason::TaskInvalid);
    cluster.pass(Duration::from_secs(10));
    assert_eq!(amount(&cluster.take_offers(&scheduler)[0]), "cpus:4; mem:4096");
}

#[test]
fn duplicate_task_ids_are_errors() {
    let mut cluster = Cluster::new();
    let (_, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let scheduler = cluster.subscribe(framework_info("one"));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    let twice = task("a", &agent, "cpus:1;mem:32");
    cluster.accept(&scheduler, &[&offer], vec![twice.clone(), twice]);
    let statuses = cluster.take_statuses(&scheduler);
    assert_eq!(states(&statuses), [TaskState::TaskError]);
    assert!(statuses[0].message().contains("duplicate"), "{}", statuses[0].message());
}

#[test]
fn a_declined_offer_stays_away_for_as_long_as_asked() {
    let mut cluster = Cluster::new();
    cluster.agent(1, "cpus:4;mem:4096");
    let scheduler = cluster.subscribe(framework_info("one"));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    cluster.decline(&scheduler, &[&offer], 30.0);
    cluster.pass(Duration::from_secs(25));
    assert!(cluster.take_offers(&scheduler).is_empty());
    cluster.pass(Duration::from_secs(10));
    assert_eq!(cluster.take_offers(&scheduler).len(), 1);
}

#[test]
fn an_offer_is_rescinded_when_its_agent_disconnects() {
    let mut cluster = Cluster::new();
    let (link, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let scheduler = cluster.subscribe(framework_info("one"));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    cluster.feed(Input::LinkClosed { link });
    let events = cluster.take_events(&scheduler);
    let rescinded = events.iter().find_map(|event| event.rescind.as_ref());
    assert_eq!(rescinded.map(|rescind| rescind.offer_id.value.as_str()), Some(offer.as_str()));
    cluster.accept(&scheduler, &[&offer], vec![task("a", &agent, "cpus:1;mem:32")]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskDropped]);
}

#[test]
fn an_unanswered_offer_is_rescinded_after_the_offer_timeout() {
    let mut cluster = Cluster::with(orrery_master::Options {
        offer_timeout: Some(Duration::from_secs(3)),
        ..options()
    });
    cluster.agent(1, "cpus:4;mem:4096");
    let scheduler = cluster.subscribe(framework_info("one"));
    cluster.pass(Duration::from_millis(3100));
    let events = cluster.take_events(&scheduler);
    assert!(events.iter().any(|event| event.rescind.is_some()));
}

#[test]
fn another_frameworks_offer_cannot_be_used() {
    let mut cluster = Cluster::new();
    let (_, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let owner = cluster.subscribe(framework_info("owner"));
    let thief = cluster.subscribe(framework_info("thief"));
    let offer = cluster.take_offers(&owner).remove(0).id.value;
    cluster.take_events(&thief);
    cluster.accept(&thief, &[&offer], vec![task("a", &agent, "cpus:1;mem:32")]);
    assert_eq!(states(&cluster.take_statuses(&thief)), [TaskState::TaskDropped]);
    assert_eq!(cluster.master.offers().len(), 1, "the owner keeps its offer");
}

#[test]
fn calls_need_the_present_stream_id() {
    let mut cluster = Cluster::new();
    let old = cluster.subscribe(framework_info("one"));
    let new = cluster.subscribe_again(&old, "one");
    let revive = || scheduler::Call {
        r#type: Some(scheduler::call::Type::Revive as i32),
        ..Default::default()
    };
    assert!(
        matches!(cluster.call(&old, revive()), Answer::Refused(refusal) if refusal.status == 400)
    );
    assert_eq!(cluster.call(&new, revive()), Answer::Accepted);
    let events = cluster.take_events(&old);
    let error = events.iter().find_map(|event| event.error.as_ref()).unwrap();
    assert_eq!(error.message, "Framework failed over");
    assert!(cluster.closed.contains(&old.connection));
}

#[test]
fn an_offer_is_written_as_its_framework_understands_it() {
    use orrery_api::v1::framework_info::{Capability, capability::Type};
    let mut cluster = Cluster::new();
    cluster.agent(1, "cpus:4;mem:4096");
    let old = cluster.subscribe(framework_info("old"));
    let offer = cluster.take_offers(&old).remove(0);
    assert_eq!(offer.allocation_info, None);
    let role = |resource: &orrery_api::v1::Resource| resource.role.clone();
    assert!(offer.resources.iter().all(|one| role(one).as_deref() == Some("*")));
    assert!(offer.resources.iter().all(|one| one.allocation_info.is_none()));

    cluster.agent(2, "cpus:4;mem:4096");
    let mut info = framework_info("new");
    info.roles = vec!["*".to_owned()];
    for kind in [Type::MultiRole, Type::ReservationRefinement] {
        info.capabilities.push(Capability { r#type: Some(kind as i32) });
    }
    cluster.decline(&old, &[&offer.id.value], 1000.0);
    let new = cluster.subscribe(info);
    cluster.pass(Duration::from_secs(2));
    let offer = cluster.take_offers(&new).remove(0);
    assert!(offer.allocation_info.is_some());
    assert!(offer.resources.iter().all(|one| role(one).is_none()));
    assert!(offer.resources.iter().all(|one| one.allocation_info.is_some()));
}

#[test]
fn an_executor_is_told_whose_it_is_and_for_which_role_it_holds_resources() {
    let mut cluster = Cluster::new();
    let (link, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let scheduler = cluster.subscribe(framework_info("one"));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    let executor = v1::ExecutorInfo {
        executor_id: v1::ExecutorId { value: "e".into() },
        command: Some(v1::CommandInfo { value: Some("run".into()), ..Default::default() }),
        resources: resources("cpus:1;mem:32"),
        ..Default::default()
    };
    let tasks = ["a", "b"].map(|id| v1::TaskInfo {
        executor: Some(executor.clone()),
        command: None,
        ..task(id, &agent, "cpus:1;mem:32")
    });
    cluster.accept(&scheduler, &[&offer], tasks.to_vec());
    let mut seen = Vec::new();
    for message in cluster.take_messages(link) {
        if let Body::RunTask(run) = message {
            seen.extend(run.task_info.and_then(|task| task.executor));
        }
    }
    let agents = cluster.master.agents();
    seen.extend(agents.flat_map(|(_, one)| one.executors.values()).map(|one| one.info.clone()));
    assert_eq!(seen.len(), 3, "two launches and the master's record");
    for info in seen {
        assert!(info.resources.iter().all(|one| one.allocation_info.is_some()), "{info:?}");
        assert_eq!(info.framework_id.map(|id| id.value), Some(scheduler.id.clone()));
    }
}
