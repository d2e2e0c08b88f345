//! Plain sums of scalars by name, without where they come from.

use std::fmt;
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

use crate::scalar::Scalar;

/// The names that have a fixed place, in the order in which resources are listed.
pub(crate) const KNOWN: [&str; 4] = ["cpus", "mem", "disk", "gpus"];

/// The place of a known name in [`KNOWN`].
pub(crate) fn known_index(name: &str) -> Option<usize> {
    KNOWN.iter().position(|known| *known == name)
}

/// Scalar amounts by resource name. `cpus`, `mem` (MB), `disk` (MB) and `gpus` stand in a fixed
/// array; other names in a sorted list that holds no zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantities {
    known: [Scalar; 4],
    others: Vec<(Arc<str>, Scalar)>,
}

impl Quantities {
    /// Nothing of anything.
    pub const fn new() -> Self {
        Self { known: [Scalar::ZERO; 4], others: Vec::new() }
    }

    /// The amount of `name`; zero when there is none.
    pub fn get(&self, name: &str) -> Scalar {
        match known_index(name) {
            Some(index) => self.known[index],
            None => match self.find(name) {
                Ok(index) => self.others[index].1,
                Err(_) => Scalar::ZERO,
            },
        }
    }

    /// Sets the amount of `name`.
    pub fn set(&mut self, name: &str, amount: Scalar) {
        match (known_index(name), self.find(name)) {
            (Some(index), _) => self.known[index] = amount,
            (None, Ok(index)) if amount.is_zero() => {
                self.others.remove(index);
            }
            (None, Ok(index)) => self.others[index].1 = amount,
            (None, Err(_)) if amount.is_zero() => {}
            (None, Err(index)) => self.others.insert(index, (name.into(), amount)),
        }
    }

    /// The amounts of `cpus`, `mem`, `disk` and `gpus`, in this order.
    pub const fn known(&self) -> &[Scalar; 4] {
        &self.known
    }

    /// The amounts of all other names, sorted by name and without zeros.
    pub fn others(&self) -> impl Iterator<Item = (&str, Scalar)> {
        self.others.iter().map(|(name, amount)| (&**name, *amount))
    }

    /// Every amount that is not zero: the known names first, then the others by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Scalar)> {
        let known = KNOWN.into_iter().zip(self.known).filter(|(_, amount)| !amount.is_zero());
        known.chain(self.others())
    }

    /// Whether every amount is zero.
    pub fn is_empty(&self) -> bool {
        self.known.iter().all(|amount| amount.is_zero()) && self.others.is_empty()
    }

    /// Whether there is at least as much of everything as in `other`.
    pub fn contains(&self, other: &Self) -> bool {
        let enough = |(name, amount): (&str, Scalar)| self.get(name) >= amount;
        self.known.iter().zip(&other.known).all(|(mine, wanted)| mine >= wanted)
            && other.others().all(enough)
    }

    pub(crate) fn known_mut(&mut self) -> &mut [Scalar; 4] {
        &mut self.known
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.others.binary_search_by(|(other, _)| (**other).cmp(name))
    }
}

impl AddAssign<&Quantities> for Quantities {
    fn add_assign(&mut self, other: &Quantities) {
        for (mine, more) in self.known.iter_mut().zip(&other.known) {
            *mine += *more;
        }
        for (name, amount) in other.others() {
            self.set(name, self.get(name) + amount);
        }
    }
}

impl SubAssign<&Quantities> for Quantities {
    /// Amounts may become negative; callers that must not let that happen ask
    /// [`Quantities::contains`] first.
    fn sub_assign(&mut self, other: &Quantities) {
        for (mine, less) in self.known.iter_mut().zip(&other.known) {
            *mine -= *less;
        }
        for (name, amount) in other.others() {
            self.set(name, self.get(name) - amount);
        }
    }
}

impl<'a> FromIterator<(&'a str, Scalar)> for Quantities {
    /// Amounts of the same name add up.
    fn from_iter<I: IntoIterator<Item = (&'a str, Scalar)>>(amounts: I) -> Self {
        let mut quantities = Self::new();
        for (name, amount) in amounts {
            quantities.set(name, quantities.get(name) + amount);
        }
        quantities
    }
}

impl fmt::Display for Quantities {
    /// `cpus:2; mem:1024`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, amount)) in self.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(formatter, "{separator}{name}:{amount}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_compares_by_name() {
        let mut total: Quantities =
            [("bugs", Scalar(5)), ("cpus", Scalar(2000))].into_iter().collect();
        let part: Quantities = [("bugs", Scalar(5)), ("cpus", Scalar(1))].into_iter().collect();
        assert!(total.contains(&part));
        assert!(!part.contains(&total));
        total -= &part;
        assert_eq!(total.to_string(), "cpus:1.999");
        total += &part;
        assert_eq!(total.to_string(), "cpus:2; bugs:0.005");
    }
}
