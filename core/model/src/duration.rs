//! Durations as Mesos writes them: one decimal number and one unit, such as `10secs`.

use std::time::Duration;

/// Units from the smallest to the largest with their length in nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("secs", 1_000_000_000),
    ("mins", 60 * 1_000_000_000),
    ("hrs", 3_600 * 1_000_000_000),
    ("days", 86_400 * 1_000_000_000),
    ("weeks", 604_800 * 1_000_000_000),
];

/// What is wrong with a duration's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// No number stands at the beginning.
    #[error("duration '{0}' does not begin with a number; expected a form like 10secs or 1.5mins")]
    Number(String),
    /// The unit is missing or unknown.
    #[error(
        "duration '{text}' has unit '{unit}'; expected ns, us, ms, secs, mins, hrs, days or weeks"
    )]
    Unit {
        /// The whole text.
        text: String,
        /// What stands where the unit is expected.
        unit: String,
    },
    /// More nanoseconds than a signed 64-bit number holds.
    #[error("duration '{0}' is too long; expected at most 15250weeks")]
    TooLong(String),
}

/// Reads `<decimal><unit>`. There is no sign, no space and no sum of several units; parts of a
/// nanosecond are cut off.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        if number.is_empty() {
            return Err(DurationError::Number(text.to_owned()));
        }
        return Err(DurationError::Unit { text: text.to_owned(), unit: unit.to_owned() });
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(DurationError::Number(text.to_owned()));
    }
    nanoseconds(whole, fraction, *length)
        .map(Duration::from_nanos)
        .ok_or_else(|| DurationError::TooLong(text.to_owned()))
}

/// The length of `whole.fraction` units; `None` beyond a signed 64-bit number.
fn nanoseconds(whole: &str, fraction: &str, unit: u128) -> Option<u64> {
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Eighteen digits are far below a nanosecond of the longest unit and fit the product.
    let fraction: String = fraction.chars().take(18).collect();
    let divisor = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let fraction: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let total = whole.checked_mul(unit)?.checked_add(fraction * unit / divisor)?;
    i64::try_from(total).ok().and_then(|total| u64::try_from(total).ok())
}

/// Writes a duration in the largest unit in which it is at least one, or in the next smaller unit
/// if only there it is whole; otherwise as a fraction with up to 15 significant digits.
pub fn format(duration: Duration) -> String {
    let total = duration.as_nanos();
    let bucket = UNITS.iter().rposition(|(_, length)| *length <= total).unwrap_or(0);
    for index in [bucket, bucket.saturating_sub(1)] {
        let (name, length) = UNITS[index];
        if total.is_multiple_of(length) {
            return format!("{}{name}", total / length);
        }
    }
    let (name, length) = UNITS[bucket];
    let value = total as f64 / length as f64;
    let whole_digits = (total / length).to_string().len();
    let text = format!("{value:.*}", 15usize.saturating_sub(whole_digits));
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text.as_str()
    };
    format!("{text}{name}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_and_writes_the_usual_forms() {
        for text in ["0ns", "1mins", "90secs", "1weeks", "10days", "1500us", "500ms", "2weeks"] {
            assert_eq!(parse(text).map(format).as_deref(), Ok(text));
        }
        assert_eq!(parse("0.5hrs"), Ok(Duration::from_secs(1800)));
        assert_eq!(parse("60secs").map(format).as_deref(), Ok("1mins"));
        assert_eq!(format(Duration::from_millis(61_500)), "1.025mins");
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "10", "secs", "-1secs", "1 secs", "1.2.3secs", ".secs", "1sec", "1secs2ms"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(matches!(parse("15251weeks"), Err(DurationError::TooLong(_))));
        assert!(matches!(parse(&"9".repeat(60)), Err(DurationError::Unit { .. })));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9.]{0,50}(ns|us|ms|secs|mins|hrs|days|weeks|x)?") {
            let _ = parse(&text);
        }

        #[test]
        fn whole_units_round_trip(count in 0u64..2000, unit in 0usize..8) {
            let nanoseconds = count * UNITS[unit].1 as u64;
            let duration = Duration::from_nanos(nanoseconds);
            let error = parse(&format(duration)).map(|back| back.abs_diff(duration));
            // Fifteen digits leave at most a few hundred nanoseconds at these sizes.
            prop_assert!(error.is_ok_and(|error| error < Duration::from_micros(2)));
        }
    }
}
