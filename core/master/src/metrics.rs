//! What a master counts.

use std::collections::BTreeMap;

use orrery_api::v1::{self, TaskState};

/// Counters since the master started. Names are those of `/metrics/snapshot` without `master/`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// Counters that only ever appear under their name.
    pub counters: BTreeMap<&'static str, u64>,
    /// `task_<state>/source_<source>/reason_<reason>`.
    pub terminal_reasons: BTreeMap<String, u64>,
    /// Tasks that ended, by state.
    pub terminal_tasks: BTreeMap<&'static str, u64>,
    /// Offers made.
    pub offers_sent: u64,
    /// Offers accepted.
    pub offers_accepted: u64,
    /// Offers declined.
    pub offers_declined: u64,
    /// Offers taken back with a RESCIND.
    pub offers_rescinded: u64,
    /// Tasks sent to agents.
    pub tasks_launched: u64,
    /// Runs of the allocator.
    pub allocation_runs: u64,
}

impl Metrics {
    /// Counts one.
    pub(crate) fn count(&mut self, name: &'static str) {
        *self.counters.entry(name).or_default() += 1;
    }

    /// Counts a task's end.
    pub(crate) fn count_terminal(&mut self, state: TaskState, status: &v1::TaskStatus) {
        *self.terminal_tasks.entry(state.as_str_name()).or_default() += 1;
        let source = status.source.and_then(|value| v1::task_status::Source::try_from(value).ok());
        let reason = status.reason.and_then(|value| v1::task_status::Reason::try_from(value).ok());
        let (Some(source), Some(reason)) = (source, reason) else { return };
        let name = format!(
            "{}/{}/{}",
            state.as_str_name().to_ascii_lowercase(),
            source.as_str_name().to_ascii_lowercase().replace("agent", "slave"),
            reason.as_str_name().to_ascii_lowercase().replace("agent", "slave"),
        );
        *self.terminal_reasons.entry(name).or_default() += 1;
    }

    /// A counter's value.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }
}
