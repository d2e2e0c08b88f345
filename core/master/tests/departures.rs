//! Agents that are given up, declared gone and forgotten.

mod harness;

use std::time::Duration;

use harness::{Cluster, framework_info, options, register_message, states, task};
use orrery_api::link::from_master::Body;
use orrery_api::v1::{self, TaskState};
use orrery_master::{Answer, Input, Options, Registry};
use orrery_runtime::WallTime;

fn refused(answer: Answer) -> u16 {
    match answer {
        Answer::Refused(refusal) => refusal.status,
        other => panic!("{other:?}"),
    }
}

fn agent_info(id: &str) -> v1::AgentInfo {
    register_message(1, Some(id), "cpus:4;mem:4096").agent_info.unwrap()
}

/// A registry that an earlier master left behind, with so many agents.
fn registry(agents: usize) -> Registry {
    let ids = (0..agents).map(|number| format!("old-S{number}"));
    Registry {
        admitted: ids.map(|id| (id.clone(), (&agent_info(&id)).into())).collect(),
        ..Default::default()
    }
}

#[test]
fn a_gone_agents_tasks_end_and_it_may_not_return() {
    let mut cluster = Cluster::new();
    let (link, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let scheduler = cluster.subscribe(framework_info("one"));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    cluster.accept(&scheduler, &[&offer], vec![task("a", &agent, "cpus:1;mem:32")]);
    assert_eq!(cluster.mark_gone(&agent), Answer::Done);
    let messages = cluster.take_messages(link);
    assert!(messages.iter().any(|body| matches!(body, Body::Shutdown(_))));
    let statuses = cluster.take_statuses(&scheduler);
    assert_eq!(states(&statuses), [TaskState::TaskGoneByOperator]);
    assert!(cluster.registry.gone.contains_key(&agent) && cluster.registry.admitted.is_empty());
    assert_eq!(cluster.mark_gone(&agent), Answer::Done, "it is gone already");
    let again = orrery_master::LinkId(cluster.next_id());
    cluster.register(again, register_message(1, Some(&agent), "cpus:4;mem:4096"));
    let messages = cluster.take_messages(again);
    let [Body::Shutdown(shutdown)] = messages.as_slice() else { panic!("{messages:?}") };
    assert!(!shutdown.keeps_identity, "it is to forget who it was");
    cluster.reconcile(&scheduler, &[("a", Some(&agent))]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskGoneByOperator]);
    assert_eq!(refused(cluster.mark_gone("nobody")), 404);
}

#[test]
fn an_agent_whose_address_a_new_one_took_may_not_return_to_any_master() {
    let mut cluster = Cluster::new();
    let (link, replaced) = cluster.agent(1, "cpus:4;mem:4096");
    let scheduler = cluster.subscribe(framework_info("one"));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    cluster.accept(&scheduler, &[&offer], vec![task("a", &replaced, "cpus:1;mem:32")]);
    cluster.feed(Input::LinkClosed { link });
    let (_, new) = cluster.agent(1, "cpus:4;mem:4096");
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskLost]);
    assert!(cluster.registry.gone.contains_key(&replaced));
    assert!(cluster.registry.admitted.contains_key(&new));
    let later = Cluster::with_registry(options(), cluster.registry.clone());
    for mut cluster in [cluster, later] {
        let link = orrery_master::LinkId(cluster.next_id());
        cluster.register(link, register_message(2, Some(&replaced), "cpus:4;mem:4096"));
        let messages = cluster.take_messages(link);
        let [Body::Shutdown(shutdown)] = messages.as_slice() else { panic!("{messages:?}") };
        assert!(!shutdown.keeps_identity, "it is to forget who it was");
    }
}

#[test]
fn the_answer_waits_for_the_registry() {
    let mut cluster = Cluster::new();
    let (_, agent) = cluster.agent(1, "cpus:4;mem:4096");
    cluster.stores = false;
    let request = orrery_master::RequestId(cluster.next_id());
    cluster.feed(Input::MarkGone { request, agent_id: agent.clone() });
    assert!(!cluster.answers.contains_key(&request));
    assert_eq!(refused(cluster.mark_gone(&agent)), 503, "it is being marked");
    cluster.store_all();
    assert_eq!(cluster.answers[&request], Answer::Done);
}

