//! The one entrance: every input is taken here and sent to the part that knows about it.

use orrery_api::link::from_agent::Body as FromAgent;
use orrery_coverage::{reachable, unreachable};
use orrery_runtime::machine::Machine;
use orrery_runtime::{Instant, Now};

use crate::pending::Pending;
use crate::timers::Timer;
use crate::{Answer, Input, Master, Output, Refusal, Ticket};

impl Machine for Master {
    type Input = Input;
    type Output = Output;

    fn step(&mut self, now: Now, input: Input, outputs: &mut Vec<Output>) {
        self.now = now;
        match input {
            Input::Subscribe { connection, stream_id, subscribe } => {
                self.subscribe(connection, stream_id, *subscribe);
            }
            Input::SubscriberGone { connection } => self.subscriber_gone(connection),
            Input::Call { request, stream_id, call } => {
                let answer = match self.scheduler_call(stream_id.as_deref(), *call) {
                    Ok(answer) => answer,
                    Err(refusal) => Answer::Refused(refusal),
                };
                match (request, answer) {
                    (Some(request), answer) => self.emit(Output::Reply { request, answer }),
                    (None, Answer::Refused(refusal)) => {
                        reachable!("a call is dropped because its stream ended on the way");
                        // The stream ended while the call was on its way here.
                        tracing::info!(text = %refusal.text, "dropped a call");
                    }
                    (None, _) => {}
                }
            }
            Input::Teardown { request, framework_id } => {
                let answer = match self.framework_by_id(&framework_id) {
                    Some(key) => {
                        reachable!("an operator tears a framework down");
                        self.remove_framework(key);
                        Answer::Done
                    }
                    None => Answer::Refused(Refusal::bad_request(format!(
                        "No framework found with specified ID '{framework_id}'"
                    ))),
                };
                self.emit(Output::Reply { request, answer });
            }
            Input::MarkGone { request, agent_id } => self.mark_gone(request, agent_id),
            Input::AgentMessage { link, body } => self.agent_message(link, *body),
            Input::LinkClosed { link } => self.link_closed(link),
            Input::Stored { ticket } => self.stored(ticket),
            Input::NotStored { ticket, reason } => self.not_stored(ticket, reason),
            Input::Tick => {}
        }
        self.run_due();
        outputs.append(&mut self.outputs);
    }

    fn deadline(&self) -> Option<Instant> {
        match (self.timers.deadline(), self.allocator.deadline()) {
            (Some(timer), Some(allocation)) => Some(timer.min(allocation)),
            (timer, allocation) => timer.or(allocation),
        }
    }

    fn tick() -> Input {
        Input::Tick
    }
}

impl Master {
    fn agent_message(&mut self, link: crate::LinkId, body: FromAgent) {
        match body {
            FromAgent::Register(register) => self.register(link, register),
            FromAgent::StatusUpdate(update) => self.status_update(link, update),
            FromAgent::ExecutorExited(exited) => self.executor_exited(link, exited),
            FromAgent::ExecutorMessage(message) => self.executor_message(link, message),
            FromAgent::Pong(_) => self.pong(link),
            FromAgent::Unregister(_) => self.unregister(link),
        }
    }

    fn stored(&mut self, ticket: Ticket) {
        match self.pending.remove(ticket) {
            Some(Pending::Admit(registration)) => self.admitted(ticket, *registration),
            Some(Pending::Readmit(registration)) => self.readmitted(ticket, *registration),
            Some(Pending::Unreachable(agent, since)) => self.became_unreachable(agent, since),
            Some(Pending::Missing(agent_id, since)) => self.missing_given_up(agent_id, since),
            Some(Pending::Remove(agent, removal)) => self.removed(agent, removal),
            Some(Pending::Replace(agent, since)) => self.became_replaced(agent, since),
            Some(Pending::Gone(departure)) => self.became_gone(*departure),
            Some(Pending::Prune(unreachable, gone)) => self.pruned(&unreachable, &gone),
            Some(Pending::Nothing) => {}
            None => unreachable!("the registry stored what nobody waits for", ticket),
        }
    }

    fn not_stored(&mut self, ticket: Ticket, reason: String) {
        match self.pending.remove(ticket) {
            Some(Pending::Admit(registration) | Pending::Readmit(registration)) => {
                self.not_admitted(ticket, *registration, reason);
            }
            // Every other change is small, so it is this program that is wrong.
            change => unreachable!("a change that the master made up cannot be stored", change),
        }
    }

    /// Does everything whose time has come: timers first, then the allocator, whose offers then
    /// see what the timers changed.
    fn run_due(&mut self) {
        while let Some(timer) = self.timers.take_due(self.now.instant) {
            match timer {
                Timer::Heartbeat(framework, connection) => self.heartbeat(framework, connection),
                Timer::Failover(framework, departures) => {
                    self.failover_timeout(framework, departures);
                }
                Timer::Ping(agent) => self.ping(agent),
                Timer::Reregister(agent, departures) => {
                    self.reregister_timeout(agent, departures);
                }
                Timer::RecoveredAgents => self.recovered_timeout(),
                Timer::GiveUp => self.give_up_next(),
                Timer::Prune => self.prune(),
                Timer::Offer(number) => self.offer_timeout(number),
            }
        }
        if self.allocator.deadline().is_some_and(|deadline| deadline <= self.now.instant) {
            let grants = self.allocator.run(self.now.instant);
            self.metrics.allocation_runs += 1;
            self.make_offers(grants);
        }
    }
}
