//! Sets of whole numbers as sorted, separate, inclusive ranges.

use std::fmt;

/// The whole numbers from `begin` to `end`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The first number.
    pub begin: u64,
    /// The last number; never below `begin` inside [`Ranges`].
    pub end: u64,
}

/// A set of whole numbers. Its ranges ascend and neither overlap nor touch, so equal sets are
/// equal values. Works up to `u64::MAX`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ranges(Vec<Range>);

impl Ranges {
    /// The numbers that are in any of `ranges`, which may overlap and have any order. A range
    /// whose end lies before its begin holds nothing.
    pub fn from_ranges(ranges: impl IntoIterator<Item = Range>) -> Self {
        let mut sorted: Vec<Range> =
            ranges.into_iter().filter(|range| range.begin <= range.end).collect();
        sorted.sort_unstable();
        Self::merge(sorted.into_iter())
    }

    /// Joins overlapping and touching neighbours of an ascending sequence.
    fn merge(ascending: impl Iterator<Item = Range>) -> Self {
        let mut merged: Vec<Range> = Vec::new();
        for range in ascending {
            match merged.last_mut() {
                // No number lies between the two when the gap is at most one; saturating keeps
                // that true at the end of the number line.
                Some(last) if range.begin <= last.end.saturating_add(1) => {
                    last.end = last.end.max(range.end);
                }
                _ => merged.push(range),
            }
        }
        Self(merged)
    }

    /// Whether there is no number in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The ranges, ascending and separate.
    pub fn as_slice(&self) -> &[Range] {
        &self.0
    }

    /// How many numbers are in the set.
    pub fn count(&self) -> u128 {
        self.0.iter().map(|range| u128::from(range.end - range.begin) + 1).sum()
    }

    /// Whether every number of `other` is in this set.
    pub fn contains(&self, other: &Self) -> bool {
        let mut mine = self.0.iter();
        let mut current = mine.next();
        for wanted in &other.0 {
            while current.is_some_and(|range| range.end < wanted.begin) {
                current = mine.next();
            }
            if !current.is_some_and(|range| range.begin <= wanted.begin && wanted.end <= range.end)
            {
                return false;
            }
        }
        true
    }

    /// Whether some number is in both sets.
    pub fn intersects(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            if a.begin <= b.end && b.begin <= a.end {
                return true;
            }
            if a.end < b.end {
                left.next()
            } else {
                right.next()
            };
        }
        false
    }

    /// Adds every number of `other`.
    pub fn add(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let ascending = std::iter::from_fn(|| match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if b < a => right.next().copied(),
            (Some(_), _) => left.next().copied(),
            (None, _) => right.next().copied(),
        });
        let merged = Self::merge(ascending);
        *self = merged;
    }

    /// Removes every number of `other`.
    pub fn subtract(&mut self, other: &Self) {
        let mut rest = Vec::with_capacity(self.0.len() + other.0.len());
        let mut holes = other.0.iter().peekable();
        for range in &self.0 {
            let mut begin = range.begin;
            let mut used_up = false;
            while let Some(hole) = holes.peek() {
                if hole.end < begin {
                    holes.next();
                    continue;
                }
                if hole.begin > range.end {
                    break;
                }
                if hole.begin > begin {
                    rest.push(Range { begin, end: hole.begin - 1 });
                }
                if hole.end >= range.end {
                    // This hole may reach into the next range, so it stays.
                    used_up = true;
                    break;
                }
                begin = hole.end + 1;
                holes.next();
            }
            if !used_up {
                rest.push(Range { begin, end: range.end });
            }
        }
        self.0 = rest;
    }
}

impl From<&Ranges> for orrery_api::v1::value::Ranges {
    fn from(ranges: &Ranges) -> Self {
        let message =
            |range: &Range| orrery_api::v1::value::Range { begin: range.begin, end: range.end };
        Self { range: ranges.0.iter().map(message).collect() }
    }
}

impl fmt::Display for Ranges {
    /// The text form of Mesos: `[31000-31004, 31010-32000]`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[")?;
        for (index, range) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(formatter, "{separator}{}-{}", range.begin, range.end)?;
        }
        formatter.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges(pairs: &[(u64, u64)]) -> Ranges {
        Ranges::from_ranges(pairs.iter().map(|&(begin, end)| Range { begin, end }))
    }

    #[test]
    fn joins_what_overlaps_or_touches() {
        assert_eq!(ranges(&[(5, 6), (1, 2), (3, 4)]).to_string(), "[1-6]");
        assert_eq!(ranges(&[(1, 4), (2, 3), (6, 6)]).to_string(), "[1-4, 6-6]");
        assert_eq!(ranges(&[(4, 1)]), Ranges::default());
    }

    #[test]
    fn works_at_the_ends_of_the_number_line() {
        let everything = ranges(&[(0, u64::MAX)]);
        assert_eq!(everything.count(), 1 << 64);
        let mut rest = everything.clone();
        rest.subtract(&ranges(&[(0, 0), (u64::MAX, u64::MAX)]));
        assert_eq!(rest, ranges(&[(1, u64::MAX - 1)]));
        assert!(everything.contains(&rest));
        rest.add(&ranges(&[(0, 0), (u64::MAX, u64::MAX)]));
        assert_eq!(rest, everything);
        rest.subtract(&everything);
        assert!(rest.is_empty());
    }

    fn small() -> impl Strategy<Value = (Ranges, BTreeSet<u64>)> {
        proptest::collection::vec((0u64..40, 0u64..6), 0..8).prop_map(|pairs| {
            let pairs: Vec<_> =
                pairs.into_iter().map(|(begin, size)| (begin, begin + size)).collect();
            let set = pairs.iter().flat_map(|&(begin, end)| begin..=end).collect();
            (ranges(&pairs), set)
        })
    }

    fn numbers(ranges: &Ranges) -> BTreeSet<u64> {
        ranges.as_slice().iter().flat_map(|range| range.begin..=range.end).collect()
    }

    proptest! {
        #[test]
        fn behaves_like_a_set_of_numbers((a, a_set) in small(), (b, b_set) in small()) {
            prop_assert_eq!(a.contains(&b), a_set.is_superset(&b_set));
            prop_assert_eq!(a.intersects(&b), !a_set.is_disjoint(&b_set));
            let mut sum = a.clone();
            sum.add(&b);
            prop_assert_eq!(numbers(&sum), &a_set | &b_set);
            let mut rest = a.clone();
            rest.subtract(&b);
            prop_assert_eq!(numbers(&rest), &a_set - &b_set);
            for result in [a, sum, rest] {
                for pair in result.as_slice().windows(2) {
                    prop_assert!(pair[0].end + 1 < pair[1].begin);
                }
            }
        }
    }
}
