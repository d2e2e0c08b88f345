//! `/tasks`: tasks of every framework, by the time of their first status.

use orrery_api::v1;
use orrery_endpoints::{Query, objects, query::ParameterError};
use orrery_master::{Master, Task};
use serde_json::{Value, json};

use crate::state::all_tasks;

/// How many tasks are shown when the request does not say.
const DEFAULT_LIMIT: i64 = 100;

/// What of `/tasks` is asked for. Anything that cannot be read counts as not given, as in Mesos.
pub(crate) struct Selection {
    limit: usize,
    offset: usize,
    ascending: bool,
    framework_id: Option<String>,
    task_id: Option<String>,
}

impl Selection {
    pub(crate) fn of(query: &Query) -> Self {
        let number = |value: Result<Option<i64>, ParameterError>, default: i64| {
            let value = value.ok().flatten().unwrap_or(default);
            usize::try_from(value).unwrap_or(usize::MAX)
        };
        Self {
            limit: number(query.integer("limit", 0, "a number of at least 0"), DEFAULT_LIMIT),
            offset: number(query.integer("offset", 0, "a number of at least 0"), 0),
            ascending: query.get("order") == Some("asc"),
            framework_id: query.get("framework_id").map(str::to_owned),
            task_id: query.get("task_id").map(str::to_owned),
        }
    }
}

/// `/tasks`.
pub(crate) fn tasks(master: &Master, selection: &Selection) -> Value {
    let current = master.frameworks().map(|(_, framework)| framework);
    let mut found: Vec<(f64, &Task)> = current
        .chain(master.completed_frameworks())
        .filter(|one| selection.framework_id.as_deref().is_none_or(|id| one.id() == id))
        .flat_map(all_tasks)
        .filter(|task| selection.task_id.as_deref().is_none_or(|id| **task.id() == *id))
        .map(|task| (begin(task), task))
        .collect();
    found.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    if !selection.ascending {
        found.reverse();
    }
    let shown = found.into_iter().skip(selection.offset).take(selection.limit);
    let shown = shown.map(|(_, task)| Value::from(objects::task(&task.message())));
    json!({"tasks": shown.collect::<Vec<_>>()})
}

/// The time of its first status.
fn begin(task: &Task) -> f64 {
    task.statuses().first().map_or(0.0, v1::TaskStatus::timestamp)
}
