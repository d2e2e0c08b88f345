//! Acknowledgements (S11 of the catalogue): an update comes once to a process of its framework, and
//! the next one waits until it was acknowledged. That it is repeated until then is what makes tasks
//! settle (see [`super::tasks`]). Mesos' bugs of the kind: MESOS-482, MESOS-640, MESOS-644,
//! MESOS-107.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use orrery_api::v1;

use super::Session;

/// Which updates came to whom.
#[derive(Debug, Default)]
pub struct Acknowledgements {
    told: BTreeSet<(Session, Bytes)>,
    /// By task, an update that its framework has not acknowledged yet.
    awaiting: BTreeMap<String, (Bytes, Session)>,
}

impl Acknowledgements {
    /// The framework has acknowledged what it was told of a task.
    pub(crate) fn acknowledged(&mut self, status: &v1::TaskStatus) {
        self.awaiting.remove(&status.task_id.value);
    }

    /// Takes a status that the library has delivered. `explicit` tells whether the framework
    /// acknowledges by itself.
    pub(crate) fn updated(
        &mut self,
        session: Session,
        status: &v1::TaskStatus,
        explicit: bool,
    ) -> Result<(), String> {
        let id = &status.task_id.value;
        let Some(uuid) = status.uuid.clone().filter(|uuid| !uuid.is_empty()) else {
            return Ok(());
        };
        // An agent that was restarted without its records knows of no update before: all that it
        // says is that it does not have the task.
        if let Some((awaited, to)) = self.awaiting.get(id)
            && *awaited != uuid
            && *to == session
            && status.reason() != v1::task_status::Reason::Reconciliation
        {
            return Err(format!("task {id}: an update came before the last one was acknowledged"));
        }
        if explicit {
            self.awaiting.insert(id.clone(), (uuid.clone(), session));
        }
        if !self.told.insert((session, uuid)) {
            let name = status.state().as_str_name();
            return Err(format!("task {id}: the same update with {name} came twice"));
        }
        Ok(())
    }
}
