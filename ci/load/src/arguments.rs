//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use orrery_flags::{FlagError, FlagSpec, Flags, Kind, flag, parse, usage};
use orrery_model::Resources;
use orrery_runtime::Address;

use crate::failure::Failure;
use crate::framework::{Batch, TaskShape};
use crate::registration::Shape;

const HELP: &str = "\
Drives an Orrery cluster over real sockets and says how fast it is.

Usage: orrery-load COMMAND [--flag=value]...

Commands:
  real      real daemons and real tasks on one agent
  emulated  a real master with emulated agents and frameworks
  failover  all agents come back to a restarted master
  memory    what a master's records take, without sockets
  idle      memory of a master and an agent with nothing to do

'orrery-load COMMAND --help' lists a command's flags.";

const COMMON: &[FlagSpec] = &[
    flag("help", Kind::Boolean, "Print this text and exit.").default("false"),
    flag("json", Kind::Boolean, "Print one JSON object.").default("false"),
    flag("orrery", Kind::Path, "The executable to measure; by default the one beside this one."),
    flag("limit", Kind::Duration, "Fail when not done by then.").default("60secs"),
];

const TASKS: &[FlagSpec] = &[
    flag("allocation_interval", Kind::Duration, "The master's flag of this name.").default("50ms"),
    flag("task_resources", Kind::Text, "What each task takes; scalars only.")
        .default("cpus:0.1;mem:32"),
    flag("task_data", Kind::Bytes, "Size of TaskInfo.data.").default("0B"),
    flag("checkpoint", Kind::Boolean, "Tasks are to outlive their agent.").default("false"),
];

const REAL: &[FlagSpec] = &[
    flag("tasks", Kind::Count, "Tasks in all.").default("500").at_least("1"),
    flag("at_once", Kind::Count, "Tasks in flight.").default("50").at_least("1"),
    flag("command", Kind::Text, "The shell command of each task.").default("exit 0"),
    flag("settle", Kind::Duration, "Wait before memory is read.").default("2secs"),
];

const EMULATED: &[FlagSpec] = &[
    flag("agents", Kind::Count, "Emulated agents.").default("100").at_least("1").at_most("100000"),
    flag("frameworks", Kind::Count, "Emulated frameworks.").default("1").at_least("1"),
    flag("tasks", Kind::Count, "Tasks in all.").default("100000").at_least("1"),
    flag("at_once", Kind::Count, "Tasks in flight, of all frameworks together.")
        .default("2000")
        .at_least("1"),
    flag("batch", Kind::Count, "Tasks that one ACCEPT launches.").default("10").at_least("1"),
    flag("starting", Kind::Boolean, "Tasks pass through TASK_STARTING as well.").default("false"),
    flag("run_time", Kind::Duration, "How long a task stays in TASK_RUNNING.").default("0ns"),
    flag("agent_resources", Kind::Text, "What each agent has.")
        .default("cpus:64;mem:262144;disk:1048576;ports:[31000-32000]"),
    flag("master", Kind::Master, "Measure this running master instead of an own one."),
];

const FAILOVER: &[FlagSpec] = &[
    flag("agents", Kind::Count, "Emulated agents.")
        .default("10000")
        .at_least("1")
        .at_most("100000"),
    flag("tasks", Kind::Count, "Tasks of each agent.").default("10"),
    flag("completed", Kind::Count, "Ended tasks that each agent remembers.").default("0"),
    flag("together", Kind::Count, "Agents on one connection, where sockets are few.")
        .default("1")
        .at_least("1"),
];

const MEMORY: &[FlagSpec] = &[
    flag("agents", Kind::Count, "Agents.").default("100000").at_least("1").at_most("1000000"),
    flag("tasks", Kind::Count, "Tasks of each agent.").default("10").at_least("1"),
    flag("completed", Kind::Count, "Ended tasks of each agent.").default("10").at_least("1"),
    flag("statuses", Kind::Count, "Statuses of each task.").default("0").at_most("4"),
];

const IDLE: &[FlagSpec] = &[flag("after", Kind::Duration, "When to look.").default("5secs")];

/// What to do.
pub struct Arguments {
    /// Whether to print JSON.
    pub json: bool,
    /// The command with its own flags.
    pub command: Command,
}

/// A kind of measurement.
pub enum Command {
    /// Real daemons and tasks.
    Real(Real),
    /// Emulated agents.
    Emulated(Emulated),
    /// Agents that come back.
    Failover(Failover),
    /// A master's records.
    Memory(Memory),
    /// Nothing to do.
    Idle(Idle),
}

/// What all measurements need.
#[derive(Clone)]
pub struct Common {
    /// The executable to measure.
    pub orrery: PathBuf,
    /// How long the measurement may take.
    pub limit: Duration,
}

/// What is launched.
#[derive(Clone)]
pub struct Work {
    /// Tasks in all.
    pub tasks: u32,
    /// Tasks in flight.
    pub at_once: u32,
    /// What one task is.
    pub shape: TaskShape,
    /// Tasks of one ACCEPT.
    pub batch: Batch,
    /// The master's beat.
    pub allocation_interval: Duration,
    /// Whether the frameworks checkpoint.
    pub checkpoint: bool,
}

/// Flags of `real`.
pub struct Real {
    /// What all have.
    pub common: Common,
    /// The tasks.
    pub work: Work,
    /// Wait before memory is read.
    pub settle: Duration,
}

