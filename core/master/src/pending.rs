//! Changes of the registry that are not stored yet, and what follows each of them.

use std::collections::{BTreeMap, BTreeSet};

use orrery_allocator::AgentKey;
use orrery_runtime::WallTime;

use crate::Ticket;
use crate::gone::Departure;
use crate::registration::Registration;
use crate::removal::Removal;

/// What to do once the registry has stored something.
#[derive(Debug)]
pub(crate) enum Pending {
    /// Add a new agent that registers on this link.
    Admit(Box<Registration>),
    /// Add an agent that came back.
    Readmit(Box<Registration>),
    /// Forget an agent that does not answer.
    Unreachable(AgentKey, WallTime),
    /// Give up an agent that an earlier master knew and that has not returned.
    Missing(String, WallTime),
    /// Forget an agent that an operator declared gone.
    Gone(Box<Departure>),
    /// Forget agents that were unreachable, and agents that were gone, for very long.
    Prune(BTreeSet<String>, BTreeSet<String>),
    /// Forget an agent that left for good.
    Remove(AgentKey, Removal),
    /// Forget an agent whose address a new one has taken, and never let it in again.
    Replace(AgentKey, WallTime),
    /// Nothing.
    Nothing,
}

impl Pending {
    /// The agent that is about to be known as unreachable or gone and may not be here.
    fn leaver(&self) -> Option<&str> {
        match self {
            Self::Missing(agent_id, _) => Some(agent_id),
            Self::Gone(departure) => Some(departure.agent_id()),
            _ => None,
        }
    }
}

/// What waits for the registry. Thousands of agents may come and leave at a time, and each that
/// comes is looked for among those that leave.
#[derive(Debug, Default)]
pub(crate) struct PendingChanges {
    changes: BTreeMap<Ticket, Pending>,
    /// Those of [`Pending::Missing`] and [`Pending::Gone`].
    leavers: BTreeMap<String, Ticket>,
}

impl PendingChanges {
    pub(crate) fn insert(&mut self, ticket: Ticket, change: Pending) {
        if let Some(agent_id) = change.leaver() {
            self.leavers.insert(agent_id.to_owned(), ticket);
        }
        self.changes.insert(ticket, change);
    }

    /// It is stored.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<Pending> {
        let change = self.changes.remove(&ticket)?;
        if let Some(agent_id) = change.leaver()
            && self.leavers.get(agent_id) == Some(&ticket)
        {
            self.leavers.remove(agent_id);
        }
        Some(change)
    }

    pub(crate) fn get(&self, ticket: Ticket) -> Option<&Pending> {
        self.changes.get(&ticket)
    }

    pub(crate) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Pending> {
        self.changes.get_mut(&ticket)
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether an agent that is not here is about to be known as unreachable or gone.
    pub(crate) fn is_leaving(&self, agent_id: &str) -> bool {
        self.leavers.contains_key(agent_id)
    }

    /// Whether an agent is about to be forgotten after a long time.
    pub(crate) fn is_forgotten(&self, agent_id: &str) -> bool {
        self.changes.values().any(|change| match change {
            Pending::Prune(unreachable, gone) => {
                unreachable.contains(agent_id) || gone.contains(agent_id)
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_is_known_until_that_is_stored() {
        let missing = || Pending::Missing("agent".to_owned(), WallTime::default());
        let mut pending = PendingChanges::default();
        pending.insert(Ticket(1), missing());
        pending.insert(Ticket(2), Pending::Nothing);
        assert!(pending.is_leaving("agent") && !pending.is_leaving("another"));
        pending.remove(Ticket(2));
        assert!(pending.is_leaving("agent"));
        pending.insert(Ticket(3), missing());
        pending.remove(Ticket(1));
        assert!(pending.is_leaving("agent"), "it leaves again");
        pending.remove(Ticket(3));
        assert!(!pending.is_leaving("agent"));
        assert_eq!(pending.len(), 0);
    }
}
