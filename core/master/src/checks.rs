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
        let taken = self.used(key) + self.offered(key);
        if !agent.total.contains(&taken.unallocated()) {
            return Err(format!(
                "agent {} has {} but {taken} of it is taken",
                agent.id(),
                agent.total
            ));
        }
        for (number, framework) in &self.frameworks {
            let booked = self.booked(key, *number);
            let allocated = self.allocator.allocated(*number, key);
            if booked != *allocated {
                return Err(format!(
                    "agent {}: framework {} holds {booked} but {allocated} is allocated to it",
                    agent.id(),
                    framework.id(),
                ));
            }
        }
        Ok(())
    }

    fn booked(&self, agent_key: AgentKey, framework_key: FrameworkKey) -> Resources {
        let mut booked = Resources::default();
        let agent = &self.agents[&agent_key];
        let framework = &self.frameworks[&framework_key];
        for (owner, task_id) in &agent.tasks {
            let task = framework.tasks.get(task_id).filter(|_| *owner == framework_key);
            if let Some(task) = task.filter(|task| holds_resources(task.state())) {
                booked += &task.resources;
            }
        }
        for ((owner, _), executor) in &agent.executors {
            if *owner == framework_key {
                booked += &executor.resources;
            }
        }
        for number in &agent.offers {
            if let Some(offer) =
                self.offers.get(number).filter(|one| one.framework == framework_key)
            {
                booked += &offer.resources;
            }
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
