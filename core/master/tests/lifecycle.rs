//! Tasks, agents and frameworks from their beginning to their end.

mod harness;

use std::time::Duration;

use harness::{
    Cluster, Scheduler, amount, framework_info, options, register_message, resources, running_task,
    states, task,
};
use orrery_api::link::StatusUpdate;
use orrery_api::link::from_agent::Body as FromAgent;
use orrery_api::link::from_master::Body;
use orrery_api::v1::task_status::Reason;
use orrery_api::v1::{self, TaskState, scheduler};
use orrery_master::{Input, LinkId, Options, Registry};
use orrery_runtime::WallTime;

struct Running {
    cluster: Cluster,
    scheduler: Scheduler,
    link: LinkId,
    agent: String,
}

/// One agent with one task of one framework.
fn one_task() -> Running {
    let mut cluster = Cluster::new();
    let (link, agent) = cluster.agent(1, "cpus:4;mem:4096");
    let info = v1::FrameworkInfo { failover_timeout: Some(60.0), ..framework_info("one") };
    let scheduler = cluster.subscribe(info);
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    cluster.accept(&scheduler, &[&offer], vec![task("a", &agent, "cpus:1;mem:32")]);
    cluster.take_messages(link);
    Running { cluster, scheduler, link, agent }
}

#[test]
fn a_finished_task_is_complete_once_it_was_acknowledged() {
    let Running { mut cluster, scheduler, link, .. } = one_task();
    cluster.update(link, &scheduler.id, "a", TaskState::TaskFinished, 1);
    let status = cluster.take_statuses(&scheduler).remove(0);
    assert_eq!(cluster.master.frameworks().next().unwrap().1.tasks.len(), 1);
    cluster.acknowledge(&scheduler, &status);
    let (_, framework) = cluster.master.frameworks().next().unwrap();
    assert!(framework.tasks.is_empty());
    assert_eq!(framework.completed_tasks.len(), 1);
    let messages = cluster.take_messages(link);
    assert!(messages.iter().any(|body| matches!(body, Body::Acknowledgement(_))));
}

#[test]
fn a_removed_frameworks_task_keeps_the_update_that_nobody_acknowledged() {
    let Running { mut cluster, scheduler, link, agent } = one_task();
    cluster.update(link, &scheduler.id, "a", TaskState::TaskFinished, 1);
    let status = cluster.take_statuses(&scheduler).remove(0);
    cluster.call(
        &scheduler,
        scheduler::Call {
            r#type: Some(scheduler::call::Type::Teardown as i32),
            ..Default::default()
        },
    );
    let framework = cluster.master.completed_frameworks().next().expect("it was torn down");
    let task = framework.completed_tasks.back().expect("it had a task");
    assert_eq!(task.state(), TaskState::TaskFinished);
    assert_eq!(task.update_uuid(), status.uuid.as_deref());
    let last = task.statuses().pop().expect("it has statuses");
    assert_eq!((last.state(), last.reason()), (TaskState::TaskKilled, Reason::FrameworkRemoved));
    assert_eq!(last.agent_id.as_ref().map(|id| &id.value), Some(&agent));
}

/// The framework hears of the end of each executor once, and of none that it did not start.
#[test]
fn only_the_exit_of_an_executor_on_record_is_a_failure() {
    let Running { mut cluster, scheduler, link, agent } = one_task();
    cluster.take_events(&scheduler);
    let executor_id = v1::ExecutorId { value: "e".to_owned() };
    let executor = v1::ExecutorInfo {
        executor_id: executor_id.clone(),
        command: Some(v1::CommandInfo { value: Some("true".to_owned()), ..Default::default() }),
        resources: resources("cpus:0.1"),
        ..Default::default()
    };
    cluster.pass(Duration::from_secs(10));
    let offer = cluster.take_offers(&scheduler).remove(0).id.value;
    let info = task("b", &agent, "cpus:1;mem:32");
    let info = v1::TaskInfo { command: None, executor: Some(executor), ..info };
    cluster.accept(&scheduler, &[&offer], vec![info]);
    for failures in [1, 0] {
        let exited = orrery_api::link::ExecutorExited {
            framework_id: Some(v1::FrameworkId { value: scheduler.id.clone() }),
            executor_id: Some(executor_id.clone()),
            status: 9,
        };
        cluster.agent_says(link, FromAgent::ExecutorExited(exited));
        let events = cluster.take_events(&scheduler).into_iter();
        let heard: Vec<_> = events.filter_map(|event| event.failure).collect();
        assert_eq!(heard.len(), failures, "{heard:?}");
        assert!(heard.iter().all(|failure| failure.status == Some(9)));
    }
}

