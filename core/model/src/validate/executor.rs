//! Rules for executors.

use orrery_api::v1::container_info::Type as ContainerType;
use orrery_api::v1::executor_info::Type;
use orrery_api::v1::{ContainerInfo, ExecutorInfo};

use crate::resources::Resources;
use crate::validate::{Invalid, command, consumed, container, expect, id};

/// Checks one executor by itself, whatever launches it: ids, type with the fields that it wants,
/// grace period, resources, command and container.
pub fn executor(info: &ExecutorInfo) -> Result<(), Invalid> {
    id(&info.executor_id.value)
        .map_err(|error| error.within("'ExecutorInfo.executor_id' is invalid"))?;
    if let Some(framework_id) = &info.framework_id {
        id(&framework_id.value)
            .map_err(|error| error.within("'ExecutorInfo.framework_id' is invalid"))?;
    }
    check_type(info)?;
    let grace_period = info.shutdown_grace_period.as_ref().map_or(0, |period| period.nanoseconds);
    expect(grace_period >= 0, "ExecutorInfo's 'shutdown_grace_period' must be non-negative")?;
    resources(info)?;
    if let Some(info) = &info.command {
        command::command(info)
            .map_err(|error| error.within("Executor's `CommandInfo` is invalid"))?;
    }
    if let Some(info) = &info.container {
        container::container(info)
            .map_err(|error| error.within("Executor's `ContainerInfo` is invalid"))?;
        expect(
            share_cgroups(info) != Some(true),
            "The 'share_cgroups' field cannot be set to 'true' on executor 'ContainerInfo'",
        )?;
    }
    Ok(())
}

/// The explicit value of `linux_info.share_cgroups`.
pub(super) fn share_cgroups(container: &ContainerInfo) -> Option<bool> {
    container.linux_info.as_ref()?.share_cgroups
}

fn check_type(info: &ExecutorInfo) -> Result<(), Invalid> {
    match info.r#type() {
        Type::Custom => expect(
            info.command.is_some(),
            "'ExecutorInfo.command' must be set for 'CUSTOM' executor",
        ),
        Type::Default => {
            expect(
                info.command.is_none(),
                "'ExecutorInfo.command' must not be set for 'DEFAULT' executor",
            )?;
            let Some(container) = &info.container else {
                return Ok(());
            };
            expect(
                container.r#type() == ContainerType::Mesos,
                "'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor",
            )?;
            expect(
                container.mesos.as_ref().is_none_or(|mesos| mesos.image.is_none()),
                "'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor",
            )
        }
        // An unset type: executors of frameworks that are older than the field.
        Type::Unknown => Ok(()),
    }
}

fn resources(info: &ExecutorInfo) -> Result<(), Invalid> {
    let within = |error: Invalid| error.within("Executor uses invalid resources");
    let resources = Resources::from_messages(&info.resources)
        .map_err(|error| within(Invalid::new(error.to_string())))?;
    consumed(&resources).map_err(within)?;
    expect(resources.shared().is_empty(), "Executor resources must not be shared")
}