#[test]
fn tasks_of_an_unreachable_agent_end_when_it_is_gone() {
    let mut cluster = Cluster::new();
    let (link, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let aware = cluster.subscribe(framework_info("aware"));
    let offer = cluster.take_offers(&aware).remove(0).id.value;
    cluster.accept(&aware, &[&offer], vec![task("a", &agent, "cpus:1;mem:32")]);
    cluster.feed(Input::LinkClosed { link });
    cluster.pass(Duration::from_secs(700));
    assert_eq!(states(&cluster.take_statuses(&aware)), [TaskState::TaskUnreachable]);
    assert_eq!(cluster.mark_gone(&agent), Answer::Done);
    assert_eq!(states(&cluster.take_statuses(&aware)), [TaskState::TaskGoneByOperator]);
    let (_, framework) = cluster.master.frameworks().next().unwrap();
    assert!(framework.unreachable_tasks.is_empty());
    assert_eq!(framework.completed_tasks.len(), 1);
}

#[test]
fn a_recovered_agent_can_be_gone() {
    let mut cluster = Cluster::with_registry(options(), registry(2));
    assert_eq!(cluster.mark_gone("old-S1"), Answer::Done);
    assert_eq!(cluster.master.recovered_agents().len(), 1);
    cluster.pass(Duration::from_secs(700));
    assert_eq!(cluster.master.unreachable_agents().len(), 1);
}

#[test]
fn agents_are_given_up_no_faster_than_the_limit() {
    let removal = Some(Duration::from_secs(60));
    let options = Options { agent_removal_interval: removal, ..options() };
    let mut cluster = Cluster::with_registry(options, registry(3));
    cluster.pass(Duration::from_secs(599));
    assert!(cluster.master.unreachable_agents().is_empty());
    // One that is silent from now on has missed enough pings when all places are taken; it answers
    // before its turn comes.
    let (link, agent) = cluster.agent(9, "cpus:4;mem:4096");
    for expected in 1..=3 {
        cluster.pass(Duration::from_secs(2));
        assert_eq!(cluster.master.unreachable_agents().len(), expected);
        cluster.pass(Duration::from_secs(56));
        assert_eq!(cluster.master.unreachable_agents().len(), expected);
        if expected == 2 {
            let answer = orrery_api::link::from_agent::Body::Pong(Default::default());
            cluster.agent_says(link, answer);
        }
        cluster.pass(Duration::from_secs(2));
    }
    assert!(!cluster.master.unreachable_agents().contains_key(&agent));
    assert_eq!(cluster.master.agents().count(), 1);
}

#[test]
fn a_recovered_agent_that_returns_in_time_is_not_given_up() {
    let removal = Some(Duration::from_secs(60));
    let options = Options { agent_removal_interval: removal, ..options() };
    let mut cluster = Cluster::with_registry(options, registry(2));
    cluster.pass(Duration::from_secs(601));
    assert_eq!(cluster.master.unreachable_agents().len(), 1);
    let link = orrery_master::LinkId(cluster.next_id());
    cluster.register(link, register_message(1, Some("old-S1"), "cpus:4;mem:4096"));
    cluster.pass(Duration::from_secs(70));
    assert_eq!(cluster.master.unreachable_agents().len(), 1);
    assert_eq!(cluster.master.agents().count(), 1);
}

#[test]
fn a_master_that_misses_too_many_agents_ends() {
    let options = || Options { recovery_agent_removal_limit: 0.5, ..options() };
    let mut half = Cluster::with_registry(options(), registry(2));
    let mut more = Cluster::with_registry(options(), registry(3));
    for cluster in [&mut half, &mut more] {
        cluster.pass(Duration::from_secs(590));
        let link = orrery_master::LinkId(cluster.next_id());
        cluster.register(link, register_message(1, Some("old-S0"), "cpus:4;mem:4096"));
        cluster.pass(Duration::from_secs(11));
    }
    assert_eq!(half.failure, None);
    assert_eq!(half.master.unreachable_agents().len(), 1);
    let reason = more.failure.expect("it ends");
    assert!(reason.starts_with("2 of 3 agents did not return"), "{reason}");
    assert!(more.master.unreachable_agents().is_empty());
}

#[test]
fn agents_that_were_away_for_very_long_are_forgotten() {
    let day = 86_400_000_000_000;
    let now = 1_700_000_000_000_000_000;
    let since = |days: i64| WallTime::from_nanoseconds(now - days * day);
    let entry = |days: i64| (format!("away-{days}"), since(days));
    let registry = Registry {
        unreachable: [1, 13, 15, 20].map(entry).into(),
        gone: [2, 3, 4, 30].map(entry).into(),
        ..Default::default()
    };
    let options = Options { registry_max_agent_count: 2, ..options() };
    let mut cluster = Cluster::with_registry(options, registry);
    cluster.pass(Duration::from_secs(15 * 60));
    let left: Vec<_> = cluster.registry.unreachable.keys().collect();
    assert_eq!(left, ["away-1", "away-13"]);
    assert_eq!(cluster.registry.gone.keys().collect::<Vec<_>>(), ["away-2", "away-3"]);
    let known: Vec<_> = cluster.master.unreachable_agents().keys().collect();
    assert_eq!(known, ["away-1", "away-13"]);
}
