//! Runs (S14 and S16 of the catalogue): a task runs at most once per launch, and never after its
//! end was told; one whose launch was wrong never runs (number 4). Mesos' bugs of the kind:
//! MESOS-7744, MESOS-10018.
//!
//! Every task's script first adds a line to a file of the task's own, outside of its sandbox, so
//! that starts can be counted whatever becomes of the process.

use std::collections::{BTreeMap, BTreeSet};

use orrery_api::v1;
use orrery_api::v1::task_status::{Reason, Source};
use orrery_model::task_state::is_terminal;
use orrery_runtime_sim::Host;

use super::tasks::Tasks;

/// Folder on every host with a file for each task that has started there.
pub const STARTS: &str = "/var/starts";

/// What a task's script begins with.
pub fn start_marker(task_id: &str) -> String {
    format!("echo started >> {STARTS}/{task_id}; ")
}

/// Which task a process is the command of.
fn task_of(command: &[String]) -> Option<&str> {
    let script = command.get(2)?.strip_prefix("echo started >> ")?;
    let path = script.split(';').next()?;
    path.rsplit('/').next()
}

/// What is known of the runs of tasks.
#[derive(Debug, Default)]
pub struct Runs {
    hosts: Vec<Host>,
    /// All tasks, and whether they may start at all.
    launched: BTreeMap<String, bool>,
    /// How often a task had started when its end was told.
    ended: BTreeMap<String, u64>,
    /// Tasks that were killed before they started.
    never: BTreeSet<String>,
    /// By task, starts that a host's disk forgot when it lost power.
    forgotten: BTreeMap<String, u64>,
}

impl Runs {
    pub(crate) fn watch_hosts(&mut self, hosts: Vec<Host>) {
        self.hosts = hosts;
    }

    pub(crate) fn launched(&mut self, task_id: &str, allowed: bool) {
        self.launched.insert(task_id.to_owned(), allowed);
    }

    /// Where a task notes that it has started.
    fn file(task_id: &str) -> String {
        format!("{STARTS}/{task_id}")
    }

    fn on_disk(host: &Host, file: &str) -> u64 {
        host.disk().count_lines(file) as u64
    }

    /// How often each task has started on a host.
    pub(crate) fn starts_on(&self, host: &Host) -> BTreeMap<String, u64> {
        let starts = |task: &String| (task.clone(), Self::on_disk(host, &Self::file(task)));
        self.launched.keys().map(starts).filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn forget_lost_starts(&mut self, host: &Host, before: BTreeMap<String, u64>) {
        for (task, count) in before {
            let lost = count.saturating_sub(Self::on_disk(host, &Self::file(&task)));
            *self.forgotten.entry(task).or_default() += lost;
        }
    }

    /// How often a task has started anywhere.
    fn starts(&self, task_id: &str) -> u64 {
        let file = Self::file(task_id);
        let on_disks: u64 = self.hosts.iter().map(|host| Self::on_disk(host, &file)).sum();
        on_disks + self.forgotten.get(task_id).copied().unwrap_or_default()
    }

    /// Takes a status that a framework received.
    pub(crate) fn updated(&mut self, status: &v1::TaskStatus) -> Result<(), String> {
        let id = &status.task_id.value;
        let from_agent = matches!(status.source(), Source::Agent | Source::Executor);
        // What a master says of an agent that it cannot see is no proof that the task is over.
        let ends = from_agent && is_terminal(status.state()) && !self.ended.contains_key(id);
        if !ends && !self.ended.contains_key(id) {
            // Counting looks at all disks; the end of the task or of the run comes soon enough.
            return Ok(());
        }
        let starts = self.starts(id);
        if ends {
            self.ended.insert(id.clone(), starts);
            if status.reason == Some(Reason::TaskKilledDuringLaunch as i32) {
                self.never.insert(id.clone());
            }
        }
        self.check(id, starts)
    }

    fn check(&self, id: &str, starts: u64) -> Result<(), String> {
        if starts > 1 {
            return Err(format!("task {id} was started {starts} times"));
        }
        if starts > 0 && self.never.contains(id) {
            return Err(format!("task {id} was started although it was killed before its launch"));
        }
        match self.ended.get(id) {
            Some(then) if starts > *then => {
                Err(format!("task {id} was started after its end was told"))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn check_forbidden(&self, id: &str) -> Result<(), String> {
        if self.launched.get(id) == Some(&false) && self.starts(id) > 0 {
            return Err(format!("task {id} was started on an offer that it must not use"));
        }
        Ok(())
    }

    pub(crate) fn check_all(&self) -> Result<(), String> {
        self.launched.keys().try_for_each(|id| self.check(id, self.starts(id)))
    }

    pub(crate) fn check_all_forbidden(&self) -> Result<(), String> {
        self.launched.keys().try_for_each(|id| self.check_forbidden(id))
    }

    /// Looks for processes of tasks whose end their framework was told.
    pub(crate) fn check_processes(&self, tasks: &Tasks) -> Result<(), String> {
        for host in &self.hosts {
            for process in host.processes() {
                let Some(id) = task_of(&process.command) else { continue };
                if tasks.has_ended(id) {
                    let name = host.name();
                    return Err(format!(
                        "task {id} has ended but runs on {name} as {}",
                        process.id
                    ));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn launched_and_started(&self) -> (usize, usize) {
        let started = self.launched.keys().filter(|id| self.starts(id) > 0);
        (self.launched.len(), started.count())
    }
}
