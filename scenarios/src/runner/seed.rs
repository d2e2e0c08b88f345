//! Seeds as people and machines write them.

use orrery_runtime::Generator;

/// A text that is neither a number nor a commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the seed is '{text}': expected a number from 0 to {} or a commit hash of 7 to 40 \
     hexadecimal digits",
    u64::MAX
)]
pub struct SeedError {
    text: String,
}

/// The seed that `text` stands for: a number stands for itself, a commit hash for a number that
/// follows from its digits, so that each commit can be tested with seeds of its own. What can be
/// read as a number is one. Capital letters mean the same as small ones.
///
/// # Errors
/// The text is neither.
pub fn parse_seed(text: &str) -> Result<u64, SeedError> {
    let text = text.trim();
    let is_made_of = |is_digit: fn(&u8) -> bool| text.bytes().all(|byte| is_digit(&byte));
    let number = if is_made_of(u8::is_ascii_digit) { text.parse().ok() } else { None };
    let is_commit = (7..=40).contains(&text.len()) && is_made_of(u8::is_ascii_hexdigit);
    match number {
        Some(number) => Ok(number),
        None if is_commit => Ok(seed_of_commit(&text.to_ascii_lowercase())),
        None => Err(SeedError { text: text.chars().take(80).collect() }),
    }
}

/// FNV-1a, whose neighbours are then thrown far apart: runs of two commits share no seeds even when
/// each takes some thousands that follow the first.
fn seed_of_commit(digits: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = digits.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    // Half of all numbers, so that counting up from one never runs over.
    Generator::from_number(hash).next_u64() >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_for_themselves() {
        for number in [0, 42, 12_345_678, u64::MAX] {
            assert_eq!(parse_seed(&number.to_string()), Ok(number));
        }
        assert_eq!(parse_seed(" 7\n"), Ok(7));
    }

    #[test]
    fn commits_stand_for_seeds_that_are_always_the_same() {
        let commit = "e83c5163316f89bfbde7d9ab23ca2e25604af290";
        let seed = parse_seed(commit).expect("a commit");
        assert_eq!(parse_seed(&commit.to_uppercase()), Ok(seed));
        assert_eq!(seed, 8_872_103_305_072_260_645);
        assert_ne!(parse_seed(&commit[..7]), Ok(seed));
        assert!(
            parse_seed("e83c5164316f89bfbde7d9ab23ca2e25604af290").expect("one").abs_diff(seed)
                > 1 << 30
        );
        // Too large for a number, and made of nothing but decimal digits.
        assert!(parse_seed("1234567890123456789012345678901234567890").is_ok());
    }

    #[test]
    fn everything_else_is_refused_with_what_was_expected() {
        let long = "a".repeat(41);
        for text in ["", "abcdef", "-1", "+1", "0x12", "main", "18446744073709551616x", &long] {
            let error = parse_seed(text).expect_err(text).to_string();
            assert!(
                error.starts_with(&format!("the seed is '{text}': expected a number")),
                "{error}"
            );
        }
    }
}
