//! Rules for containers and volumes.

use orrery_api::v1::container_info::Type;
use orrery_api::v1::volume::source;
use orrery_api::v1::{ContainerInfo, Volume};

use crate::validate::{Invalid, command, expect};

/// Checks a container's type, volumes, Docker parameters and limits of the process.
pub(super) fn container(container: &ContainerInfo) -> Result<(), Invalid> {
    container.volumes.iter().try_for_each(check_volume)?;
    if container.r#type() == Type::Docker {
        let Some(docker) = &container.docker else {
            return Err(Invalid::new(
                "DockerInfo 'docker' is not set for DOCKER typed ContainerInfo",
            ));
        };
        let name = docker.parameters.iter().any(|parameter| parameter.key == "name");
        expect(!name, "Parameter in DockerInfo must not be 'name'")?;
    }
    for limit in container.rlimit_info.iter().flat_map(|info| &info.rlimits) {
        let both_or_none = limit.soft.is_some() == limit.hard.is_some();
        let kind = limit.r#type().as_str_name();
        expect(
            both_or_none,
            format_args!("Both soft and hard limit must be set or unset for {kind}"),
        )?;
        expect(
            limit.soft <= limit.hard,
            format_args!("The soft limit is above the hard one for {kind}"),
        )?;
    }
    Ok(())
}

fn check_volume(volume: &Volume) -> Result<(), Invalid> {
    let sources = usize::from(volume.host_path.is_some())
        + usize::from(volume.image.is_some())
        + usize::from(volume.source.is_some());
    expect(sources == 1, "Only one of them should be set: 'host_path', 'image' and 'source'")?;
    volume.source.as_ref().map_or(Ok(()), check_source)
}

fn check_source(source: &orrery_api::v1::volume::Source) -> Result<(), Invalid> {
    let (field, set) = match source.r#type() {
        source::Type::DockerVolume => ("docker_volume", source.docker_volume.is_some()),
        source::Type::HostPath => ("host_path", source.host_path.is_some()),
        source::Type::SandboxPath => ("sandbox_path", source.sandbox_path.is_some()),
        source::Type::Secret => ("secret", source.secret.is_some()),
        source::Type::CsiVolume => ("csi_volume", source.csi_volume.is_some()),
        source::Type::Unknown => {
            return Err(Invalid::new("'source.type' is unknown"));
        }
    };
    let kind = source.r#type().as_str_name();
    expect(set, format_args!("'source.{field}' is not set for {kind} volume"))?;
    if let Some(path) = &source.sandbox_path {
        let known = !matches!(path.r#type(), source::sandbox_path::Type::Unknown);
        expect(known, "'source.sandbox_path.type' is unknown")?;
        expect(!path.path.starts_with('/'), "'source.sandbox_path.path' must be relative")?;
    }
    match &source.secret {
        Some(secret) => {
            command::secret(secret).map_err(|error| error.within("'source.secret' is invalid"))
        }
        None => Ok(()),
    }
}
