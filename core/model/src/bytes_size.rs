//! Sizes in bytes as Mesos writes them: a whole number and a unit, such as `64MB`.

/// Units from the largest to the smallest with their size in bytes.
const UNITS: [(&str, u64); 5] =
    [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10), ("B", 1)];

/// What is wrong with a size's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BytesSizeError {
    /// There is no whole number at the beginning.
    #[error("size '{0}' does not begin with a whole number; expected a form like 512MB")]
    Number(String),
    /// The unit is missing or unknown.
    #[error("size '{text}' has unit '{unit}'; expected B, KB, MB, GB or TB")]
    Unit {
        /// The whole text.
        text: String,
        /// What stands where the unit is expected.
        unit: String,
    },
    /// More bytes than 64 bits count.
    #[error("size '{0}' is too large; expected at most 16777215TB")]
    TooLarge(String),
}

/// Reads `<integer><unit>` and gives bytes. Units are powers of 1024 in any case.
pub fn parse(text: &str) -> Result<u64, BytesSizeError> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if number.is_empty() {
        return Err(BytesSizeError::Number(text.to_owned()));
    }
    let Some((_, size)) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)) else {
        return Err(BytesSizeError::Unit { text: text.to_owned(), unit: unit.to_owned() });
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*size));
    bytes.ok_or_else(|| BytesSizeError::TooLarge(text.to_owned()))
}

/// Writes a size in the largest unit in which it is whole.
pub fn format(bytes: u64) -> String {
    let fits = |size: u64| bytes != 0 && bytes.is_multiple_of(size);
    let (name, size) = UNITS.into_iter().find(|(_, size)| fits(*size)).unwrap_or(("B", 1));
    format!("{}{name}", bytes / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        for (text, bytes) in [("0B", 0), ("4KB", 4096), ("2GB", 2 << 30), ("1025B", 1025)] {
            assert_eq!(parse(text), Ok(bytes));
            assert_eq!(format(bytes), text);
        }
        assert_eq!(parse("1mb"), Ok(1 << 20));
    }

    #[test]
    fn refuses_everything_else() {
        assert_eq!(parse("MB"), Err(BytesSizeError::Number("MB".into())));
        assert!(matches!(parse("1.5MB"), Err(BytesSizeError::Unit { .. })));
        assert!(matches!(parse("10"), Err(BytesSizeError::Unit { .. })));
        assert!(matches!(parse("16777216TB"), Err(BytesSizeError::TooLarge(_))));
        assert!(matches!(parse(&format!("{}B", "9".repeat(30))), Err(BytesSizeError::TooLarge(_))));
    }
}
