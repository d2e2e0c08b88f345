//! `orrery log replica`: a replica outside of a master, which finds the others by a list or in
//! ZooKeeper.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use orrery_election::{LOG_REPLICAS, Url};
use orrery_flags::Flags;
use orrery_http::serve;
use orrery_log::{Log, Membership, Options, Timing};
use orrery_net_master::Replicas;
use orrery_runtime::coordination::Coordination;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Listener, Runtime};
use orrery_zookeeper::ZooKeeper;

use super::folder;
use crate::failure::Failure;
use crate::invocation::say;
use crate::masters::given;
use crate::{daemon, host};

/// Runs a replica until somebody stops it.
pub async fn run(flags: &Flags) -> Result<(), Failure> {
    let runtime = orrery_runtime_real::runtime();
    let Some(meeting) = Meeting::of(flags)? else {
        let text = "expected one of --peers, --zk and --servers with --znode";
        return Err(Failure::Other(text.to_owned()));
    };
    let mut stop = daemon::Stop::listen()?;
    let mut replica = Replica::join(&runtime, flags, meeting).await?;
    let log = replica.log.clone();
    let voting = async {
        match log.ready().await {
            Ok(()) => say("The replica votes."),
            Err(error) => return error,
        }
        log.ended().await
    };
    tokio::select! {
        biased;
        error = voting => Err(Failure::because(error)),
        refusal = replica.refused() => Err(refusal),
        _ = stop.asked() => Ok(()),
    }
}

/// Where replicas find each other.
pub enum Meeting {
    /// `--peers`.
    Peers(String),
    /// The node of their group.
    ZooKeeper(Url),
}

impl Meeting {
    /// What the flags say; `None` where they name no other replica.
    ///
    /// # Errors
    /// They name several places, or one that there cannot be.
    pub fn of(flags: &Flags) -> Result<Option<Self>, Failure> {
        let zk = given::<Url>(flags, "zk", "zk://HOST:PORT,…/PATH").map_err(Failure::because)?;
        let text = |name| flags.get::<String>(name);
        match (zk, text("peers"), text("servers"), text("znode")) {
            (None, None, None, None) => Ok(None),
            (Some(url), None, None, None) => Ok(Some(Self::ZooKeeper(url.below(LOG_REPLICAS)))),
            (None, Some(peers), None, None) => Ok(Some(Self::Peers(peers))),
            (None, None, Some(servers), Some(znode)) => {
                let url = format!("zk://{servers}/{}", znode.trim_start_matches('/'));
                let url = url.parse().map_err(|error| {
                    let text = format!("--servers={servers} and --znode={znode}: {error}");
                    Failure::Other(text)
                })?;
                Ok(Some(Self::ZooKeeper(url)))
            }
            _ => Err(Failure::Other(
                "expected only one of --peers, --zk and --servers with --znode".to_owned(),
            )),
        }
    }
}

/// A replica and its port. Dropping it stops both.
pub struct Replica {
    /// Where it is reached.
    pub address: Address,
    /// What it holds.
    pub log: Log,
    port: AbortOnDrop,
    /// Its place in ZooKeeper.
    place: Option<Replicas>,
}

impl Replica {
    /// Runs a replica that answers on `listener`.
    ///
    /// # Errors
    /// The replica does not start.
    pub async fn start(
        runtime: &Runtime,
        options: Options,
        listener: Box<dyn Listener>,
    ) -> Result<Self, Failure> {
        let address = options.address.clone();
        let (log, service) =
            orrery_net_log::start(runtime, options).await.map_err(Failure::because)?;
        let serving = serve(runtime.clone(), listener, Arc::new(service));
        let port = runtime.spawn("replica's port", serving).abort_on_drop();
        Ok(Self { address, log, port, place: None })
    }

