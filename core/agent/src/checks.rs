//! What must always hold inside an agent. The simulator asks after every step.

use orrery_api::v1;
use orrery_model::Resources;

use crate::Agent;
use crate::framework::ExecutorState;

impl Agent {
    /// Every task that is here with the id of its framework, in order: ended ones too, until their
    /// end is acknowledged.
    pub fn tasks(&self) -> impl Iterator<Item = (&str, &v1::Task)> {
        self.frameworks.iter().flat_map(|(id, framework)| {
            let executors = framework.executors.values();
            let tasks = executors.flat_map(|executor| executor.tasks.values());
            tasks.map(move |task| (id.as_str(), &task.task))
        })
    }

    /// Whether each executor that lives has, had or waits for a task: one that never had any and
    /// has none to wait for would live for ever.
    ///
    /// # Errors
    /// The first that does.
    pub fn check_executors(&self) -> Result<(), String> {
        let executors = self.frameworks.values().flat_map(|framework| &framework.executors);
        for (id, executor) in executors {
            let is_up =
                matches!(executor.state, ExecutorState::Registering | ExecutorState::Running);
            if is_up && !executor.had_task && executor.queue.is_empty() {
                return Err(format!("executor {id} has no task and is not being ended"));
            }
        }
        Ok(())
    }

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
