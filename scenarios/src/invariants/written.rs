//! What was acted upon was written down (S12 of the catalogue): what an agent has told, handed over
//! or acknowledged for a framework that checkpoints is on its disk, as it would be after a loss of
//! power. A later run of the agent knows nothing else. Mesos' bugs of the kind: MESOS-648,
//! MESOS-8481, MESOS-9356.

use std::collections::BTreeSet;

use bytes::Bytes;
use orrery_api::v1;
use orrery_runtime_sim::Host;

/// Where agents keep what a later run of them needs.
const FOLDER: &str = "/var/lib/agent/meta";

/// What is known of agents' disks, and of what they have told.
#[derive(Debug, Default)]
pub struct Written {
    hosts: Vec<Host>,
    /// Frameworks that checkpoint, by number.
    frameworks: BTreeSet<usize>,
    /// Updates that came before: an agent may forget what was acknowledged.
    told: BTreeSet<Bytes>,
    /// Some disk has lost what was durable.
    spoiled: bool,
    /// Hosts whose disk has done wrong, in whatever way.
    faulty: BTreeSet<String>,
}

impl Written {
    pub(crate) fn watch_hosts(&mut self, hosts: Vec<Host>) {
        self.hosts = hosts;
    }

    /// A process of a framework is started, which subscribes as `info`.
    pub(crate) fn framework_started(&mut self, number: usize, info: &v1::FrameworkInfo) {
        if info.checkpoint() {
            self.frameworks.insert(number);
        }
    }

    /// A disk was emptied or damaged: what was told before is not there any more.
    pub(crate) fn disk_spoiled(&mut self) {
        self.spoiled = true;
    }

    /// The disk of a host fails, loses, or holds something else, from now on or once.
    pub(crate) fn disk_fault(&mut self, host: &str) {
        self.faulty.insert(host.to_owned());
    }

    /// An agent does not go on with what an earlier run has written down. That needs a disk that
    /// does wrong: neither a kill nor a loss of power leaves anything that is damaged.
    pub(crate) fn refused(&self, host: &str, why: &str) -> Result<(), String> {
        match self.faulty.contains(host) {
            true => Ok(()),
            false => {
                Err(format!("the disk of {host} has done no wrong, but its agent says: {why}"))
            }
        }
    }

    /// Takes a status that the library has delivered to a framework.
    pub(crate) fn updated(
        &mut self,
        framework: usize,
        status: &v1::TaskStatus,
    ) -> Result<(), String> {
        let Some(uuid) = status.uuid.clone().filter(|uuid| !uuid.is_empty()) else {
            return Ok(());
        };
        let is_first = self.told.insert(uuid.clone());
        if !is_first || self.spoiled || !self.frameworks.contains(&framework) {
            return Ok(());
        }
        let agent = status.agent_id.as_ref().map_or("", |id| &id.value);
        let folder = format!("{FOLDER}/slaves/{agent}");
        if self.hosts.iter().any(|host| host.disk().survives(&folder, &uuid)) {
            return Ok(());
        }
        let (state, id) = (status.state(), &status.task_id.value);
        Err(format!(
            "task {id}: {} was told, and its agent has not written it",
            state.as_str_name()
        ))
    }

    /// Sets what an agent's executor was sure of against the disk of its host.
    pub(crate) fn acted_upon(&self, host: &Host, what: &str, bytes: &[u8]) -> Result<(), String> {
        if self.spoiled || host.disk().survives(FOLDER, bytes) {
            return Ok(());
        }
        Err(format!("{} acted before it was written down: {what}", host.name()))
    }
}
