//! Offers (S2 of the catalogue): an offer is used at most once, and never after it was rescinded,
//! timed out or its agent left. Mesos' bugs of the kind: MESOS-1418, MESOS-3522, MESOS-749.
//!
//! Calls of a session reach the master in order, and the master's events reach the session in
//! order. So what a framework knows to be void when it accepts is void in the master when the call
//! arrives, and no task of that call may ever start; [`super::runs`] looks whether one did.

use std::collections::{BTreeMap, BTreeSet};

use orrery_api::v1;
use orrery_master::Master;

use super::Session;
use crate::plan::Abuse;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Open,
    /// Accepted or declined.
    Used,
    /// Rescinded, or the subscription that it came with is over.
    Withdrawn,
}

#[derive(Debug)]
struct Entry {
    session: Session,
    agent: v1::AgentId,
    fate: Fate,
}

/// Every offer that any framework has seen, and those that are open in the master.
#[derive(Debug, Default)]
pub struct Offers {
    seen: BTreeMap<String, Entry>,
    master: String,
    open: BTreeSet<u64>,
    next: u64,
}

impl Offers {
    pub(crate) fn offered(&mut self, session: Session, offer: &v1::Offer) -> Result<(), String> {
        let agent = offer.agent_id.clone();
        let entry = Entry { session, agent, fate: Fate::Open };
        match self.seen.insert(offer.id.value.clone(), entry) {
            None => Ok(()),
            Some(before) => Err(format!("offer {} was made before: {before:?}", offer.id.value)),
        }
    }

    pub(crate) fn rescinded(&mut self, session: Session, id: &v1::OfferId) {
        if let Some(entry) = self.seen.get_mut(&id.value)
            && entry.session == session
            && entry.fate == Fate::Open
        {
            entry.fate = Fate::Withdrawn;
        }
    }

    pub(crate) fn void(&mut self, session: Session) {
        for entry in self.seen.values_mut() {
            if entry.session == session && entry.fate == Fate::Open {
                entry.fate = Fate::Withdrawn;
            }
        }
    }

    /// Before an agent's loss is told, its offers are rescinded.
    pub(crate) fn agent_lost(
        &mut self,
        session: Session,
        agent: &v1::AgentId,
    ) -> Result<(), String> {
        let open = self.seen.iter().find(|(_, entry)| {
            entry.session == session && entry.fate == Fate::Open && entry.agent == *agent
        });
        match open {
            None => Ok(()),
            Some((id, _)) => {
                Err(format!("agent {} was lost but offer {id} was not rescinded", agent.value))
            }
        }
    }

    /// Whether a framework has heard of an offer.
    pub(crate) fn is_known(&self, id: &str) -> bool {
        self.seen.contains_key(id)
    }

    /// Notes that offers are used; false when they must not be.
    pub(crate) fn accepted(&mut self, session: Session, ids: &[v1::OfferId]) -> bool {
        let mut allowed = true;
        for id in ids {
            match self.seen.get_mut(&id.value) {
                Some(entry) if entry.session == session && entry.fate == Fate::Open => {
                    entry.fate = Fate::Used;
                }
                _ => allowed = false,
            }
        }
        allowed
    }

    pub(crate) fn bad_offer(
        &self,
        session: Session,
        abuse: Abuse,
    ) -> Option<(v1::OfferId, v1::AgentId)> {
        let own = |entry: &Entry| entry.session.framework == session.framework;
        // The latest of its kind: the agent is most likely to be there still.
        let found = self.seen.iter().rev().find(|(_, entry)| match abuse {
            Abuse::Used => own(entry) && entry.fate == Fate::Used,
            Abuse::Withdrawn => own(entry) && entry.fate == Fate::Withdrawn,
            Abuse::Foreign => !own(entry) && entry.fate == Fate::Open,
            Abuse::Invented | Abuse::TooLarge => true,
        });
        let (id, entry) = found?;
        let value = match abuse {
            Abuse::Invented => format!("{id}99"),
            _ => id.clone(),
        };
        Some((v1::OfferId { value }, entry.agent.clone()))
    }

    /// In the master, only agents and frameworks that are there have open offers, and an offer that
    /// was closed stays closed.
    pub(crate) fn master_stepped(&mut self, master: &Master) -> Result<(), String> {
        let id = &master.options().master_info.id;
        if self.master != *id {
            self.master.clone_from(id);
            self.open.clear();
            self.next = 0;
        }
        let frameworks: BTreeMap<_, _> = master.frameworks().collect();
        for (number, offer) in master.offers() {
            if *number < self.next && !self.open.contains(number) {
                return Err(format!("offer {number} is open again"));
            }
            let agent = master.agent(offer.agent);
            if !agent.is_some_and(|agent| agent.is_active()) {
                return Err(format!("offer {number} is open but its agent is not there"));
            }
            let framework = frameworks.get(&offer.framework);
            if !framework.is_some_and(|framework| framework.is_active()) {
                return Err(format!("offer {number} is open but its framework is not there"));
            }
        }
        self.open = master.offers().keys().copied().collect();
        self.next = self.next.max(self.open.last().map_or(0, |last| last + 1));
        Ok(())
    }
}
