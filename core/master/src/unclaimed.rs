//! Tasks whose end an agent reports before their framework has come to this master.
//!
//! A launch was lost, an earlier master had the agent answer for it, and the agent knows nothing of
//! the framework but its id. Until the framework subscribes there is nobody to have the task; once
//! it does, the task is on record, or its question would be answered with an end that the agent is
//! about to tell differently.

use orrery_allocator::{AgentKey, FrameworkKey};
use orrery_api::{link, v1};
use orrery_coverage::{reachable, sometimes};

use crate::Master;

impl Master {
    /// Puts aside what an agent reports of frameworks that may still come. It replaces what the
    /// agent reported before.
    pub(crate) fn put_aside(&mut self, key: AgentKey, register: &link::Register) {
        let is_early = |task: &&v1::Task| {
            let framework = &task.framework_id.value;
            self.framework_by_id(framework).is_none() && !self.is_completed(framework)
        };
        let early: Vec<v1::Task> = register.tasks.iter().filter(is_early).cloned().collect();
        sometimes!(
            !early.is_empty(),
            "an agent reports the end of a task before its framework comes"
        );
        if let Some(agent) = self.agents.get_mut(&key) {
            agent.unclaimed = early;
        }
    }

    /// A framework has come: what agents have reported of it is its own.
    pub(crate) fn claim_tasks(&mut self, framework: FrameworkKey, id: &str) {
        let mut claimed = Vec::new();
        for (key, agent) in &mut self.agents {
            let is_ours = |task: &mut v1::Task| task.framework_id.value == id;
            claimed.extend(agent.unclaimed.extract_if(.., is_ours).map(|task| (*key, task)));
        }
        for (agent, task) in claimed {
            reachable!("a framework comes to a master that was told the end of its task before");
            if let Some(resources) = self.adopt_task(agent, framework, task, None) {
                self.allocator.add_allocation(framework, agent, &resources);
            }
        }
    }
}
