//! How likely a fault is.

use std::fmt;

use orrery_runtime::Generator;

/// A probability in whole parts per million, so that it is written and read back exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(u32);

const MILLION: u32 = 1_000_000;
const PERCENT: u32 = 10_000;

impl Probability {
    /// Never.
    pub const NEVER: Self = Self(0);
    /// Every time.
    pub const ALWAYS: Self = Self(MILLION);

    /// So many parts per million; more than a million is every time.
    pub const fn from_parts_per_million(parts: u32) -> Self {
        Self(if parts > MILLION { MILLION } else { parts })
    }

    /// So many per cent; more than a hundred is every time.
    pub const fn from_percent(percent: u32) -> Self {
        Self::from_parts_per_million(percent.saturating_mul(PERCENT))
    }

    /// In parts per million, 0–1,000,000.
    pub const fn parts_per_million(self) -> u32 {
        self.0
    }

    /// Whether it happens this time. What never happens draws nothing: a fault that is off leaves
    /// every stream of random values as it was.
    pub(crate) fn draw(self, random: &mut Generator) -> bool {
        self.0 > 0 && random.below(u64::from(MILLION)) < u64::from(self.0)
    }

    /// Reads what [`fmt::Display`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('%')?;
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if fraction.is_empty() || fraction.len() > 4 || !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let whole: u32 = whole.parse().ok()?;
        let fraction: u32 = format!("{fraction:0<4}").parse().ok()?;
        let parts = whole.checked_mul(PERCENT)?.checked_add(fraction)?;
        (parts <= MILLION).then_some(Self(parts))
    }
}

impl fmt::Display for Probability {
    /// In per cent with up to four decimals: `0.5%`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!(".{:04}", self.0 % PERCENT);
        let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
        write!(formatter, "{}{fraction}%", self.0 / PERCENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_in_per_cent_and_read_back() {
        for (parts, text) in [
            (0, "0%"),
            (1, "0.0001%"),
            (5_000, "0.5%"),
            (10_000, "1%"),
            (123_450, "12.345%"),
            (1_000_000, "100%"),
        ] {
            let probability = Probability::from_parts_per_million(parts);
            assert_eq!(probability.to_string(), text);
            assert_eq!(Probability::parse(text), Some(probability));
        }
        for wrong in ["", "%", "1", "-1%", "101%", "1.%", "0.00001%", "+5%", "1e1%", "100.0001%"] {
            assert_eq!(Probability::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn it_happens_as_often_as_it_says() {
        let mut random = Generator::from_number(1);
        let percent = Probability::from_percent(20);
        let happened = (0..10_000).filter(|_| percent.draw(&mut random)).count();
        assert!((1_800..2_200).contains(&happened), "{happened}");
        assert!((0..100).all(|_| Probability::ALWAYS.draw(&mut random)));
        let before = random.clone().next_u64();
        assert!(!Probability::NEVER.draw(&mut random));
        assert_eq!(random.next_u64(), before, "nothing was drawn");
    }
}
