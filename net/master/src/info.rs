//! Who a master is, as it tells others.

use core::net::{IpAddr, SocketAddr};

use orrery_api::v1;
use orrery_runtime::{Address, Generator};

use crate::Options;

/// Where others reach a master that listens at `address`, by number.
pub(crate) fn own_address(options: &Options, address: SocketAddr) -> SocketAddr {
    SocketAddr::new(
        options.advertise_ip.unwrap_or_else(|| address.ip()),
        options.advertise_port.unwrap_or_else(|| address.port()),
    )
}

/// A master's description for one term. Each has an id of its own, which all ids that it gives out
/// begin with.
pub(crate) fn master_info(
    options: &Options,
    address: SocketAddr,
    generator: &mut Generator,
) -> v1::MasterInfo {
    use v1::master_info::{Capability, capability::Type};
    let address = own_address(options, address);
    let ip = address.ip().to_string();
    let hostname = options.hostname.clone().unwrap_or_else(|| ip.clone());
    let port = address.port();
    let ip_number = match address.ip() {
        // Mesos writes the address in network order as a native number.
        IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        IpAddr::V6(_) => 0,
    };
    let capability = |kind: Type| Capability { r#type: Some(kind as i32) };
    v1::MasterInfo {
        id: generator.uuid_text(),
        ip: ip_number,
        port: u32::from(port),
        pid: Some(format!("master@{address}")),
        hostname: Some(hostname.clone()),
        version: Some(options.version.version.clone()),
        address: Some(v1::Address {
            hostname: Some(hostname),
            ip: Some(ip),
            port: i32::from(port),
        }),
        domain: None,
        // Draining and the newer quota are not here yet, and nobody is told otherwise.
        capabilities: vec![capability(Type::AgentUpdate)],
    }
}

/// Where others reach the master that `info` describes.
pub(crate) fn public_address(info: &v1::MasterInfo) -> Address {
    let port = u16::try_from(info.port).unwrap_or_default();
    Address::new(info.hostname(), port)
}
