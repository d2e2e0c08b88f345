//! Starting a master: its port, the log, the election, and the office that brings them together.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use core::net::SocketAddr;

use orrery_election as zookeeper;
use orrery_log::{Log, Membership};
use orrery_net_lease::Member;
use orrery_net_log::LogService;
use orrery_runtime::coordination::Coordination;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};
use orrery_zookeeper::ZooKeeper;
use tokio::sync::oneshot;

use crate::election::{self, Election};
use crate::front::Front;
use crate::info::own_address;
use crate::measures::Measures;
use crate::office::Office;
use crate::replicas::{Hindrance, Replicas};
use crate::{Elections, Ended, Options, Running};

/// The replicated log's folder in the work directory.
const LOG_FOLDER: &str = "replicated_log";

/// Why a master does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The replicated log cannot be used.
    #[error(transparent)]
    Log(#[from] orrery_log::StartError),
    /// The masters' own election cannot be taken part in.
    #[error(transparent)]
    Election(#[from] orrery_net_lease::StartError),
    /// A single master cannot read its registry.
    #[error(transparent)]
    Ended(#[from] Ended),
    /// An election needs something to remember votes and registry by.
    #[error("--peers needs --work_dir and --registry=replicated_log, to keep votes and registry")]
    NoFolder,
}

/// Starts a master: it listens, stands for election, and leads when it is its turn. One that is
/// alone leads when this returns.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub async fn start(runtime: Runtime, options: Options) -> Result<Running, StartError> {
    let options = Arc::new(options);
    let address = SocketAddr::new(options.ip, options.port);
    let listener = runtime
        .network
        .listen(address)
        .await
        .map_err(|source| StartError::Listen { address, source })?;
    let address = listener.local_address();
    let coordination: Arc<dyn Coordination> = Arc::new(ZooKeeper::new(runtime.clone()));
    let alone = options.elections == Elections::Alone;
    let (election, member) = open_election(&runtime, &options, Arc::clone(&coordination)).await?;
    let measures = Measures::new(runtime.clone());
    let (front, first_lead) =
        Front::new(runtime.clone(), Arc::clone(&options), measures.clone(), member);
    let (service, connections_max) = (Arc::clone(&front) as _, options.connections_max);
    let serving = orrery_http::serve_up_to(connections_max, runtime.clone(), listener, service);
    // Before the log is open: until ZooKeeper answers, a single master does not know whether it is
    // to begin one.
    let mut tasks = vec![runtime.prompt().spawn("http server", serving).abort_on_drop()];
    let (mut log, mut refusal, mut hindrance) = (None, None, Hindrance::default());
    if let Some(folder) = &options.work_dir {
        let place = place(&runtime, &options, &coordination, address).await?;
        let (opened, service) =
            open_log(&runtime, &options, folder, (place.own, place.membership)).await?;
        tasks.extend(place.task);
        (refusal, hindrance) = (place.refusal, place.hindrance);
        front.add_log(service);
        measures.add_log(opened.clone());
        log = Some(opened);
    }
    tracing::info!(%address, "master started");
    let (stop, stopped) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let office = Office {
        runtime: runtime.clone(),
        options,
        front: Arc::clone(&front),
        election,
        log: log.clone(),
        hindrance,
        measures,
        address,
        leader: None,
    };
    let kept = log.clone();
    let working = async move {
        let ended = tokio::select! {
            biased;
            why = log_ended(kept) => Err(why),
            why = refused(refusal) => Err(why),
            ended = office.run(stopped) => ended,
        };
        let why = ended.err().unwrap_or_else(|| "it was stopped".to_owned());
        // Nobody listens when the master is dropped.
        let _ = end.send(Ended(why));
    };
    tasks.push(runtime.spawn("office", working).abort_on_drop());
    let mut running = Running { address, runtime, front, ended, stop, log, _tasks: tasks };
    if alone {
        // It leads as soon as it has read its registry, or never.
        tokio::select! {
            biased;
            _ = first_lead => {}
            ended = running.ended() => return Err(StartError::Ended(ended)),
        }
    }
    Ok(running)
}

/// Completes when the log cannot be used any more, or never will be.
async fn log_ended(log: Option<Log>) -> String {
    let Some(log) = log else { return std::future::pending().await };
    tokio::select! {
        biased;
        error = log.ended() => error.to_string(),
        Err(error) = log.ready() => error.to_string(),
        else => log.ended().await.to_string(),
    }
}

/// Completes when the log may not begin; says why.
async fn refused(refusal: Option<oneshot::Receiver<String>>) -> String {
    let Some(refusal) = refusal else { return std::future::pending().await };
    match refusal.await {
        Ok(why) => why,
        Err(_) => std::future::pending().await,
    }
}

/// The own replica's place among the others.
struct Place {
    own: Address,
    membership: Membership,
    /// Why there is no place, should it turn out so.
    refusal: Option<oneshot::Receiver<String>>,
    /// What is wrong with the other places.
    hindrance: Hindrance,
    /// Keeps the place.
    task: Option<AbortOnDrop>,
}

impl Place {
    fn fixed(own: Address, members: BTreeSet<Address>) -> Self {
        let (membership, hindrance) = (Membership::Fixed(members), Hindrance::default());
        Self { own, membership, refusal: None, hindrance, task: None }
    }
}

async fn place(
    runtime: &Runtime,
    options: &Options,
    coordination: &Arc<dyn Coordination>,
    address: SocketAddr,
) -> Result<Place, StartError> {
    let zookeeper_options = match (&options.elections, zookeeper_options(options)) {
        (Elections::Peers { addresses, me, .. }, _) => {
            let own = addresses.get(*me).cloned().unwrap_or_else(|| Address::from(address));
            return Ok(Place::fixed(own, addresses.iter().cloned().collect()));
        }
        (_, Some(zookeeper_options)) => zookeeper_options,
        (_, None) => {
            // Nobody asks a single replica, so its name only has to stay the same.
            let own = Address::new("localhost", 5050);
            return Ok(Place::fixed(own.clone(), BTreeSet::from([own])));
        }
    };
    let own = Address::from(own_address(options, address));
    let quorum = options.quorum;
    let url = zookeeper_options.url.below(zookeeper::LOG_REPLICAS);
    let group = zookeeper::Options { url, ..zookeeper_options };
    let mut replicas = Replicas::join(runtime, coordination, &group, &own, quorum);
    if quorum == 1 {
        // The log of a single master begins by itself, which it must not if there are others.
        tokio::select! {
            biased;
            _ = replicas.changes.recv() => {}
            Ok(why) = &mut replicas.refusal => return Err(StartError::Ended(Ended(why))),
        }
    }
    let Replicas { changes, refusal, hindrance, task } = replicas;
    let membership = Membership::Changing(changes);
    Ok(Place { own, membership, refusal: Some(refusal), hindrance, task: Some(task) })
}

async fn open_log(
    runtime: &Runtime,
    options: &Options,
    folder: &Path,
    (address, membership): (Address, Membership),
) -> Result<(Log, LogService), StartError> {
    let log_options = orrery_log::Options {
        folder: folder.join(LOG_FOLDER),
        address,
        quorum: options.quorum,
        membership,
        auto_initialize: options.log_auto_initialize,
        timing: options.log_timing,
    };
    Ok(orrery_net_log::start(runtime, log_options).await?)
}

fn zookeeper_options(options: &Options) -> Option<zookeeper::Options> {
    match &options.elections {
        Elections::ZooKeeper { url, session_timeout } => Some(zookeeper::Options {
            session_timeout: *session_timeout,
            ..zookeeper::Options::new(url.clone())
        }),
        Elections::Alone | Elections::Peers { .. } => None,
    }
}

async fn open_election(
    runtime: &Runtime,
    options: &Options,
    coordination: Arc<dyn Coordination>,
) -> Result<(Election, Option<Member>), StartError> {
    if let Some(options) = zookeeper_options(options) {
        let place = election::ZooKeeper::new(runtime, coordination, options);
        return Ok((Election::ZooKeeper(Box::new(place)), None));
    }
    let Elections::Peers { addresses, me, timing } = &options.elections else {
        return Ok((Election::Alone { told: false }, None));
    };
    let member_options = orrery_net_lease::Options {
        peers: addresses.clone(),
        me: *me,
        folder: options.work_dir.clone().ok_or(StartError::NoFolder)?,
        timing: *timing,
    };
    // A leader whose heartbeats are late is replaced, however busy it is with its agents.
    let (member, events) = Member::start(runtime.prompt(), member_options).await?;
    Ok((Election::Peers { member: member.clone(), events }, Some(member)))
}
