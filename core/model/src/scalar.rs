//! Amounts with three decimals, counted exactly.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use crate::PlantedBug;

/// An amount in thousandths: `Scalar(1500)` is 1.5.
///
/// Sums and differences saturate instead of wrapping; amounts read from messages are far from the
/// limits of the type (see [`Scalar::MAX_INPUT`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scalar(pub i64);

impl Scalar {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The largest amount that is accepted from outside, about 1.1e12. Up to here a thousandth
    /// survives the division and the multiplication on its way through a message.
    pub const MAX_INPUT: Self = Self(1 << 50);

    /// The nearest thousandth, halves away from zero. `None` when `value` is not a number or its
    /// size exceeds [`Scalar::MAX_INPUT`].
    pub fn from_f64(value: f64) -> Option<Self> {
        let thousandths = (value * 1000.0).round();
        // The comparison is false for NaN, so NaN is refused with the infinities.
        (thousandths.abs() <= Self::MAX_INPUT.0 as f64).then_some(Self(thousandths as i64))
    }

    /// A whole number of units.
    pub const fn from_units(units: i64) -> Self {
        Self(units.saturating_mul(1000))
    }

    /// The amount as the nearest `f64`.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }

    /// Whether the amount is exactly zero.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Add for Scalar {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Scalar {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Scalar {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let difference = self.0.saturating_sub(other.0);
        if PlantedBug::DifferencesAreRounded.is_planted() {
            return Self(difference / 10 * 10);
        }
        Self(difference)
    }
}

impl SubAssign for Scalar {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Scalar {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Self::add)
    }
}

impl fmt::Display for Scalar {
    /// Decimal digits without an exponent and without trailing zeros: `2`, `0.1`, `-1.125`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let size = self.0.unsigned_abs();
        write!(formatter, "{sign}{}", size / 1000)?;
        match size % 1000 {
            0 => Ok(()),
            part if part % 100 == 0 => write!(formatter, ".{}", part / 100),
            part if part % 10 == 0 => write!(formatter, ".{:02}", part / 10),
            part => write!(formatter, ".{part:03}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_the_nearest_thousandth() {
        assert_eq!(Scalar::from_f64(0.0004), Some(Scalar(0)));
        assert_eq!(Scalar::from_f64(0.0005), Some(Scalar(1)));
        assert_eq!(Scalar::from_f64(-0.0005), Some(Scalar(-1)));
        assert_eq!(Scalar::from_f64(0.1 + 0.2), Some(Scalar(300)));
        assert_eq!(Scalar::from_f64(f64::NAN), None);
        assert_eq!(Scalar::from_f64(f64::INFINITY), None);
        assert_eq!(Scalar::from_f64(1e13), None);
    }

    #[test]
    fn prints_without_trailing_zeros() {
        for (thousandths, text) in
            [(0, "0"), (2000, "2"), (100, "0.1"), (1250, "1.25"), (-1125, "-1.125"), (7, "0.007")]
        {
            assert_eq!(Scalar(thousandths).to_string(), text);
        }
    }

    #[test]
    fn every_accepted_thousandth_survives_the_way_through_f64() {
        for thousandths in [1, 3, 999, 1 << 40, (1 << 50) - 1, 1 << 50] {
            let scalar = Scalar(thousandths);
            assert_eq!(Scalar::from_f64(scalar.as_f64()), Some(scalar));
        }
    }
}
