//! Parts of resources, and moving them between roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::resources::Resources;
use crate::resources::group::Group;
use crate::resources::qualities::Reservation;
use crate::roles;

impl Group {
    pub(super) fn reservations(&self) -> &[Reservation] {
        self.qualities.as_ref().map_or(&[], |qualities| &qualities.reservations)
    }

    /// The role of the reservation that counts, the last one.
    pub(super) fn reserved_role(&self) -> Option<&str> {
        self.reservations().last().map(|reservation| reservation.role.as_str())
    }

    fn is_revocable(&self) -> bool {
        self.qualities.as_ref().is_some_and(|qualities| qualities.revocable)
    }

    fn is_shared(&self) -> bool {
        self.qualities.as_ref().is_some_and(|qualities| qualities.shared)
    }
}

impl Resources {
    /// The same amounts, all offered or allocated to `role`.
    pub fn allocated_to(&self, role: &str) -> Self {
        self.with_allocation(Some(role.into()))
    }

    /// The same amounts, offered to nobody.
    pub fn unallocated(&self) -> Self {
        self.with_allocation(None)
    }

    fn with_allocation(&self, role: Option<Arc<str>>) -> Self {
        let mut moved = Self::new();
        for group in &self.groups {
            // Groups that differed in the role only become one.
            moved.add_group(&Group { allocation: role.clone(), ..group.clone() });
        }
        moved
    }

    /// The role that everything here is allocated to; `None` when there is nothing, when a part
    /// is not allocated, or when there are several roles.
    pub fn allocation_role(&self) -> Option<&str> {
        let role = self.groups.first()?.allocation.as_deref()?;
        let same = |group: &Group| group.allocation.as_deref() == Some(role);
        self.groups.iter().all(same).then_some(role)
    }

    /// The parts by allocation role. What is not allocated is left out.
    pub fn allocations(&self) -> BTreeMap<String, Self> {
        self.split(|group| group.allocation.as_deref())
    }

    /// The parts by the role of the reservation that counts. What is unreserved is left out.
    pub fn reservations(&self) -> BTreeMap<String, Self> {
        self.split(Group::reserved_role)
    }

    /// What is not reserved to any role.
    pub fn unreserved(&self) -> Self {
        self.filter(|group| group.reservations().is_empty())
    }

    /// What is reserved to some role.
    pub fn reserved(&self) -> Self {
        self.filter(|group| !group.reservations().is_empty())
    }

    /// What is reserved to exactly `role`.
    pub fn reserved_to(&self, role: &str) -> Self {
        self.filter(|group| group.reserved_role() == Some(role))
    }

    /// What may be offered to `role`: the unreserved and what is reserved to it or to a role
    /// above it.
    pub fn allocatable_to(&self, role: &str) -> Self {
        self.filter(|group| match group.reserved_role() {
            None => true,
            Some(owner) => owner == role || roles::is_below(role, owner),
        })
    }

    /// What may be taken back at any time.
    pub fn revocable(&self) -> Self {
        self.filter(Group::is_revocable)
    }

    /// What is not revocable.
    pub fn non_revocable(&self) -> Self {
        self.filter(|group| !group.is_revocable())
    }

    /// What has at most one level of reservation.
    pub fn unrefined(&self) -> Self {
        self.filter(|group| group.reservations().len() <= 1)
    }

    /// What several users may hold at once.
    pub fn shared(&self) -> Self {
        self.filter(Group::is_shared)
    }

    /// What only one user may hold.
    pub fn non_shared(&self) -> Self {
        self.filter(|group| !group.is_shared())
    }

    /// Only the scalars, with all their qualities.
    pub fn scalars(&self) -> Self {
        let scalars = |group: &Group| Group { amounts: group.amounts.scalars(), ..group.clone() };
        let groups = self.groups.iter().map(scalars).filter(|group| !group.is_empty());
        Self { groups: groups.collect() }
    }

    /// Whether any amount is reserved, revocable, shared, provided, or a described disk.
    pub fn has_qualities(&self) -> bool {
        self.groups.iter().any(|group| group.qualities.is_some())
    }

    fn filter(&self, wanted: impl Fn(&Group) -> bool) -> Self {
        Self { groups: self.groups.iter().filter(|group| wanted(group)).cloned().collect() }
    }

    fn split(&self, key: impl Fn(&Group) -> Option<&str>) -> BTreeMap<String, Self> {
        let mut parts: BTreeMap<String, Self> = BTreeMap::new();
        for group in &self.groups {
            let Some(key) = key(group) else { continue };
            match parts.get_mut(key) {
                Some(part) => part.groups.push(group.clone()),
                None => {
                    parts.insert(key.to_owned(), Self { groups: vec![group.clone()] });
                }
            }
        }
        parts
    }
}
