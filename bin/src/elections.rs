//! How a master comes to lead, from the flags that say so.

use orrery_detector::{Masters, Url};
use orrery_flags::{FlagError, Flags};
use orrery_net_master::Elections;
use orrery_runtime::Address;

use crate::host;
use crate::masters::{given, invalid};

/// How the masters agree on who leads: `--zk`, `--peers`, or neither for a single one.
///
/// # Errors
/// The flags contradict each other, or this master is none of the peers.
pub fn elections(flags: &Flags) -> Result<Elections, FlagError> {
    let zk = given::<Url>(flags, "zk", "zk://HOST:PORT,…/PATH")?;
    let peers = given::<Masters>(flags, "peers", "HOST:PORT of all masters, with commas")?;
    match (zk, peers) {
        (None, None) => Ok(Elections::Alone),
        (Some(_), Some(_)) => {
            let text = "no --zk beside it: masters elect their leader in one of the two ways";
            Err(invalid(flags, "peers", text))
        }
        (Some(url), None) => {
            let session_timeout = flags.value("zk_session_timeout");
            Ok(Elections::ZooKeeper { url, session_timeout })
        }
        (None, Some(Masters::ZooKeeper(_))) => {
            let text = "HOST:PORT of all masters; through ZooKeeper they meet with --zk";
            Err(invalid(flags, "peers", text))
        }
        (None, Some(Masters::One(address))) => peers_with_me(flags, vec![address]),
        (None, Some(Masters::Peers(addresses))) => peers_with_me(flags, addresses),
    }
}

fn peers_with_me(flags: &Flags, mut addresses: Vec<Address>) -> Result<Elections, FlagError> {
    // Members know each other by their numbers, which are the same whatever the order given.
    addresses.sort();
    let own = own_addresses(flags);
    let mut found = addresses.iter().enumerate().filter(|(_, address)| own.contains(address));
    match (found.next(), found.next()) {
        (Some((me, _)), None) => Ok(Elections::Peers { addresses, me, timing: Default::default() }),
        (Some((_, one)), Some((_, other))) => {
            let text = format!("each master once; {one} and {other} are both this one");
            Err(invalid(flags, "peers", text))
        }
        (None, _) => {
            let own: Vec<String> = own.iter().map(Address::to_string).collect();
            let text = format!(
                "this master among them, which is {}; --advertise_ip, --hostname and --port say so",
                own.join(" or ")
            );
            Err(invalid(flags, "peers", text))
        }
    }
}

/// The names under which others may know this master.
fn own_addresses(flags: &Flags) -> Vec<Address> {
    let port: u16 = flags.get("advertise_port").unwrap_or_else(|| flags.value("port"));
    let ip = host::ip(flags);
    let listened = (!ip.is_unspecified()).then_some(ip);
    let found = ip.is_unspecified().then(host::default_ip).flatten();
    let ips = [flags.get("advertise_ip"), listened, found];
    let ips = ips.into_iter().flatten().map(|ip: core::net::IpAddr| ip.to_string());
    let mut own: Vec<Address> = Vec::new();
    for name in ips.chain(host::hostname(flags)) {
        let address = Address::new(name, port);
        if !own.contains(&address) {
            own.push(address);
        }
    }
    own
}

/// How many masters must have a change of the registry.
///
/// # Errors
/// It is not just more than half of the masters; or nothing but the flag could say how many masters
/// there are, and it is missing.
pub fn quorum(flags: &Flags) -> Result<usize, FlagError> {
    let in_memory = flags.get::<String>("registry").as_deref() == Some("in_memory");
    let needed = match elections(flags)? {
        Elections::Alone => 1,
        Elections::Peers { addresses, .. } => addresses.len() / 2 + 1,
        Elections::ZooKeeper { .. } if flags.is_given("quorum") => flags.value("quorum"),
        Elections::ZooKeeper { .. } if in_memory => 1,
        Elections::ZooKeeper { .. } => {
            let text = "more than half of the masters' number: 2 for three masters";
            return Err(FlagError::required("quorum", text));
        }
    };
    // A registry in memory asks nobody.
    if !in_memory && flags.is_given("quorum") && flags.value::<usize>("quorum") != needed {
        let text = "just more than half of the masters that --peers names, or 1 without --peers \
                    and --zk";
        return Err(invalid(flags, "quorum", format!("{needed}: {text}")));
    }
    Ok(needed)
}
