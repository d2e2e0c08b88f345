//! One role with its frameworks and the roles below it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orrery_model::Quantities;

use crate::options::FrameworkKey;
use crate::roles::RoleKey;
use crate::share::Share;

#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// `None` for the root and for vacant places.
    pub(super) parent: Option<RoleKey>,
    /// The last part of the name.
    pub(super) component: Arc<str>,
    /// The whole name, once the role itself has had a framework. Roles that only lie on the way
    /// to others do without, so that deep names do not take quadratic space.
    pub(super) name: Option<Arc<str>>,
    pub(super) weight: f64,
    /// All roles directly below, by the last part of their name.
    pub(super) below: BTreeMap<Arc<str>, RoleKey>,
    /// What this role and all roles below it use.
    pub(super) subtree: Usage,
    /// What the role's own frameworks use in it.
    pub(super) own: Usage,
    pub(super) clients: BTreeMap<FrameworkKey, Client>,
    /// The active ones of `clients`.
    pub(super) clients_in_order: BTreeSet<ClientPosition>,
    /// The own leaf and the roles below, as far as somebody in them is active.
    pub(super) children: BTreeSet<Position>,
    /// Where the own leaf stands in `children`.
    pub(super) own_position: Option<Position>,
    /// Where this role stands in the `children` of its parent.
    pub(super) position: Option<Position>,
}

impl Default for Node {
    fn default() -> Self {
        Self {
            parent: None,
            component: Arc::default(),
            name: None,
            weight: 1.0,
            below: BTreeMap::new(),
            subtree: Usage::default(),
            own: Usage::default(),
            clients: BTreeMap::new(),
            clients_in_order: BTreeSet::new(),
            children: BTreeSet::new(),
            own_position: None,
            position: None,
        }
    }
}

impl Node {
    pub(super) fn is_unused(&self) -> bool {
        self.clients.is_empty() && self.below.is_empty()
    }
}

/// What somebody holds, and how often something was granted. The second is never taken back: it
/// lets those who decline everything take turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    pub(super) held: Quantities,
    pub(super) grants: u64,
}

impl Usage {
    pub(super) fn add(&mut self, quantities: &Quantities) {
        self.held += quantities;
        self.grants += 1;
    }

    /// Takes a place among those with the same share, of whom `first`, the least of their grants,
    /// is next. Whoever was away, or held another share, must not be first for as many grants as
    /// the others have had meanwhile.
    pub(super) fn queue_up(&mut self, first: Option<u64>) {
        self.grants = self.grants.max(first.unwrap_or_default());
    }
}

/// A framework in a role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(super) id: Arc<str>,
    pub(super) usage: Usage,
    /// Whether the role is one of the framework's. Otherwise it only still holds something.
    pub(super) subscribed: bool,
    /// Whether it takes offers.
    pub(super) active: bool,
    pub(super) position: Option<ClientPosition>,
}

impl Client {
    pub(super) fn is_unused(&self) -> bool {
        !self.subscribed && self.usage.held.is_empty()
    }
}

/// Where a framework stands among those of its role. The first is next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClientPosition {
    pub(super) share: Share,
    pub(super) grants: u64,
    pub(super) id: Arc<str>,
    pub(super) framework: FrameworkKey,
}

impl ClientPosition {
    /// The grants of the one that is next among those with exactly this share.
    pub(super) fn first_at(share: Share, order: &BTreeSet<Self>) -> Option<u64> {
        let lowest = Self { share, grants: 0, id: Arc::default(), framework: FrameworkKey(0) };
        order.range(lowest..).next().filter(|it| it.share == share).map(|it| it.grants)
    }
}

/// Where a role, or a role's own leaf, stands among its siblings. The first is next.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(super) share: Share,
    pub(super) grants: u64,
    pub(super) component: Arc<str>,
    pub(super) child: Child,
}

impl Position {
    /// The grants of the one that is next among those with exactly this share.
    pub(super) fn first_at(share: Share, order: &BTreeSet<Self>) -> Option<u64> {
        let lowest = Self { share, grants: 0, component: Arc::default(), child: Child::Own };
        order.range(lowest..).next().filter(|it| it.share == share).map(|it| it.grants)
    }
}

/// What stands at a [`Position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Child {
    /// The frameworks of the role itself.
    Own,
    /// A role directly below.
    Role(RoleKey),
}
