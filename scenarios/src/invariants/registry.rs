//! The registry (S3, S4 and S12 of the catalogue): what a master has acted on was stored before, in
//! the replicated log, and every later master knows it. Mesos' bugs of the kind: MESOS-841,
//! MESOS-983, MESOS-1376, MESOS-9786, MESOS-648, MESOS-8481.
//!
//! A master acts on a change of an agent's membership only once it is stored: it lets the agent in,
//! tells frameworks that it is unreachable, or forgets it. So a master that takes over begins with
//! all of that, whatever happened to the one before it; and that one, should it go on without
//! knowing, can act only on what its successor has read, for nothing else was stored.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use orrery_coverage::sometimes;
use orrery_master::Master;
use orrery_runtime::Instant;

use super::truth::Truth;
use crate::plan::Shape;

/// How an agent stands with a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It may take part, whether or not it is there.
    Admitted,
    /// It did not answer.
    Unreachable,
    /// An operator has said that it will never come back.
    Gone,
    /// It was one of these, and is none any more.
    Forgotten,
    /// A change is being stored.
    Changing,
}

type Standings = BTreeMap<String, Standing>;

/// One master that has led.
#[derive(Debug)]
struct Term {
    master: String,
    began: Instant,
    changes: (u64, usize),
    /// What it began with.
    first: Standings,
    /// What it has acted on.
    now: Standings,
}

/// What masters know of agents.
#[derive(Debug, Default)]
pub struct Registry {
    /// The version of the truth about agents.
    truth: u64,
    terms: Vec<Term>,
    /// Whether masters may forget agents that they have given up.
    forgets: bool,
    /// Agents that were forgotten, and have not come back since.
    forgotten: BTreeSet<String>,
    /// Agents that were forgotten at any time, and that were unreachable.
    ever_forgotten: BTreeSet<String>,
    ever_unreachable: BTreeSet<String>,
}

fn standings(master: &Master, before: &Standings) -> Standings {
    let forgotten = before.keys().map(|id| (id.clone(), Standing::Forgotten));
    let recovered = master.recovered_agents().keys();
    let registered = master.agents().map(|(_, agent)| agent.id());
    let admitted = registered.chain(recovered.map(String::as_str));
    let admitted = admitted.map(|id| (id.to_owned(), Standing::Admitted));
    let unreachable = master.unreachable_agents().keys();
    let unreachable = unreachable.map(|id| (id.clone(), Standing::Unreachable));
    let gone = master.gone_agents().keys().map(|id| (id.clone(), Standing::Gone));
    let mut all: Standings = forgotten.chain(admitted).chain(unreachable).chain(gone).collect();
    for (id, standing) in &mut all {
        if master.is_membership_changing(id) {
            *standing = Standing::Changing;
        }
    }
    all
}

/// Whether what was acted on is what a later master has begun with.
fn check_read(acted_on: &Standings, read: &Standings) -> Result<(), String> {
    for (id, acted) in acted_on {
        let read = read.get(id).copied().unwrap_or(Standing::Forgotten);
        let is_open = [*acted, read].contains(&Standing::Changing);
        if !is_open && read != *acted {
            return Err(format!("agent {id} was {acted:?}, and the next master read {read:?}"));
        }
    }
    Ok(())
}

impl Registry {
    /// What nobody knows anything of yet, in a cluster of this shape.
    pub fn of(shape: &Shape) -> Self {
        Self { forgets: shape.forgets_agents(), ..Self::default() }
    }

    /// Whether anything has changed that this rule is about.
    pub(crate) fn is_behind(&self, master: &Master, truth: &Truth) -> bool {
        let id = &master.options().master_info.id;
        let term = self.terms.iter().rev().find(|term| term.master == *id);
        let is_known = term.is_some_and(|term| term.changes == master.registry_changes());
        !is_known || self.truth != truth.version()
    }

    /// Whether an agent was ever unreachable. What was said while it was may be read long after.
    pub(crate) fn was_unreachable(&self, agent: &str) -> bool {
        self.ever_unreachable.contains(agent)
    }

    /// Whether an agent was ever given up for so long that it was forgotten.
    pub(crate) fn was_forgotten(&self, agent: &str) -> bool {
        self.ever_forgotten.contains(agent)
    }

    /// Whether an agent was forgotten, and has not come back.
    fn is_forgotten(&self, agent: &str) -> bool {
        self.forgotten.contains(agent)
    }

