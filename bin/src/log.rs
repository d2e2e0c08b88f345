//! `orrery log`, also known as `mesos-log`: the tools for the replicated log.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use orrery_election::Url;
use orrery_flags::{FlagSpec, Flags, tables};
use orrery_http::serve;
use orrery_log::{KnownEntry, Log, Membership, Options, Position, Timing, Value, inspect};
use orrery_net_master::Replicas;
use orrery_runtime::coordination::Coordination;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Listener, Runtime};
use orrery_runtime_real::runtime as real_runtime;
use orrery_zookeeper::ZooKeeper;

use crate::failure::Failure;
use crate::invocation::{Invocation, say};
use crate::masters::given;
use crate::{daemon, log_benchmark, logging};

/// What `orrery log` prints without a tool's name.
const HELP: &str = "\
The tools for the replicated log.

Usage: orrery log TOOL [--flag=value]...

Tools:
  initialize  let a new replica vote
  read        show what a replica holds
  replica     run a replica outside of a master
  benchmark   measure appends

'orrery log TOOL --help' lists a tool's flags.";

/// Runs the tool that the first argument names.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let Some((tool, args)) = invocation.args.split_first() else {
        say(HELP);
        return Ok(ExitCode::FAILURE);
    };
    let invocation = Invocation {
        program: invocation.program,
        name: format!("{} {tool}", invocation.name),
        args: args.to_vec(),
        environment: invocation.environment.clone(),
    };
    let flags = |about: &str, specs: &[FlagSpec]| {
        let flags = invocation.flags(about, specs)?;
        if let Some(flags) = &flags {
            logging::start(flags)?;
        }
        Ok::<_, Failure>(flags)
    };
    let flags = match tool.as_str() {
        "initialize" => flags("Lets a new replica vote.", &tables::log_initialize())?,
        "read" => flags("Shows what a replica holds.", &tables::log_read())?,
        "replica" => flags("Runs a replica outside of a master.", &tables::log_replica())?,
        "benchmark" => flags("Measures appends.", &tables::log_benchmark())?,
        "help" | "--help" => {
            say(HELP);
            return Ok(ExitCode::SUCCESS);
        }
        _ => {
            let text =
                format!("unknown tool '{tool}': expected initialize, read, replica or benchmark");
            return Err(Failure::Other(text));
        }
    };
    let Some(flags) = flags else { return Ok(ExitCode::SUCCESS) };
    daemon::run(async {
        match tool.as_str() {
            "initialize" => limited(&flags, initialize(&flags)).await,
            "read" => limited(&flags, read(&flags)).await,
            "replica" => replica(&flags).await,
            _ => log_benchmark::run(&flags).await,
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs a tool for no longer than `--timeout` says.
async fn limited(
    flags: &Flags,
    tool: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let Some(limit) = flags.get::<Duration>("timeout") else { return tool.await };
    let finished = real_runtime().timeout(limit, tool).await;
    finished.unwrap_or_else(|| Err(Failure::Other("time ran out".to_owned())))
}

/// The folder of the replica.
///
/// # Errors
/// There is no current folder that a relative path could begin at.
pub fn folder(flags: &Flags) -> Result<PathBuf, Failure> {
    let path: String = flags.value("path");
    std::path::absolute(path).map_err(Failure::because)
}

async fn initialize(flags: &Flags) -> Result<(), Failure> {
    let accept_loss = flags.is_set("accept_loss");
    orrery_log::initialize(&real_runtime(), &folder(flags)?, accept_loss)
        .await
        .map_err(Failure::because)?;
    say("The replica votes from now on.");
    Ok(())
}

async fn read(flags: &Flags) -> Result<(), Failure> {
    let position = |name, default| Position(flags.get::<u64>(name).unwrap_or(default));
    let (from, to) = (position("from", 0), position("to", u64::MAX));
    if from > to {
        return Err(Failure::Other(format!("--from={from}: expected at most --to={to}")));
    }
    let mut replica = inspect(&real_runtime(), &folder(flags)?).await.map_err(Failure::because)?;
    let status = replica.status();
    say(&format!(
        "{}, promised {}, begins at {}, complete up to {}, {} missing",
        status.state, status.promised, status.beginning, status.ending, status.missing
    ));
    let end = replica.end();
    if flags.is_given("from") && from > end && replica.damage().is_empty() {
        let text = format!("--from={from}: the replica holds nothing after position {end}");
        return Err(Failure::Other(text));
    }
    let mut next = Some(from);
    while let Some(from) = next {
        let (entries, after) = replica.entries(from, to).await.map_err(Failure::because)?;
        entries.iter().for_each(|entry| say(&show(entry)));
        next = after;
    }
    let earlier = replica.earlier_damage().iter();
    earlier.for_each(|damage| say(&format!("was damaged, and is not healed yet: {damage}")));
    if replica.damage().is_empty() {
        return Ok(());
    }
    replica.damage().iter().for_each(|damage| say(&format!("damaged: {damage}")));
    Err(Failure::Other("the replica is damaged".to_owned()))
}

fn show(entry: &KnownEntry) -> String {
    let learned = if entry.learned { "learned" } else { "accepted" };
    let value = match &entry.value {
        Value::Nop => "NOP".to_owned(),
        Value::Append(data) => format!("APPEND {} bytes {}", data.len(), excerpt(data)),
        Value::Truncate(to) => format!("TRUNCATE to {to}"),
    };
    format!("{} {learned} at {}: {value}", entry.position, entry.ballot)
}

/// The first bytes of an entry, as text.
fn excerpt(data: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = data.iter().take(SHOWN).copied().flat_map(std::ascii::escape_default);
    let text: String = text.map(char::from).collect();
    if data.len() > SHOWN { format!("\"{text}\"…") } else { format!("\"{text}\"") }
}

async fn replica(flags: &Flags) -> Result<(), Failure> {
    let runtime = real_runtime();
    let address = address("address", &flags.value::<String>("address"))?;
    let quorum = flags.value::<u64>("quorum") as usize;
    let (membership, mut place) = membership(&runtime, flags, &address, quorum)?;
    let listener = listen(&runtime, &address).await?;
    let options = Options {
        folder: folder(flags)?,
        address,
        quorum,
        membership,
        auto_initialize: flags.is_set("initialize"),
        timing: Timing::default(),
    };
    let mut stop = daemon::Stop::listen()?;
    let Replica { log, port: _port, .. } = start(&runtime, options, listener).await?;
    let voting = async {
        match log.ready().await {
            Ok(()) => say("The replica votes."),
            Err(error) => return error,
        }
        log.ended().await
    };
    let refused = async {
        match &mut place {
            Some(place) => (&mut place.refusal).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        error = voting => Err(Failure::because(error)),
        Ok(why) = refused => Err(Failure::Other(why)),
        _ = stop.asked() => Ok(()),
    }
}

/// The other replicas, by `--peers` or through ZooKeeper; there the own one keeps a place.
fn membership(
    runtime: &Runtime,
    flags: &Flags,
    own: &Address,
    quorum: usize,
) -> Result<(Membership, Option<Replicas>), Failure> {
    let zk = given::<Url>(flags, "zk", "zk://HOST:PORT,…/PATH").map_err(Failure::because)?;
    let url = match (zk, flags.get::<String>("peers")) {
        (Some(url), None) => url,
        (None, Some(peers)) => return Ok((fixed(&peers, own, quorum)?, None)),
        _ => return Err(Failure::Other("expected one of --peers and --zk".to_owned())),
    };
    let coordination: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
    let session_timeout = flags.value("zk_session_timeout");
    let options = orrery_election::Options { url, session_timeout };
    let mut place = Replicas::join(runtime, &coordination, &options, own, quorum);
    let (_, none) = tokio::sync::mpsc::channel(1);
    let changes = std::mem::replace(&mut place.changes, none);
    Ok((Membership::Changing(changes), Some(place)))
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

/// A replica and its port. Dropping it stops both.
pub struct Replica {
    /// Where it is reached.
    pub address: Address,
    /// What it holds.
    pub log: Log,
    port: AbortOnDrop,
}

impl Replica {
    /// Stops it, and returns once it does not touch its folder any more.
    pub async fn stop(self) {
        let Self { log, port, .. } = self;
        drop(port);
        log.stop().await;
    }
}

/// Runs a replica that answers on `listener`.
///
/// # Errors
/// The replica does not start.
pub async fn start(
    runtime: &Runtime,
    options: Options,
    listener: Box<dyn Listener>,
) -> Result<Replica, Failure> {
    let address = options.address.clone();
    let (log, service) = orrery_net_log::start(runtime, options).await.map_err(Failure::because)?;
    let serving = serve(runtime.clone(), listener, Arc::new(service));
    let port = runtime.spawn("replica's port", serving).abort_on_drop();
    Ok(Replica { address, log, port })
}
