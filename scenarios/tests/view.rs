//! From a run to its trace, to the page that shows it.
#![cfg(feature = "sim")]

use std::collections::BTreeMap;

use orrery_runtime_sim::line::Line;
use orrery_scenarios::runner::{self, Settings};
use orrery_scenarios::{trace_file, view};

fn lines() -> Vec<String> {
    runner::run_seed(3, &Settings { trace: true, ..Settings::default() }).lines
}

#[test]
fn nearly_every_message_that_arrives_was_sent_before() {
    let lines = lines();
    let mut sent: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut received, mut lost) = (0, 0);
    for line in lines.iter().map(|line| Line::parse(line).expect("a line")) {
        match line.kind {
            "send" => *sent.entry(line.text).or_default() += 1,
            "receive" => {
                received += 1;
                match sent.get_mut(line.text) {
                    Some(waiting @ 1..) => *waiting -= 1,
                    _ => lost += 1,
                }
            }
            _ => {}
        }
    }
    assert!(received > 100, "only {received} messages");
    assert_eq!(lost, 0, "of {received}");
    for text in ["SUBSCRIBE ", "OFFERS ", "ACCEPT ", "RunTask ", "StatusUpdate ", "UPDATE "] {
        assert!(sent.keys().any(|message| message.starts_with(text)), "no {text}");
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a file of the real system is what it is about")]
fn a_trace_file_becomes_a_page() {
    let lines = lines();
    let path = std::env::temp_dir().join(format!("orrery-trace-{}", std::process::id()));
    trace_file::write(&lines, &path).expect("written");
    let text = std::fs::read_to_string(&path).expect("read");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(text.lines().count(), lines.len());
    let page = view::page("seed 3", &text).expect("a page");
    for expected in ["\"master-0\"", "\"agent-0\"", "\"receive\"", "\"crash\"", "seed 3"] {
        assert!(page.contains(expected), "{expected}");
    }
    assert!(page.len() < text.len() + 100_000, "{} bytes of {}", page.len(), text.len());
    let missing = trace_file::write(&lines, &path.join("x")).expect_err("no such folder");
    assert!(missing.to_string().starts_with("cannot write the trace to "), "{missing}");
}
