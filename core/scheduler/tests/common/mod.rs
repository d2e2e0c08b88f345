//! A master's side of a session, played by hand.

#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::time::Duration;

use bytes::Bytes;
use orrery_api::v1;
use orrery_api::v1::scheduler::{self, Call, call, event};
use orrery_runtime::machine::Machine;
use orrery_runtime::{Generator, Instant, Now, WallTime};
use orrery_scheduler::{
    Acknowledgements, Context, Event, Framework, Input, Output, SchedulerMachine, Subscription,
};

/// Keeps everything that it is told.
#[derive(Default)]
pub struct Recorder {
    pub events: Vec<Event>,
    pub explicit: bool,
}

impl Framework for Recorder {
    fn event(&mut self, _context: &mut Context<'_>, event: Event) {
        self.events.push(event);
    }

    fn acknowledgements(&self) -> Acknowledgements {
        if self.explicit { Acknowledgements::Explicit } else { Acknowledgements::Automatic }
    }
}

/// A machine, its clock, and what it asked for.
pub struct Play<F: Framework> {
    pub machine: SchedulerMachine<F>,
    pub now: Instant,
    pub connection: u64,
}

impl<F: Framework> Play<F> {
    pub fn new(framework: F) -> Self {
        Self::with(Subscription::default(), framework)
    }

    pub fn with(subscription: Subscription, framework: F) -> Self {
        let generator = Generator::from_number(1);
        let machine = SchedulerMachine::new(subscription, framework, generator);
        Self { machine, now: Instant::from_nanoseconds(1_000_000_000), connection: 0 }
    }

    pub fn step(&mut self, input: Input<F>) -> Vec<Output> {
        let now = Now { instant: self.now, wall: WallTime::from_nanoseconds(0) };
        let mut outputs = Vec::new();
        self.machine.step(now, input, &mut outputs);
        for output in &outputs {
            if let Output::Connect { connection, .. } = output {
                self.connection = *connection;
            }
        }
        outputs
    }

    /// Goes to the machine's next deadline.
    pub fn tick(&mut self) -> Vec<Output> {
        self.now = self.now.max(self.machine.deadline().expect("a deadline"));
        self.step(Input::Tick)
    }

    pub fn pass(&mut self, duration: Duration) {
        self.now += duration;
    }

    pub fn receive(&mut self, event: scheduler::Event) -> Vec<Output> {
        self.step(Input::Event { connection: self.connection, event: Box::new(event) })
    }

    pub fn update(&mut self, status: v1::TaskStatus) -> Vec<Output> {
        self.receive(scheduler::Event {
            r#type: Some(event::Type::Update as i32),
            update: Some(event::Update { status }),
            ..Default::default()
        })
    }

    /// Connects (waiting out the back-off) and is accepted.
    pub fn subscribe(&mut self) -> Vec<Output> {
        let outputs = self.tick();
        assert!(matches!(outputs[..], [Output::Connect { .. }]), "{outputs:?}");
        self.receive(subscribed())
    }

    pub fn disconnect(&mut self) -> Vec<Output> {
        let connection = self.connection;
        self.step(Input::Disconnected { connection, reason: "cut".to_owned() })
    }

    pub fn act(
        &mut self,
        action: impl FnOnce(&mut F, &mut Context<'_>) + Send + 'static,
    ) -> Vec<Output> {
        self.step(Input::Act(Box::new(action)))
    }
}

impl Play<Recorder> {
    pub fn events(&self) -> &[Event] {
        &self.machine.framework().events
    }

    pub fn updates(&self) -> Vec<&v1::TaskStatus> {
        let updates = self.events().iter().filter_map(|event| match event {
            Event::Update(status) => Some(status),
            _ => None,
        });
        updates.collect()
    }
}

/// The calls among the outputs.
pub fn sent(outputs: &[Output]) -> Vec<&Call> {
    let calls = outputs.iter().filter_map(|output| match output {
        Output::Send { call, .. } => Some(call.as_ref()),
        _ => None,
    });
    calls.collect()
}

/// The kinds of the calls among the outputs.
pub fn kinds(outputs: &[Output]) -> Vec<call::Type> {
    sent(outputs).iter().map(|call| call.r#type()).collect()
}

pub fn subscribed() -> scheduler::Event {
    scheduler::Event {
        r#type: Some(event::Type::Subscribed as i32),
        subscribed: Some(event::Subscribed {
            framework_id: v1::FrameworkId { value: "F".to_owned() },
            heartbeat_interval_seconds: Some(15.0),
            master_info: None,
        }),
        ..Default::default()
    }
}

pub fn heartbeat() -> scheduler::Event {
    scheduler::Event { r#type: Some(event::Type::Heartbeat as i32), ..Default::default() }
}

pub fn error(message: &str) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(event::Type::Error as i32),
        error: Some(event::Error { message: message.to_owned() }),
        ..Default::default()
    }
}

pub fn offers(offers: Vec<v1::Offer>) -> scheduler::Event {
    scheduler::Event {
        r#type: Some(event::Type::Offers as i32),
        offers: Some(event::Offers { offers }),
        ..Default::default()
    }
}

pub fn task_id(id: &str) -> v1::TaskId {
    v1::TaskId { value: id.to_owned() }
}

pub fn offer_id(id: &str) -> v1::OfferId {
    v1::OfferId { value: id.to_owned() }
}

pub fn agent_id(id: &str) -> v1::AgentId {
    v1::AgentId { value: id.to_owned() }
}

pub fn task(id: &str) -> v1::TaskInfo {
    v1::TaskInfo {
        name: id.to_owned(),
        task_id: task_id(id),
        agent_id: agent_id("S"),
        ..Default::default()
    }
}

/// A status; with a number, it is an update that the agent repeats until it is acknowledged.
pub fn status(id: &str, state: v1::TaskState, uuid: Option<u8>) -> v1::TaskStatus {
    v1::TaskStatus {
        task_id: task_id(id),
        state: state as i32,
        agent_id: Some(agent_id("S")),
        uuid: uuid.map(|byte| Bytes::from(vec![byte; 16])),
        ..Default::default()
    }
}

/// A master's answer to reconciliation.
pub fn answer(id: &str, state: v1::TaskState) -> v1::TaskStatus {
    v1::TaskStatus {
        reason: Some(v1::task_status::Reason::Reconciliation as i32),
        ..status(id, state, None)
    }
}