/// Flags of `emulated`.
pub struct Emulated {
    /// What all have.
    pub common: Common,
    /// The tasks.
    pub work: Work,
    /// How many agents.
    pub agents: u32,
    /// How many frameworks.
    pub frameworks: u32,
    /// Whether tasks begin in TASK_STARTING.
    pub starting: bool,
    /// How long tasks stay in TASK_RUNNING.
    pub run_time: Duration,
    /// What each agent has.
    pub agent_resources: Resources,
    /// A master that runs already.
    pub master: Option<Address>,
}

/// Flags of `failover`.
pub struct Failover {
    /// What all have.
    pub common: Common,
    /// How many agents.
    pub agents: u32,
    /// How many tasks each has.
    pub tasks: u32,
    /// How many ended tasks each remembers.
    pub completed: u32,
    /// How many share a connection.
    pub together: u32,
}

/// Flags of `memory`.
pub struct Memory {
    /// How many agents.
    pub agents: u32,
    /// What each of them has.
    pub shape: Shape,
}

/// Flags of `idle`.
pub struct Idle {
    /// What all have.
    pub common: Common,
    /// When to look.
    pub after: Duration,
}

/// Reads the command line; `None` when it only asked for help, which is printed then.
pub fn read() -> Result<Option<Arguments>, Failure> {
    let mut args = std::env::args().skip(1);
    let command = args.next().unwrap_or_else(|| "help".to_owned());
    let specs = match command.as_str() {
        "real" => [COMMON, TASKS, REAL].concat(),
        "emulated" => [COMMON, TASKS, EMULATED].concat(),
        "failover" => [COMMON, FAILOVER].concat(),
        "memory" => [COMMON, MEMORY].concat(),
        "idle" => [COMMON, IDLE].concat(),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            return Ok(None);
        }
        _ => return Err(Failure::Command(command)),
    };
    let name = format!("orrery-load {command}");
    let args: Vec<String> = args.collect();
    let flags = parse(&name, &specs, &args, &environment(), &|path| std::fs::read_to_string(path))?;
    if flags.is_set("help") {
        println!("{}", usage(&name, "Measures an Orrery cluster.", &specs));
        return Ok(None);
    }
    let common = Common { orrery: orrery(&flags)?, limit: flags.value("limit") };
    let command = match command.as_str() {
        "real" => Command::Real(real(&flags, common)?),
        "emulated" => Command::Emulated(emulated(&flags, common)?),
        "failover" => {
            let (agents, together) = (flags.value("agents"), flags.value("together"));
            let (tasks, completed) = (flags.value("tasks"), flags.value("completed"));
            Command::Failover(Failover { common, agents, tasks, completed, together })
        }
        "memory" => {
            let (tasks, completed) = (flags.value("tasks"), flags.value("completed"));
            let shape = Shape { tasks, completed, statuses: flags.value("statuses") };
            Command::Memory(Memory { agents: flags.value("agents"), shape })
        }
        _ => Command::Idle(Idle { common, after: flags.value("after") }),
    };
    Ok(Some(Arguments { json: flags.is_set("json"), command }))
}

fn environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

fn orrery(flags: &Flags) -> Result<PathBuf, Failure> {
    match flags.get::<PathBuf>("orrery") {
        Some(path) => Ok(std::path::absolute(path)?),
        None => Ok(std::env::current_exe()?.with_file_name("orrery")),
    }
}

fn real(flags: &Flags, common: Common) -> Result<Real, Failure> {
    // One agent gives one offer in each beat, so anything less would hold the tasks back.
    let work = work(flags, flags.value("command"), Batch::All)?;
    Ok(Real { common, work, settle: flags.value("settle") })
}

fn emulated(flags: &Flags, common: Common) -> Result<Emulated, Failure> {
    let batch = Batch::Exactly(count(flags, "batch")?);
    let work = work(flags, "exit 0".to_owned(), batch)?;
    let frameworks: u32 = flags.value("frameworks");
    if frameworks > work.tasks.min(work.at_once) {
        return Err(Failure::Flags(FlagError::Invalid {
            flag: "--frameworks".to_owned(),
            value: frameworks.to_string(),
            expected: "at most as many as --tasks and --at_once".to_owned(),
        }));
    }
    Ok(Emulated {
        common,
        work,
        agents: flags.value("agents"),
        frameworks,
        starting: flags.is_set("starting"),
        run_time: flags.value("run_time"),
        agent_resources: resources(flags, "agent_resources")?,
        master: flags.get("master"),
    })
}

fn work(flags: &Flags, command: String, batch: Batch) -> Result<Work, Failure> {
    let resources = resources(flags, "task_resources")?;
    if resources != resources.scalars() || resources.is_empty() {
        return Err(invalid(flags, "task_resources", "scalars such as cpus:0.1;mem:32").into());
    }
    let data = usize::try_from(flags.value::<u64>("task_data")).unwrap_or(usize::MAX);
    Ok(Work {
        tasks: count(flags, "tasks")?,
        at_once: count(flags, "at_once")?,
        shape: TaskShape { resources, command, data },
        batch,
        allocation_interval: flags.value("allocation_interval"),
        checkpoint: flags.is_set("checkpoint"),
    })
}

/// A count that was checked for its lower bound but may still be too large.
fn count(flags: &Flags, name: &str) -> Result<u32, FlagError> {
    flags.get(name).ok_or_else(|| invalid(flags, name, "at most 4294967295"))
}

fn resources(flags: &Flags, name: &str) -> Result<Resources, FlagError> {
    let text: String = flags.value(name);
    Resources::parse(&text, "*").map_err(|error| invalid(flags, name, &error.to_string()))
}

fn invalid(flags: &Flags, name: &str, expected: &str) -> FlagError {
    FlagError::Invalid {
        flag: format!("--{name}"),
        value: flags.effective().remove(name).unwrap_or_default(),
        expected: expected.to_owned(),
    }
}