#[test]
fn an_end_that_its_agent_has_forgotten_is_told() {
    let Running { mut cluster, scheduler, link, agent } = one_task();
    cluster.update(link, &scheduler.id, "a", TaskState::TaskStarting, 1);
    // The agent knows more than it may tell before the first update is acknowledged.
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: "a".to_owned() },
        state: TaskState::TaskStarting as i32,
        uuid: Some(vec![1; 16].into()),
        ..Default::default()
    };
    let update = StatusUpdate {
        framework_id: Some(v1::FrameworkId { value: scheduler.id.clone() }),
        status: Some(status),
        uuid: vec![1; 16].into(),
        latest_state: TaskState::TaskFinished as i32,
        ..Default::default()
    };
    cluster.agent_says(link, FromAgent::StatusUpdate(update));
    cluster.take_statuses(&scheduler);
    cluster.feed(Input::LinkClosed { link });
    let again = LinkId(cluster.next_id());
    cluster.register(again, register_message(1, Some(&agent), "cpus:4;mem:4096"));
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskFinished]);
    assert!(cluster.master.frameworks().next().unwrap().1.tasks.is_empty());
}

#[test]
fn resources_are_free_as_soon_as_a_task_ended() {
    let Running { mut cluster, scheduler, link, .. } = one_task();
    cluster.update(link, &scheduler.id, "a", TaskState::TaskFailed, 1);
    // What was left of the accepted offer is refused for 5 s, and less than that with it.
    cluster.pass(Duration::from_secs(10));
    let offers = cluster.take_offers(&scheduler);
    assert_eq!(offers.iter().map(amount).collect::<Vec<_>>(), ["cpus:4; mem:4096"]);
}

#[test]
fn no_state_replaces_a_terminal_one() {
    let Running { mut cluster, scheduler, link, .. } = one_task();
    cluster.update(link, &scheduler.id, "a", TaskState::TaskFinished, 1);
    cluster.update(link, &scheduler.id, "a", TaskState::TaskRunning, 2);
    let (_, framework) = cluster.master.frameworks().next().unwrap();
    assert_eq!(framework.tasks["a"].state(), TaskState::TaskFinished);
}

#[test]
fn an_agent_that_answers_no_pings_becomes_unreachable_and_can_return() {
    let Running { mut cluster, scheduler, link, agent } = one_task();
    cluster.update(link, &scheduler.id, "a", TaskState::TaskRunning, 1);
    cluster.take_events(&scheduler);
    cluster.pass(Duration::from_secs(100));
    let statuses = cluster.take_statuses(&scheduler);
    assert_eq!(states(&statuses), [TaskState::TaskUnreachable]);
    assert!(statuses[0].unreachable_time.is_some());
    assert!(cluster.closed_links.contains(&link));

    let link = LinkId(cluster.next_id());
    let mut register = register_message(1, Some(&agent), "cpus:4;mem:4096");
    register.tasks.push(running_task(&scheduler.id, &agent));
    register.frameworks.push(v1::FrameworkInfo {
        id: Some(v1::FrameworkId { value: scheduler.id.clone() }),
        ..framework_info("one")
    });
    cluster.register(link, register);
    let statuses = cluster.take_statuses(&scheduler);
    assert_eq!(states(&statuses), [TaskState::TaskRunning]);
    assert_eq!(statuses[0].reason(), Reason::AgentReregistered);
}

