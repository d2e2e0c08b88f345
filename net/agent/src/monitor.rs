//! What containers use: `/monitor/statistics`, `/containers` and GET_CONTAINERS.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use orrery_agent::{ExecutorSnapshot, Snapshot};
use orrery_api::json::to_value;
use orrery_api::v1;
use orrery_api::v1::agent::response::{GetContainers, get_containers};
use orrery_endpoints::Query;
use orrery_model::Scalar;
use orrery_runtime::{OpenOptions, Runtime};
use serde_json::{Value, json};

/// Clock ticks of a second in `/proc`; the same on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Enough for `stat` and `status` of one process.
const LENGTH_MAX: usize = 16 << 10;
const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Resources that the processes of one session have used or hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    user_seconds: f64,
    system_seconds: f64,
    resident_bytes: u64,
}

/// Usage by session. A container's processes are those of the session that its first one leads.
pub(crate) type Usages = BTreeMap<u32, Usage>;

/// Adds up what `/proc` tells of all processes. Empty where there is no `/proc`.
pub(crate) async fn usages(runtime: &Runtime) -> Usages {
    let mut usages = Usages::new();
    let processes = runtime.disk.list(Path::new("/proc")).await.unwrap_or_default();
    for entry in processes {
        if !entry.name.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        // A process may end between two reads, so nothing here is an error.
        let directory = PathBuf::from("/proc").join(&entry.name);
        let stat = text(runtime, &directory.join("stat")).await;
        let Some((session, user, system)) = parse_stat(&stat) else {
            continue;
        };
        let status = text(runtime, &directory.join("status")).await;
        let usage = usages.entry(session).or_default();
        usage.user_seconds += user;
        usage.system_seconds += system;
        usage.resident_bytes += resident_bytes(&status);
    }
    usages
}

async fn text(runtime: &Runtime, path: &Path) -> String {
    let read = async {
        let file = runtime.disk.open(path, OpenOptions::READ).await?;
        file.read_at(0, LENGTH_MAX).await
    };
    read.await.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// Session, user time and system time of `/proc/<pid>/stat`.
fn parse_stat(stat: &str) -> Option<(u32, f64, f64)> {
    // The second field is the program's name in parentheses and may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let session = fields.get(3)?.parse().ok()?;
    let ticks = |index: usize| fields.get(index)?.parse::<f64>().ok();
    Some((session, ticks(11)? / TICKS_PER_SECOND, ticks(12)? / TICKS_PER_SECOND))
}

fn resident_bytes(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0).saturating_mul(1024)
}

fn statistics(executor: &ExecutorSnapshot, usages: &Usages, time: f64) -> v1::ResourceStatistics {
    let process = executor.process.map(|process| process.0);
    let usage = process.and_then(|process| usages.get(&process)).copied().unwrap_or_default();
    let cpus = executor.resources.scalar("cpus");
    let memory = executor.resources.scalar("mem");
    let memory = (memory != Scalar::ZERO).then(|| (memory.as_f64() * MEGABYTE) as u64);
    v1::ResourceStatistics {
        timestamp: time,
        cpus_user_time_secs: Some(usage.user_seconds),
        cpus_system_time_secs: Some(usage.system_seconds),
        cpus_soft_limit: (cpus != Scalar::ZERO).then(|| cpus.as_f64()),
        mem_limit_bytes: memory,
        mem_soft_limit_bytes: memory,
        mem_rss_bytes: Some(usage.resident_bytes),
        ..Default::default()
    }
}

fn status(executor: &ExecutorSnapshot) -> v1::ContainerStatus {
    v1::ContainerStatus {
        container_id: Some(container_id(executor)),
        executor_pid: executor.process.map(|process| process.0),
        ..Default::default()
    }
}

fn container_id(executor: &ExecutorSnapshot) -> v1::ContainerId {
    v1::ContainerId { value: executor.container.container_id.clone(), parent: None }
}

/// Executors whose containers run.
fn running(snapshot: &Snapshot) -> impl Iterator<Item = &ExecutorSnapshot> {
    let executors = snapshot.frameworks.iter().flat_map(|framework| &framework.executors);
    executors.filter(|executor| executor.alive && executor.process.is_some())
}

