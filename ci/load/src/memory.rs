//! What a master's records take.

use std::time::Duration;

use orrery_api::link::{from_agent, from_master};
use orrery_api::v1;
use orrery_master::{Input, LinkId, Master, Options, Output, Registry};
use orrery_runtime::machine::Machine;
use orrery_runtime::{Generator, Now};

use crate::arguments::Memory;
use crate::failure::Failure;
use crate::registration::Shape;
use crate::report::Report;
use crate::usage::Usage;

/// After which the allocator has given freed memory back.
const SETTLE: Duration = Duration::from_millis(500);

/// Has agents register with a master's state machine and come back with tasks, and then as many
/// others come that bring tasks which have ended. Reports by how much this process grows each time.
///
/// # Errors
/// The system does not say how much memory this process has.
pub fn run(options: &Memory) -> Result<Report, Failure> {
    let Shape { tasks, completed, statuses } = options.shape;
    let agents = options.agents;
    let count = |of_each: u32| u64::from(agents) * u64::from(of_each);
    let mut report = Report::default();
    report.word("mode", "mode", "memory");
    report.count("agents", "agents", agents);
    report.count("tasks", "tasks of each agent", tasks);
    report.count("completed", "ended tasks of each agent", completed);
    report.count("statuses", "statuses of each task", statuses);

    let mut machine = Fed::new(count(completed));
    // What there is one of, and what this process needs to make messages.
    machine.register(0, None, options.shape);
    let first = 1..=agents;
    let empty = anonymous()?;
    first.clone().for_each(|number| drop(machine.register(number, None, Shape::default())));
    let agents_take = anonymous()?.saturating_sub(empty);
    report.bytes_each("agent", "agent", agents_take, agents.into());

    let before = anonymous()?;
    let running = Shape { tasks, completed: 0, statuses };
    first.for_each(|number| drop(machine.register(number, Some(number), running)));
    let tasks_take = anonymous()?.saturating_sub(before);
    report.bytes_each("task", "task", tasks_take, count(tasks));

    let before = anonymous()?;
    let ended = Shape { tasks: 0, completed, statuses };
    let others = (1..=agents).map(|number| number.wrapping_add(agents));
    others.for_each(|number| drop(machine.register(number, Some(number), ended)));
    let all_take = anonymous()?.saturating_sub(before);
    let completed_take = all_take.saturating_sub(agents_take);
    report.bytes_each("completed_task", "ended task", completed_take, count(completed));
    Ok(report)
}

fn anonymous() -> Result<u64, Failure> {
    std::thread::sleep(SETTLE);
    Ok(Usage::of_this_process()?.anonymous)
}

/// A machine whose registry stores everything at once.
struct Fed {
    master: Master,
    outputs: Vec<Output>,
}

impl Fed {
    fn new(completed: u64) -> Self {
        let info = v1::MasterInfo { id: "load".to_owned(), ..Default::default() };
        let limit = usize::try_from(completed).unwrap_or(usize::MAX);
        let options = Options {
            max_completed_tasks_per_framework: limit.saturating_add(1),
            ..Options::new(info)
        };
        let generator = Generator::from_number(1);
        let master = Master::new(options, Registry::default(), generator, Now::default());
        Self { master, outputs: Vec::new() }
    }

    /// An agent registers on a link of its own; as which one, if it has an id already.
    fn register(&mut self, number: u32, known: Option<u32>, shape: Shape) -> Option<v1::AgentId> {
        let link = LinkId(u64::from(number));
        let id = known.map(|known| v1::AgentId { value: format!("load-S{known}") });
        let register = shape.register(number, id.as_ref());
        let body = Box::new(from_agent::Body::Register(register));
        self.step(Input::AgentMessage { link, body });
        let mut id = None;
        while let Some(output) = self.outputs.pop() {
            match output {
                Output::Store { ticket, .. } => self.step(Input::Stored { ticket }),
                Output::ToAgent { body, .. } => {
                    if let from_master::Body::Registered(registered) = *body {
                        id = registered.agent_id;
                    }
                }
                _ => {}
            }
        }
        id
    }

    fn step(&mut self, input: Input) {
        self.master.step(Now::default(), input, &mut self.outputs);
    }
}
