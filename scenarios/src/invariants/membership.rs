//! Membership (S18 of the catalogue): an agent is in one place of the master's books, and goes from
//! one to another by legal steps only. Mesos' bugs of the kind: MESOS-9609, MESOS-8337, MESOS-6482,
//! MESOS-8750.
//!
//! ```text
//!               ┌──────────────────────────────┐
//!               ▼                              │
//!  (absent) ─▶ registered ──▶ unreachable ─────┘      recovered ──▶ registered, unreachable
//!     ▲            │               │
//!     └────────────┴───────────────┘
//! ```

use std::collections::BTreeMap;

use orrery_master::Master;

/// Where a master has an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// An earlier master knew it, and it has not come back yet.
    Recovered,
    Registered,
    Unreachable,
}

/// Where the master of the moment has each agent.
#[derive(Debug, Default)]
pub struct Membership {
    master: String,
    places: BTreeMap<String, Place>,
}

fn may_follow(before: Option<Place>, now: Place) -> bool {
    use Place::{Recovered, Registered, Unreachable};
    match (before, now) {
        (Some(before), now) if before == now => true,
        (None | Some(Recovered | Unreachable), Registered) => true,
        (Some(Recovered | Registered), Unreachable) => true,
        (None | Some(Registered | Unreachable), Recovered) => false,
        _ => false,
    }
}

impl Membership {
    pub(crate) fn master_stepped(&mut self, master: &Master) -> Result<(), String> {
        let mut now: BTreeMap<&str, Place> = BTreeMap::new();
        let registered = master.agents().map(|(_, agent)| (agent.id(), Place::Registered));
        let recovered = master.recovered_agents().keys();
        let recovered = recovered.map(|id| (id.as_str(), Place::Recovered));
        let unreachable = master.unreachable_agents().keys();
        let unreachable = unreachable.map(|id| (id.as_str(), Place::Unreachable));
        for (id, place) in registered.chain(recovered).chain(unreachable) {
            if let Some(other) = now.insert(id, place) {
                return Err(format!("agent {id} is {other:?} and {place:?} at once"));
            }
        }
        let places = self.places.iter().map(|(id, place)| (id.as_str(), *place));
        if self.master == master.options().master_info.id {
            if places.eq(now.iter().map(|(id, place)| (*id, *place))) {
                return Ok(());
            }
            for (id, place) in &now {
                let before = self.places.get(*id).copied();
                if !may_follow(before, *place) {
                    return Err(format!("agent {id} was {before:?} and is {place:?} now"));
                }
            }
        }
        self.master.clone_from(&master.options().master_info.id);
        self.places = now.into_iter().map(|(id, place)| (id.to_owned(), place)).collect();
        Ok(())
    }
}