#[test]
fn a_returned_task_is_in_the_state_that_was_told_while_later_updates_are_still_to_come() {
    let Running { mut cluster, scheduler, agent, .. } = one_task();
    cluster.pass(Duration::from_secs(100));
    cluster.take_events(&scheduler);
    let mut register = register_message(1, Some(&agent), "cpus:4;mem:4096");
    let never_told = v1::Task { status_update_state: None, ..running_task(&scheduler.id, &agent) };
    register.tasks.push(never_told);
    let link = LinkId(cluster.next_id());
    cluster.register(link, register);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskStaging]);
    cluster.reconcile(&scheduler, &[("a", Some(&agent))]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskStaging]);
}

#[test]
fn an_end_that_was_not_told_before_the_agent_became_unreachable_comes_with_the_agent() {
    let Running { mut cluster, scheduler, link, agent } = one_task();
    let status = v1::TaskStatus {
        task_id: v1::TaskId { value: "a".to_owned() },
        state: TaskState::TaskRunning as i32,
        uuid: Some(vec![1; 16].into()),
        ..Default::default()
    };
    cluster.agent_says(
        link,
        FromAgent::StatusUpdate(StatusUpdate {
            framework_id: Some(v1::FrameworkId { value: scheduler.id.clone() }),
            agent_id: Some(v1::AgentId { value: agent.clone() }),
            uuid: vec![1; 16].into(),
            latest_state: TaskState::TaskFinished as i32,
            status: Some(status),
            ..Default::default()
        }),
    );
    cluster.take_events(&scheduler);
    cluster.pass(Duration::from_secs(100));
    let statuses = cluster.take_statuses(&scheduler);
    assert_eq!(states(&statuses), [TaskState::TaskUnreachable]);
    let (_, framework) = cluster.master.frameworks().next().expect("it is subscribed");
    assert_eq!(framework.unreachable_tasks[0].state(), TaskState::TaskUnreachable);
}

#[test]
fn a_task_that_an_earlier_master_gave_up_is_told_again_when_its_agent_returns() {
    let agent = "before-S0";
    let mut registry = Registry::default();
    registry.unreachable.insert(agent.to_owned(), WallTime::from_nanoseconds(0));
    let mut cluster = Cluster::with_registry(options(), registry);
    let scheduler = cluster.subscribe(framework_info("one"));
    cluster.reconcile(&scheduler, &[("a", Some(agent))]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskUnreachable]);
    let mut register = register_message(1, Some(agent), "cpus:4;mem:4096");
    register.tasks.push(running_task(&scheduler.id, agent));
    let link = LinkId(cluster.next_id());
    cluster.register(link, register);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskRunning]);
}

#[test]
fn an_agent_that_returns_without_an_unreachable_task_is_asked_to_end_it() {
    let Running { mut cluster, scheduler, agent, .. } = one_task();
    cluster.pass(Duration::from_secs(100));
    cluster.take_events(&scheduler);
    let link = LinkId(cluster.next_id());
    cluster.register(link, register_message(1, Some(&agent), "cpus:4;mem:4096"));
    let missing = cluster.take_messages(link).into_iter().find_map(|message| match message {
        Body::Registered(registered) => Some(registered.missing_tasks),
        _ => None,
    });
    let missing = missing.expect("it is registered");
    assert_eq!(missing.len(), 1);
    assert_eq!(missing[0].task_id.as_ref().map(|id| id.value.as_str()), Some("a"));
    cluster.update(link, &scheduler.id, "a", TaskState::TaskDropped, 1);
    let statuses = cluster.take_statuses(&scheduler);
    assert_eq!(states(&statuses), [TaskState::TaskDropped]);
    cluster.acknowledge(&scheduler, &statuses[0]);
    let (_, framework) = cluster.master.frameworks().next().expect("it is subscribed");
    assert!(framework.tasks.is_empty() && framework.unreachable_tasks.is_empty());
}

