//! Rules for a task group, which is launched as a whole or not at all.

use std::collections::BTreeSet;

use orrery_api::v1::container_info::Type as ContainerType;
use orrery_api::v1::executor_info::Type;
use orrery_api::v1::{ExecutorInfo, TaskGroupInfo, TaskInfo, check_info, health_check};

use crate::resources::Resources;
use crate::scalar::Scalar;
use crate::validate::executor::share_cgroups;
use crate::validate::{Invalid, executor, expect, task};

/// The least that an executor of a group needs: 0.01 cpus and 32 MB.
const EXECUTOR_CPUS_MIN: Scalar = Scalar(10);
const EXECUTOR_MEM_MIN: Scalar = Scalar::from_units(32);

/// Checks a task group with the executor that runs it.
pub fn task_group(info: &ExecutorInfo, group: &TaskGroupInfo) -> Result<(), Invalid> {
    expect(
        matches!(info.r#type(), Type::Default | Type::Custom),
        "'ExecutorInfo.type' must be 'DEFAULT' or 'CUSTOM' for a task group",
    )?;
    executor(info)?;
    check_executor_resources(info)?;
    check_container_type(info.container.as_ref(), "executor")?;
    expect(!group.tasks.is_empty(), "Task group cannot be empty")?;
    let mut ids = BTreeSet::new();
    for task in &group.tasks {
        let id = &task.task_id.value;
        expect(ids.insert(id), format_args!("Task '{id}' is in the task group more than once"))?;
        check_task(info, task).map_err(|error| error.within(&format!("Task '{id}' is invalid")))?;
    }
    check_share_cgroups(group)
}

fn check_executor_resources(info: &ExecutorInfo) -> Result<(), Invalid> {
    // Already read once without error.
    let resources = Resources::from_messages(&info.resources).unwrap_or_default();
    let (cpus, mem, disk) =
        (resources.scalar("cpus"), resources.scalar("mem"), resources.scalar("disk"));
    expect(
        cpus >= EXECUTOR_CPUS_MIN,
        format_args!("Executor uses {cpus} CPUs; expected at least {EXECUTOR_CPUS_MIN}"),
    )?;
    expect(
        mem >= EXECUTOR_MEM_MIN,
        format_args!("Executor uses {mem} MB of memory; expected at least {EXECUTOR_MEM_MIN}"),
    )?;
    expect(disk > Scalar::ZERO, "Executor uses no disk; expected some")
}

fn check_container_type(
    container: Option<&orrery_api::v1::ContainerInfo>,
    owner: &str,
) -> Result<(), Invalid> {
    let docker = container.is_some_and(|container| container.r#type() == ContainerType::Docker);
    expect(
        !docker,
        format_args!("Docker ContainerInfo is not supported on the {owner} of a task group"),
    )
}

fn check_task(executor: &ExecutorInfo, info: &TaskInfo) -> Result<(), Invalid> {
    task::common(info)?;
    if let Some(own) = &info.executor {
        expect(own == executor, "The `ExecutorInfo` of task is different from the group's")?;
    }
    if executor.r#type() == Type::Default {
        expect(info.command.is_some(), "'TaskInfo.command' must be set for 'DEFAULT' executor")?;
    }
    check_container_type(info.container.as_ref(), "task")?;
    check_networked_checks(info)?;
    let separate = info.container.as_ref().and_then(share_cgroups) == Some(false);
    expect(
        separate || info.limits.is_empty(),
        "Resource limits may only be set for tasks that set 'share_cgroups' to 'false'",
    )?;
    task::combined(info, executor)
}

/// A task with networks of its own cannot be reached from its executor's network.
fn check_networked_checks(info: &TaskInfo) -> Result<(), Invalid> {
    let own_network =
        info.container.as_ref().is_some_and(|container| !container.network_infos.is_empty());
    let health = info.health_check.as_ref().map(|check| check.r#type());
    let check = info.check.as_ref().map(|check| check.r#type());
    let networked = matches!(health, Some(health_check::Type::Http | health_check::Type::Tcp))
        || matches!(check, Some(check_info::Type::Http | check_info::Type::Tcp));
    expect(
        !(own_network && networked),
        "HTTP and TCP checks are not supported for tasks with 'network_infos' of their own",
    )
}

fn check_share_cgroups(group: &TaskGroupInfo) -> Result<(), Invalid> {
    // Unset means shared.
    let shares = |task: &TaskInfo| task.container.as_ref().and_then(share_cgroups).unwrap_or(true);
    let shared = group.tasks.iter().filter(|task| shares(task)).count();
    expect(
        shared == 0 || shared == group.tasks.len(),
        "Either all tasks of a task group share cgroups or none; 'share_cgroups' differs",
    )
}
