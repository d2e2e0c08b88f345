//! What the machine we run on is and has.

use std::fs;
use std::net::UdpSocket;
use std::path::Path;

use core::net::{IpAddr, Ipv4Addr};

use orrery_detector::Masters;
use orrery_flags::{FlagError, Flags};
use orrery_model::Resources;
use orrery_model::resources::parse_messages;
use orrery_runtime::Address;

const MEGABYTE: u64 = 1 << 20;
/// Kept back for the system when there is plenty (Mesos' figures, in megabytes).
const MEMORY_KEPT: u64 = 1024;
const DISK_KEPT: u64 = 5 * 1024;
/// What is assumed where it cannot be found out (Mesos' figures, in megabytes).
const MEMORY_ASSUMED: u64 = 1024;
const DISK_ASSUMED: u64 = 10 * 1024;
const PORTS: &str = "[31000-32000]";

/// The address to listen on: `--ip`, else all of the host's.
pub fn ip(flags: &Flags) -> IpAddr {
    flags.get("ip").unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// The address of ours from which `peer` is reached. Nothing is sent: the kernel looks up a route.
pub fn ip_towards(peer: &Address) -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((peer.host.as_str(), peer.port)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified()).then_some(address)
}

/// The address of ours that leads to a master.
pub fn ip_towards_masters(masters: &Masters) -> Option<IpAddr> {
    match masters {
        Masters::One(master) => ip_towards(master),
        Masters::Peers(peers) => peers.iter().find_map(ip_towards),
        Masters::ZooKeeper(url) => url.servers.iter().find_map(ip_towards),
    }
}

/// The address of ours that the default route uses. The peer is one that documents may name but
/// nobody has (RFC 5737); as nothing is sent, that does not matter.
pub fn default_ip() -> Option<IpAddr> {
    ip_towards(&Address::new("192.0.2.1", 9))
}

/// The name to tell others: `--hostname`, else the given address, else the host's own name.
pub fn hostname(flags: &Flags) -> Option<String> {
    if let Some(hostname) = flags.get("hostname") {
        return Some(hostname);
    }
    if flags.is_given("ip") || !flags.is_set("hostname_lookup") {
        return None;
    }
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// What the agent offers: `--resources`, completed by what the host has of those that it does not
/// name.
///
/// # Errors
/// The flag's value is not a list of resources.
pub fn resources(flags: &Flags, work_dir: &Path) -> Result<Resources, FlagError> {
    let text: String = flags.value("resources");
    let role = flags.get::<String>("default_role").unwrap_or_else(|| "*".to_owned());
    let wrong = |value: &str, error: &dyn std::fmt::Display| FlagError::Invalid {
        flag: "--resources".to_owned(),
        value: value.to_owned(),
        expected: format!("resources such as cpus:4;mem:8192;ports:[31000-32000]: {error}"),
    };
    let given = parse_messages(&text, &role).map_err(|error| wrong(&text, &error))?;
    let mut resources = Resources::from_messages(&given).map_err(|error| wrong(&text, &error))?;
    // `disk:0` is a word about the disk: it says that there is none to offer.
    let missing = found(work_dir)
        .into_iter()
        .filter(|(name, _)| !given.iter().any(|resource| resource.name == *name))
        .map(|(name, value)| format!("{name}:{value}"))
        .collect::<Vec<_>>()
        .join(";");
    if !missing.is_empty() {
        resources += &Resources::parse(&missing, &role).map_err(|error| wrong(&missing, &error))?;
    }
    Ok(resources)
}

fn found(work_dir: &Path) -> [(&'static str, String); 4] {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    [
        ("cpus", cores.to_string()),
        ("mem", memory().to_string()),
        ("disk", disk(work_dir).to_string()),
        ("ports", PORTS.to_owned()),
    ]
}

fn memory() -> u64 {
    let total = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    match total.map(|kilobytes| kilobytes / 1024) {
        Some(total) if total >= 2 * MEMORY_KEPT => total - MEMORY_KEPT,
        Some(total) => total / 2,
        None => MEMORY_ASSUMED,
    }
}

/// Of the file system that `work_dir`, or the nearest folder above it that exists, is on.
fn disk(work_dir: &Path) -> u64 {
    let facts = work_dir.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok());
    let Some(facts) = facts else {
        return DISK_ASSUMED;
    };
    let total = facts.f_blocks.saturating_mul(facts.f_frsize) / MEGABYTE;
    if total >= 2 * DISK_KEPT { total - DISK_KEPT } else { total / 2 }
}

/// Whether we may become other users.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The name of the user that we are, or the number where it has no name.
pub fn user() -> String {
    let number = rustix::process::geteuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    name.unwrap_or(number)
}
