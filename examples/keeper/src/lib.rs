//! A scheduler of one's own, as small as it can be: keeps so many copies of a command running.

use orrery_api::v1::{CommandInfo, Offer, TaskId, TaskInfo};
use orrery_model::{Resources, task_state};
use orrery_scheduler::{Context, Event, Framework};

/// Keeps `copies` of `command` running.
#[derive(Debug, Default)]
pub struct Keeper {
    /// How many.
    pub copies: usize,
    /// A shell command.
    pub command: String,
    /// How many were launched, ended or not.
    pub launched: usize,
    /// How many of them have not ended.
    pub running: usize,
}

impl Keeper {
    fn task(&mut self, offer: &Offer) -> Option<TaskInfo> {
        let wanted = Resources::parse("cpus:0.5;mem:64", "*").ok()?;
        let offered = Resources::from_messages(&offer.resources).ok()?.unallocated();
        if self.running >= self.copies || !offered.contains(&wanted) {
            return None;
        }
        (self.launched, self.running) = (self.launched + 1, self.running + 1);
        let task_id = TaskId { value: format!("copy-{}", self.launched) };
        let value = Some(self.command.clone());
        let command = Some(CommandInfo { value, ..Default::default() });
        let (name, agent_id) = (task_id.value.clone(), offer.agent_id.clone());
        let resources = wanted.to_messages();
        Some(TaskInfo { name, task_id, agent_id, resources, command, ..Default::default() })
    }
}

impl Framework for Keeper {
    fn event(&mut self, context: &mut Context<'_>, event: Event) {
        match event {
            Event::Offers(offers) => offers.into_iter().for_each(|offer| {
                match self.task(&offer) {
                    Some(task) => context.launch(&[offer.id], vec![task], None),
                    None => context.decline(&[offer.id], None),
                };
            }),
            Event::Update(status) if task_state::is_terminal(status.state()) => {
                self.running -= 1;
            }
            _ => {}
        }
    }
}
