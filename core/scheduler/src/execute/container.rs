//! The container that the flags describe.

use orrery_api::v1;
use v1::container_info::{DockerInfo, MesosInfo, Type};

use super::options::{Containerizer, InvalidOption, Options, parse_message, parse_value};

/// The task's container; `None` when no flag asks for more than a plain process.
pub(super) fn container_info(
    options: &Options,
) -> Result<Option<v1::ContainerInfo>, InvalidOption> {
    let mut container = v1::ContainerInfo {
        volumes: volumes(options)?,
        network_infos: options.networks.iter().map(|name| network(name)).collect(),
        linux_info: linux_info(options)?,
        rlimit_info: parse_optional("rlimits", options.rlimits.as_deref())?,
        tty_info: options.tty.then(v1::TtyInfo::default),
        ..Default::default()
    };
    match options.containerizer {
        Containerizer::Docker => {
            let image = options.docker_image.clone().ok_or(InvalidOption::ImageMissing)?;
            container.r#type = Type::Docker as i32;
            container.docker = Some(DockerInfo { image, ..Default::default() });
            Ok(Some(container))
        }
        Containerizer::Mesos => {
            let image = image(options);
            let plain = v1::ContainerInfo::default();
            if image.is_none() && container == plain {
                return Ok(None);
            }
            container.r#type = Type::Mesos as i32;
            container.mesos = image.map(|image| MesosInfo { image: Some(image) });
            Ok(Some(container))
        }
    }
}

fn image(options: &Options) -> Option<v1::Image> {
    if let Some(name) = &options.docker_image {
        return Some(v1::Image {
            r#type: v1::image::Type::Docker as i32,
            docker: Some(v1::image::Docker { name: name.clone(), ..Default::default() }),
            ..Default::default()
        });
    }
    let name = options.appc_image.as_ref()?;
    Some(v1::Image {
        r#type: v1::image::Type::Appc as i32,
        appc: Some(v1::image::Appc { name: name.clone(), ..Default::default() }),
        ..Default::default()
    })
}

fn network(name: &str) -> v1::NetworkInfo {
    v1::NetworkInfo { name: Some(name.to_owned()), ..Default::default() }
}

fn volumes(options: &Options) -> Result<Vec<v1::Volume>, InvalidOption> {
    let Some(text) = &options.volumes else {
        return Ok(Vec::new());
    };
    let values: Vec<serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| InvalidOption::wrong("volumes", format!("not a JSON list: {error}")))?;
    values.iter().map(|value| parse_value("volumes", value)).collect()
}

fn linux_info(options: &Options) -> Result<Option<v1::LinuxInfo>, InvalidOption> {
    let effective = options.effective_capabilities.as_deref();
    let bounding = options.bounding_capabilities.as_deref();
    if effective.is_none() && bounding.is_none() {
        return Ok(None);
    }
    Ok(Some(v1::LinuxInfo {
        effective_capabilities: parse_optional("effective_capabilities", effective)?,
        bounding_capabilities: parse_optional("bounding_capabilities", bounding)?,
        ..Default::default()
    }))
}

fn parse_optional<M: orrery_api::json::JsonMessage>(
    flag: &'static str,
    text: Option<&str>,
) -> Result<Option<M>, InvalidOption> {
    text.map(|text| parse_message(flag, text)).transpose()
}
