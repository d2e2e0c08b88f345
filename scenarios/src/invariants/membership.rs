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
//!
//! Unreachable agents become absent where masters forget them, and their tasks with them. How fast
//! agents are given up, and how many of those that do not return, is what the settings say.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orrery_master::Master;
use orrery_runtime::Instant;
use orrery_runtime_sim::Probability;

use crate::plan::Shape;

/// Where a master has an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// An earlier master knew it, and it has not come back yet.
    Recovered,
    Registered,
    Unreachable,
}

/// Where the master of the moment has each agent.
#[derive(Debug)]
pub struct Membership {
    /// Whether masters may forget agents that they have given up.
    forgets: bool,
    several_masters: bool,
    pace: Pace,
    limit: Limit,
    /// Whether an operator has lifted the limit for masters that are started from now on.
    is_lifted: bool,
    master: String,
    places: BTreeMap<String, Place>,
}

impl Default for Membership {
    fn default() -> Self {
        Self::of(&Shape::default())
    }
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
    /// What is to hold in a cluster of this shape.
    pub fn of(shape: &Shape) -> Self {
        Self {
            forgets: shape.forgets_agents(),
            several_masters: shape.masters > 1,
            pace: Pace { interval: shape.removal_interval, ..Pace::default() },
            limit: Limit { most: shape.recovery_removal_limit, recovered: 0, given_up: 0 },
            is_lifted: false,
            master: String::new(),
            places: BTreeMap::new(),
        }
    }

    /// Masters that are started from now on give up as many agents as do not return.
    pub(crate) fn lift_limit(&mut self) {
        self.is_lifted = true;
    }

    pub(crate) fn master_stepped(&mut self, master: &Master, now: Instant) -> Result<(), String> {
        let places = places(master)?;
        check_unreachable_tasks(master)?;
        let id = &master.options().master_info.id;
        let is_same = self.master == *id;
        if !is_same {
            self.pace.begin();
            // One that is registered in the first step already was known before: to admit another
            // one takes the registry.
            let recovered = places.values().filter(|place| **place != Place::Unreachable);
            self.limit = Limit { recovered: recovered.count(), given_up: 0, ..self.limit };
            self.master.clone_from(id);
        }
        let before = std::mem::take(&mut self.places);
        let checked = match is_same {
            true => self.check_steps(&before, &places, now),
            false => Ok(()),
        };
        let changing = places.iter().filter(|(_, place)| **place != Place::Unreachable);
        let changing = changing.map(|(id, _)| id).filter(|id| master.is_membership_changing(id));
        let has_moved = |id: &String| before.get(id) != places.get(id);
        self.pace.note_changing(changing.map(|id| (id, has_moved(id))), now);
        self.places = places;
        checked
    }

    fn check_steps(
        &mut self,
        before: &BTreeMap<String, Place>,
        now: &BTreeMap<String, Place>,
        time: Instant,
    ) -> Result<(), String> {
        let mut given_up = Vec::new();
        for (id, place) in now {
            let before = before.get(id).copied();
            if !may_follow(before, *place) {
                return Err(format!("agent {id} was {before:?} and is {place:?} now"));
            }
            if before != Some(*place) && *place == Place::Unreachable {
                given_up.push(id);
                self.limit.given_up += usize::from(before == Some(Place::Recovered));
            }
        }
        let mut unreachable = before.iter().filter(|(_, place)| **place == Place::Unreachable);
        let forgotten = unreachable.find(|(id, _)| !now.contains_key(*id));
        if let Some((id, _)) = forgotten.filter(|_| !self.forgets) {
            return Err(format!("agent {id} was unreachable and is forgotten"));
        }
        self.pace.check(&given_up, time)?;
        if self.is_lifted { Ok(()) } else { self.limit.check() }
    }

    /// Whether a master may end with this error: it gives up no more than a share of the agents
    /// that it has read of. Of a master that was deposed nobody knows how many those are.
    pub(crate) fn may_end(&self, error: &str) -> bool {
        let recovered = self.places.values().filter(|place| **place == Place::Recovered);
        let is_exceeded = self.several_masters || self.limit.is_exceeded_by(recovered.count());
        error.contains("recovery_agent_removal_limit") && !self.is_lifted && is_exceeded
    }
}

/// Where a master has its agents.
fn places(master: &Master) -> Result<BTreeMap<String, Place>, String> {
    let mut places = BTreeMap::new();
    let registered = master.agents().map(|(_, agent)| (agent.id(), Place::Registered));
    let recovered = master.recovered_agents().keys();
    let recovered = recovered.map(|id| (id.as_str(), Place::Recovered));
    let unreachable = master.unreachable_agents().keys();
    let unreachable = unreachable.map(|id| (id.as_str(), Place::Unreachable));
    for (id, place) in registered.chain(recovered).chain(unreachable) {
        if let Some(other) = places.insert(id.to_owned(), place) {
            return Err(format!("agent {id} is {other:?} and {place:?} at once"));
        }
    }
    Ok(places)
}

