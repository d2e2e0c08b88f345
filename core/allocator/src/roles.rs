//! The tree of roles, in which everybody stands in the order of shares.
//!
//! A role's frameworks compete as one with the roles below it: role `a` with frameworks of its own
//! and a role `a/b` has two children, its own leaf (called `.`) and `b`. Every node keeps its
//! active children in an ordered set, so whoever is next is found without sorting, and a change of
//! an allocation moves one entry in each set on the way to the root.

mod node;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use node::{Child, Client, ClientPosition, Node, Position};
use orrery_model::Quantities;
pub(crate) use walk::Walk;

use crate::options::FrameworkKey;
use crate::planted::PlantedBug;
use crate::share::{Pool, Share};

/// A role, by its place in [`Roles`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RoleKey(u32);

impl RoleKey {
    /// The smallest key.
    pub(crate) const FIRST: Self = Self(0);
    /// The node above all roles.
    const ROOT: Self = Self(0);
}

/// All roles that have a framework, an allocation or such a role below them.
#[derive(Clone, Debug)]
pub(crate) struct Roles {
    nodes: Vec<Node>,
    /// Places of removed nodes.
    vacant: Vec<RoleKey>,
    /// Weights other than 1, also of roles that are not in the tree.
    weights: BTreeMap<String, f64>,
}

impl Default for Roles {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], vacant: Vec::new(), weights: BTreeMap::new() }
    }
}

impl Roles {
    fn node(&self, role: RoleKey) -> &Node {
        &self.nodes[role.0 as usize]
    }

    fn node_mut(&mut self, role: RoleKey) -> &mut Node {
        &mut self.nodes[role.0 as usize]
    }

    /// The role with this name, if it is in the tree.
    pub(crate) fn find(&self, name: &str) -> Option<RoleKey> {
        let child = |parent: RoleKey, component| self.node(parent).below.get(component).copied();
        name.split('/').try_fold(RoleKey::ROOT, child)
    }

    fn find_or_insert(&mut self, name: &str) -> RoleKey {
        let mut role = RoleKey::ROOT;
        let mut length = 0;
        for component in name.split('/') {
            length += component.len();
            role = match self.node(role).below.get(component) {
                Some(below) => *below,
                None => self.insert(role, component, &name[..length]),
            };
            length += 1;
        }
        self.node_mut(role).name.get_or_insert_with(|| name.into());
        role
    }

    fn insert(&mut self, parent: RoleKey, component: &str, name: &str) -> RoleKey {
        let component: Arc<str> = component.into();
        let weight = self.weights.get(name).copied().unwrap_or(1.0);
        let node =
            Node { parent: Some(parent), component: component.clone(), weight, ..Node::default() };
        let role = match self.vacant.pop() {
            Some(role) => {
                *self.node_mut(role) = node;
                role
            }
            None => {
                self.nodes.push(node);
                RoleKey(self.nodes.len() as u32 - 1)
            }
        };
        self.node_mut(parent).below.insert(component, role);
        role
    }

    /// Removes the role and those above it as far as nothing uses them.
    fn prune(&mut self, mut role: RoleKey) {
        while let Some(parent) = self.node(role).parent
            && self.node(role).is_unused()
        {
            let component = self.node(role).component.clone();
            self.node_mut(parent).below.remove(&component);
            *self.node_mut(role) = Node::default();
            self.vacant.push(role);
            role = parent;
        }
    }

    /// The name of a role that has or had frameworks.
    pub(crate) fn name(&self, role: RoleKey) -> &str {
        self.node(role).name.as_deref().unwrap_or_default()
    }

    /// Whether nobody takes offers.
    pub(crate) fn is_idle(&self) -> bool {
        self.node(RoleKey::ROOT).children.is_empty()
    }

    /// What all frameworks hold together.
    pub(crate) fn allocated(&self) -> &Quantities {
        &self.node(RoleKey::ROOT).subtree.held
    }

