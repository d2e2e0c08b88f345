//! How an agent leaves, for a while.

use orrery_allocator::AgentKey;
use orrery_coverage::{sometimes, unreachable};

use crate::timers::Timer;
use crate::{LinkId, Master};

impl Master {
    /// A link broke. The agent keeps its tasks: it may only have lost its connection. (Mesos takes
    /// a broken connection for the death of the agent's process and gives up the tasks of
    /// frameworks that do not checkpoint at once; here they are given up when the agent returns
    /// without them or does not return in time, so that no task is called lost while it runs.)
    pub(crate) fn link_closed(&mut self, link: LinkId) {
        self.registering_link_closed(link);
        let Some(key) = self.links.remove(&link) else { return };
        let Some(agent) = self.agents.get_mut(&key) else { return };
        if agent.link != Some(link) {
            return unreachable!("a link on record is not its agent's", agent.id(), link);
        }
        agent.link = None;
        agent.departures += 1;
        let departures = agent.departures;
        tracing::info!(agent_id = agent.id(), "agent disconnected");
        sometimes!(!agent.tasks.is_empty(), "an agent with tasks loses its link");
        sometimes!(agent.leaving, "an agent's link breaks while it is being given up");
        self.allocator.deactivate_agent(key);
        self.rescind_agent_offers(key);
        let timeout = self.options.agent_reregister_timeout;
        self.set_timer(timeout, Timer::Reregister(key, departures));
    }

    pub(crate) fn reregister_timeout(&mut self, key: AgentKey, departures: u64) {
        let late = self.agents.get(&key).is_some_and(|agent| {
            agent.link.is_none() && agent.departures == departures && !agent.leaving
        });
        let agent = self.agents.get(&key);
        sometimes!(
            agent.is_some_and(|agent| agent.link.is_some()),
            "an agent is back before its time to register again is over"
        );
        if late {
            self.give_up(key, "it did not register again in time");
        }
    }
}