/// Whether the agent of each task that is on record as unreachable is so.
fn check_unreachable_tasks(master: &Master) -> Result<(), String> {
    for (_, framework) in master.frameworks() {
        for task in &framework.unreachable_tasks {
            let agent = task.agent_id();
            if !master.unreachable_agents().contains_key(agent) {
                let id = task.id();
                return Err(format!("task {id} is unreachable on agent {agent}, which is not"));
            }
        }
    }
    Ok(())
}

/// How fast agents are given up. It counts when a master begins with one: how long the registry
/// then takes to store it is another matter.
#[derive(Debug, Default)]
struct Pace {
    /// At least so much lies between two.
    interval: Option<Duration>,
    /// Since when the registry is changing an agent that may be given up.
    changing: BTreeMap<String, Instant>,
    /// When the last one was begun with.
    last: Option<Instant>,
}

impl Pace {
    /// Another master leads, which has given up nobody.
    fn begin(&mut self) {
        self.changing.clear();
        self.last = None;
    }

    /// Takes the agents that are changing now, each with whether it has just come to its place, so
    /// that what was changing before is done.
    fn note_changing<'a>(&mut self, now: impl Iterator<Item = (&'a String, bool)>, time: Instant) {
        if self.interval.is_none() {
            return;
        }
        let before = std::mem::take(&mut self.changing);
        let since = |id: &String| before.get(id).copied().unwrap_or(time);
        let now = now.map(|(id, is_new)| (id.clone(), if is_new { time } else { since(id) }));
        self.changing = now.collect();
    }

    /// Takes the agents that have just become unreachable.
    fn check(&mut self, given_up: &[&String], time: Instant) -> Result<(), String> {
        let Some(interval) = self.interval else { return Ok(()) };
        let begin = |id: &&String| self.changing.get(*id).copied().unwrap_or(time);
        let begun: BTreeSet<(Instant, &String)> =
            given_up.iter().map(|id| (begin(id), *id)).collect();
        for (begin, id) in begun {
            // Clocks run fast or slow by less than that.
            let least = interval * 99 / 100;
            if let Some(last) = self.last.filter(|last| begin.since(*last) < least) {
                let gap = begin.since(last);
                return Err(format!(
                    "agent {id} was given up {gap:?} after another one, and not {interval:?}"
                ));
            }
            self.last = Some(begin);
        }
        Ok(())
    }
}

/// How many of the agents that a master has read of it gives up.
#[derive(Clone, Copy, Debug)]
struct Limit {
    most: Probability,
    /// So many it has read of.
    recovered: usize,
    /// So many of those it has given up.
    given_up: usize,
}

impl Limit {
    fn is_exceeded_by(&self, count: usize) -> bool {
        let most = self.recovered as u64 * u64::from(self.most.parts_per_million());
        count as u64 * 1_000_000 > most
    }

    fn check(&self) -> Result<(), String> {
        let Self { most, recovered, given_up } = self;
        if self.is_exceeded_by(*given_up) {
            return Err(format!(
                "{given_up} of {recovered} agents that did not return were given up, and not \
                 {most} at most"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanoseconds(seconds * 1_000_000_000)
    }

    #[test]
    fn what_counts_for_the_pace_is_when_the_master_began() {
        let [a, b, c] = ["a", "b", "c"].map(str::to_owned);
        let mut pace = Pace { interval: Some(Duration::from_secs(5)), ..Pace::default() };
        pace.note_changing([(&a, true)].into_iter(), at(1));
        pace.note_changing([(&a, false), (&b, false)].into_iter(), at(6));
        // The registry was slow, and both are stored at once.
        assert_eq!(pace.check(&[&a, &b], at(8)), Ok(()));
        pace.note_changing([(&c, true)].into_iter(), at(10));
        assert!(pace.check(&[&c], at(12)).is_err());
    }

    #[test]
    fn the_limit_is_a_share_of_what_was_read() {
        let most = Probability::from_percent(50);
        let mut limit = Limit { most, recovered: 4, given_up: 2 };
        assert_eq!(limit.check(), Ok(()));
        limit.given_up += 1;
        assert!(limit.check().is_err());
        assert!(!Limit { most: Probability::ALWAYS, recovered: 1, given_up: 1 }.is_exceeded_by(1));
    }
}
