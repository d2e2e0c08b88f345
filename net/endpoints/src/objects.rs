//! The JSON objects that `/state` and its neighbours are put together from.
//!
//! They are older than the `v1` messages and differ from their JSON form: `slave_id` for the
//! agent, ids as plain texts, resources as one object of amounts, labels as a plain list. Numbers
//! that are amounts or times always have a fraction.

mod agent;
mod executor;
mod framework;
mod task;

pub use agent::{agent_identity, attributes};
pub use executor::{AgentExecutor, executor, queued_task};
pub use framework::{framework_identity, framework_summary, offer};
use orrery_api::v1;
use orrery_model::Resources;
use serde_json::{Map, Number, Value};
pub use task::{task, task_status};

/// A JSON object under construction.
pub type Object = Map<String, Value>;

/// A number written with a fraction. What JSON cannot say becomes the text that Mesos' JSON has
/// for it, such as `Infinity`.
pub fn number(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None => if value > 0.0 { "Infinity" } else { "-Infinity" }.into(),
    }
}

/// A point in time as seconds since 1970.
pub fn seconds(time: &v1::TimeInfo) -> Value {
    number(time.nanoseconds as f64 / 1e9)
}

/// The object of amounts: `cpus`, `gpus`, `mem` and `disk` always, others as they come.
pub fn resources(resources: &Resources) -> Value {
    Value::Object(orrery_model::endpoint_object(resources))
}

/// The object of amounts of a message's resources. What is malformed, which no validated message
/// is, counts for nothing.
pub fn resources_of(messages: &[v1::Resource]) -> Value {
    resources(&Resources::from_messages(messages).unwrap_or_default())
}

/// Resources in full, in the format of operators' answers.
pub fn resources_in_full(resources: &Resources) -> Value {
    resources.to_endpoint_messages().iter().map(orrery_api::json::to_value).collect()
}

/// Labels as a list of `{key, value?}`.
pub fn labels(labels: &v1::Labels) -> Value {
    labels.labels.iter().map(orrery_api::json::to_value).collect()
}

/// `{"fault_domain": …}`.
pub fn domain(domain: &v1::DomainInfo) -> Value {
    orrery_api::json::to_value(domain)
}

/// The role that resources are allocated to, `*` if they are not.
fn role_of(resources: &[v1::Resource]) -> &str {
    let mut roles = resources.iter().filter_map(|resource| resource.allocation_info.as_ref());
    roles.find_map(|info| info.role.as_deref()).unwrap_or("*")
}

/// Sets `key` unless there is nothing to set.
fn insert_some(object: &mut Object, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(key.to_owned(), value);
    }
}

/// Amounts by name: a task's or executor's limits.
fn limits(limits: &std::collections::BTreeMap<String, v1::value::Scalar>) -> Option<Value> {
    let amounts = limits.iter().map(|(name, limit)| (name.clone(), number(limit.value)));
    (!limits.is_empty()).then(|| Value::Object(amounts.collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_have_fractions() {
        assert_eq!(number(3.0).to_string(), "3.0");
        assert_eq!(number(f64::INFINITY), json!("Infinity"));
        assert_eq!(number(f64::NEG_INFINITY), json!("-Infinity"));
        assert_eq!(number(f64::NAN), json!("NaN"));
        let time = v1::TimeInfo { nanoseconds: 1_795_165_254_523_744_000 };
        assert_eq!(seconds(&time).to_string(), "1795165254.523744");
    }

    #[test]
    fn amounts_are_never_missing() {
        let empty = json!({"cpus": 0.0, "disk": 0.0, "gpus": 0.0, "mem": 0.0});
        assert_eq!(resources(&Resources::default()), empty);
        assert_eq!(resources_of(&[v1::Resource::default()]), empty);
        let some = Resources::parse("cpus:4;ports:[31000-32000]", "*").expect("resources");
        assert_eq!(
            resources(&some),
            json!({"cpus": 4.0, "disk": 0.0, "gpus": 0.0, "mem": 0.0, "ports": "[31000-32000]"})
        );
    }

    #[test]
    fn resources_in_full_name_their_role() {
        let some = Resources::parse("cpus:4", "*").expect("resources");
        assert_eq!(
            resources_in_full(&some),
            json!([{"name": "cpus", "type": "SCALAR", "scalar": {"value": 4.0}, "role": "*"}])
        );
    }

    #[test]
    fn labels_are_a_plain_list() {
        let label =
            |value: Option<&str>| v1::Label { key: "k".into(), value: value.map(str::to_owned) };
        let list = v1::Labels { labels: vec![label(Some("v")), label(None)] };
        assert_eq!(labels(&list), json!([{"key": "k", "value": "v"}, {"key": "k"}]));
        assert_eq!(labels(&v1::Labels::default()), json!([]));
    }
}
