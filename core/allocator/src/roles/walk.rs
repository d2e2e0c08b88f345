//! Going through the roles in the order of shares.

use std::collections::btree_set::Iter;

use crate::roles::RoleKey;
use crate::roles::node::{Child, Node, Position};

/// Visits the tree depth first, at every level from the lowest share upwards. The way down is kept
/// on the heap: names of roles come from outside and may have any depth.
pub(crate) struct Walk<'a> {
    nodes: &'a [Node],
    path: Vec<(RoleKey, Iter<'a, Position>)>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(nodes: &'a [Node]) -> Self {
        let mut walk = Self { nodes, path: Vec::new() };
        walk.enter(RoleKey::ROOT);
        walk
    }

    fn enter(&mut self, role: RoleKey) {
        if let Some(node) = self.nodes.get(role.0 as usize) {
            self.path.push((role, node.children.iter()));
        }
    }
}

impl Iterator for Walk<'_> {
    type Item = RoleKey;

    fn next(&mut self) -> Option<RoleKey> {
        while let Some((role, children)) = self.path.last_mut() {
            let role = *role;
            match children.next().map(|position| position.child) {
                Some(Child::Own) => return Some(role),
                Some(Child::Role(below)) => self.enter(below),
                None => {
                    self.path.pop();
                }
            }
        }
        None
    }
}
