//! The text forms of single values, shared by resources and attributes.

use std::collections::BTreeSet;

use crate::ranges::{Range, Ranges};
use crate::scalar::Scalar;

/// A value read from text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Scalar(Scalar),
    Ranges(Ranges),
    Set(BTreeSet<String>),
    Text(String),
}

/// What is wrong with a value's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Nothing stands where a value is needed.
    #[error("value is empty; expected a number, [begin-end, ...], {{item, ...}} or text")]
    Empty,
    /// A `[` or `{` is not closed at the end of the value.
    #[error("value '{0}' is not closed; expected '{1}' at its end")]
    Unclosed(String, char),
    /// A part between `[` and `]` is not `begin-end`.
    #[error("'{0}' is not a range; expected begin-end, two whole numbers, the first not larger")]
    Range(String),
    /// Two ranges of a list have numbers in common.
    #[error("value '{0}' has overlapping ranges; expected separate ones")]
    Overlap(String),
    /// An item stands twice between `{` and `}`.
    #[error("item '{0}' stands more than once in a set; expected each item once")]
    Duplicate(String),
    /// A number that cannot be counted in thousandths.
    #[error("number '{0}' is out of range; expected at most {max}", max = Scalar::MAX_INPUT)]
    Number(String),
}

/// Reads a value: `[...]` is a list of ranges, `{...}` a set, a number a scalar, the rest text.
pub(crate) fn parse(text: &str) -> Result<Value, ValueError> {
    let text = text.trim();
    match text.chars().next() {
        None => Err(ValueError::Empty),
        Some('[') => parse_ranges(text).map(Value::Ranges),
        Some('{') => parse_set(text).map(Value::Set),
        Some(_) => match parse_number(text) {
            Some(number) => Scalar::from_f64(number)
                .map(Value::Scalar)
                .ok_or_else(|| ValueError::Number(text.to_owned())),
            None => Ok(Value::Text(text.to_owned())),
        },
    }
}

/// A decimal number. Words that Rust also reads as numbers (`inf`, `nan`) are text.
fn parse_number(text: &str) -> Option<f64> {
    let numeric = text.chars().all(|c| c.is_ascii_digit() || "+-.eE".contains(c));
    if numeric { text.parse().ok() } else { None }
}

fn between(text: &str, open: char, close: char) -> Result<&str, ValueError> {
    text.strip_prefix(open)
        .and_then(|rest| rest.strip_suffix(close))
        .ok_or_else(|| ValueError::Unclosed(text.to_owned(), close))
}

fn parse_ranges(text: &str) -> Result<Ranges, ValueError> {
    let mut ranges = Vec::new();
    for part in parts(between(text, '[', ']')?) {
        let bad = || ValueError::Range(part.to_owned());
        let (begin, end) = part.split_once('-').ok_or_else(bad)?;
        let begin = begin.trim().parse().map_err(|_| bad())?;
        let end = end.trim().parse().map_err(|_| bad())?;
        if begin > end {
            return Err(bad());
        }
        ranges.push(Range { begin, end });
    }
    if overlapping(&ranges) {
        return Err(ValueError::Overlap(text.to_owned()));
    }
    Ok(Ranges::from_ranges(ranges))
}

/// Whether a number lies in more than one of `ranges`, each of which is well formed.
pub(crate) fn overlapping(ranges: &[Range]) -> bool {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable();
    sorted.windows(2).any(|pair| matches!(pair, [a, b] if b.begin <= a.end))
}

fn parse_set(text: &str) -> Result<BTreeSet<String>, ValueError> {
    let mut items = BTreeSet::new();
    for item in parts(between(text, '{', '}')?) {
        if !items.insert(item.to_owned()) {
            return Err(ValueError::Duplicate(item.to_owned()));
        }
    }
    Ok(items)
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_four_kinds_apart() {
        assert_eq!(parse("2.5"), Ok(Value::Scalar(Scalar(2500))));
        let ranges = Ranges::from_ranges([Range { begin: 1, end: 2 }, Range { begin: 4, end: 6 }]);
        assert_eq!(parse(" [1-2,  4-6] "), Ok(Value::Ranges(ranges)));
        assert_eq!(parse("{b, a}"), Ok(Value::Set(["a".into(), "b".into()].into())));
        assert_eq!(parse("r1"), Ok(Value::Text("r1".into())));
        assert_eq!(parse("inf"), Ok(Value::Text("inf".into())));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(parse("  "), Err(ValueError::Empty));
        assert_eq!(parse("[1-2"), Err(ValueError::Unclosed("[1-2".into(), ']')));
        assert_eq!(parse("[2-1]"), Err(ValueError::Range("2-1".into())));
        assert_eq!(parse("[1]"), Err(ValueError::Range("1".into())));
        assert_eq!(parse("[1-3,2-4]"), Err(ValueError::Overlap("[1-3,2-4]".into())));
        assert_eq!(parse("{a,a}"), Err(ValueError::Duplicate("a".into())));
        assert_eq!(parse("1e300"), Err(ValueError::Number("1e300".into())));
    }
}
