//! What must always hold inside an agent. The simulator asks after every step.

use orrery_model::Resources;

use crate::Agent;
use crate::framework::ExecutorState;

impl Agent {
    /// Whether what lives here fits: tasks that have not ended, and executors that their frameworks
    /// brought, together need no more than there is. Executors made by the agent are charged to
    /// nobody.
    ///
    /// # Errors
    /// What is too much, in words.
    pub fn check(&self) -> Result<(), String> {
        let mut used = Resources::default();
        for executor in self.frameworks.values().flat_map(|framework| framework.executors.values())
        {
            let tasks = executor.tasks.values().filter(|task| !task.is_terminal());
            let own = (!executor.generated && executor.state != ExecutorState::Terminated)
                .then_some(&executor.info.resources);
            for messages in tasks.map(|task| &task.task.resources).chain(own) {
                used += &Resources::from_messages(messages).map_err(|error| error.to_string())?;
            }
        }
        let total = &self.options.resources;
        if total.contains(&used.unallocated()) {
            return Ok(());
        }
        Err(format!("agent {} has {total} but {used} is in use", self.agent_id))
    }
}
