//! Looking at single amounts.

use std::collections::BTreeSet;

use orrery_api::v1::resource::DiskInfo;

use crate::ranges::Ranges;
use crate::resources::group::Group;
use crate::resources::qualities::Reservation;
use crate::scalar::Scalar;

/// One amount of one name with its qualities, borrowed from a [`super::Resources`].
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    name: &'a str,
    value: ValueRef<'a>,
    group: &'a Group,
}

/// The value of an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ValueRef<'a> {
    /// A number.
    Scalar(Scalar),
    /// A set of whole numbers.
    Ranges(&'a Ranges),
    /// A set of texts.
    Set(&'a BTreeSet<String>),
}

impl<'a> Entry<'a> {
    pub(super) fn new(name: &'a str, value: ValueRef<'a>, group: &'a Group) -> Self {
        Self { name, value, group }
    }

    /// The resource's name, such as `cpus`.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// How much there is; never empty.
    pub fn value(&self) -> ValueRef<'a> {
        self.value
    }

    /// The role that the amount is offered or allocated to.
    pub fn allocation_role(&self) -> Option<&'a str> {
        self.group.allocation.as_deref()
    }

    /// The stack of reservations, the one that counts last; empty when unreserved.
    pub fn reservations(&self) -> &'a [Reservation] {
        self.group.reservations()
    }

    /// What is said about the disk.
    pub fn disk(&self) -> Option<&'a DiskInfo> {
        let qualities = self.group.qualities.as_ref()?;
        qualities.disk.as_ref().map(|disk| disk.info())
    }

    /// Whether it may be taken back at any time.
    pub fn is_revocable(&self) -> bool {
        self.group.qualities.as_ref().is_some_and(|qualities| qualities.revocable)
    }

    /// Whether several users may hold it at once.
    pub fn is_shared(&self) -> bool {
        self.group.qualities.as_ref().is_some_and(|qualities| qualities.shared)
    }

    /// The resource provider that it comes from; `None` for the agent's own.
    pub fn provider_id(&self) -> Option<&'a str> {
        self.group.qualities.as_ref()?.provider.as_deref()
    }
}
