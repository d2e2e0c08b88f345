//! Records (S9 of the catalogue, seen from inside): what a master has on record for a task never
//! leaves its first terminal state for as long as the record is there. Mesos' bugs of the kind:
//! MESOS-9887, MESOS-6026.

use std::collections::BTreeMap;

use orrery_api::v1::TaskState;
use orrery_master::Master;
use orrery_model::task_state::is_terminal;

/// The terminal states on record.
#[derive(Debug, Default)]
pub struct Records {
    master: String,
    /// By framework id and task id; what is not on record any more is forgotten.
    ended: BTreeMap<String, BTreeMap<String, TaskState>>,
}

impl Records {
    pub(crate) fn master_stepped(&mut self, master: &Master) -> Result<(), String> {
        let id = &master.options().master_info.id;
        if self.master != *id {
            self.master.clone_from(id);
            self.ended.clear();
        }
        for (_, framework) in master.frameworks() {
            if !self.ended.contains_key(framework.id()) {
                self.ended.insert(framework.id().to_owned(), BTreeMap::new());
            }
            let Some(ended) = self.ended.get_mut(framework.id()) else { continue };
            ended.retain(|task_id, _| framework.tasks.contains_key(task_id.as_str()));
            for (task_id, task) in &framework.tasks {
                let state = task.state();
                match ended.get(task_id.as_ref()) {
                    Some(ended) if *ended != state => {
                        return Err(format!(
                            "task {task_id} was {} and is {} now",
                            ended.as_str_name(),
                            state.as_str_name(),
                        ));
                    }
                    Some(_) => {}
                    None if is_terminal(state) => {
                        ended.insert(task_id.as_ref().to_owned(), state);
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }
}
