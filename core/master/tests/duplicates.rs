//! Agents that return with a task whose id means another task by now.

mod harness;

use std::time::Duration;

use harness::{
    Cluster, Scheduler, amount, framework_info, register_message, running_task, states, task,
};
use orrery_api::link::from_master::Body;
use orrery_api::v1::{self, TaskState};
use orrery_master::{Input, LinkId};

const OLD: &str = "old-S0";

/// The task "a" runs twice: on the agent on which it was launched last, and on an older one, all of
/// whose CPUs it holds.
struct Twice {
    cluster: Cluster,
    scheduler: Scheduler,
    /// The newer agent's.
    link: LinkId,
    agent: String,
    /// The older agent's.
    old: LinkId,
}

fn twice() -> Twice {
    let mut cluster = Cluster::new();
    let (link, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let info = v1::FrameworkInfo { failover_timeout: Some(60.0), ..framework_info("one") };
    let scheduler = cluster.subscribe(info);
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    cluster.accept(&scheduler, &[&offer], vec![task("a", &agent, "cpus:1;mem:32")]);
    cluster.update(link, &scheduler.id, "a", TaskState::TaskRunning, 1);
    cluster.take_messages(link);
    cluster.take_events(&scheduler);
    let old = comes(&mut cluster, &scheduler, TaskState::TaskRunning);
    Twice { cluster, scheduler, link, agent, old }
}

/// The older agent comes, or comes again, with its task.
fn comes(cluster: &mut Cluster, scheduler: &Scheduler, state: TaskState) -> LinkId {
    let mut message = register_message(2, Some(OLD), "cpus:1;mem:64");
    let state = state as i32;
    message.tasks = vec![v1::Task { state, ..running_task(&scheduler.id, OLD) }];
    let link = LinkId(cluster.next_id());
    cluster.register(link, message);
    link
}

fn kills(messages: &[Body]) -> usize {
    messages.iter().filter(|body| matches!(body, Body::KillTask(_))).count()
}

/// The uuids, by their first byte, that the agent is told are acknowledged.
fn acknowledged(messages: &[Body]) -> Vec<u8> {
    let uuids = messages.iter().filter_map(|body| match body {
        Body::Acknowledgement(acknowledgement) => acknowledgement.uuid.first().copied(),
        _ => None,
    });
    uuids.collect()
}

/// What is on offer of the older agent, or was at last.
fn offered(cluster: &mut Cluster, scheduler: &Scheduler) -> Vec<String> {
    cluster.pass(Duration::from_secs(10));
    let offers = cluster.take_offers(scheduler).into_iter();
    offers.filter(|offer| offer.agent_id.value == OLD).map(|offer| amount(&offer)).collect()
}

fn used(cluster: &Cluster) -> String {
    let (key, _) = cluster.master.agents().find(|(_, agent)| agent.id() == OLD).unwrap();
    cluster.master.used(key).unallocated().to_string()
}

#[test]
fn the_older_one_holds_what_it_holds_until_its_end_which_its_framework_does_not_hear() {
    let Twice { mut cluster, scheduler, link, agent, old } = twice();
    let messages = cluster.take_messages(old);
    assert!(matches!(messages.first(), Some(Body::Registered(_))), "{messages:?}");
    assert_eq!(kills(&messages), 1, "it is killed once the agent is registered");
    assert_eq!(cluster.master.metrics().counter("duplicate_tasks"), 1);
    assert_eq!(used(&cluster), "cpus:1; mem:32");
    assert_eq!(offered(&mut cluster, &scheduler), ["mem:32"], "the rest of the agent");

    cluster.update(old, &scheduler.id, "a", TaskState::TaskRunning, 2);
    assert_eq!(acknowledged(&cluster.take_messages(old)), [2]);
    assert_eq!(used(&cluster), "cpus:1; mem:32");
    cluster.update(old, &scheduler.id, "a", TaskState::TaskKilled, 3);
    assert_eq!(used(&cluster), "");
    // What it said may come once more, before it hears that it need not.
    cluster.update(old, &scheduler.id, "a", TaskState::TaskKilled, 3);
    assert_eq!(acknowledged(&cluster.take_messages(old)), [3, 3]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), []);
    assert_eq!(offered(&mut cluster, &scheduler), ["cpus:1; mem:32"], "what it held as well");

    cluster.reconcile(&scheduler, &[("a", Some(OLD)), ("a", None)]);
    for status in cluster.take_statuses(&scheduler) {
        assert_eq!(status.state(), TaskState::TaskRunning);
        assert_eq!(status.agent_id.unwrap().value, agent, "the id means the newer one");
    }
    cluster.kill(&scheduler, "a");
    assert_eq!(kills(&cluster.take_messages(link)), 1);
    assert_eq!(kills(&cluster.take_messages(old)), 0);
}

#[test]
fn the_older_one_stays_what_it_is_when_the_newer_one_has_ended() {
    let Twice { mut cluster, scheduler, link, old, .. } = twice();
    cluster.update(link, &scheduler.id, "a", TaskState::TaskFinished, 2);
    let status = cluster.take_statuses(&scheduler).remove(0);
    cluster.acknowledge(&scheduler, &status);
    cluster.feed(Input::LinkClosed { link: old });
    let old = comes(&mut cluster, &scheduler, TaskState::TaskRunning);
    assert_eq!(kills(&cluster.take_messages(old)), 1, "it may not have heard it before");
    assert_eq!(used(&cluster), "cpus:1; mem:32", "it counts once");
    assert_eq!(cluster.master.metrics().counter("duplicate_tasks"), 1);
    let offers = cluster.take_offers(&scheduler);
    let offer = offers.iter().find(|offer| offer.agent_id.value == OLD).unwrap();
    cluster.accept(&scheduler, &[&offer.id.value], vec![task("a", OLD, "mem:1")]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskError]);

    cluster.feed(Input::LinkClosed { link: old });
    let old = comes(&mut cluster, &scheduler, TaskState::TaskKilled);
    assert_eq!((kills(&cluster.take_messages(old)), used(&cluster).as_str()), (0, ""));
    cluster.update(old, &scheduler.id, "a", TaskState::TaskKilled, 3);
    assert_eq!(acknowledged(&cluster.take_messages(old)), [3]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), []);
    // An agent that does not have it any more has heard that its end is acknowledged.
    cluster.feed(Input::LinkClosed { link: old });
    let link = LinkId(cluster.next_id());
    cluster.register(link, register_message(2, Some(OLD), "cpus:1;mem:64"));
    assert!(cluster.master.agents().all(|(_, agent)| agent.duplicates.is_empty()));
}

#[test]
fn the_older_one_is_gone_with_its_agent_or_its_framework() {
    let Twice { mut cluster, scheduler, old, .. } = twice();
    cluster.take_messages(old);
    cluster.feed(Input::LinkClosed { link: old });
    let link = LinkId(cluster.next_id());
    cluster.register(link, register_message(2, Some(OLD), "cpus:1;mem:64"));
    assert_eq!(used(&cluster), "", "its agent was booted");

    let Twice { mut cluster, scheduler: again, old, .. } = twice();
    cluster.take_messages(old);
    cluster.feed(Input::SubscriberGone { connection: again.connection });
    cluster.pass(Duration::from_secs(61));
    assert_eq!(cluster.master.frameworks().count(), 0);
    let messages = cluster.take_messages(old);
    assert!(messages.iter().any(|body| matches!(body, Body::ShutdownFramework(_))));
    assert_eq!(used(&cluster), "");
    assert_eq!(again.id, scheduler.id);
}