    /// The share by which the role competes with its siblings.
    pub(crate) fn share(&self, role: RoleKey, pool: &Pool) -> Share {
        pool.share(&self.node(role).subtree.held, self.node(role).weight)
    }

    /// The active roles from the one that is next to the last.
    pub(crate) fn walk(&self) -> Walk<'_> {
        Walk::new(&self.nodes)
    }

    /// The active frameworks of a role from the one that is next to the last.
    pub(crate) fn frameworks(&self, role: RoleKey) -> impl Iterator<Item = FrameworkKey> {
        self.node(role).clients_in_order.iter().map(|position| position.framework)
    }

    /// What each framework holds in each role.
    pub(crate) fn holdings(&self) -> impl Iterator<Item = (&str, FrameworkKey, &Quantities)> {
        self.nodes.iter().flat_map(|node| {
            let name = node.name.as_deref().unwrap_or_default();
            node.clients.iter().map(move |(key, client)| (name, *key, &client.usage.held))
        })
    }

    // === frameworks ===

    /// Makes the framework one of the role's, without offers so far.
    pub(crate) fn subscribe(&mut self, name: &str, framework: FrameworkKey) -> RoleKey {
        let role = self.find_or_insert(name);
        self.node_mut(role).clients.entry(framework).or_default().subscribed = true;
        role
    }

    /// Ends what [`Roles::subscribe`] began. What the framework holds stays accounted for.
    pub(crate) fn unsubscribe(&mut self, name: &str, framework: FrameworkKey, pool: &Pool) {
        let Some(role) = self.find(name) else { return };
        self.deactivate(role, framework, pool);
        if let Some(client) = self.node_mut(role).clients.get_mut(&framework) {
            client.subscribed = false;
        }
        self.drop_unused_client(role, framework);
    }

    fn drop_unused_client(&mut self, role: RoleKey, framework: FrameworkKey) {
        if PlantedBug::UnusedClientsStay.is_planted() {
            return;
        }
        let clients = &mut self.node_mut(role).clients;
        if clients.get(&framework).is_some_and(Client::is_unused) {
            clients.remove(&framework);
            self.prune(role);
        }
    }

    /// Lets a subscribed framework have offers in the role.
    pub(crate) fn activate(
        &mut self,
        role: RoleKey,
        framework: FrameworkKey,
        id: &Arc<str>,
        pool: &Pool,
    ) {
        if let Some(client) = self.node_mut(role).clients.get_mut(&framework) {
            client.id = id.clone();
            client.active = true;
        }
        self.place_client(role, framework, pool);
        self.place_path(role, pool);
    }

    /// Ends what [`Roles::activate`] began.
    pub(crate) fn deactivate(&mut self, role: RoleKey, framework: FrameworkKey, pool: &Pool) {
        if let Some(client) = self.node_mut(role).clients.get_mut(&framework) {
            client.active = false;
        }
        self.place_client(role, framework, pool);
        self.place_path(role, pool);
    }

    // === allocations ===

    /// Adds to what the framework holds in the role, and counts it as one more grant.
    pub(crate) fn allocate(
        &mut self,
        name: &str,
        framework: FrameworkKey,
        quantities: &Quantities,
        pool: &Pool,
    ) {
        let role = self.find_or_insert(name);
        let node = self.node_mut(role);
        node.clients.entry(framework).or_default().usage.add(quantities);
        node.own.add(quantities);
        let mut above = Some(role);
        while let Some(role) = above {
            self.node_mut(role).subtree.add(quantities);
            above = self.node(role).parent;
        }
        self.place_client(role, framework, pool);
        self.place_path(role, pool);
    }

    /// Takes from what the framework holds in the role.
    pub(crate) fn release(
        &mut self,
        name: &str,
        framework: FrameworkKey,
        quantities: &Quantities,
        pool: &Pool,
    ) {
        let Some(role) = self.find(name) else { return };
        let Some(client) = self.node_mut(role).clients.get_mut(&framework) else {
            return;
        };
        client.usage.held -= quantities;
        self.node_mut(role).own.held -= quantities;
        let mut above = Some(role);
        while let Some(role) = above {
            self.node_mut(role).subtree.held -= quantities;
            above = self.node(role).parent;
        }
        self.place_client(role, framework, pool);
        self.place_path(role, pool);
        self.drop_unused_client(role, framework);
    }

    // === order ===

    pub(crate) fn set_weight(&mut self, name: &str, weight: f64, pool: &Pool) {
        match weight == 1.0 {
            true => self.weights.remove(name),
            false => self.weights.insert(name.to_owned(), weight),
        };
        if let Some(role) = self.find(name) {
            self.node_mut(role).weight = weight;
            self.place_path(role, pool);
        }
    }

    /// Puts everybody in a new place after the pool has changed.
    pub(crate) fn reorder(&mut self, pool: &Pool) {
        for number in 0..self.nodes.len() as u32 {
            let role = RoleKey(number);
            let active: Vec<FrameworkKey> = self.frameworks(role).collect();
            for framework in active {
                self.place_client(role, framework, pool);
            }
            self.place_own(role, pool);
            self.place_node(role, pool);
        }
    }

    /// Puts the framework where its share belongs, or nowhere when it is not active.
    fn place_client(&mut self, role: RoleKey, framework: FrameworkKey, pool: &Pool) {
        let Node { clients, clients_in_order, .. } = self.node_mut(role);
        let Some(client) = clients.get_mut(&framework) else {
            return;
        };
        let old = client.position.take();
        if let Some(old) = &old {
            clients_in_order.remove(old);
        }
        if client.active {
            let share = pool.share(&client.usage.held, 1.0);
            if old.is_none_or(|old| old.share != share) {
                client.usage.queue_up(ClientPosition::first_at(share, clients_in_order));
            }
            let (grants, id) = (client.usage.grants, client.id.clone());
            let position = ClientPosition { share, grants, id, framework };
            client.position = Some(position.clone());
            clients_in_order.insert(position);
        }
    }

    /// Puts the role's own leaf, the role, and all roles above it where their shares belong.
    fn place_path(&mut self, role: RoleKey, pool: &Pool) {
        self.place_own(role, pool);
        let mut above = Some(role);
        while let Some(role) = above {
            self.place_node(role, pool);
            above = self.node(role).parent;
        }
    }

    fn place_own(&mut self, role: RoleKey, pool: &Pool) {
        let node = self.node_mut(role);
        let old = node.own_position.take();
        if let Some(old) = &old {
            node.children.remove(old);
        }
        if !node.clients_in_order.is_empty() {
            let share = pool.share(&node.own.held, 1.0);
            if old.as_ref().is_none_or(|old| old.share != share) {
                node.own.queue_up(Position::first_at(share, &node.children));
            }
            let component = old.map_or_else(|| ".".into(), |old| old.component);
            let grants = node.own.grants;
            let position = Position { share, grants, component, child: Child::Own };
            node.own_position = Some(position.clone());
            node.children.insert(position);
        }
    }

    fn place_node(&mut self, role: RoleKey, pool: &Pool) {
        let Some(parent) = self.node(role).parent else {
            return;
        };
        let old = self.node_mut(role).position.take();
        if let Some(old) = &old {
            self.node_mut(parent).children.remove(old);
        }
        let node = self.node(role);
        if !node.children.is_empty() {
            let share = pool.share(&node.subtree.held, node.weight);
            if old.is_none_or(|old| old.share != share) {
                let first = Position::first_at(share, &self.node(parent).children);
                self.node_mut(role).subtree.queue_up(first);
            }
            let node = self.node(role);
            let position = Position {
                share,
                grants: node.subtree.grants,
                component: node.component.clone(),
                child: Child::Role(role),
            };
            self.node_mut(role).position = Some(position.clone());
            self.node_mut(parent).children.insert(position);
        }
    }
}
