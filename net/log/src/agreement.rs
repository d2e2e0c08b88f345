//! Makes sure that the replicas of a list that stays the same were all told this list, and that
//! they are as many as it names.
//!
//! One replica under two addresses, or two that share an id because a folder was copied, are
//! counted as one by whoever counts a quorum. So a log could wait for ever for a replica that there
//! is not.

use std::collections::BTreeSet;
use std::time::Duration;

use orrery_log::{Agreement, Log, Origin};
use orrery_runtime::{Address, Runtime};

use crate::Statements;

/// How often at most it is logged that others differ.
const REPEAT: Duration = Duration::from_secs(60);

/// Asks the others again and again, and ends the replica if it is the one that is wrong, or if one
/// of them has its id. Ends with the replica.
pub(crate) async fn watch(
    runtime: Runtime,
    log: Log,
    origin: Origin,
    mut members: BTreeSet<Address>,
) {
    let own = origin.address.clone();
    members.remove(&own);
    let Ok(status) = log.status().await else { return };
    let mut agreement = Agreement::new(origin.cluster.clone());
    let mut statements = Statements::new(runtime.clone(), origin);
    statements.ask(&members);
    let (mut outvoted, mut told) = (None, None);
    loop {
        let (address, statement) = tokio::select! {
            biased;
            _ = log.ended() => return,
            heard = statements.next() => heard,
        };
        if statement.id == status.id {
            tracing::error!(%own, other = %address, "two addresses of --peers are one replica");
            log.twice(own, address).await;
            return;
        }
        let now = runtime.clock.now();
        agreement.heard(address, statement, now);
        outvoted = agreement.is_outvoted().then(|| outvoted.unwrap_or(now));
        let Some(disagreement) = agreement.disagreement() else { continue };
        if outvoted.is_some_and(|since| since + Agreement::PATIENCE <= now) {
            log.disagree(disagreement).await;
            return;
        }
        if told.is_none_or(|last| last + REPEAT <= now) {
            told = Some(now);
            tracing::error!("{disagreement}");
        }
    }
}
