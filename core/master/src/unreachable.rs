//! Agents that do not answer: how fast they may be given up, and what becomes of those that a
//! master before this one knew.

use std::collections::{BTreeSet, VecDeque};

use orrery_allocator::AgentKey;
use orrery_coverage::reachable;
use orrery_runtime::{Instant, WallTime};

use crate::pending::Pending;
use crate::removal::Removal;
use crate::state::UnreachableAgent;
use crate::timers::Timer;
use crate::{Master, Output, PlantedBug, RegistryOperation};

/// Agents that are to be given up, as fast as the rate limit lets them, each once.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    waiting: VecDeque<Candidate>,
    registered: BTreeSet<AgentKey>,
    recovered: BTreeSet<String>,
    /// Before that no other agent is given up.
    next: Instant,
}

impl Queue {
    /// Whether it was not waiting already.
    fn push(&mut self, candidate: Candidate) -> bool {
        let is_new = match &candidate {
            Candidate::Registered(key, _) => self.registered.insert(*key),
            Candidate::Recovered(agent_id) => self.recovered.insert(agent_id.clone()),
        };
        if is_new {
            self.waiting.push_back(candidate);
        }
        is_new
    }

    /// The next one that has not answered since.
    fn pop(&mut self) -> Option<Candidate> {
        loop {
            let candidate = self.waiting.pop_front()?;
            let waits = match &candidate {
                Candidate::Registered(key, _) => self.registered.remove(key),
                Candidate::Recovered(agent_id) => self.recovered.remove(agent_id),
            };
            if waits {
                return Some(candidate);
            }
        }
    }
}

/// Who is to be given up.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Candidate {
    /// One that is registered here, and why.
    Registered(AgentKey, Removal),
    /// One that an earlier master knew and that has not returned.
    Recovered(String),
}

impl Master {
    /// Marks an agent unreachable as soon as the rate limit allows, unless it answers before.
    pub(crate) fn give_up(&mut self, key: AgentKey, why: Removal) {
        self.schedule(Candidate::Registered(key, why));
        self.give_up_next();
    }

    fn schedule(&mut self, candidate: Candidate) {
        if self.giving_up.push(candidate) {
            self.metrics.count("slave_unreachable_scheduled");
        }
    }

    /// An agent has answered: it is not to be given up any more, if it was.
    pub(crate) fn keep(&mut self, key: AgentKey) {
        if self.giving_up.registered.remove(&key) {
            reachable!("an agent answers before its turn to be given up has come");
            self.metrics.count("slave_unreachable_canceled");
        }
    }

    /// Gives up those whose turn it is.
    pub(crate) fn give_up_next(&mut self) {
        while !self.giving_up.waiting.is_empty() {
            let next = self.giving_up.next;
            if self.now.instant < next {
                reachable!("an agent is given up later, to keep to the rate limit");
                self.set_timer(next - self.now.instant, Timer::GiveUp);
                return;
            }
            let Some(candidate) = self.giving_up.pop() else { return };
            let given_up = match candidate {
                Candidate::Registered(key, why) => self.give_up_registered(key, why),
                Candidate::Recovered(agent_id) => self.give_up_recovered(agent_id),
            };
            if !given_up {
                self.metrics.count("slave_unreachable_canceled");
            } else if let Some(pause) = self.options.agent_removal_interval
                && !PlantedBug::RemovalRateIsIgnored.is_planted()
            {
                self.giving_up.next = self.now.instant + pause;
            }
        }
    }

    fn give_up_registered(&mut self, key: AgentKey, why: Removal) -> bool {
        let most = self.options.max_agent_ping_timeouts;
        let missing = self.agents.get(&key).is_some_and(|agent| {
            !agent.leaving && (agent.link.is_none() || agent.missed_pings >= most)
        });
        if missing {
            self.start_unreachable(key, why);
        }
        missing
    }

    /// Agents that a previous master knew and that have not come back are given up, unless they are
    /// so many that rather something is wrong with this master.
    pub(crate) fn recovered_timeout(&mut self) {
        let missing: Vec<String> =
            self.recovered.keys().filter(|id| !self.is_registering(id)).cloned().collect();
        let share = missing.len() as f64 / self.recovered_count.max(1) as f64;
        let limit = self.options.recovery_agent_removal_limit;
        if share > limit && !PlantedBug::RemovalLimitIsIgnored.is_planted() {
            let reason = format!(
                "{} of {} agents did not return, more than --recovery_agent_removal_limit={}%",
                missing.len(),
                self.recovered_count,
                limit * 100.0
            );
            tracing::error!(%reason, "this master ends rather than give up so many agents");
            return self.emit(Output::Fail { reason });
        }
        for agent_id in missing {
            self.schedule(Candidate::Recovered(agent_id));
        }
        self.give_up_next();
    }

    fn give_up_recovered(&mut self, agent_id: String) -> bool {
        let is_back = !self.recovered.contains_key(&agent_id) || self.is_registering(&agent_id);
        if is_back || self.is_leaving_while_away(&agent_id) {
            return false;
        }
        reachable!("an agent does not come back to a restarted master in time");
        tracing::info!(%agent_id, "agent did not return after the master was restarted");
        let since = self.now.wall;
        let operation = RegistryOperation::MarkUnreachable { agent_id: agent_id.clone(), since };
        if PlantedBug::AbsenceIsToldBeforeStored.is_planted() {
            self.missing_given_up(agent_id, since);
            self.store(operation, Pending::Nothing);
            return true;
        }
        self.store(operation, Pending::Missing(agent_id, since));
        true
    }

    /// An agent that did not return is known to be unreachable.
    pub(crate) fn missing_given_up(&mut self, agent_id: String, since: WallTime) {
        self.recovered.remove(&agent_id);
        self.metrics.count("recovery_slave_removals");
        self.count_unreachable();
        self.tell_agent_lost(&agent_id);
        self.unreachable.insert(agent_id, UnreachableAgent { since });
    }

    /// Whether the registry is about to know an agent that is not here as unreachable or gone.
    pub(crate) fn is_leaving_while_away(&self, agent_id: &str) -> bool {
        self.pending.is_leaving(agent_id)
    }

    /// How many changes of the registry this master has asked for, and how many of them are not
    /// stored yet.
    pub fn registry_changes(&self) -> (u64, usize) {
        (self.next_ticket, self.pending.len())
    }

    /// Whether the registry is about to store that an agent comes, leaves or is forgotten: until
    /// then nobody can tell what a later master will know of it.
    pub fn is_membership_changing(&self, agent_id: &str) -> bool {
        let is_leaving = |key| self.agents.get(key).is_some_and(|agent| agent.leaving);
        self.agent_keys.get(agent_id).is_some_and(is_leaving)
            || self.is_registering(agent_id)
            || self.is_leaving_while_away(agent_id)
            || self.pending.is_forgotten(agent_id)
    }
}
