//! What a plan has a framework do.

use orrery_api::v1;
use orrery_scheduler::Context;

use super::Workload;
use super::task::resources;
use crate::plan::{Abuse, Operation, Script};

/// More than any agent has, in tasks.
const TOO_LARGE: f64 = 1_000.0;

impl Workload {
    /// Carries an operation out. One that this process cannot do now comes to nothing.
    pub fn operate(&mut self, context: &mut Context<'_>, operation: &Operation) {
        self.note(&operation.to_string());
        match operation {
            Operation::Launch { count, script } => {
                self.store.lock().want(*count, *script);
                self.wake_up(context);
                self.use_offers(context);
            }
            Operation::Kill { count } => self.kill_some(context, *count),
            Operation::Abuse(abuse) => self.abuse(context, *abuse),
            Operation::Blunder(blunder) => self.blunder(context, *blunder),
            Operation::Suppress => self.go_to_sleep(context),
            Operation::Revive => self.wake_up(context),
            Operation::Reconcile => {
                let _ = context.reconcile(Vec::new());
            }
            Operation::FailOver { .. } => {}
        }
    }

    /// Launches nothing more, gives back what it holds and acknowledges what it owes. Asks for what
    /// an earlier process has launched after this one had taken over from it; of its own launches
    /// it must hear unasked.
    pub fn be_quiet(&mut self, context: &mut Context<'_>) {
        let live = self.store.lock().live_of_others(self.session);
        let unknown = |id: &String| context.task_state(&v1::TaskId { value: id.clone() }).is_none();
        self.unanswered.extend(live.into_iter().filter(unknown));
        self.ask(context);
        self.store.lock().be_quiet();
        self.use_offers(context);
        self.go_to_sleep(context);
        for (_, status) in std::mem::take(&mut self.owed) {
            self.oracle.acknowledged(&status);
            context.acknowledge(&status);
        }
    }

    fn go_to_sleep(&mut self, context: &mut Context<'_>) {
        self.oracle.suppressing(self.session, true, context.is_subscribed());
        let _ = context.suppress(&[]);
    }

    /// Wants offers in all roles, whatever it refused or suppressed before.
    pub fn wake_up(&mut self, context: &mut Context<'_>) {
        self.oracle.suppressing(self.session, false, context.is_subscribed());
        let _ = context.revive(&[]);
    }

    /// Kills every task that has not ended.
    pub fn kill_all(&mut self, context: &mut Context<'_>) {
        let live = self.store.lock().live();
        for id in live {
            self.kill(context, &id);
        }
    }

    fn kill_some(&mut self, context: &mut Context<'_>, count: usize) {
        let mut live = self.store.lock().live();
        self.random.shuffle(&mut live);
        for id in live.into_iter().take(count) {
            self.kill(context, &id);
        }
    }

    fn abuse(&mut self, context: &mut Context<'_>, abuse: Abuse) {
        if !context.is_subscribed() {
            return;
        }
        let offer = match abuse {
            Abuse::TooLarge => self.held.pop_first().map(|(_, offer)| (offer.id, offer.agent_id)),
            _ => self.oracle.bad_offer(self.session, abuse),
        };
        let Some((id, agent)) = offer else { return };
        let mut task = self.store.lock().new_task(self.session, &agent, Script::Long);
        if abuse == Abuse::TooLarge {
            task.resources = resources(TOO_LARGE);
        }
        let offers: [v1::OfferId; 1] = [id];
        let task_id = &task.task_id.value;
        self.note(&format!("launches {task_id} on {:?}, {abuse:?}", super::short_ids(&offers)));
        self.oracle.launching(self.session, &offers, std::slice::from_ref(&task), Some(abuse));
        context.launch(&offers, vec![task], Some(self.filters()));
        self.ask_for_invented(context);
    }
}