    /// Runs the replica that the flags describe, among the others of `meeting`.
    ///
    /// # Errors
    /// A flag is wrong or missing, or the replica does not start.
    pub async fn join(runtime: &Runtime, flags: &Flags, meeting: Meeting) -> Result<Self, Failure> {
        let quorum = flags.get::<u64>("quorum");
        let quorum = quorum.ok_or_else(|| Failure::Other("--quorum is required".to_owned()))?;
        let quorum = quorum as usize;
        let given = flags.get::<String>("address");
        let given = given.map(|text| address("address", &text)).transpose()?;
        let (address, listener, membership, place) = match meeting {
            Meeting::Peers(peers) => {
                let own = given.ok_or_else(|| {
                    Failure::Other(format!("--address: expected the one of --peers={peers}"))
                })?;
                let membership = fixed(&peers, &own, quorum)?;
                let listener = listen(runtime, &own).await?;
                (own, listener, membership, None)
            }
            Meeting::ZooKeeper(url) => {
                let (own, listener) = match given {
                    Some(own) => (own.clone(), listen(runtime, &own).await?),
                    None => listen_towards(runtime, &url).await?,
                };
                let session_timeout: Duration = flags.value("zk_session_timeout");
                let options = orrery_election::Options { url, session_timeout };
                let coordination: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
                let mut place = Replicas::join(runtime, &coordination, &options, &own, quorum);
                let (_, none) = tokio::sync::mpsc::channel(1);
                let changes = std::mem::replace(&mut place.changes, none);
                (own, listener, Membership::Changing(changes), Some(place))
            }
        };
        let options = Options {
            folder: folder(flags)?,
            address,
            quorum,
            membership,
            auto_initialize: flags.is_set("initialize"),
            timing: Timing::default(),
        };
        let replica = Self::start(runtime, options, listener).await?;
        Ok(Self { place, ..replica })
    }

    /// Completes when it turns out that the replica may not take part, with the reason.
    pub async fn refused(&mut self) -> Failure {
        if let Some(place) = &mut self.place
            && let Ok(why) = (&mut place.refusal).await
        {
            return Failure::Other(why);
        }
        std::future::pending().await
    }

    /// Stops it, and returns once it does not touch its folder any more.
    pub async fn stop(self) {
        let Self { log, port, .. } = self;
        drop(port);
        log.stop().await;
    }
}

/// Any free port, at the address of ours from which ZooKeeper is reached.
async fn listen_towards(
    runtime: &Runtime,
    url: &Url,
) -> Result<(Address, Box<dyn Listener>), Failure> {
    let towards = url.servers.iter().find_map(host::ip_towards);
    let ip = towards.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let listener = listen(runtime, &Address::new(ip.to_string(), 0)).await?;
    Ok((listener.local_address().into(), listener))
}

/// The replicas that `--peers` names.
fn fixed(peers: &str, own: &Address, quorum: usize) -> Result<Membership, Failure> {
    let wrong = |text: String| Err(Failure::Other(text));
    let mut members = BTreeSet::new();
    for peer in peers.split(',') {
        let peer = address("peers", peer.trim())?;
        if members.contains(&peer) {
            return wrong(format!(
                "--peers={peers} names {peer} twice, expected each replica once"
            ));
        }
        members.insert(peer);
    }
    let (total, expected) = (members.len(), members.len() / 2 + 1);
    if !members.contains(own) {
        return wrong(format!("--address={own} is not one of --peers={peers}"));
    }
    if quorum != expected {
        return wrong(format!(
            "--quorum={quorum}: expected {expected} for the {total} replicas of --peers={peers}"
        ));
    }
    Ok(Membership::Fixed(members))
}

/// The address that a flag holds, with a port at which somebody can be reached.
fn address(flag: &str, text: &str) -> Result<Address, Failure> {
    let wrong = |why: String| Failure::Other(format!("--{flag}: {why}"));
    let address: Address = text.parse().map_err(|error| wrong(format!("{error}")))?;
    match address.port {
        0 => Err(wrong(format!("'{text}' has port 0, expected one that others can reach"))),
        _ => Ok(address),
    }
}

/// Listens where others reach the replica.
///
/// # Errors
/// The address is none of this host's, or taken.
pub async fn listen(runtime: &Runtime, address: &Address) -> Result<Box<dyn Listener>, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Other(format!("cannot listen on {address}: {error}"))
    };
    let mut found = tokio::net::lookup_host((address.host.as_str(), address.port))
        .await
        .map_err(|error| failed(&error))?;
    let socket = found.next().ok_or_else(|| failed(&"the name has no address"))?;
    runtime.network.listen(socket).await.map_err(|error| failed(&error))
}
