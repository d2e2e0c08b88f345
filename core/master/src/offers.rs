//! Offers: how they are made, refused, withdrawn and timed out.

use std::collections::BTreeMap;
use std::time::Duration;

use orrery_allocator::{AgentKey, FrameworkKey, Grant};
use orrery_api::v1::{self, scheduler};
use orrery_coverage::{always, reachable, sometimes, unreachable};

use crate::state::{Framework, Offer};
use crate::timers::Timer;
use crate::{Master, PlantedBug};

/// How long resources are kept from a framework that refused them without saying how long.
const DEFAULT_REFUSAL: Duration = Duration::from_secs(5);
/// The longest refusal: one year.
const LONGEST_REFUSAL: Duration = Duration::from_secs(365 * 24 * 60 * 60);

impl Master {
    /// Turns what the allocator granted into offers, one event for each framework.
    pub(crate) fn make_offers(&mut self, grants: Vec<Grant>) {
        let mut events: BTreeMap<FrameworkKey, Vec<v1::Offer>> = BTreeMap::new();
        for grant in grants {
            let framework = self.frameworks.get(&grant.framework);
            let agent = self.agents.get(&grant.agent);
            let (Some(framework), Some(agent)) = (framework, agent) else { continue };
            if !framework.is_active() || !agent.is_active() {
                unreachable!(
                    "the allocator grants to somebody who is away",
                    framework.id(),
                    agent.id()
                );
                let now = self.now.instant;
                self.allocator.recover(grant.framework, grant.agent, &grant.resources, None, now);
                continue;
            }
            let number = self.next_offer;
            self.next_offer += 1;
            let offer = Offer {
                framework: grant.framework,
                agent: grant.agent,
                role: grant.role,
                resources: grant.resources,
            };
            let message = self.offer_as_sent(number, &offer, framework);
            events.entry(offer.framework).or_default().push(message);
            self.add_offer(number, offer);
        }
        for (framework, offers) in events {
            sometimes!(offers.len() > 1, "an OFFERS event holds several offers");
            self.metrics.offers_sent += offers.len() as u64;
            self.tell(
                framework,
                scheduler::Event {
                    r#type: Some(scheduler::event::Type::Offers as i32),
                    offers: Some(scheduler::event::Offers { offers }),
                    ..Default::default()
                },
            );
        }
    }

    fn add_offer(&mut self, number: u64, offer: Offer) {
        if let Some(framework) = self.frameworks.get_mut(&offer.framework) {
            framework.offers.insert(number);
        }
        if let Some(agent) = self.agents.get_mut(&offer.agent) {
            agent.offers.insert(number);
        }
        always!(!self.offers.contains_key(&number), "an offer's number is new", number);
        self.offers.insert(number, offer);
        if let Some(timeout) = self.options.offer_timeout {
            self.set_timer(timeout, Timer::Offer(number));
        }
    }

    /// The form in which an offer is shown.
    pub fn offer_message(&self, number: u64, offer: &Offer) -> v1::Offer {
        let framework_id =
            self.frameworks.get(&offer.framework).and_then(|one| one.info.id.clone());
        let mut message = v1::Offer {
            id: v1::OfferId { value: self.offer_id(number) },
            framework_id: framework_id.unwrap_or_default(),
            resources: offer.resources.to_messages(),
            allocation_info: Some(v1::resource::AllocationInfo { role: Some(offer.role.clone()) }),
            ..Default::default()
        };
        if let Some(agent) = self.agents.get(&offer.agent) {
            let info = agent.info.message();
            message.url = Some(agent_url(&info, &agent.pid));
            message.agent_id = agent.agent_id();
            message.hostname = info.hostname;
            message.domain = info.domain;
            message.attributes = info.attributes;
            message.executor_ids = agent
                .executors
                .keys()
                .filter(|(framework, _)| *framework == offer.framework)
                .map(|(_, executor)| v1::ExecutorId { value: executor.clone() })
                .collect();
        }
        message
    }

    /// An offer in the form that its framework understands. One that knows a single role is not
    /// told about allocations, and one that knows no refined reservations gets the older fields.
    fn offer_as_sent(&self, number: u64, offer: &Offer, framework: &Framework) -> v1::Offer {
        use v1::framework_info::capability::Type;
        let mut message = self.offer_message(number, offer);
        let multi_role = framework.can(Type::MultiRole);
        if !multi_role {
            message.allocation_info = None;
        }
        let plain = offer.resources.unallocated();
        let shown = if multi_role { &offer.resources } else { &plain };
        let older =
            (!framework.can(Type::ReservationRefinement)).then(|| shown.to_older_messages());
        message.resources = older.flatten().unwrap_or_else(|| shown.to_messages());
        message
    }

    /// The number in an offer id of this master's.
    pub(crate) fn offer_number(&self, id: &v1::OfferId) -> Option<u64> {
        let rest = id.value.strip_prefix(&self.options.master_info.id)?.strip_prefix("-O")?;
        rest.parse().ok()
    }

