//! Figures, as text and as JSON.

use std::time::Duration;

use orrery_model::duration;
use serde_json::{Map, Value, json};

use crate::arguments::Work;
use crate::framework::Batch;
use crate::latency::Latencies;
use crate::progress::{Counter, Progress};
use crate::usage::Usage;

/// One figure.
struct Row {
    /// Its name in JSON, the unit at the end.
    key: String,
    /// Its name for people.
    label: String,
    json: Value,
    text: String,
}

/// All figures in the order in which they are shown.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    fn row(&mut self, key: impl Into<String>, label: impl Into<String>, json: Value, text: String) {
        self.rows.push(Row { key: key.into(), label: label.into(), json, text });
    }

    /// A word.
    pub fn word(&mut self, key: &str, label: &str, word: &str) {
        self.row(key, label, json!(word), word.to_owned());
    }

    /// A number of things.
    pub fn count(&mut self, key: &str, label: &str, count: impl Into<u64>) {
        let count = count.into();
        self.row(key, label, json!(count), count.to_string());
    }

    /// A setting that is a duration.
    pub fn setting(&mut self, key: &str, label: &str, value: Duration) {
        self.row(
            format!("{key}_seconds"),
            label,
            json!(value.as_secs_f64()),
            duration::format(value),
        );
    }

    /// A measured time.
    pub fn time(&mut self, key: &str, label: &str, value: Duration) {
        let text = if value < Duration::from_secs(1) {
            format!("{:.1} ms", value.as_secs_f64() * 1e3)
        } else {
            format!("{:.2} s", value.as_secs_f64())
        };
        self.row(format!("{key}_seconds"), label, json!(value.as_secs_f64()), text);
    }

    /// What `work` was done.
    pub fn work(&mut self, work: &Work) {
        self.count("tasks", "tasks", work.tasks);
        self.count("at_once", "at once", work.at_once);
        if let Batch::Exactly(batch) = work.batch {
            self.count("batch", "tasks per ACCEPT", batch);
        }
        let interval = work.allocation_interval;
        self.setting("allocation_interval", "allocation interval", interval);
    }

    /// How many of `counter`'s tasks there were in a second.
    pub fn rate(&mut self, key: &str, label: &str, progress: &Progress, counter: &Counter) {
        let (duration, rate) = progress.rate(counter);
        self.row(
            format!("{key}_per_second"),
            format!("{label} per second"),
            json!(rate),
            format!("{rate:.1}"),
        );
        self.time(key, &format!("{label}, until the last"), duration);
    }

    /// Percentiles.
    pub fn latencies(&mut self, key: &str, label: &str, latencies: Latencies) {
        for (percent, value) in latencies.percentiles() {
            match percent {
                100 => self.time(&format!("{key}_max"), &format!("{label}, longest"), value),
                _ => {
                    self.time(&format!("{key}_p{percent}"), &format!("{label}, {percent} %"), value)
                }
            }
        }
    }

    /// Memory of a process.
    pub fn memory(&mut self, key: &str, label: &str, usage: &Usage) {
        let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let (resident, anonymous) = (usage.resident, usage.anonymous);
        let text = format!(
            "{:.1} MB, {:.1} MB of it anonymous",
            megabytes(resident),
            megabytes(anonymous)
        );
        self.row(format!("{key}_rss_bytes"), format!("{label}, memory"), json!(resident), text);
        // Only for machines: people have it in the line above.
        let key = format!("{key}_rss_anonymous_bytes");
        self.row(key, "", json!(anonymous), String::new());
    }

    /// What one of `count` things takes of `bytes`.
    pub fn bytes_each(&mut self, key: &str, label: &str, bytes: u64, count: u64) {
        let each = bytes as f64 / count.max(1) as f64;
        let text = format!("{each:.0} bytes");
        self.row(format!("{key}_bytes"), format!("memory of each {label}"), json!(each), text);
    }

    /// CPU time of a process between two looks.
    pub fn cpu(&mut self, key: &str, label: &str, before: &Usage, after: &Usage) {
        let cpu = after.cpu.saturating_sub(before.cpu);
        self.time(&format!("{key}_cpu"), &format!("{label}, CPU"), cpu);
    }

    /// One JSON object.
    pub fn json(&self) -> String {
        let object: Map<String, Value> =
            self.rows.iter().map(|row| (row.key.clone(), row.json.clone())).collect();
        Value::Object(object).to_string()
    }

    /// Aligned lines.
    pub fn text(&self) -> String {
        let rows = || self.rows.iter().filter(|row| !row.label.is_empty());
        let width = rows().map(|row| row.label.chars().count()).max().unwrap_or_default();
        let lines = rows().map(|Row { label, text, .. }| format!("{label:width$}  {text}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_aligned_and_json_holds_plain_numbers() {
        let mut report = Report::default();
        report.count("tasks", "tasks", 5_u32);
        report.time("wait", "the wait", Duration::from_micros(1500));
        report.memory("master", "master", &Usage { resident: 3 << 20, ..Default::default() });
        let expected = "tasks           5\n\
                        the wait        1.5 ms\n\
                        master, memory  3.0 MB, 0.0 MB of it anonymous";
        assert_eq!(report.text(), expected);
        let value: Value = serde_json::from_str(&report.json()).expect("valid JSON");
        let expected = json!({
            "tasks": 5,
            "wait_seconds": 0.0015,
            "master_rss_bytes": 3_145_728,
            "master_rss_anonymous_bytes": 0,
        });
        assert_eq!(value, expected);
    }
}
