//! What a daemon tells about itself and its machine: `/version`, `/flags`, `/system/stats.json`.

use std::collections::BTreeMap;

use orrery_api::v1;
use serde_json::{Map, Value, json};

use crate::objects::number;

/// The version of Mesos that Orrery speaks. Clients compare it to decide what they may use.
pub const MESOS_VERSION: &str = "1.12.0";

/// What this build says about itself. `build_user` names Orrery and its own version.
pub fn version_info() -> v1::VersionInfo {
    v1::VersionInfo {
        version: MESOS_VERSION.to_owned(),
        build_date: Some(String::new()),
        build_time: Some(0.0),
        build_user: Some(concat!("orrery ", env!("CARGO_PKG_VERSION")).to_owned()),
        ..Default::default()
    }
}

/// The object of `/version`, whose keys `/state` has as well.
pub fn version(info: &v1::VersionInfo) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("version".into(), info.version.as_str().into());
    object.insert("build_date".into(), info.build_date().into());
    object.insert("build_time".into(), number(info.build_time()));
    object.insert("build_user".into(), info.build_user().into());
    let optional =
        [("git_sha", &info.git_sha), ("git_branch", &info.git_branch), ("git_tag", &info.git_tag)];
    for (key, value) in optional {
        if let Some(value) = value {
            object.insert(key.into(), value.as_str().into());
        }
    }
    object
}

/// The object of `/flags`: each flag that has a value, as text.
pub fn flags(flags: &BTreeMap<String, String>) -> Value {
    json!({ "flags": flags })
}

/// Load and memory of the machine that a daemon runs on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SystemStatistics {
    /// Load averages of the last 1, 5 and 15 minutes.
    pub load: [f64; 3],
    /// Processors online.
    pub cpus: u32,
    /// Memory in bytes.
    pub memory_total: u64,
    /// Memory that nothing uses, in bytes.
    pub memory_free: u64,
}

impl SystemStatistics {
    /// The object of `/system/stats.json`.
    pub fn object(&self) -> Value {
        let [one, five, fifteen] = self.load;
        json!({
            "avg_load_1min": number(one),
            "avg_load_5min": number(five),
            "avg_load_15min": number(fifteen),
            "cpus_total": self.cpus,
            "mem_total_bytes": self.memory_total,
            "mem_free_bytes": self.memory_free,
        })
    }

    /// Adds the metrics `system/…`.
    pub fn add_metrics(&self, metrics: &mut BTreeMap<String, f64>) {
        let [one, five, fifteen] = self.load;
        let values = [
            ("system/cpus_total", f64::from(self.cpus)),
            ("system/load_1min", one),
            ("system/load_5min", five),
            ("system/load_15min", fifteen),
            ("system/mem_total_bytes", self.memory_total as f64),
            ("system/mem_free_bytes", self.memory_free as f64),
        ];
        metrics.extend(values.map(|(name, value)| (name.to_owned(), value)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_the_recorded_keys() {
        let info = v1::VersionInfo {
            version: "1.12.0".into(),
            build_time: Some(1_795_163_911.0),
            git_sha: Some("c1b42f7".into()),
            ..Default::default()
        };
        assert_eq!(
            Value::Object(version(&info)),
            json!({"version": "1.12.0", "build_date": "", "build_time": 1_795_163_911.0,
                   "build_user": "", "git_sha": "c1b42f7"})
        );
    }

    #[test]
    fn flags_are_texts() {
        let values = BTreeMap::from([("port".to_owned(), "5050".to_owned())]);
        assert_eq!(flags(&values), json!({"flags": {"port": "5050"}}));
    }

    #[test]
    fn statistics_have_the_recorded_keys_and_types() {
        let statistics = SystemStatistics {
            load: [1.0, 0.5, 0.25],
            cpus: 2,
            memory_total: 25_276_514_304,
            memory_free: 21_312_495_616,
        };
        assert_eq!(
            statistics.object(),
            json!({"avg_load_15min": 0.25, "avg_load_1min": 1.0, "avg_load_5min": 0.5,
                   "cpus_total": 2, "mem_free_bytes": 21_312_495_616_u64,
                   "mem_total_bytes": 25_276_514_304_u64})
        );
        let mut metrics = BTreeMap::new();
        statistics.add_metrics(&mut metrics);
        assert_eq!(metrics.get("system/load_15min"), Some(&0.25));
        assert_eq!(metrics.len(), 6);
    }
}
