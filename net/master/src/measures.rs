//! What a master measures beside its state machine, whether it leads or not.

use std::collections::BTreeMap;

use orrery_endpoints::machine;
use orrery_log::{Log, ReplicaState};
use orrery_runtime::Runtime;

/// Where it is measured.
#[derive(Clone, Debug)]
pub(crate) struct Measures {
    runtime: Runtime,
    log: Option<Log>,
}

impl Measures {
    /// The machine's, and those of the log if the registry is kept in one.
    pub(crate) fn new(runtime: Runtime, log: Option<Log>) -> Self {
        Self { runtime, log }
    }

    /// Adds the metrics under Mesos' names.
    pub(crate) async fn add_metrics(&self, all: &mut BTreeMap<String, f64>) {
        machine::read(&self.runtime).await.add_metrics(all);
        let Some(log) = &self.log else { return };
        // A log that has failed is about to end the master.
        if let Ok(status) = log.status().await {
            let votes = status.state == ReplicaState::Voting;
            all.insert("registrar/log/recovered".to_owned(), f64::from(u8::from(votes)));
        }
        if let Ok(members) = log.members().await {
            all.insert("registrar/log/ensemble_size".to_owned(), members.len() as f64);
        }
    }
}