/// The keys with which both endpoints begin.
fn identity(executor: &ExecutorSnapshot) -> serde_json::Map<String, Value> {
    let keys = [
        ("framework_id", executor.container.framework_id.as_str()),
        ("executor_id", executor.container.executor_id.as_str()),
        ("executor_name", executor.info.name()),
        ("source", executor.info.source()),
    ];
    keys.map(|(key, value)| (key.to_owned(), Value::from(value))).into_iter().collect()
}

/// The list of `/monitor/statistics` at `time`, in seconds since 1970.
pub(crate) fn monitor_statistics(snapshot: &Snapshot, usages: &Usages, time: f64) -> Value {
    let object = |executor: &ExecutorSnapshot| {
        let mut object = identity(executor);
        object.insert("statistics".into(), to_value(&statistics(executor, usages, time)));
        Value::Object(object)
    };
    running(snapshot).map(object).collect()
}

/// Which containers `/containers` shows.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    container_id: Option<String>,
    framework_id: Option<String>,
    executor_id: Option<String>,
}

impl Selection {
    /// Reads the parameters.
    ///
    /// # Errors
    /// A combination that selects nothing sensible: 400 with this text.
    pub(crate) fn of(query: &Query) -> Result<Self, &'static str> {
        let parameter = |name| query.get(name).map(str::to_owned);
        let selection = Self {
            container_id: parameter("container_id"),
            framework_id: parameter("framework_id"),
            executor_id: parameter("executor_id"),
        };
        match (&selection.container_id, &selection.framework_id, &selection.executor_id) {
            (Some(_), None, None) | (None, Some(_), _) | (None, None, None) => Ok(selection),
            _ => Err("expected 'container_id' alone, 'framework_id' alone, or 'framework_id' and \
                      'executor_id'"),
        }
    }

    fn matches(&self, executor: &ExecutorSnapshot) -> bool {
        let is = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        };
        is(&self.container_id, &executor.container.container_id)
            && is(&self.framework_id, &executor.container.framework_id)
            && is(&self.executor_id, &executor.container.executor_id)
    }
}

/// The list of `/containers` at `time`, in seconds since 1970.
pub(crate) fn containers(
    snapshot: &Snapshot,
    selection: &Selection,
    usages: &Usages,
    time: f64,
) -> Value {
    let object = |executor: &ExecutorSnapshot| {
        let mut object = identity(executor);
        object.insert("container_id".into(), json!(executor.container.container_id));
        object.insert("status".into(), to_value(&status(executor)));
        object.insert("statistics".into(), to_value(&statistics(executor, usages, time)));
        Value::Object(object)
    };
    running(snapshot).filter(|executor| selection.matches(executor)).map(object).collect()
}

/// The answer to GET_CONTAINERS at `time`; `None`, as Mesos has it, when there are none.
pub(crate) fn get_containers(
    snapshot: &Snapshot,
    usages: &Usages,
    time: f64,
) -> Option<GetContainers> {
    let container = |executor: &ExecutorSnapshot| get_containers::Container {
        framework_id: executor.info.framework_id.clone(),
        executor_id: Some(executor.info.executor_id.clone()),
        executor_name: Some(executor.info.name().to_owned()),
        container_id: container_id(executor),
        container_status: Some(status(executor)),
        resource_statistics: Some(statistics(executor, usages, time)),
    };
    let containers: Vec<_> = running(snapshot).map(container).collect();
    (!containers.is_empty()).then_some(GetContainers { containers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = "71 (a) b) S 1 71 70 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 1 0 5 6 7";
        assert_eq!(parse_stat(stat), Some((70, 1.5, 0.25)));
        assert_eq!(parse_stat("71 (a"), None);
        assert_eq!(parse_stat("71 (a) S 1"), None);
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t     948 kB\n"), 948 * 1024);
        assert_eq!(resident_bytes("Name:\tkthread\n"), 0);
    }

    #[test]
    fn selections_that_make_no_sense_are_refused() {
        let of = |query: &str| Selection::of(&Query::parse(query).unwrap()).is_ok();
        for good in ["", "container_id=c", "framework_id=f", "framework_id=f&executor_id=e"] {
            assert!(of(good), "{good}");
        }
        for bad in
            ["executor_id=e", "container_id=c&framework_id=f", "container_id=c&executor_id=e"]
        {
            assert!(!of(bad), "{bad}");
        }
    }
}
