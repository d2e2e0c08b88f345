//! Rules for a single task.

use orrery_api::v1::executor_info::Type;
use orrery_api::v1::{ExecutorInfo, TaskInfo};

use crate::resources::{Resources, ValueRef};
use crate::scalar::Scalar;
use crate::validate::executor::share_cgroups;
use crate::validate::{Invalid, check, command, consumed, container, executor, expect, id};

/// Checks a task of a LAUNCH operation, together with its executor if it brings one.
pub fn task(info: &TaskInfo) -> Result<(), Invalid> {
    common(info)?;
    if let Some(container) = &info.container {
        expect(
            share_cgroups(container) != Some(false),
            "Only tasks of a task group may set 'share_cgroups' to 'false'",
        )?;
    }
    match (&info.command, &info.executor) {
        (Some(_), None) => Ok(()),
        (None, Some(executor)) => with_executor(info, executor),
        _ => Err(Invalid::new(
            "Task should have at least one (but not both) of CommandInfo or ExecutorInfo present",
        )),
    }
}

/// The rules that hold in a LAUNCH and in a task group alike.
pub(super) fn common(info: &TaskInfo) -> Result<(), Invalid> {
    id(&info.task_id.value).map_err(|error| error.within("'TaskInfo.task_id' is invalid"))?;
    id(&info.agent_id.value).map_err(|error| error.within("'TaskInfo.agent_id' is invalid"))?;
    let grace_period = info.kill_policy.as_ref().and_then(|policy| policy.grace_period.as_ref());
    expect(
        grace_period.is_none_or(|period| period.nanoseconds >= 0),
        "Task's 'kill_policy.grace_period' must be non-negative",
    )?;
    expect(
        info.max_completion_time.as_ref().is_none_or(|time| time.nanoseconds >= 0),
        "Task's `max_completion_time` must be non-negative",
    )?;
    if let Some(info) = &info.check {
        check::check(info).map_err(|error| error.within("Task uses invalid check"))?;
    }
    if let Some(info) = &info.health_check {
        check::health_check(info)
            .map_err(|error| error.within("Task uses invalid health check"))?;
    }
    let resources = resources(info)?;
    if let Some(info) = &info.command {
        command::command(info).map_err(|error| error.within("Task's `CommandInfo` is invalid"))?;
    }
    if let Some(info) = &info.container {
        container::container(info)
            .map_err(|error| error.within("Task's `ContainerInfo` is invalid"))?;
    }
    limits(info, &resources)
}

fn resources(info: &TaskInfo) -> Result<Resources, Invalid> {
    let within = |error: Invalid| error.within("Task uses invalid resources");
    expect(!info.resources.is_empty(), "Task uses no resources")?;
    let resources = Resources::from_messages(&info.resources)
        .map_err(|error| within(Invalid::new(error.to_string())))?;
    expect(!resources.is_empty(), "Task uses no resources")?;
    consumed(&resources).map_err(within)?;
    Ok(resources)
}

fn limits(info: &TaskInfo, resources: &Resources) -> Result<(), Invalid> {
    for (name, limit) in &info.limits {
        expect(
            matches!(name.as_str(), "cpus" | "mem"),
            format_args!("Task has a limit for '{name}'; expected limits for cpus and mem only"),
        )?;
        let request = resources.scalar(name);
        expect(
            request > Scalar::ZERO,
            format_args!("Task has a limit for '{name}' but requests none of it"),
        )?;
        // Infinity is a limit that never binds. NaN fails the comparison.
        let limit = limit.value;
        let enough =
            limit == f64::INFINITY || Scalar::from_f64(limit).is_some_and(|l| l >= request);
        expect(
            enough,
            format_args!(
                "Task's limit for '{name}' is {limit}; expected at least its request {request}"
            ),
        )?;
    }
    Ok(())
}

fn with_executor(info: &TaskInfo, info_of_executor: &ExecutorInfo) -> Result<(), Invalid> {
    expect(
        matches!(info_of_executor.r#type(), Type::Custom | Type::Unknown),
        "'ExecutorInfo.type' must be 'CUSTOM'",
    )?;
    expect(info_of_executor.command.is_some(), "'ExecutorInfo.command' must be set")?;
    executor(info_of_executor)?;
    combined(info, info_of_executor)
}

/// What a task and its executor ask for together: the rules of one, and no port or item in both.
pub(super) fn combined(task: &TaskInfo, executor: &ExecutorInfo) -> Result<(), Invalid> {
    let read = |messages| {
        Resources::from_messages(messages).map_err(|error| Invalid::new(error.to_string()))
    };
    let (task, executor) = (read(&task.resources)?, read(&executor.resources)?);
    for mine in task.iter() {
        for other in executor.iter().filter(|other| other.name() == mine.name()) {
            let overlap = match (mine.value(), other.value()) {
                (ValueRef::Ranges(a), ValueRef::Ranges(b)) => a.intersects(b),
                (ValueRef::Set(a), ValueRef::Set(b)) => !a.is_disjoint(b),
                _ => false,
            };
            let name = mine.name();
            expect(!overlap, format_args!("Task and its executor both use parts of '{name}'"))?;
        }
    }
    consumed(&(task + executor)).map_err(|error| error.within("Task and its executor"))
}
