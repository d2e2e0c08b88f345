//! `/metrics/snapshot`: a flat object of numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use orrery_http::{Response, respond};
use orrery_model::duration;
use serde_json::{Map, Number, Value};

use crate::reply::Asked;

/// The answer with all metrics, or 400 for a `timeout` that is no duration. The time-out itself
/// has no effect: nothing has to be waited for.
pub fn snapshot(asked: &Asked, metrics: &BTreeMap<String, f64>) -> Response {
    match timeout(asked) {
        Ok(_) => asked.json(&object(metrics)),
        Err(error) => respond::text(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

/// The metrics as an object. JSON cannot say NaN or infinite, so such a metric is left out.
pub fn object(metrics: &BTreeMap<String, f64>) -> Value {
    let finite = metrics
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), Value::Number(Number::from_f64(*value)?))));
    Value::Object(finite.collect::<Map<_, _>>())
}

/// The parameter `timeout`, such as `5secs`.
///
/// # Errors
/// A text that is no duration.
pub fn timeout(asked: &Asked) -> Result<Option<Duration>, TimeoutError> {
    let parse = |text: &str| duration::parse(text).map_err(|error| TimeoutError(error.to_string()));
    asked.query.get("timeout").map(parse).transpose()
}

/// A `timeout` that is no duration: 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter 'timeout': {0}")]
pub struct TimeoutError(String);

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::testing::{header, text};

    fn get(path: &str) -> Response {
        let metrics = BTreeMap::from([
            ("master/elected".to_owned(), 1.0),
            ("allocator/mesos/allocation_runs".to_owned(), 683.0),
            ("broken".to_owned(), f64::NAN),
        ]);
        let request = Request::builder().uri(path).body(()).expect("a request");
        snapshot(&Asked::of(&request).expect("a good query"), &metrics)
    }

    #[test]
    fn numbers_have_fractions_and_names_are_sorted() {
        let expected = r#"{"allocator/mesos/allocation_runs":683.0,"master/elected":1.0}"#;
        let response = get("/metrics/snapshot");
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(text(response), expected);
        assert_eq!(text(get("/metrics/snapshot?timeout=1secs")), expected);
        assert_eq!(text(get("/metrics/snapshot?jsonp=f")), format!("f({expected})"));
    }

    #[test]
    fn a_bad_timeout_is_refused() {
        for bad in ["", "x", "5", "-1secs", "5parsecs"] {
            let response = get(&format!("/metrics/snapshot?timeout={bad}"));
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{bad}");
            assert_eq!(header(&response, "content-type"), Some("text/plain; charset=utf-8"));
            assert!(text(response).starts_with("parameter 'timeout': duration '"), "{bad}");
        }
    }
}