    /// Notes which agents are unreachable, and which were forgotten between two views of masters
    /// that may do so: those that were given up, or about to be.
    fn note_forgotten(&mut self, before: &Standings, now: &Standings) {
        let unreachable = now.iter().filter(|(_, it)| **it == Standing::Unreachable);
        self.ever_unreachable.extend(unreachable.map(|(id, _)| id.clone()));
        if !self.forgets {
            return;
        }
        use Standing::{Admitted, Gone, Unreachable};
        let known = [Admitted, Gone, Unreachable];
        let is_known = |id: &String| now.get(id).is_some_and(|it| known.contains(it));
        let given_up = before
            .iter()
            .filter(|(_, it)| matches!(it, Unreachable | Standing::Changing))
            .map(|(id, _)| id);
        self.forgotten.extend(given_up.cloned());
        self.forgotten.retain(|id| !is_known(id));
        self.ever_forgotten.extend(self.forgotten.iter().cloned());
    }

    /// Sets what the latest master knows against what was acted on before, and against what agents
    /// were told. Addresses that move make agents be replaced that do not know it.
    pub(crate) fn latest_stepped(
        &mut self,
        master: &Master,
        truth: &Truth,
        addresses_move: bool,
        now: Instant,
    ) -> Result<(), String> {
        self.truth = truth.version();
        let id = &master.options().master_info.id;
        let changes = master.registry_changes();
        match self.terms.last_mut() {
            Some(term) if term.master == *id => {
                term.changes = changes;
                let now = standings(master, &term.now);
                let before = std::mem::replace(&mut term.now, now.clone());
                self.note_forgotten(&before, &now);
            }
            before => {
                let first = standings(master, &Standings::new());
                let before = before.map(|term| term.now.clone()).unwrap_or_default();
                let checked = check_read(&before, &first);
                self.note_forgotten(&before, &first);
                let (master, began, now) = (id.clone(), now, first.clone());
                self.terms.push(Term { master, began, changes, first, now });
                checked?;
            }
        }
        let told = truth.alive().filter(|(_, agent)| !agent.id.is_empty() && !addresses_move);
        let told = told.filter(|(_, agent)| !self.is_forgotten(&agent.id));
        for (name, agent) in told {
            if !master.knows_agent(&agent.id) && !master.gone_agents().contains_key(&agent.id) {
                return Err(format!("{name} was admitted as {}, which nobody knows", agent.id));
            }
        }
        Ok(())
    }

    /// Sets what a master acts on that was deposed against what the next one has read.
    pub(crate) fn deposed_stepped(&mut self, master: &Master, now: Instant) -> Result<(), String> {
        let id = &master.options().master_info.id;
        let Some(place) = self.terms.iter().position(|term| term.master == *id) else {
            return Ok(());
        };
        let (past, later) = self.terms.split_at_mut(place + 1);
        let (Some(term), Some(next)) = (past.last_mut(), later.first()) else { return Ok(()) };
        sometimes!(
            now - next.began >= Duration::from_secs(1),
            "two masters believe for a second that they lead"
        );
        if term.changes == master.registry_changes() {
            return Ok(());
        }
        let now = standings(master, &term.now);
        let has_changed =
            |(id, standing): &(&String, &Standing)| term.now.get(*id) != Some(standing);
        let acted_on = now.iter().filter(has_changed);
        let acted_on: Standings = acted_on.map(|(id, one)| (id.clone(), *one)).collect();
        (term.now, term.changes) = (now, master.registry_changes());
        check_read(&acted_on, &next.first)
            .map_err(|message| format!("{message}, although it led already"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acted_on_must_have_been_read_unless_it_was_changing() {
        let all = |standing: Standing| Standings::from([("agent".to_owned(), standing)]);
        let nothing = Standings::new();
        assert_eq!(check_read(&all(Standing::Admitted), &all(Standing::Admitted)), Ok(()));
        assert!(check_read(&all(Standing::Admitted), &all(Standing::Unreachable)).is_err());
        assert!(check_read(&all(Standing::Admitted), &nothing).is_err());
        assert_eq!(check_read(&all(Standing::Changing), &nothing), Ok(()));
        assert_eq!(check_read(&all(Standing::Forgotten), &nothing), Ok(()));
        assert!(check_read(&all(Standing::Forgotten), &all(Standing::Gone)).is_err());
    }
}
