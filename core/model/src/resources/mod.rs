//! The algebra of resources.
//!
//! A [`Resources`] is a list of groups. All amounts of a group share the same *qualities*
//! (reservations, disk, revocable, shared, provider) and the same allocation role; adding and
//! subtracting match groups by these and never mix them. Most of what a cluster handles is one
//! group of plain `cpus`, `mem`, `disk` and `ports`, so a sum usually is four integer additions and
//! one merge of ranges.
//!
//! Disks that are one piece (persistent volumes, MOUNT and BLOCK disks, RAW disks with an id) and
//! shared volumes form a group each. Equal ones are counted in `copies` instead of being merged.

mod amounts;
mod endpoint;
mod error;
mod group;
mod iter;
mod message;
mod qualities;
mod select;
mod text;

use std::ops::{Add, AddAssign, Sub, SubAssign};

use orrery_api::v1;

pub use endpoint::endpoint_object;
pub use error::{Problem, ResourceError};
use group::Group;
pub use iter::{Entry, ValueRef};
pub use qualities::{Reservation, ReservationType};
pub use text::parse_messages;

use crate::quantities::Quantities;
use crate::scalar::Scalar;

/// An exact amount of any mixture of resources. Never negative; equal amounts are equal values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// Ascending by [`Group::order`], each group different in it from its neighbours, none empty.
    groups: Vec<Group>,
}

impl Resources {
    /// Nothing at all.
    pub const fn new() -> Self {
        Self { groups: Vec::new() }
    }

    /// Reads messages, with reservations in the newer (`reservations`) or the older (`role`,
    /// `reservation`) form, checking each of them. Amounts of zero vanish.
    pub fn from_messages(messages: &[v1::Resource]) -> Result<Self, ResourceError> {
        let mut resources = Self::new();
        for message in messages {
            if let Some(group) = message::read(message)? {
                resources.add_group(&group);
            }
        }
        Ok(resources)
    }

    /// Reads the text of a flag: `cpus:4;mem:1024;ports:[1-2]` or a list of JSON objects. What
    /// names no role is reserved to `default_role`, unless that is `*`.
    pub fn parse(text: &str, default_role: &str) -> Result<Self, ResourceError> {
        Self::from_messages(&text::parse_messages(text, default_role)?)
    }

    /// One message for each amount, unreserved ones first, in the format with `reservations`.
    pub fn to_messages(&self) -> Vec<v1::Resource> {
        self.iter().map(|entry| entry.to_message()).collect()
    }

    /// Like [`Resources::to_messages`] with the older `role` and `reservation` beside the newer
    /// `reservations`: the format of operators' answers. `role` is `*` when nothing is reserved.
    pub fn to_endpoint_messages(&self) -> Vec<v1::Resource> {
        self.iter().map(|entry| entry.to_endpoint_message()).collect()
    }

    /// Messages for frameworks that do not know `reservations`: only `role` and `reservation`.
    /// `None` when a reservation is refined, which that format cannot express.
    pub fn to_older_messages(&self) -> Option<Vec<v1::Resource>> {
        let refined = self.groups.iter().any(|group| group.reservations().len() > 1);
        (!refined).then(|| self.iter().map(Entry::to_older_message).collect())
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Whether `other` can be taken away from this: the same names with the same qualities and
    /// allocation role, and at least as much of each.
    pub fn contains(&self, other: &Self) -> bool {
        other
            .groups
            .iter()
            .all(|wanted| self.find(wanted).is_ok_and(|index| self.groups[index].contains(wanted)))
    }

    /// The rest after taking `other` away, or `None` when it is not contained.
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.contains(other).then(|| self - other)
    }

    /// Scalar sums by name over all qualities and roles. Copies of a shared volume count once.
    pub fn quantities(&self) -> Quantities {
        let mut quantities = Quantities::new();
        for group in &self.groups {
            group.add_quantities(&mut quantities);
        }
        quantities
    }

    /// The sum of all scalars called `name`. Copies of a shared volume count once.
    pub fn scalar(&self, name: &str) -> Scalar {
        self.groups.iter().map(|group| group.scalar(name)).sum()
    }

    /// Every amount with its qualities, in a fixed order.
    pub fn iter(&self) -> impl Iterator<Item = Entry<'_>> {
        self.groups.iter().flat_map(Group::entries)
    }

    fn find(&self, wanted: &Group) -> Result<usize, usize> {
        // Nearly always there is one group, for which a search is a single comparison.
        self.groups.binary_search_by(|group| group.order(wanted))
    }

    fn add_group(&mut self, group: &Group) {
        match self.find(group) {
            Ok(index) => self.groups[index].add(group),
            Err(index) => {
                if self.groups.is_empty() {
                    // Mostly it stays the only one, and a master keeps that for each agent.
                    self.groups.reserve_exact(1);
                }
                self.groups.insert(index, group.clone());
            }
        }
    }

    fn subtract_group(&mut self, group: &Group) {
        if let Ok(index) = self.find(group) {
            self.groups[index].subtract(group);
            if self.groups[index].is_empty() {
                self.groups.remove(index);
            }
        }
    }
}

impl AddAssign<&Resources> for Resources {
    fn add_assign(&mut self, other: &Resources) {
        if self.groups.is_empty() {
            self.groups.clone_from(&other.groups);
            return;
        }
        for group in &other.groups {
            self.add_group(group);
        }
    }
}

impl SubAssign<&Resources> for Resources {
    /// Takes away what is there: amounts stop at zero. Where taking too much would be a mistake,
    /// use [`Resources::checked_sub`].
    fn sub_assign(&mut self, other: &Resources) {
        for group in &other.groups {
            self.subtract_group(group);
        }
    }
}

impl AddAssign for Resources {
    fn add_assign(&mut self, other: Resources) {
        *self += &other;
    }
}

impl SubAssign for Resources {
    fn sub_assign(&mut self, other: Resources) {
        *self -= &other;
    }
}

macro_rules! by_value_and_reference {
    ($operator:ident, $method:ident, $assign:tt) => {
        impl $operator<&Resources> for &Resources {
            type Output = Resources;

            fn $method(self, other: &Resources) -> Resources {
                let mut result = self.clone();
                result $assign other;
                result
            }
        }

        impl $operator<&Resources> for Resources {
            type Output = Resources;

            fn $method(mut self, other: &Resources) -> Resources {
                self $assign other;
                self
            }
        }

        impl $operator for Resources {
            type Output = Resources;

            fn $method(mut self, other: Resources) -> Resources {
                self $assign &other;
                self
            }
        }
    };
}

by_value_and_reference!(Add, add, +=);
by_value_and_reference!(Sub, sub, -=);

impl<'a> std::iter::Sum<&'a Resources> for Resources {
    fn sum<I: Iterator<Item = &'a Resources>>(parts: I) -> Self {
        parts.fold(Self::new(), |sum, part| sum + part)
    }
}