/// The agent was killed while its registration crept over a slow link, and its next run was faster.
#[test]
fn what_an_earlier_run_of_an_agent_has_sent_late_brings_no_ended_task_back() {
    let Running { mut cluster, scheduler, link, agent } = one_task();
    cluster.feed(Input::LinkClosed { link });
    let early = LinkId(cluster.next_id());
    let late = LinkId(cluster.next_id());
    let register = |tasks| orrery_api::link::Register {
        tasks,
        ..register_message(1, Some(&agent), "cpus:4;mem:4096")
    };
    let running = vec![running_task(&scheduler.id, &agent)];
    cluster.register(late, register(running.clone()));
    cluster.update(late, &scheduler.id, "a", TaskState::TaskFailed, 1);
    let status = cluster.take_statuses(&scheduler).pop().expect("an end");
    cluster.acknowledge(&scheduler, &status);
    cluster.register(early, register(running));
    assert_eq!(cluster.closed_links, [early]);
    let (_, framework) = cluster.master.frameworks().next().expect("it is subscribed");
    assert!(framework.tasks.is_empty(), "it has ended");
    cluster.update(late, &scheduler.id, "b", TaskState::TaskFailed, 2);
    assert!(cluster.take_messages(late).len() > 1, "the agent is reached where it was");
}

/// An earlier master had the agent answer for a launch that was lost, and is gone before that end
/// was acknowledged.
#[test]
fn an_end_that_an_agent_has_told_before_its_framework_comes_is_the_answer() {
    let mut cluster = Cluster::new();
    let mut info = framework_info("one");
    info.id = Some(v1::FrameworkId { value: "before-0000".to_owned() });
    let mut register = register_message(1, Some("before-S0"), "cpus:4;mem:4096");
    let dropped = TaskState::TaskDropped as i32;
    register.tasks.push(v1::Task {
        state: dropped,
        status_update_state: Some(dropped),
        status_update_uuid: Some(vec![7; 16].into()),
        resources: Vec::new(),
        ..running_task("before-0000", "before-S0")
    });
    let link = LinkId(cluster.next_id());
    cluster.register(link, register);
    let scheduler = cluster.subscribe(info);
    cluster.reconcile(&scheduler, &[("a", Some("before-S0"))]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskDropped]);
    cluster.update(link, "before-0000", "a", TaskState::TaskDropped, 7);
    let statuses = cluster.take_statuses(&scheduler);
    cluster.acknowledge(&scheduler, &statuses[0]);
    let (_, framework) = cluster.master.frameworks().next().expect("it is subscribed");
    assert!(framework.tasks.is_empty());
}

#[test]
fn tasks_that_ended_under_an_earlier_master_come_with_their_agent_once() {
    let limited = Options { max_completed_tasks_per_framework: 2, ..options() };
    let mut cluster = Cluster::with(limited);
    let ended = |framework: &str, task: &str| v1::Task {
        task_id: v1::TaskId { value: task.to_owned() },
        state: TaskState::TaskFinished as i32,
        ..running_task(framework, "before-S0")
    };
    let mut register = register_message(1, Some("before-S0"), "cpus:4;mem:4096");
    let id = Some(v1::FrameworkId { value: "before-0000".to_owned() });
    register.frameworks.push(v1::FrameworkInfo { id, ..framework_info("one") });
    let tasks = ["a", "b", "c"].map(|task| ended("before-0000", task));
    register.completed_tasks.extend(tasks);
    register.completed_tasks.push(ended("nobody-0000", "d"));
    for _ in 0..2 {
        let link = LinkId(cluster.next_id());
        cluster.register(link, register.clone());
        let (_, framework) = cluster.master.frameworks().next().expect("it came with the agent");
        let ids = framework.completed_tasks.iter().map(|task| task.id().as_ref());
        assert_eq!(ids.collect::<Vec<_>>(), ["b", "c"]);
        assert!(framework.tasks.is_empty());
    }
}

