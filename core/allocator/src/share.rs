//! Dominant shares.

use std::cmp::Ordering;

use orrery_model::{Quantities, Scalar};

/// How much of the cluster somebody holds, divided by a weight. Never NaN, never negative.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Share(f64);

impl Share {
    pub(crate) fn as_f64(self) -> f64 {
        self.0
    }
}

impl PartialEq for Share {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Share {}

impl PartialOrd for Share {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Share {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The sum of all agents, against which shares are measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    total: Quantities,
    excluded: Vec<String>,
}

impl Pool {
    pub(crate) fn new(excluded: Vec<String>) -> Self {
        Self { total: Quantities::new(), excluded }
    }

    pub(crate) fn total(&self) -> &Quantities {
        &self.total
    }

    pub(crate) fn add(&mut self, quantities: &Quantities) {
        self.total += quantities;
    }

    pub(crate) fn subtract(&mut self, quantities: &Quantities) {
        self.total -= quantities;
    }

    /// The largest fraction that `held` is of the total, over all names that count, divided by
    /// `weight`. Divisions of equal fractions round equally, so ties stay ties.
    pub(crate) fn share(&self, held: &Quantities, weight: f64) -> Share {
        let counts = |name: &str| !self.excluded.iter().any(|excluded| excluded == name);
        let mut largest: f64 = 0.0;
        for (name, amount) in held.iter() {
            let total = self.total.get(name);
            if total > Scalar::ZERO && amount > Scalar::ZERO && counts(name) {
                largest = largest.max(amount.0 as f64 / total.0 as f64);
            }
        }
        Share(largest / weight)
    }
}
