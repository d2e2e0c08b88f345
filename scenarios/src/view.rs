//! A trace as one HTML page that needs nothing else: a lane for each process, messages as arrows,
//! faults shaded. Lines go in as JSON and come out as text, never as markup.

use std::collections::BTreeMap;

use orrery_runtime_sim::line::Line;
use serde_json::{Value, json};

const PAGE: &str = include_str!("view/page.html");
const STYLE: &str = include_str!("view/style.css");
const SCRIPTS: [&str; 5] = [
    include_str!("view/model.js"),
    include_str!("view/entities.js"),
    include_str!("view/lanes.js"),
    include_str!("view/moment.js"),
    include_str!("view/page.js"),
];

/// Why there is no page.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// There is nothing to see.
    #[error("the trace has no lines")]
    Empty,
    /// A line is none of a trace.
    #[error("line {number} is '{line}': expected time, host, process, kind and text")]
    Line {
        /// Counted from 1.
        number: usize,
        /// Its beginning.
        line: String,
    },
}

/// Names that are repeated in most lines, each written once.
#[derive(Default)]
struct Names<'a> {
    numbers: BTreeMap<&'a str, usize>,
    list: Vec<&'a str>,
}

impl<'a> Names<'a> {
    fn number(&mut self, name: &'a str) -> usize {
        *self.numbers.entry(name).or_insert_with(|| {
            self.list.push(name);
            self.list.len() - 1
        })
    }
}

/// Makes the page of a trace's lines. `title` is what it calls itself.
///
/// # Errors
/// There are no lines, or one of them is none of a trace.
pub fn page(title: &str, lines: &str) -> Result<String, ViewError> {
    let data = data(title, lines)?.to_string();
    // No `<` can end the script that holds the data, or begin a comment in it.
    let data = data.replace('<', "\\u003c");
    Ok(PAGE
        .replace("{{style}}", STYLE)
        .replace("{{script}}", &SCRIPTS.join("\n"))
        .replace("{{data}}", &data))
}

fn data(title: &str, lines: &str) -> Result<Value, ViewError> {
    let (mut hosts, mut kinds) = (Names::default(), Names::default());
    let mut events = Vec::new();
    for (index, text) in lines.lines().enumerate() {
        let line = Line::parse(text).ok_or_else(|| ViewError::Line {
            number: index + 1,
            line: text.chars().take(80).collect(),
        })?;
        let time = u64::try_from(line.time.as_micros()).unwrap_or(u64::MAX);
        let (host, kind) = (hosts.number(line.host), kinds.number(line.kind));
        events.push(json!([time, host, line.process, kind, line.text]));
    }
    if events.is_empty() {
        return Err(ViewError::Empty);
    }
    Ok(json!({ "title": title, "hosts": hosts.list, "kinds": kinds.list, "events": events }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_its_trace_and_nothing_in_it_is_markup() {
        let lines = "     0.000001 a                  7 log       </script><script>alert(1)//<!--\n\
                     2.500000 b - cut a -> b\n";
        let page = page("seed <1>", lines).expect("a page");
        assert!(!page.contains("<script>alert") && !page.contains("<!--"));
        assert!(!page.contains("{{"));
        let start = page.find("application/json\">").expect("data") + "application/json\">".len();
        let end = start + page[start..].find("</script>").expect("its end");
        let data: Value = serde_json::from_str(&page[start..end]).expect("JSON");
        assert_eq!(
            data,
            json!({
                "title": "seed <1>",
                "hosts": ["a", "b"],
                "kinds": ["log", "cut"],
                "events": [
                    [1, 0, 7, 0, "</script><script>alert(1)//<!--"],
                    [2_500_000, 1, 0, 1, "a -> b"],
                ],
            })
        );
        for resource in ["src=", "href=", "url(", "@import", "http"] {
            assert!(!page.replace("http-equiv", "").contains(resource), "{resource}");
        }
    }

    #[test]
    fn what_is_no_trace_is_refused() {
        assert_eq!(page("", ""), Err(ViewError::Empty));
        let error = page("", "1.000000 a - log x\nhello").expect_err("no line");
        assert_eq!(
            error.to_string(),
            "line 2 is 'hello': expected time, host, process, kind and text"
        );
    }
}