#[test]
fn a_new_agent_at_the_same_address_means_that_the_old_tasks_are_lost() {
    let Running { mut cluster, scheduler, link, agent } = one_task();
    cluster.feed(Input::LinkClosed { link });
    let (_, new) = cluster.agent(1, "cpus:4;mem:4096");
    assert_ne!(agent, new);
    let statuses = cluster.take_statuses(&scheduler);
    assert_eq!(states(&statuses), [TaskState::TaskLost]);
    assert_eq!(cluster.master.agents().count(), 1);
}

#[test]
fn a_kill_for_an_agent_that_is_away_is_sent_when_it_returns() {
    let Running { mut cluster, scheduler, link, agent } = one_task();
    cluster.feed(Input::LinkClosed { link });
    cluster.kill(&scheduler, "a");
    let link = LinkId(cluster.next_id());
    let mut register = register_message(1, Some(&agent), "cpus:4;mem:4096");
    register.tasks.push(running_task(&scheduler.id, &agent));
    cluster.register(link, register);
    let messages = cluster.take_messages(link);
    assert!(messages.iter().any(|body| matches!(body, Body::KillTask(_))), "{messages:?}");
}

#[test]
fn a_task_that_a_returning_agent_does_not_report_is_asked_for() {
    let Running { mut cluster, link, agent, .. } = one_task();
    cluster.feed(Input::LinkClosed { link });
    let link = LinkId(cluster.next_id());
    cluster.register(link, register_message(1, Some(&agent), "cpus:4;mem:4096"));
    let messages = cluster.take_messages(link);
    let missing = messages.iter().find_map(|body| match body {
        Body::Registered(registered) => Some(&registered.missing_tasks),
        _ => None,
    });
    assert_eq!(missing.map(Vec::len), Some(1));
}

#[test]
fn a_framework_that_stays_away_too_long_is_removed_and_refused() {
    let Running { mut cluster, scheduler, link, .. } = one_task();
    cluster.feed(Input::SubscriberGone { connection: scheduler.connection });
    cluster.pass(Duration::from_secs(59));
    assert_eq!(cluster.master.frameworks().count(), 1);
    cluster.pass(Duration::from_secs(2));
    assert_eq!(cluster.master.frameworks().count(), 0);
    let messages = cluster.take_messages(link);
    assert!(messages.iter().any(|body| matches!(body, Body::ShutdownFramework(_))));
    let again = cluster.subscribe_again(&scheduler, "one");
    let events = cluster.take_events(&again);
    let error = events.iter().find_map(|event| event.error.as_ref()).unwrap();
    assert_eq!(error.message, "Framework has been removed");
}

#[test]
fn reconciliation_answers_by_what_is_known() {
    let Running { mut cluster, scheduler, agent, .. } = one_task();
    cluster.reconcile(&scheduler, &[("a", None), ("b", Some(&agent)), ("c", Some("m-S99"))]);
    let statuses = cluster.take_statuses(&scheduler);
    assert_eq!(
        states(&statuses),
        [TaskState::TaskStaging, TaskState::TaskGone, TaskState::TaskUnknown]
    );
    assert!(statuses.iter().all(|status| status.uuid.is_none()));
    cluster.reconcile(&scheduler, &[]);
    assert_eq!(states(&cluster.take_statuses(&scheduler)), [TaskState::TaskStaging]);
}

#[test]
fn an_agent_is_admitted_only_after_the_registry_has_stored_it() {
    let mut cluster = Cluster::new();
    cluster.stores = false;
    let link = LinkId(cluster.next_id());
    cluster.register(link, register_message(1, None, "cpus:1;mem:32"));
    assert_eq!(cluster.master.agents().count(), 0);
    assert!(cluster.take_messages(link).is_empty());
    cluster.store_all();
    assert_eq!(cluster.master.agents().count(), 1);
}
