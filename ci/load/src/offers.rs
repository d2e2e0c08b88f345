//! Offers that a framework keeps until it needs them.

use std::collections::{BTreeMap, VecDeque};

use orrery_api::v1;

/// What one agent has on offer.
#[derive(Debug)]
pub struct Bundle {
    /// The agent.
    pub agent_id: v1::AgentId,
    /// Its offers.
    pub offers: Vec<v1::OfferId>,
    /// How many tasks fit.
    pub room: u32,
}

/// Offers by agent; agents come up in the order in which they were first offered.
#[derive(Debug, Default)]
pub struct HeldOffers {
    bundles: BTreeMap<String, Bundle>,
    order: VecDeque<String>,
}

impl HeldOffers {
    /// Keeps an offer with room for `room` tasks.
    pub fn add(&mut self, offer: v1::Offer, room: u32) {
        let agent = &offer.agent_id.value;
        let bundle = self.bundles.entry(agent.clone()).or_insert_with(|| {
            self.order.push_back(agent.clone());
            Bundle { agent_id: offer.agent_id.clone(), offers: Vec::new(), room: 0 }
        });
        bundle.offers.push(offer.id);
        bundle.room = bundle.room.saturating_add(room);
    }

    /// All offers of the agent whose turn it is.
    pub fn take(&mut self) -> Option<Bundle> {
        while let Some(agent) = self.order.pop_front() {
            // It is gone when its offers were rescinded.
            if let Some(bundle) = self.bundles.remove(&agent) {
                return Some(bundle);
            }
        }
        None
    }

    /// An offer is void. What else is held of its agent goes too, to be declined: how much of the
    /// room was the offer's is not known.
    pub fn rescind(&mut self, id: &v1::OfferId) -> Vec<v1::OfferId> {
        let agent = self.bundles.iter().find(|(_, bundle)| bundle.offers.contains(id));
        let Some(agent) = agent.map(|(agent, _)| agent.clone()) else { return Vec::new() };
        self.order.retain(|other| *other != agent);
        let mut offers = self.bundles.remove(&agent).map(|it| it.offers).unwrap_or_default();
        offers.retain(|other| other != id);
        offers
    }

    /// All offers.
    pub fn drain(&mut self) -> Vec<v1::OfferId> {
        self.order.clear();
        std::mem::take(&mut self.bundles).into_values().flat_map(|bundle| bundle.offers).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(value: &str) -> v1::OfferId {
        v1::OfferId { value: value.to_owned() }
    }

    fn offer(agent: &str, offer: &str) -> v1::Offer {
        let agent_id = v1::AgentId { value: agent.to_owned() };
        v1::Offer { id: id(offer), agent_id, ..Default::default() }
    }

    #[test]
    fn offers_of_an_agent_are_used_together_and_agents_in_turn() {
        let mut held = HeldOffers::default();
        held.add(offer("b", "1"), 2);
        held.add(offer("a", "2"), 1);
        held.add(offer("b", "3"), 3);
        let first = held.take().expect("two agents");
        assert_eq!((first.agent_id.value.as_str(), first.room), ("b", 5));
        assert_eq!(first.offers, [id("1"), id("3")]);
        assert_eq!(held.take().map(|bundle| bundle.offers), Some(vec![id("2")]));
        assert!(held.take().is_none());
    }

    #[test]
    fn a_rescinded_offer_takes_the_rest_of_its_agent_with_it() {
        let mut held = HeldOffers::default();
        held.add(offer("a", "1"), 1);
        held.add(offer("a", "2"), 1);
        held.add(offer("b", "3"), 1);
        assert_eq!(held.rescind(&id("1")), [id("2")]);
        assert_eq!(held.rescind(&id("1")), []);
        held.add(offer("a", "4"), 1);
        assert_eq!(held.drain(), [id("4"), id("3")]);
        assert!(held.take().is_none());
    }
}
