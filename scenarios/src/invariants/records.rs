//! Records (S9 of the catalogue, seen from inside): what a master has
//! on record for a task never leaves its first terminal state. Mesos' bugs of the kind: MESOS-9887,
//! MESOS-6026.

use std::collections::BTreeMap;

use orrery_api::v1::TaskState;
use orrery_master::Master;
use orrery_model::task_state::is_terminal;

/// The terminal states on record.
#[derive(Debug, Default)]
pub struct Records {
    master: String,
    /// By framework id and task id.
    ended: BTreeMap<(String, String), TaskState>,
}

impl Records {
    pub(crate) fn master_stepped(&mut self, master: &Master) -> Result<(), String> {
        let id = &master.options().master_info.id;
        if self.master != *id {
            self.master.clone_from(id);
            self.ended.clear();
        }
        for (_, framework) in master.frameworks() {
            for (task_id, task) in &framework.tasks {
                let state = task.state();
                let key = (framework.id().to_owned(), task_id.clone());
                match self.ended.get(&key) {
                    Some(ended) if *ended != state => {
                        return Err(format!(
                            "task {task_id} was {} and is {} now",
                            ended.as_str_name(),
                            state.as_str_name(),
                        ));
                    }
                    Some(_) => {}
                    None if is_terminal(state) => {
                        self.ended.insert(key, state);
                    }
                    None => {}
                }
            }
        }
        Ok(())
    }
}
