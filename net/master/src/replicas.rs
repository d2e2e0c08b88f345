//! The masters' log replicas find each other in ZooKeeper, in a group of their own, as Mesos' do.
//!
//! # A wrong quorum
//!
//! Only `--quorum` says how many masters there are to be. With one that is too small two halves of
//! them could each keep a registry of their own. So a replica does not begin before it has seen
//! itself among no more than 2 × quorum − 1: of several that start at one time the later ones see
//! the earlier. If that does not come about, the master ends. One that has begun goes on with the
//! replicas that it knows, whoever else turns up.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use orrery_election::{self as zookeeper, LOG_REPLICAS, Member, Members, Membership};
use orrery_runtime::coordination::Coordination;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Instant, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::PlantedBug;

/// How many changes of the group may wait to be taken in.
const QUEUE: usize = 8;

/// What a process writes of itself before its address, as Mesos' replicas do.
const PROCESS: &str = "log-replica(1)@";

/// A place in the group, and what is told of the others. Dropping it leaves the group.
#[derive(Debug)]
pub struct Replicas {
    /// All replicas, whenever they change.
    pub changes: mpsc::Receiver<BTreeSet<Address>>,
    /// Why the log may not begin, should it turn out so.
    pub refusal: oneshot::Receiver<String>,
    /// What keeps the place and follows the others.
    pub task: AbortOnDrop,
}

impl Replicas {
    /// Joins the group as the replica that the others reach at `own`.
    pub fn join(
        runtime: &Runtime,
        coordination: &Arc<dyn Coordination>,
        options: &zookeeper::Options,
        own: &Address,
        quorum: usize,
    ) -> Self {
        let data = Bytes::from(format!("{PROCESS}{own}"));
        let mut place = Membership::start(runtime, coordination, options, LOG_REPLICAS, data);
        let members = Members::start(runtime, coordination, options, LOG_REPLICAS);
        let (sender, changes) = mpsc::channel(QUEUE);
        let (refuse, refusal) = oneshot::channel();
        // Longer than a node of an earlier run can stay behind.
        let patience = options.session_timeout * 2 + Duration::from_secs(5);
        let mut group = Group::new(own.clone(), quorum, patience);
        let clock = runtime.clone();
        let following = async move {
            let why = tokio::select! {
                biased;
                error = place.failed() => error.to_string(),
                why = follow(&clock, members, &mut group, &sender) => why,
            };
            if group.begun {
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
        Self { changes, refusal, task }
    }
}

/// Completes when the group cannot be followed any more, or not joined: says why.
async fn follow(
    runtime: &Runtime,
    mut members: Members,
    group: &mut Group,
    sender: &mpsc::Sender<BTreeSet<Address>>,
) -> String {
    loop {
        let patience = async {
            match group.deadline() {
                Some(deadline) => runtime.clock.sleep_until(deadline).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            members = members.next() => match members {
                Ok(members) => {
                    let addresses = members.iter().filter_map(replica).collect();
                    if let Some(replicas) = group.seen(addresses, runtime.clock.now()) {
                        // A log that has ended does not listen any more.
                        let _ = sender.send(replicas).await;
                    }
                }
                Err(error) => return error.to_string(),
            },
            () = patience => if let Err(trouble) = group.still_so() {
                return trouble.to_string();
            },
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

/// More masters have joined than a quorum is more than half of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--quorum is {quorum}, but {} masters have joined in ZooKeeper ({}): expected {} on all of \
     them, more than half", .joined.len(), list(.joined), .joined.len() / 2 + 1
)]
struct QuorumTooSmall {
    quorum: usize,
    joined: BTreeSet<Address>,
}

fn list(addresses: &BTreeSet<Address>) -> String {
    addresses.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
}

/// The group as this master judges it.
struct Group {
    own: Address,
    quorum: usize,
    patience: Duration,
    /// Whether the log knows whom it consists of.
    begun: bool,
    /// What is wrong at present.
    trouble: Option<QuorumTooSmall>,
    /// When that has lasted for so long that it will not pass by itself.
    deadline: Option<Instant>,
}

impl Group {
    fn new(own: Address, quorum: usize, patience: Duration) -> Self {
        Self { own, quorum, patience, begun: false, trouble: None, deadline: None }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// These have joined at present. Returns whom the log is to consist of from now on.
    fn seen(&mut self, joined: BTreeSet<Address>, now: Instant) -> Option<BTreeSet<Address>> {
        let (most, quorum) = (self.quorum.saturating_mul(2).saturating_sub(1), self.quorum);
        if joined.len() > most && !PlantedBug::QuorumIsNotChecked.is_planted() {
            if self.trouble.is_none() {
                self.deadline = Some(now + self.patience);
            }
            self.trouble = Some(QuorumTooSmall { quorum, joined });
            return None;
        }
        (self.trouble, self.deadline) = (None, None);
        if !(self.begun || joined.contains(&self.own)) {
            return None;
        }
        self.begun = true;
        tracing::info!(joined = list(&joined), quorum, of = most, "the replicas of the log");
        Some(joined)
    }

    /// The trouble has not passed by itself.
    fn still_so(&mut self) -> Result<(), QuorumTooSmall> {
        self.deadline = None;
        match &self.trouble {
            Some(trouble) if !self.begun => return Err(trouble.clone()),
            Some(trouble) => tracing::error!("{trouble}"),
            None => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(25);

    fn address(number: u16) -> Address {
        Address::new("master", number)
    }

    fn group(quorum: usize) -> Group {
        Group::new(address(1), quorum, PATIENCE)
    }

    fn seen(group: &mut Group, numbers: &[u16]) -> Option<usize> {
        let addresses = numbers.iter().copied().map(address).collect();
        group.seen(addresses, Instant::default()).map(|replicas| replicas.len())
    }

    #[test]
    fn a_replica_begins_once_it_has_seen_itself() {
        let mut group = group(2);
        assert_eq!(seen(&mut group, &[2, 3]), None);
        assert_eq!(seen(&mut group, &[1, 2, 3]), Some(3));
        assert_eq!(seen(&mut group, &[]), Some(0), "its session has expired");
        assert_eq!(group.deadline(), None);
    }

    #[test]
    fn a_quorum_that_is_too_small_is_refused() {
        let mut group = group(1);
        assert_eq!(seen(&mut group, &[1, 2, 3]), None);
        assert_eq!(group.deadline(), Some(Instant::default() + PATIENCE));
        let text = group.still_so().unwrap_err().to_string();
        let expected = "--quorum is 1, but 3 masters have joined in ZooKeeper \
                        (master:1, master:2, master:3): expected 2 on all of them, more than half";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_node_that_a_replaced_master_left_behind_is_waited_for() {
        let mut group = group(2);
        assert_eq!(seen(&mut group, &[1, 2, 3, 4]), None);
        assert_eq!(seen(&mut group, &[1, 3, 4]), Some(3));
        assert_eq!(group.deadline(), None);
    }

    #[test]
    fn a_log_that_has_begun_keeps_its_replicas() {
        let mut group = group(2);
        assert_eq!(seen(&mut group, &[1, 2, 3]), Some(3));
        assert_eq!(seen(&mut group, &[1, 2, 3, 4]), None);
        assert!(group.deadline().is_some());
        assert_eq!(group.still_so(), Ok(()), "it is told and nothing more");
        assert_eq!(seen(&mut group, &[1, 2, 3]), Some(3));
    }
}
