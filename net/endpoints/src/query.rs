//! Parameters of a query string, or of a form sent as a body.

use std::collections::BTreeMap;

use http::StatusCode;
use orrery_http::{Response, respond};
use percent_encoding::percent_decode_str;

/// Names and values, decoded. Of a name that occurs twice the last value counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    values: BTreeMap<String, String>,
}

/// A `%` that two hexadecimal digits do not follow.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("query '{0}' has a '%' that is not followed by two hexadecimal digits")]
pub struct QueryError(String);

/// A parameter with a wrong value, as a sentence for the client: 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parameter '{name}' is '{value}'; expected {expected}")]
pub struct ParameterError {
    /// The parameter.
    pub name: &'static str,
    /// What the client sent.
    pub value: String,
    /// What would have been right.
    pub expected: &'static str,
}

impl Query {
    /// Decodes `name=value&…`, where `+` stands for a space. A name without `=` has an empty value.
    ///
    /// # Errors
    /// An escape that is none. Bytes that are no UTF-8 are replaced.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let mut values = BTreeMap::new();
        for pair in text.split(['&', ';']).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            values.insert(decode(name)?, decode(value)?);
        }
        Ok(Self { values })
    }

    /// The parameters of a request's path.
    ///
    /// # Errors
    /// As [`Query::parse`].
    pub fn of(uri: &http::Uri) -> Result<Self, QueryError> {
        Self::parse(uri.query().unwrap_or_default())
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// The whole number of a parameter, if it is there.
    ///
    /// # Errors
    /// A value that is no whole number or below `minimum`, which `expected` explains.
    pub fn integer(
        &self,
        name: &'static str,
        minimum: i64,
        expected: &'static str,
    ) -> Result<Option<i64>, ParameterError> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        match value.parse() {
            Ok(number) if number >= minimum => Ok(Some(number)),
            _ => Err(ParameterError { name, value: value.to_owned(), expected }),
        }
    }
}

impl QueryError {
    /// The answer to a client that sent it.
    pub fn response(&self) -> Response {
        respond::text(StatusCode::BAD_REQUEST, self.to_string())
    }
}

impl ParameterError {
    /// The answer to a client that sent it.
    pub fn response(&self) -> Response {
        respond::text(StatusCode::BAD_REQUEST, self.to_string())
    }
}

fn decode(text: &str) -> Result<String, QueryError> {
    let mut escapes = text.split('%').skip(1).map(str::as_bytes);
    let is_escape =
        |bytes: &[u8]| bytes.len() >= 2 && bytes.iter().take(2).all(u8::is_ascii_hexdigit);
    if !escapes.all(is_escape) {
        return Err(QueryError(text.to_owned()));
    }
    let spaced = text.replace('+', " ");
    Ok(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded() {
        let query = Query::parse("path=%2Fa%20b+c%2B&x&=&y=1=2&path2=é&&z=%ff").expect("good");
        assert_eq!(query.get("path"), Some("/a b c+"));
        assert_eq!(query.get("x"), Some(""));
        assert_eq!(query.get("y"), Some("1=2"));
        assert_eq!(query.get("path2"), Some("é"));
        assert_eq!(query.get("z"), Some("\u{fffd}"));
        assert_eq!(query.get("nosuch"), None);
        assert_eq!(Query::parse("a=1&a=2").expect("good").get("a"), Some("2"));
    }

    #[test]
    fn bad_escapes_are_refused() {
        for bad in ["%", "a=%", "a=%1", "a=%zz", "%g0=1", "a=%%41", "a=%é"] {
            assert!(Query::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn integers_have_bounds() {
        let query = Query::parse("a=-1&b=-2&c=x&d=&e=99999999999999999999").expect("good");
        assert_eq!(query.integer("a", -1, "a number"), Ok(Some(-1)));
        assert_eq!(query.integer("nosuch", -1, "a number"), Ok(None));
        for bad in ["b", "c", "d", "e"] {
            assert!(query.integer(bad, -1, "a number").is_err(), "{bad}");
        }
        let error = query.integer("b", -1, "a whole number from -1").expect_err("too small");
        assert_eq!(error.to_string(), "parameter 'b' is '-2'; expected a whole number from -1");
    }
}
