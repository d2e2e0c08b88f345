//! What must always hold inside a master. The simulator asks after every step.

mod prints;

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_model::Resources;

use crate::Master;
use crate::state::{Agent, holds_resources};

pub use prints::{Audit, Changes};

impl Master {
    /// Whether the books agree: on each agent what tasks, executors and offers hold is what the
    /// allocator believes to be taken and no more than there is, and every record that names
    /// another finds it.
    ///
    /// # Errors
    /// The first disagreement, in words.
    pub fn check(&self) -> Result<(), String> {
        self.check_changed(&Audit::default().look_at(self))
    }

    /// Like [`Master::check`], but recounts only what has changed.
    ///
    /// # Errors
    /// The first disagreement, in words.
    pub fn check_changed(&self, changes: &Changes) -> Result<(), String> {
        if changes.allocator {
            self.allocator.check_sums()?;
        }
        for key in &changes.agents {
            self.allocator.check_agent(*key)?;
            if let Some(agent) = self.agents.get(key) {
                self.check_agent(*key, agent)?;
            }
        }
        if changes.is_empty() { Ok(()) } else { self.check_references() }
    }

    fn check_agent(&self, key: AgentKey, agent: &Agent) -> Result<(), String> {
        let booked = self.booked(agent);
        let mut taken = Resources::default();
        booked.iter().for_each(|(_, resources)| taken += resources);
        if !agent.total.contains(&taken.unallocated()) {
            return Err(format!(
                "agent {} has {} but {taken} of it is taken",
                agent.id(),
                agent.total
            ));
        }
        let nothing = Resources::default();
        for (number, framework) in &self.frameworks {
            let booked = booked.iter().find(|(owner, _)| owner == number);
            let booked = booked.map_or(&nothing, |(_, resources)| resources);
            let allocated = self.allocator.allocated(*number, key);
            if booked != allocated {
                return Err(format!(
                    "agent {}: framework {} holds {booked} but {allocated} is allocated to it",
                    agent.id(),
                    framework.id(),
                ));
            }
        }
        Ok(())
    }

    /// What each framework's tasks, executors and offers hold on an agent.
    fn booked(&self, agent: &Agent) -> Vec<(FrameworkKey, Resources)> {
        let mut booked: Vec<(FrameworkKey, Resources)> = Vec::new();
        let mut add = |owner: FrameworkKey, resources: &Resources| match booked
            .iter_mut()
            .find(|(framework, _)| *framework == owner)
        {
            Some((_, sum)) => *sum += resources,
            None => booked.push((owner, resources.clone())),
        };
        for (owner, task_id) in &agent.tasks {
            let framework = self.frameworks.get(owner);
            let task = framework.and_then(|framework| framework.tasks.get(task_id));
            if let Some(task) = task.filter(|task| holds_resources(task.state())) {
                add(*owner, task.resources());
            }
        }
        for ((owner, _), task) in &agent.duplicates {
            if task.holds_resources() {
                add(*owner, task.resources());
            }
        }
        for ((owner, _), executor) in &agent.executors {
            add(*owner, &executor.resources);
        }
        for offer in agent.offers.iter().filter_map(|number| self.offers.get(number)) {
            add(offer.framework, &offer.resources);
        }
        booked
    }

    fn check_references(&self) -> Result<(), String> {
        for (number, offer) in &self.offers {
            let agent = self.agents.get(&offer.agent).filter(|one| one.offers.contains(number));
            if agent.is_none() {
                return Err(format!("offer {number} is not among the offers of its agent"));
            }
            if agent.is_some_and(|agent| !agent.is_active()) {
                return Err(format!("offer {number} is open although its agent is not connected"));
            }
            let framework = self.frameworks.get(&offer.framework);
            if !framework.is_some_and(|one| one.offers.contains(number)) {
                return Err(format!("offer {number} is not among the offers of its framework"));
            }
            if !framework.is_some_and(|one| one.is_active()) {
                return Err(format!("offer {number} is open although its framework is away"));
            }
        }
        for framework in self.frameworks.values() {
            for (task_id, task) in &framework.tasks {
                if !self.agents.contains_key(&task.agent) {
                    return Err(format!("task {task_id} is on an agent that is not registered"));
                }
            }
        }
        Ok(())
    }
}
