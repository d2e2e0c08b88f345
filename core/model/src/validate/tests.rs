//! Each rule is shown by one change to a valid message.

#![allow(deprecated)]

use orrery_api::v1::{self, ExecutorInfo, FrameworkInfo, TaskGroupInfo, TaskInfo};

use super::*;
use crate::resources::Resources;

fn messages(text: &str) -> Vec<v1::Resource> {
    Resources::parse(text, "*").unwrap().to_messages()
}

fn valid_task() -> TaskInfo {
    TaskInfo {
        name: "web".into(),
        task_id: v1::TaskId { value: "t1".into() },
        agent_id: v1::AgentId { value: "a1".into() },
        resources: messages("cpus:1;mem:128;ports:[1-2]"),
        command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
        ..Default::default()
    }
}

fn valid_executor(kind: v1::executor_info::Type) -> ExecutorInfo {
    let custom = kind == v1::executor_info::Type::Custom;
    ExecutorInfo {
        r#type: Some(kind as i32),
        executor_id: v1::ExecutorId { value: "e1".into() },
        command: custom.then(Default::default),
        resources: messages("cpus:0.1;mem:32;disk:1"),
        ..Default::default()
    }
}

fn container(kind: v1::container_info::Type) -> v1::ContainerInfo {
    v1::ContainerInfo { r#type: kind as i32, ..Default::default() }
}

fn share_cgroups(value: bool) -> Option<v1::ContainerInfo> {
    let linux_info = Some(v1::LinuxInfo { share_cgroups: Some(value), ..Default::default() });
    Some(v1::ContainerInfo { linux_info, ..container(v1::container_info::Type::Mesos) })
}

/// A change to a message, and a part of the reason for which it is then refused.
type Case<'a, M> = (fn(&mut M), &'a str);