    /// Takes an offer out of the books. What it held still counts as allocated: the caller says
    /// what becomes of it.
    pub(crate) fn take_offer(&mut self, number: u64) -> Option<Offer> {
        let offer = self.offers.remove(&number)?;
        if let Some(framework) = self.frameworks.get_mut(&offer.framework) {
            framework.offers.remove(&number);
        }
        if let Some(agent) = self.agents.get_mut(&offer.agent) {
            agent.offers.remove(&number);
        }
        Some(offer)
    }

    /// Takes an offer back without telling anybody.
    pub(crate) fn discard_offer(&mut self, number: u64, refuse: Option<Duration>) {
        if let Some(offer) = self.take_offer(number) {
            let now = self.now.instant;
            self.allocator.recover(offer.framework, offer.agent, &offer.resources, refuse, now);
        }
    }

    /// Takes an offer back and says so.
    pub(crate) fn rescind_offer(&mut self, number: u64) {
        let Some(framework) = self.offers.get(&number).map(|offer| offer.framework) else { return };
        if !PlantedBug::RescindedOfferStaysOpen.is_planted() {
            self.discard_offer(number, None);
        }
        if PlantedBug::RescindsInSilence.is_planted() {
            return;
        }
        self.metrics.offers_rescinded += 1;
        let offer_id = v1::OfferId { value: self.offer_id(number) };
        self.tell(
            framework,
            scheduler::Event {
                r#type: Some(scheduler::event::Type::Rescind as i32),
                rescind: Some(scheduler::event::Rescind { offer_id }),
                ..Default::default()
            },
        );
    }

    pub(crate) fn discard_framework_offers(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.get(&key) else { return };
        sometimes!(
            !framework.offers.is_empty(),
            "a framework's open offers are taken back in silence"
        );
        for number in framework.offers.iter().copied().collect::<Vec<_>>() {
            self.discard_offer(number, None);
        }
    }

    pub(crate) fn rescind_agent_offers(&mut self, key: AgentKey) {
        if PlantedBug::DisconnectKeepsOffers.is_planted() {
            return;
        }
        let Some(agent) = self.agents.get(&key) else { return };
        for number in agent.offers.iter().copied().collect::<Vec<_>>() {
            self.rescind_offer(number);
        }
    }

    /// A framework that has left a role may not use what was offered to it in that role.
    pub(crate) fn rescind_offers_in_left_roles(&mut self, key: FrameworkKey) {
        let Some(framework) = self.frameworks.get(&key) else { return };
        let roles = framework.roles();
        let open = framework.offers.iter().copied();
        let left: Vec<u64> = open
            .filter(|number| self.offers.get(number).is_some_and(|it| !roles.contains(&it.role)))
            .collect();
        sometimes!(!left.is_empty(), "a framework leaves a role in which it has offers");
        for number in left {
            self.rescind_offer(number);
        }
    }

    pub(crate) fn offer_timeout(&mut self, number: u64) {
        if self.offers.contains_key(&number) {
            reachable!("an offer times out");
            tracing::info!(offer = number, "offer timed out");
            self.rescind_offer(number);
        }
    }

    /// DECLINE: offers that do not exist or are another's are left alone.
    pub(crate) fn decline(&mut self, key: FrameworkKey, decline: scheduler::call::Decline) {
        self.metrics.count("messages_decline_offers");
        let refuse = refusal(decline.filters.as_ref());
        for id in &decline.offer_ids {
            let Some(number) = self.offer_number(id) else { continue };
            let own = self.offers.get(&number).is_some_and(|offer| offer.framework == key);
            sometimes!(!own, "a DECLINE names an offer that is not open to its framework");
            if PlantedBug::DeclineOfNothingPanics.is_planted() {
                let _agent = self.offers[&number].agent;
            }
            if own && PlantedBug::DeclineKeepsResources.is_planted() {
                self.take_offer(number);
            } else if own {
                self.metrics.offers_declined += 1;
                self.discard_offer(number, Some(refuse));
            }
        }
    }
}

/// How long a framework does not want to see again what it refused.
pub(crate) fn refusal(filters: Option<&v1::Filters>) -> Duration {
    let Some(seconds) = filters.and_then(|filters| filters.refuse_seconds) else {
        return DEFAULT_REFUSAL;
    };
    if seconds.is_nan() || seconds < 0.0 {
        reachable!("a refusal is for a time that is no time");
        return DEFAULT_REFUSAL;
    }
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_REFUSAL).min(LONGEST_REFUSAL)
}

/// Where the agent's own endpoints are.
fn agent_url(info: &v1::AgentInfo, pid: &str) -> v1::Url {
    // The pid reads `slave(1)@ip:port`.
    let (path, address) = pid.split_once('@').unwrap_or(("slave(1)", ""));
    let ip = address.rsplit_once(':').map_or(address, |(ip, _)| ip);
    v1::Url {
        scheme: "http".to_owned(),
        address: v1::Address {
            hostname: Some(info.hostname.clone()),
            ip: Some(ip.to_owned()),
            port: info.port(),
        },
        path: Some(format!("/{path}")),
        ..Default::default()
    }
}
