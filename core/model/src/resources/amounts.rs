//! Amounts by name, without qualities.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::quantities::{KNOWN, Quantities, known_index};
use crate::ranges::Ranges;
use crate::resources::iter::ValueRef;
use crate::scalar::Scalar;

/// The known scalars in a fixed array and everything else in a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Amounts {
    known: [Scalar; 4],
    others: Others,
}

/// Ascending by name and then by kind of value, without empty values; `None` when there are none.
/// Offers take all of an agent's ports again and again, so a copy shares them until it is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Others(Option<Arc<Vec<Other>>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Other {
    name: Arc<str>,
    value: Value,
}

/// A value of any kind. The same name with another kind is another resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Scalar(Scalar),
    Ranges(Ranges),
    Set(BTreeSet<String>),
}

impl Amounts {
    /// One value under one name.
    pub(super) fn single(name: &str, value: Value) -> Self {
        let mut amounts = Self::default();
        match (known_index(name), value) {
            (Some(index), Value::Scalar(scalar)) => amounts.known[index] = scalar,
            (_, value) if value.is_empty() => {}
            (_, value) => {
                amounts.others = std::iter::once(Other { name: name.into(), value }).collect();
            }
        }
        amounts
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known == [Scalar::ZERO; 4] && self.others.0.is_none()
    }

    /// An order for telling indivisible disks apart, which are single known scalars.
    pub(super) fn cmp_known(&self, other: &Self) -> Ordering {
        self.known.cmp(&other.known)
    }

    pub(super) fn contains(&self, wanted: &Self) -> bool {
        self.known.iter().zip(&wanted.known).all(|(mine, wanted)| mine >= wanted)
            && self.others.contains(&wanted.others)
    }

    pub(super) fn add(&mut self, more: &Self) {
        for (mine, more) in self.known.iter_mut().zip(&more.known) {
            *mine += *more;
        }
        self.others.add(&more.others);
    }

    /// Stops at zero.
    pub(super) fn subtract(&mut self, less: &Self) {
        for (mine, less) in self.known.iter_mut().zip(&less.known) {
            *mine = (*mine - *less).max(Scalar::ZERO);
        }
        self.others.subtract(&less.others);
    }

    /// Only the scalars.
    pub(super) fn scalars(&self) -> Self {
        let scalar = |other: &&Other| matches!(other.value, Value::Scalar(_));
        let others = self.others.as_slice().iter().filter(scalar).cloned().collect();
        Self { known: self.known, others }
    }

    pub(super) fn scalar(&self, name: &str) -> Scalar {
        if let Some(index) = known_index(name) {
            return self.known[index];
        }
        let scalar = |other: &Other| match other.value {
            Value::Scalar(scalar) if *other.name == *name => Some(scalar),
            _ => None,
        };
        self.others.as_slice().iter().find_map(scalar).unwrap_or_default()
    }

    pub(super) fn add_quantities(&self, copies: u32, quantities: &mut Quantities) {
        let times = |amount: Scalar| Scalar(amount.0.saturating_mul(i64::from(copies)));
        for (sum, amount) in quantities.known_mut().iter_mut().zip(&self.known) {
            *sum += times(*amount);
        }
        for other in self.others.as_slice() {
            if let Value::Scalar(amount) = other.value {
                quantities.set(&other.name, quantities.get(&other.name) + times(amount));
            }
        }
    }

    /// Every value that is not empty: known names first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)> {
        let known = KNOWN.into_iter().zip(self.known).filter(|(_, amount)| !amount.is_zero());
        let others = self.others.as_slice().iter().map(|other| {
            let value = match &other.value {
                Value::Scalar(scalar) => ValueRef::Scalar(*scalar),
                Value::Ranges(ranges) => ValueRef::Ranges(ranges),
                Value::Set(items) => ValueRef::Set(items),
            };
            (&*other.name, value)
        });
        known.map(|(name, amount)| (name, ValueRef::Scalar(amount))).chain(others)
    }
}

impl Others {
    fn as_slice(&self) -> &[Other] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }

    fn same(&self, other: &Self) -> bool {
        matches!((&self.0, &other.0), (Some(mine), Some(other)) if Arc::ptr_eq(mine, other))
    }

    fn contains(&self, wanted: &Self) -> bool {
        let mine = self.as_slice();
        let holds = |wanted: &Other| {
            find(mine, wanted).is_ok_and(|index| mine[index].value.contains(&wanted.value))
        };
        self.same(wanted) || wanted.as_slice().iter().all(holds)
    }

    fn add(&mut self, more: &Self) {
        let Some(mine) = &mut self.0 else {
            self.clone_from(more);
            return;
        };
        for other in more.as_slice() {
            let mine = Arc::make_mut(mine);
            match find(mine, other) {
                Ok(index) => mine[index].value.add(&other.value),
                Err(index) => mine.insert(index, other.clone()),
            }
        }
    }

    /// Stops at zero.
    fn subtract(&mut self, less: &Self) {
        if self.same(less) {
            self.0 = None;
        }
        let Some(mine) = &mut self.0 else { return };
        for other in less.as_slice() {
            if let Ok(index) = find(mine, other) {
                let mine = Arc::make_mut(mine);
                mine[index].value.subtract(&other.value);
                if mine[index].value.is_empty() {
                    mine.remove(index);
                }
            }
        }
        if mine.is_empty() {
            self.0 = None;
        }
    }
}

impl FromIterator<Other> for Others {
    fn from_iter<I: IntoIterator<Item = Other>>(others: I) -> Self {
        let others: Vec<Other> = others.into_iter().collect();
        Self((!others.is_empty()).then(|| Arc::new(others)))
    }
}

fn find(others: &[Other], wanted: &Other) -> Result<usize, usize> {
    others.binary_search_by(|other| {
        let names = other.name.cmp(&wanted.name);
        names.then_with(|| other.value.kind().cmp(&wanted.value.kind()))
    })
}

impl Value {
    fn kind(&self) -> u8 {
        match self {
            Self::Scalar(_) => 0,
            Self::Ranges(_) => 1,
            Self::Set(_) => 2,
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Scalar(scalar) => scalar.is_zero(),
            Self::Ranges(ranges) => ranges.is_empty(),
            Self::Set(items) => items.is_empty(),
        }
    }

    fn contains(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Scalar(mine), Self::Scalar(wanted)) => mine >= wanted,
            (Self::Ranges(mine), Self::Ranges(wanted)) => mine.contains(wanted),
            (Self::Set(mine), Self::Set(wanted)) => mine.is_superset(wanted),
            _ => false,
        }
    }

    fn add(&mut self, more: &Self) {
        match (self, more) {
            (Self::Scalar(mine), Self::Scalar(more)) => *mine += *more,
            (Self::Ranges(mine), Self::Ranges(more)) => mine.add(more),
            (Self::Set(mine), Self::Set(more)) => mine.extend(more.iter().cloned()),
            // The search matches kinds, so two kinds never meet.
            _ => {}
        }
    }

    fn subtract(&mut self, less: &Self) {
        match (self, less) {
            (Self::Scalar(mine), Self::Scalar(less)) => *mine = (*mine - *less).max(Scalar::ZERO),
            (Self::Ranges(mine), Self::Ranges(less)) => mine.subtract(less),
            (Self::Set(mine), Self::Set(less)) => mine.retain(|item| !less.contains(item)),
            _ => {}
        }
    }
}
