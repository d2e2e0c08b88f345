//! How a log is set up.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use orrery_runtime::Address;
use tokio::sync::mpsc;

use crate::Cluster;

/// How a log is set up.
#[derive(Debug)]
pub struct Options {
    /// The folder that holds this replica, for example `<work_dir>/replicated_log`. Made when it is
    /// missing. No two processes may use one at a time.
    pub folder: PathBuf,
    /// Where the other replicas reach this one. It names the replica, so it should stay the same.
    pub address: Address,
    /// How many replicas must agree: more than half of all, and the same on every replica.
    pub quorum: usize,
    /// The replicas.
    pub membership: Membership,
    /// Whether replicas that are all new may begin a log by themselves. Where this is off, each one
    /// needs [`crate::initialize`].
    pub auto_initialize: bool,
    /// How patient it is.
    pub timing: Timing,
}

/// The replicas of a log. Whether the own address is among them makes no difference.
#[derive(Debug)]
pub enum Membership {
    /// These, for ever.
    Fixed(BTreeSet<Address>),
    /// These, until the channel tells others; for example from ZooKeeper. Once its sender is gone,
    /// the last ones stay. There are `2 * quorum - 1` replicas, however many are seen.
    Changing(mpsc::Receiver<BTreeSet<Address>>),
}

impl Membership {
    /// What the replica at `own` is told about its cluster.
    pub fn cluster(&self, own: &Address, quorum: usize) -> Cluster {
        match self {
            Self::Fixed(members) => {
                let mut members = members.clone();
                members.insert(own.clone());
                Cluster::fixed(quorum, &members)
            }
            Self::Changing(_) => Cluster::changing(quorum),
        }
    }
}

/// How patient a log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// A writer shows itself to all replicas this often.
    pub heartbeat: Duration,
    /// What was not answered for this long is asked again.
    pub retry: Duration,
    /// After a lost election a coordinator waits for this long to twice as long.
    pub backoff: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            retry: Duration::from_millis(500),
            backoff: Duration::from_millis(100),
        }
    }
}
