//! The masters' log replicas find each other in ZooKeeper, in a group of their own, as Mesos' do.
//!
//! Only `--quorum` says how many masters there are to be; `group.rs` says what is made of one that
//! does not fit.

mod group;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use orrery_election::{self as zookeeper, Member, Members, Membership};
use orrery_log::{Cluster, Origin};
use orrery_net_log::Statements;
use orrery_runtime::coordination::Coordination;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};
use tokio::sync::{mpsc, oneshot};

use group::Group;

/// How many changes of the group may wait to be taken in.
const QUEUE: usize = 8;

/// What a process writes of itself before its address, as Mesos' replicas do.
const PROCESS: &str = "log-replica(1)@";

/// A place in the group, and what is told of the others. Dropping it leaves the group.
#[derive(Debug)]
pub struct Replicas {
    /// All replicas, whenever they change: those that have joined and were told the same quorum.
    pub changes: mpsc::Receiver<BTreeSet<Address>>,
    /// Why the log may not begin, should it turn out so.
    pub refusal: oneshot::Receiver<String>,
    /// What is wrong with the group at present.
    pub hindrance: Hindrance,
    /// What keeps the place and follows the others.
    pub task: AbortOnDrop,
}

/// What keeps the log from being written and read, as far as the group tells. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Hindrance(Arc<Mutex<Option<String>>>);

impl Hindrance {
    /// What it is at present.
    pub fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, hindrance: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = hindrance;
    }
}

impl Replicas {
    /// Joins the group whose node `options` name, as the replica that the others reach at `own`.
    /// The masters' own group is called [`zookeeper::LOG_REPLICAS`].
    pub fn join(
        runtime: &Runtime,
        coordination: &Arc<dyn Coordination>,
        options: &zookeeper::Options,
        own: &Address,
        quorum: usize,
    ) -> Self {
        let data = Bytes::from(format!("{PROCESS}{own}"));
        let mut place = Membership::start(runtime, coordination, options, data);
        let members = Members::start(runtime, coordination, options);
        let (sender, changes) = mpsc::channel(QUEUE);
        let (refuse, refusal) = oneshot::channel();
        let hindrance = Hindrance::default();
        // Longer than a node of an earlier run can stay behind.
        let patience = options.session_timeout * 2 + Duration::from_secs(5);
        let origin = Origin { address: own.clone(), cluster: Cluster::changing(quorum) };
        let mut follower = Follower {
            runtime: runtime.clone(),
            members,
            statements: Statements::new(runtime.clone(), origin),
            group: Group::new(own.clone(), quorum, patience),
            sender,
            hindrance: hindrance.clone(),
        };
        let following = async move {
            let why = tokio::select! {
                biased;
                error = place.failed() => error.to_string(),
                why = follower.follow() => why,
            };
            if follower.group.goes_on() {
                // The replicas that were found last stay: the election, which fails for the same
                // reason, decides what comes of this master.
                tracing::error!(why, "the other log replicas cannot be found in ZooKeeper");
            } else {
                // Nobody listens when the master is being stopped.
                let _ = refuse.send(why);
            }
            pending::<()>().await;
        };
        let task = runtime.spawn("log replicas", following).abort_on_drop();
        Self { changes, refusal, hindrance, task }
    }
}

/// Follows the group.
struct Follower {
    runtime: Runtime,
    members: Members,
    statements: Statements,
    group: Group,
    sender: mpsc::Sender<BTreeSet<Address>>,
    hindrance: Hindrance,
}

impl Follower {
    /// Completes when the group cannot be followed any more, or not joined: says why.
    async fn follow(&mut self) -> String {
        loop {
            let deadline = self.group.deadline();
            let patience = async {
                match deadline {
                    Some(deadline) => self.runtime.clock.sleep_until(deadline).await,
                    None => pending().await,
                }
            };
            let replicas = tokio::select! {
                biased;
                members = self.members.next() => match members {
                    Ok(members) => {
                        let joined = members.iter().filter_map(replica).collect();
                        self.statements.ask(&joined);
                        self.group.joined(joined, self.runtime.clock.now())
                    }
                    Err(error) => return error.to_string(),
                },
                (address, statement) = self.statements.next() => {
                    self.group.heard(address, statement, self.runtime.clock.now())
                }
                () = patience => match self.group.still_so(self.runtime.clock.now()) {
                    Ok(()) => None,
                    Err(trouble) => return trouble.to_string(),
                },
            };
            self.hindrance.set(self.group.trouble().map(ToString::to_string));
            if let Some(replicas) = replicas {
                // A log that has ended does not listen any more.
                let _ = self.sender.send(replicas).await;
            }
        }
    }
}

fn replica(member: &Member) -> Option<Address> {
    let text = std::str::from_utf8(&member.data).ok()?;
    let (_, address) = text.rsplit_once('@')?;
    let address = address.parse();
    if address.is_err() {
        tracing::warn!(name = member.name, text, "a log replica in ZooKeeper has no address");
    }
    address.ok()
}
