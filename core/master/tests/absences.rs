//! Agents that an earlier master knew and that come back while the registry is being told that they
//! are away: nothing is acted on before it is stored.

mod harness;

use std::time::Duration;

use harness::{Cluster, framework_info, options, register_message, states};
use orrery_api::link::from_master::Body;
use orrery_api::v1::TaskState;
use orrery_master::{Answer, Input, LinkId, Registry, RequestId};

/// The agent that an earlier master has left in the registry.
const AGENT: &str = "old-S0";

fn cluster() -> Cluster {
    let info = register_message(1, Some(AGENT), "cpus:4;mem:4096").agent_info.unwrap();
    let admitted = [(AGENT.to_owned(), (&info).into())].into();
    let mut cluster =
        Cluster::with_registry(options(), Registry { admitted, ..Default::default() });
    cluster.stores = false;
    cluster
}

/// The agent asks to register, and whether it is let in.
fn is_let_in(cluster: &mut Cluster) -> bool {
    let link = LinkId(cluster.next_id());
    cluster.register(link, register_message(1, Some(AGENT), "cpus:4;mem:4096"));
    cluster.take_messages(link).iter().any(|body| matches!(body, Body::Registered(_)))
}

#[test]
fn an_agent_is_unreachable_only_once_that_is_stored() {
    let mut cluster = cluster();
    let scheduler = cluster.subscribe(framework_info("one"));
    cluster.pass(Duration::from_secs(601));
    cluster.reconcile(&scheduler, &[("a", Some(AGENT))]);
    assert_eq!(cluster.take_statuses(&scheduler), []);
    assert!(cluster.master.is_membership_changing(AGENT));
    cluster.store_all();
    cluster.reconcile(&scheduler, &[("a", Some(AGENT))]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskUnreachable]);
    assert!(!cluster.master.is_membership_changing(AGENT));
}

#[test]
fn an_agent_that_returns_meanwhile_has_to_ask_again() {
    let mut cluster = cluster();
    cluster.pass(Duration::from_secs(601));
    assert!(!is_let_in(&mut cluster));
    cluster.stores = true;
    cluster.store_all();
    assert!(cluster.registry.unreachable.contains_key(AGENT));
    assert!(is_let_in(&mut cluster));
    assert!(cluster.registry.unreachable.is_empty());
    assert_eq!(cluster.master.agents().count(), 1);
}

#[test]
fn an_agent_that_is_being_marked_gone_does_not_get_in_before() {
    let mut cluster = cluster();
    let request = RequestId(cluster.next_id());
    cluster.feed(Input::MarkGone { request, agent_id: AGENT.to_owned() });
    assert!(!is_let_in(&mut cluster));
    cluster.stores = true;
    cluster.store_all();
    assert_eq!(cluster.answers[&request], Answer::Done);
    assert!(!is_let_in(&mut cluster));
    assert_eq!(cluster.master.agents().count(), 0);
    assert!(cluster.registry.admitted.is_empty() && cluster.registry.gone.contains_key(AGENT));
}
