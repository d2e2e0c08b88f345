//! Calls that make no sense. Nothing may come of them: no task, no daemon that ends, no offer that
//! is lost.

use orrery_api::v1::scheduler::{Call, call};
use orrery_api::v1::{self, scheduler::call::reconcile};
use orrery_scheduler::Context;

use super::Workload;
use crate::plan::Blunder;

impl Workload {
    /// Makes a call that makes no sense. Without a subscription it comes to nothing.
    pub(super) fn blunder(&mut self, context: &mut Context<'_>, blunder: Blunder) {
        let agent = v1::AgentId { value: "nowhere".to_owned() };
        let offer = v1::OfferId { value: "no-such-offer".to_owned() };
        let executor = v1::ExecutorId { value: "nobody".to_owned() };
        // What becomes of it shows in the cluster, not in whether it was sent.
        let _ = match blunder {
            Blunder::KillUnknown => return self.kill_invented(context),
            Blunder::KillTwice => return self.kill_twice(context),
            Blunder::KillEnded => return self.kill_ended(context),
            Blunder::AcknowledgeInvented => {
                let task_id = self.invent();
                let uuid = vec![7; 16].into();
                let call = call::Acknowledge { agent_id: agent, task_id, uuid };
                context.call(typed(call::Type::Acknowledge, |it| it.acknowledge = Some(call)))
            }
            Blunder::AcceptNothing => context.accept(&[], Vec::new(), Some(self.filters())),
            Blunder::DeclineInvented => context.decline(&[offer.clone(), offer], None),
            Blunder::ReconcileUnknown => return drop(self.ask_for_invented(context)),
            Blunder::MessageNobody => context.message(agent, executor, "hello"),
            Blunder::ShutdownNobody => context.shutdown_executor(executor, agent),
            Blunder::Nothing => context.call(Call::default()),
            Blunder::Incomplete => context.call(typed(call::Type::Accept, |_| ())),
        };
    }

    /// Asks for a task that nobody has launched, and says which. The master has the answer at once.
    pub(super) fn ask_for_invented(&mut self, context: &mut Context<'_>) -> String {
        let task_id = self.invent();
        let id = task_id.value.clone();
        if context.is_subscribed() {
            self.oracle.asking_for_invented(self.session, &id);
        }
        let call = call::Reconcile { tasks: vec![reconcile::Task { task_id, agent_id: None }] };
        let _ = context.call(typed(call::Type::Reconcile, |it| it.reconcile = Some(call)));
        id
    }

    /// Kills a task that nobody has launched, between two questions.
    fn kill_invented(&mut self, context: &mut Context<'_>) {
        let fence = self.ask_for_invented(context);
        let task_id = self.invent();
        if context.is_subscribed() {
            self.oracle.killing_invented(self.session, &task_id.value, &fence);
        }
        // The library would repeat it for ever.
        let call = call::Kill { task_id, agent_id: None, kill_policy: None };
        let _ = context.call(typed(call::Type::Kill, |it| it.kill = Some(call)));
        self.ask_for_invented(context);
    }

    /// An id that no task has.
    fn invent(&mut self) -> v1::TaskId {
        let number = self.invented.len();
        let value = format!("invented-{}-{number}", self.session.framework);
        self.invented.insert(value.clone());
        v1::TaskId { value }
    }

    fn kill_twice(&mut self, context: &mut Context<'_>) {
        let Some(id) = self.store.lock().live().pop() else { return };
        self.kill(context, &id);
        self.kill(context, &id);
    }

    fn kill_ended(&mut self, context: &mut Context<'_>) {
        let Some((id, agent)) = self.store.lock().ended_task() else { return };
        self.oracle.asking_after_end(&id);
        let task_id = v1::TaskId { value: id };
        let call = call::Kill { task_id, agent_id: Some(agent), kill_policy: None };
        let _ = context.call(typed(call::Type::Kill, |it| it.kill = Some(call)));
    }
}

fn typed(kind: call::Type, fill: impl FnOnce(&mut Call)) -> Call {
    let mut call = Call { r#type: Some(kind as i32), ..Call::default() };
    fill(&mut call);
    call
}
