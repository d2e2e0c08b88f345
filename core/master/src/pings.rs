//! Pings: how an agent that does not answer is noticed, even when its connection looks alive.

use orrery_allocator::AgentKey;
use orrery_api::link::{self, from_master};
use orrery_coverage::{reachable, sometimes};

use crate::timers::Timer;
use crate::{LinkId, Master, PlantedBug};

impl Master {
    /// One ping timeout has passed: counts a missing answer, then asks again.
    pub(crate) fn ping(&mut self, key: AgentKey) {
        let Some(agent) = self.agents.get_mut(&key) else { return };
        if agent.leaving {
            return reachable!("a ping is due for an agent that is being given up");
        }
        sometimes!(
            agent.ping_outstanding && agent.link.is_some(),
            "a connected agent does not answer a ping"
        );
        if agent.ping_outstanding {
            agent.missed_pings += 1;
        }
        if agent.missed_pings >= self.options.max_agent_ping_timeouts {
            sometimes!(agent.link.is_some(), "a connected agent is given up for its silence");
            self.give_up(key, "it does not answer pings");
        }
        // While its turn to be given up has not come, it may still answer.
        let Some(agent) = self.agents.get_mut(&key).filter(|agent| !agent.leaving) else { return };
        // What cannot be sent because the link is broken will not be answered either.
        agent.ping_outstanding = true;
        self.tell_agent(key, from_master::Body::Ping(link::Ping { connected: true }));
        self.set_timer(self.options.agent_ping_timeout, Timer::Ping(key));
    }

    pub(crate) fn pong(&mut self, link: LinkId) {
        if PlantedBug::PongIsNotCounted.is_planted() {
            return;
        }
        let Some(key) = self.agent_on(link) else { return };
        if let Some(agent) = self.agents.get_mut(&key) {
            sometimes!(agent.missed_pings > 0, "an agent answers again after it has missed pings");
            agent.ping_outstanding = false;
            agent.missed_pings = 0;
        }
        self.keep(key);
    }
}
