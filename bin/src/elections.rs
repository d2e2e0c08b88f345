//! How a master comes to lead, from the flags that say so.

use orrery_detector::Masters;
use orrery_flags::{FlagError, Flags};
use orrery_net_master::Elections;
use orrery_runtime::Address;

use crate::{host, masters};

/// How the masters agree on who leads: `--zk`, `--peers`, or neither for a single one.
///
/// # Errors
/// The flags contradict each other, or this master is none of the peers.
pub fn elections(flags: &Flags) -> Result<Elections, FlagError> {
    let invalid = |flag: &str, expected: String| FlagError::Invalid {
        flag: format!("--{flag}"),
        value: flags.effective().get(flag).cloned().unwrap_or_default(),
        expected,
    };
    let (zk, peers) = (masters::given(flags, "zk")?, masters::given(flags, "peers")?);
    match (zk, peers) {
        (None, None) => Ok(Elections::Alone),
        (Some(_), Some(_)) => {
            let text = "no --zk beside it: masters elect their leader in one of the two ways";
            Err(invalid("peers", text.to_owned()))
        }
        (Some(Masters::ZooKeeper(url)), None) => {
            let session_timeout = flags.value("zk_session_timeout");
            Ok(Elections::ZooKeeper { url, session_timeout })
        }
        (Some(_), None) => {
            Err(invalid("zk", "zk://HOST:PORT,…/PATH, the servers of one ensemble".to_owned()))
        }
        (None, Some(Masters::ZooKeeper(_))) => {
            let text = "HOST:PORT of all masters; through ZooKeeper they meet with --zk";
            Err(invalid("peers", text.to_owned()))
        }
        (None, Some(Masters::One(address))) => peers_with_me(flags, vec![address], invalid),
        (None, Some(Masters::Peers(addresses))) => peers_with_me(flags, addresses, invalid),
    }
}

fn peers_with_me(
    flags: &Flags,
    addresses: Vec<Address>,
    invalid: impl Fn(&str, String) -> FlagError,
) -> Result<Elections, FlagError> {
    let own = own_addresses(flags);
    let mut found = addresses.iter().enumerate().filter(|(_, address)| own.contains(address));
    match (found.next(), found.next()) {
        (Some((me, _)), None) => Ok(Elections::Peers { addresses, me, timing: Default::default() }),
        (Some((_, one)), Some((_, other))) => {
            let text = format!("each master once; {one} and {other} are both this one");
            Err(invalid("peers", text))
        }
        (None, _) => {
            let own: Vec<String> = own.iter().map(Address::to_string).collect();
            let text = format!(
                "this master among them, which is {}; --advertise_ip, --hostname and --port say so",
                own.join(" or ")
            );
            Err(invalid("peers", text))
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
/// With ZooKeeper nothing but the flag can say how many masters there are.
pub fn quorum(flags: &Flags) -> Result<usize, FlagError> {
    let given: usize = flags.value("quorum");
    let in_memory = flags.get::<String>("registry").as_deref() == Some("in_memory");
    match elections(flags)? {
        _ if flags.is_given("quorum") => Ok(given),
        Elections::Alone => Ok(1),
        Elections::Peers { addresses, .. } => Ok(addresses.len() / 2 + 1),
        Elections::ZooKeeper { .. } if in_memory => Ok(1),
        Elections::ZooKeeper { .. } => Err(FlagError::required(
            "quorum",
            "more than half of the masters' number: 2 for three masters",
        )),
    }
}
