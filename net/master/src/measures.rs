//! What a master measures beside its state machine, whether it leads or not.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use orrery_endpoints::machine;
use orrery_log::{Log, ReplicaState};
use orrery_runtime::Runtime;

/// Where it is measured.
#[derive(Clone, Debug)]
pub(crate) struct Measures {
    runtime: Runtime,
    /// Set once it is open, if the registry is kept in one.
    log: Arc<OnceLock<Log>>,
}

impl Measures {
    /// The machine's alone, as long as there is no log.
    pub(crate) fn new(runtime: Runtime) -> Self {
        Self { runtime, log: Arc::default() }
    }

    /// The log is open.
    pub(crate) fn add_log(&self, log: Log) {
        // There is one at most.
        let _ = self.log.set(log);
    }

    /// Adds the metrics under Mesos' names.
    pub(crate) async fn add_metrics(&self, all: &mut BTreeMap<String, f64>) {
        machine::read(&self.runtime).await.add_metrics(all);
        let Some(log) = self.log.get() else { return };
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
