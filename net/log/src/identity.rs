//! Makes sure that the replica is the one that others reach at its address.
//!
//! Two masters that were told the same address would vote under one name. The one that is not
//! reached there ends and says so; the other one goes on.

use std::time::Duration;

use orrery_log::{Log, Origin};
use orrery_runtime::Runtime;

use crate::statement::ask;

/// How often it is made sure of.
const INTERVAL: Duration = Duration::from_secs(10);

/// Asks whoever answers at the own address, now and then, who it is. Ends with the replica. An
/// address that cannot be reached from here says nothing.
pub(crate) async fn watch(runtime: Runtime, log: Log, origin: Origin) {
    let own = &origin.address;
    while let Ok(status) = log.status().await {
        let answered = ask(&runtime, &origin, own).await;
        if answered.is_some_and(|statement| statement.id != status.id) {
            tracing::error!(address = %own, "another replica answers at the address of this one");
            log.conflict(own.clone()).await;
            return;
        }
        runtime.sleep(INTERVAL).await;
    }
}
