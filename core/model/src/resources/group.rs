//! Amounts that share qualities and allocation role.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::quantities::Quantities;
use crate::resources::amounts::Amounts;
use crate::resources::iter::Entry;
use crate::resources::qualities::Qualities;
use crate::scalar::Scalar;

#[derive(Clone, Debug)]
pub(super) struct Group {
    /// `None` for plain amounts: unreserved, not revocable, the agent's own.
    pub(super) qualities: Option<Arc<Qualities>>,
    /// The role that the amounts are offered or allocated to.
    pub(super) allocation: Option<Arc<str>>,
    /// How many equal indivisible disks this stands for; always 1 for everything else.
    pub(super) copies: u32,
    pub(super) amounts: Amounts,
}

impl Group {
    /// The order in [`super::Resources`]: two groups that are equal in it become one.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        compare(&self.qualities, &other.qualities)
            .then_with(|| compare(&self.allocation, &other.allocation))
            .then_with(|| match self.indivisible() {
                true => self.amounts.cmp_known(&other.amounts),
                false => Ordering::Equal,
            })
    }

    pub(super) fn indivisible(&self) -> bool {
        self.qualities.as_ref().is_some_and(|qualities| qualities.indivisible())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.copies == 0 || self.amounts.is_empty()
    }

    /// Whether `wanted`, which is equal in order, can be taken away.
    pub(super) fn contains(&self, wanted: &Self) -> bool {
        match self.indivisible() {
            true => self.copies >= wanted.copies,
            false => self.amounts.contains(&wanted.amounts),
        }
    }

    /// Adds `more`, which is equal in order.
    pub(super) fn add(&mut self, more: &Self) {
        match self.indivisible() {
            true => self.copies = self.copies.saturating_add(more.copies),
            false => self.amounts.add(&more.amounts),
        }
    }

    /// Takes away `less`, which is equal in order; stops at nothing.
    pub(super) fn subtract(&mut self, less: &Self) {
        match self.indivisible() {
            true => self.copies = self.copies.saturating_sub(less.copies),
            false => self.amounts.subtract(&less.amounts),
        }
    }

    pub(super) fn scalar(&self, name: &str) -> Scalar {
        Scalar(self.amounts.scalar(name).0.saturating_mul(i64::from(self.counted_copies())))
    }

    pub(super) fn add_quantities(&self, quantities: &mut Quantities) {
        self.amounts.add_quantities(self.counted_copies(), quantities);
    }

    /// Several users of a shared volume use the same space.
    fn counted_copies(&self) -> u32 {
        match &self.qualities {
            Some(qualities) if qualities.shared => 1,
            _ => self.copies,
        }
    }

    /// One entry for each amount and copy.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        (0..self.copies).flat_map(move |_| {
            self.amounts.iter().map(move |(name, value)| Entry::new(name, value, self))
        })
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.copies == other.copies
            && self.order(other) == Ordering::Equal
            && self.amounts == other.amounts
    }
}

/// Compares by content, without looking at it when both are the same object.
fn compare<T: Ord + ?Sized>(left: &Option<Arc<T>>, right: &Option<Arc<T>>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) if Arc::ptr_eq(left, right) => Ordering::Equal,
        _ => left.cmp(right),
    }
}