/// Checks that each change makes a valid message invalid for a reason that contains the text.
fn refused<M>(valid: fn() -> M, check: fn(&M) -> Result<(), Invalid>, cases: &[Case<'_, M>]) {
    assert_eq!(check(&valid()), Ok(()));
    for (change, reason) in cases {
        let mut message = valid();
        change(&mut message);
        let error = check(&message).expect_err(reason).to_string();
        assert!(error.contains(reason), "'{error}' should contain '{reason}'");
    }
}

#[test]
fn ids_can_be_names_of_directories() {
    for valid in ["a", "a.b", "...", "é", &"x".repeat(255)] {
        assert_eq!(id(valid), Ok(()));
    }
    for invalid in ["", ".", "..", "a/b", "a\\b", "a\nb", "\u{7f}", &"x".repeat(256)] {
        assert!(id(invalid).is_err(), "{invalid:?}");
    }
}

#[test]
fn frameworks() {
    fn valid() -> FrameworkInfo {
        FrameworkInfo { user: "root".into(), name: "f".into(), ..Default::default() }
    }
    fn multi_role(info: &mut FrameworkInfo, roles: &[&str]) {
        let capability = v1::framework_info::capability::Type::MultiRole as i32;
        info.capabilities = vec![v1::framework_info::Capability { r#type: Some(capability) }];
        info.roles = roles.iter().map(|role| (*role).to_owned()).collect();
    }
    refused(
        valid,
        framework_info,
        &[
            (
                |info| info.role = Some("a b".into()),
                "'FrameworkInfo.role' is not a valid role: Role component 'a b' is invalid \
             because it contains backspace or whitespace",
            ),
            (
                |info| info.roles = vec!["a".into()],
                "'FrameworkInfo.roles' must not be set when the framework is not MULTI_ROLE \
                 capable",
            ),
            (
                |info| {
                    multi_role(info, &["a"]);
                    info.role = Some("a".into());
                },
                "'FrameworkInfo.role' must not be set when the framework is MULTI_ROLE capable",
            ),
            (|info| multi_role(info, &["a", "a"]), "duplicate item 'a'"),
            (|info| multi_role(info, &["a/"]), "invalid role 'a/'"),
            (
                |info| info.id = Some(v1::FrameworkId { value: "a/b".into() }),
                "'a/b' contains invalid",
            ),
            (
                |info| info.failover_timeout = Some(f64::NAN),
                "'FrameworkInfo.failover_timeout' is NaN",
            ),
            (|info| info.failover_timeout = Some(1e300), "'FrameworkInfo.failover_timeout'"),
            (
                |info| drop(info.offer_filters.insert("x".into(), Default::default())),
                "'FrameworkInfo.offer_filters' has 'x', which is no role of it",
            ),
        ],
    );
    let mut info = valid();
    info.failover_timeout = Some(-1.0);
    assert_eq!(framework_info(&info), Ok(()));
    multi_role(&mut info, &["b", "a"]);
    assert_eq!(framework_info(&info), Ok(()));
    assert_eq!(crate::framework::roles(&info), ["a", "b"]);
    assert_eq!(suppressed_roles(&info, &["a".into()]), Ok(()));
    assert!(suppressed_roles(&info, &["c".into()]).is_err());
}

#[test]
fn tasks() {
    refused(
        valid_task,
        task,
        &[
            (|t| t.task_id.value.clear(), "'TaskInfo.task_id' is invalid: ID must not be empty"),
            (|t| t.agent_id.value = "..".into(), "'TaskInfo.agent_id' is invalid"),
            (
                |t| {
                    let grace_period = Some(v1::DurationInfo { nanoseconds: -1 });
                    t.kill_policy = Some(v1::KillPolicy { grace_period });
                },
                "Task's 'kill_policy.grace_period' must be non-negative",
            ),
            (
                |t| t.max_completion_time = Some(v1::DurationInfo { nanoseconds: -1 }),
                "Task's `max_completion_time` must be non-negative",
            ),
            (|t| t.check = Some(Default::default()), "'UNKNOWN' is not a valid check type"),
            (|t| t.resources.clear(), "Task uses no resources"),
            (|t| t.resources[0].scalar = None, "Task uses invalid resources"),
            (
                |t| {
                    let mut revocable = messages("cpus:1");
                    revocable[0].revocable = Some(Default::default());
                    t.resources.extend(revocable);
                },
                "Cannot use both revocable and non-revocable 'cpus'",
            ),
            (
                |t| {
                    let role = |role: &str| {
                        Some(v1::resource::AllocationInfo { role: Some(role.to_owned()) })
                    };
                    t.resources[0].allocation_info = role("a");
                    t.resources[1].allocation_info = role("b");
                },
                "multiple allocation roles (a, b)",
            ),
            (|t| t.command = None, "at least one (but not both) of CommandInfo or ExecutorInfo"),
            (
                |t| t.executor = Some(valid_executor(v1::executor_info::Type::Custom)),
                "at least one (but not both)",
            ),
            (|t| t.container = share_cgroups(false), "Only tasks of a task group"),
            (
                |t| t.container = Some(container(v1::container_info::Type::Docker)),
                "DockerInfo 'docker' is not set",
            ),
            (
                |t| {
                    let volume = v1::Volume { host_path: Some("/a".into()), ..Default::default() };
                    let mut container = container(v1::container_info::Type::Mesos);
                    container.volumes = vec![volume.clone()];
                    container.volumes[0].source = Some(Default::default());
                    t.container = Some(container);
                },
                "Only one of them should be set",
            ),
        ],
    );
}

#[test]
fn tasks_with_limits() {
    fn limit(t: &mut TaskInfo, name: &str, value: f64) {
        t.limits.insert(name.into(), v1::value::Scalar { value });
    }
    refused(
        valid_task,
        task,
        &[
            (|t| limit(t, "disk", 1.0), "limit for 'disk'; expected limits for cpus and mem only"),
            (|t| limit(t, "cpus", 0.5), "limit for 'cpus' is 0.5; expected at least its request 1"),
            (|t| limit(t, "mem", f64::NAN), "limit for 'mem' is NaN"),
            (
                |t| {
                    t.resources = messages("cpus:1");
                    limit(t, "mem", 5.0);
                },
                "limit for 'mem' but requests none",
            ),
        ],
    );
    let mut unlimited = valid_task();
    limit(&mut unlimited, "mem", f64::INFINITY);
    assert_eq!(task(&unlimited), Ok(()));
}

#[test]
fn tasks_with_executors() {
    fn valid() -> TaskInfo {
        let executor = Some(valid_executor(v1::executor_info::Type::Custom));
        TaskInfo { command: None, executor, ..valid_task() }
    }
    refused(
        valid,
        task,
        &[
            (
                |t| t.executor = Some(valid_executor(v1::executor_info::Type::Default)),
                "'ExecutorInfo.type' must be 'CUSTOM'",
            ),
            (|t| t.executor.as_mut().unwrap().command = None, "'ExecutorInfo.command' must be set"),
            (
                |t| t.executor.as_mut().unwrap().resources = messages("ports:[2-3]"),
                "Task and its executor both use parts of 'ports'",
            ),
        ],
    );
}

#[test]
fn executors() {
    refused(
        || valid_executor(v1::executor_info::Type::Custom),
        executor,
        &[
            (|e| e.executor_id.value = "a/b".into(), "'ExecutorInfo.executor_id' is invalid"),
            (|e| e.command = None, "must be set for 'CUSTOM'"),
            (
                |e| e.shutdown_grace_period = Some(v1::DurationInfo { nanoseconds: -1 }),
                "'shutdown_grace_period' must be non-negative",
            ),
            (|e| e.container = share_cgroups(true), "'share_cgroups'"),
            (|e| e.resources[0].name.clear(), "Executor uses invalid resources"),
        ],
    );
    refused(
        || valid_executor(v1::executor_info::Type::Default),
        executor,
        &[
            (|e| e.command = Some(Default::default()), "must not be set for 'DEFAULT'"),
            (
                |e| e.container = Some(container(v1::container_info::Type::Docker)),
                "'ExecutorInfo.container.type' must be 'MESOS'",
            ),
        ],
    );
}

#[test]
fn environments() {
    fn variable(command: &mut TaskInfo, kind: i32) -> &mut v1::environment::Variable {
        let variable = v1::environment::Variable {
            name: "A".into(),
            r#type: Some(kind),
            value: None,
            secret: None,
        };
        let environment = v1::Environment { variables: vec![variable] };
        let command = command.command.get_or_insert_default();
        &mut command.environment.insert(environment).variables[0]
    }
    refused(
        valid_task,
        task,
        &[
            (|t| _ = variable(t, 1), "Environment variable 'A' of type 'VALUE' must have a value"),
            (
                |t| _ = variable(t, 2),
                "Environment variable 'A' of type 'SECRET' must have a secret",
            ),
            (|t| _ = variable(t, 0), "of type 'UNKNOWN' is not allowed"),
            (
                |t| variable(t, 1).secret = Some(Default::default()),
                "of type 'VALUE' must not have a secret",
            ),
            (
                |t| {
                    let value = Some(v1::secret::Value { data: vec![1, 0].into() });
                    let kind = Some(v1::secret::Type::Value as i32);
                    variable(t, 2).secret =
                        Some(v1::Secret { r#type: kind, value, reference: None });
                },
                "null byte",
            ),
        ],
    );
}

#[test]
fn checks() {
    use v1::health_check::{HttpCheckInfo, Type};
    fn with(t: &mut TaskInfo, kind: Type) -> &mut v1::HealthCheck {
        let check = v1::HealthCheck { r#type: Some(kind as i32), ..Default::default() };
        t.health_check.insert(check)
    }
    refused(
        valid_task,
        task,
        &[
            (
                |t| _ = with(t, Type::Command),
                "Expecting 'command' to be set for COMMAND health check",
            ),
            (
                |t| with(t, Type::Command).command = Some(Default::default()),
                "Shell command is not specified",
            ),
            (|t| _ = with(t, Type::Http), "Expecting 'http' to be set"),
            (
                |t| {
                    let path = Some("status".into());
                    with(t, Type::Http).http = Some(HttpCheckInfo { path, ..Default::default() });
                },
                "The path 'status' must start with '/'",
            ),
            (
                |t| {
                    let scheme = Some("ftp".into());
                    with(t, Type::Http).http = Some(HttpCheckInfo { scheme, ..Default::default() });
                },
                "Unsupported HTTP health check scheme: 'ftp'",
            ),
            (
                |t| {
                    let check = with(t, Type::Tcp);
                    check.tcp = Some(Default::default());
                    check.timeout_seconds = Some(-1.0);
                },
                "Expecting 'timeout_seconds' to be non-negative",
            ),
        ],
    );
}

#[test]
fn task_groups() {
    type Pair = (ExecutorInfo, TaskGroupInfo);
    fn valid() -> Pair {
        let group = TaskGroupInfo { tasks: vec![valid_task()] };
        (valid_executor(v1::executor_info::Type::Default), group)
    }
    refused(
        valid,
        |(executor, group)| task_group(executor, group),
        &[
            (|(e, _)| e.r#type = None, "must be 'DEFAULT' or 'CUSTOM'"),
            (
                |(e, _)| e.resources = messages("cpus:0.001;mem:32;disk:1"),
                "Executor uses 0.001 CPUs",
            ),
            (|(e, _)| e.resources = messages("cpus:1;mem:31;disk:1"), "Executor uses 31 MB"),
            (|(e, _)| e.resources = messages("cpus:1;mem:32"), "Executor uses no disk"),
            (|(_, g)| g.tasks.clear(), "Task group cannot be empty"),
            (|(_, g)| g.tasks.push(valid_task()), "Task 't1' is in the task group more than once"),
            (|(_, g)| g.tasks[0].command = None, "'TaskInfo.command' must be set"),
            (|(_, g)| g.tasks[0].executor = Some(Default::default()), "different from the group's"),
            (
                |(_, g)| {
                    let other =
                        TaskInfo { task_id: v1::TaskId { value: "t2".into() }, ..valid_task() };
                    g.tasks.push(TaskInfo { container: share_cgroups(false), ..other });
                },
                "'share_cgroups' differs",
            ),
            (
                |(_, g)| {
                    let limit = v1::value::Scalar { value: 2.0 };
                    g.tasks[0].limits.insert("cpus".into(), limit);
                },
                "Resource limits may only be set",
            ),
            (
                |(_, g)| {
                    let mut own = container(v1::container_info::Type::Mesos);
                    own.network_infos = vec![Default::default()];
                    g.tasks[0].container = Some(own);
                    g.tasks[0].health_check = Some(v1::HealthCheck {
                        r#type: Some(v1::health_check::Type::Tcp as i32),
                        tcp: Some(Default::default()),
                        ..Default::default()
                    });
                },
                "not supported for tasks with 'network_infos'",
            ),
        ],
    );
}
