//! The masters' log replicas find each other in ZooKeeper, in a group of their own, as Mesos' do.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use orrery_election::{self as zookeeper, LOG_REPLICAS, Member, Members, Membership};
use orrery_runtime::coordination::Coordination;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Address, Runtime};
use tokio::sync::mpsc;

/// How many changes of the group may wait to be taken in.
const QUEUE: usize = 8;

/// A place in the group, and what is told of the others. Dropping it leaves the group.
pub(crate) struct Replicas {
    pub(crate) changes: mpsc::Receiver<BTreeSet<Address>>,
    pub(crate) task: AbortOnDrop,
}

impl Replicas {
    /// Joins the group as the replica that the others reach at `own`.
    pub(crate) fn join(
        runtime: &Runtime,
        coordination: &Arc<dyn Coordination>,
        options: &zookeeper::Options,
        own: &Address,
    ) -> Self {
        // Mesos writes the process that serves its replica.
        let data = Bytes::from(format!("{PROCESS}{own}"));
        let mut place = Membership::start(runtime, coordination, options, LOG_REPLICAS, data);
        let mut members = Members::start(runtime, coordination, options, LOG_REPLICAS);
        let (sender, changes) = mpsc::channel(QUEUE);
        let following = async move {
            let error = tokio::select! {
                biased;
                error = place.failed() => error,
                error = follow(&mut members, &sender) => error,
            };
            tracing::error!(%error, "the other log replicas cannot be found in ZooKeeper");
            // The replicas that were found last stay: the election, which fails for the same
            // reason, decides what comes of this master.
            std::future::pending::<()>().await;
        };
        let task = runtime.spawn("log replicas", following).abort_on_drop();
        Self { changes, task }
    }
}

const PROCESS: &str = "log-replica(1)@";

async fn follow(
    members: &mut Members,
    sender: &mpsc::Sender<BTreeSet<Address>>,
) -> zookeeper::ElectionError {
    loop {
        match members.next().await {
            Ok(members) => {
                let replicas = members.iter().filter_map(replica).collect();
                // A log that has ended does not listen any more.
                let _ = sender.send(replicas).await;
            }
            Err(error) => return error,
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
