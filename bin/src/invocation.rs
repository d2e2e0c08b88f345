//! Which program we are called as, and with what.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;

use orrery_flags::{FlagError, FlagSpec, Flags, parse, usage};

/// The version of Mesos whose interfaces we have.
const MESOS_VERSION: &str = "1.12.0";

/// What `orrery help` prints; see [`help`].
const HELP: &str = "\
Orrery, a cluster manager that speaks Apache Mesos' protocols.

Usage: orrery COMMAND [--flag=value]...

Commands:
  local     run a master and agents in this process, to try things out
  master    run a master
  agent     run an agent
  execute   run one command on a cluster and wait for its end
  log       initialize, read, run or measure a replica of the replicated log
  executor  run one task for an agent (agents start this by themselves)
{sim}  version   print the version
  help      print this text

'orrery COMMAND --help' lists a command's flags.";

/// The command that only some programs have.
const SIM: &str = "\
  sim       run simulated clusters with faults, look for bugs and show what led to them
";

/// How to get it.
const NO_SIM: &str = ": this program was built without the simulator, \
    expected one of 'cargo build -p orrery --features sim'";

/// What `orrery help` prints.
pub fn help() -> String {
    HELP.replace("{sim}", if cfg!(feature = "sim") { SIM } else { "" })
}

/// The line that `orrery version` prints.
pub fn version() -> String {
    format!("orrery {} (mesos {MESOS_VERSION})", env!("CARGO_PKG_VERSION"))
}

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A master daemon.
    Master,
    /// An agent daemon.
    Agent,
    /// A cluster in one process.
    Local,
    /// The tool that runs one task.
    Execute,
    /// The tools for the replicated log.
    Log,
    /// The command executor.
    Executor,
    /// The simulator.
    #[cfg(feature = "sim")]
    Sim,
    /// Print the version.
    Version,
    /// Print how to call us.
    Help,
}

impl Program {
    fn of_command(command: &str) -> Option<Self> {
        match command {
            "master" => Some(Self::Master),
            "agent" | "slave" => Some(Self::Agent),
            "local" => Some(Self::Local),
            "execute" => Some(Self::Execute),
            "log" => Some(Self::Log),
            "executor" => Some(Self::Executor),
            #[cfg(feature = "sim")]
            "sim" => Some(Self::Sim),
            "version" | "--version" => Some(Self::Version),
            "help" | "--help" | "-h" => Some(Self::Help),
            _ => None,
        }
    }

    fn of_link(name: &str) -> Option<Self> {
        let command = name.strip_prefix("mesos-").or_else(|| name.strip_prefix("orrery-"))?;
        match command {
            "master" | "agent" | "slave" | "local" | "execute" | "executor" | "log" => {
                Self::of_command(command)
            }
            _ => None,
        }
    }
}

/// What is said of a command that does not exist.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "unknown command '{0}'{hint}",
    hint = if .0 == "sim" { NO_SIM } else { ": see 'orrery help'" }
)]
pub struct UnknownCommand(String);

/// A program, the name to call it by, its arguments and environment.
#[derive(Debug)]
pub struct Invocation {
    /// What to run.
    pub program: Program,
    /// How the user calls it: `orrery master` or `mesos-master`.
    pub name: String,
    /// Its arguments, without its name.
    pub args: Vec<String>,
    /// The whole environment.
    pub environment: Vec<(String, String)>,
}

impl Invocation {
    /// From this process's arguments and environment. What is no UTF-8 in them is replaced, and
    /// refused later where it matters.
    pub fn of_this_process() -> Result<Self, UnknownCommand> {
        let text = |text: OsString| text.to_string_lossy().into_owned();
        let args = std::env::args_os().map(text).collect();
        let environment =
            std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self::new(args, environment)
    }

    fn new(args: Vec<String>, environment: Vec<(String, String)>) -> Result<Self, UnknownCommand> {
        let mut args = args.into_iter();
        let called = args.next().unwrap_or_default();
        let link = Path::new(&called).file_name().map(|name| name.to_string_lossy().into_owned());
        if let Some(link) = link
            && let Some(program) = Program::of_link(&link)
        {
            return Ok(Self { program, name: link, args: args.collect(), environment });
        }
        let command = args.next().unwrap_or_else(|| "help".to_owned());
        let Some(program) = Program::of_command(&command) else {
            return Err(UnknownCommand(command));
        };
        let name = format!("orrery {command}");
        Ok(Self { program, name, args: args.collect(), environment })
    }

    /// Reads the flags of the table `specs`. `None` when only help or the version was asked for;
    /// it is printed then, beginning with `about`.
    pub fn flags(&self, about: &str, specs: &[FlagSpec]) -> Result<Option<Flags>, FlagError> {
        let flags = parse(&self.name, specs, &self.args, &self.environment, &read_file)?;
        if flags.is_set("help") {
            say(&usage(&self.name, about, specs));
            return Ok(None);
        }
        if flags.is_set("version") {
            say(&format!("mesos {MESOS_VERSION}"));
            return Ok(None);
        }
        Ok(Some(flags))
    }
}

/// Prints lines to the standard output. A reader that has gone away is no reason to fail.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{}", text.trim_end());
}

/// Reads a file that a flag names.
pub fn read_file(path: &str) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(args: &[&str]) -> Result<Invocation, UnknownCommand> {
        Invocation::new(args.iter().map(|&text| text.to_owned()).collect(), Vec::new())
    }

    #[test]
    fn commands_and_links_name_programs() {
        for (args, program, name) in [
            (&["orrery", "master", "--port=1"][..], Program::Master, "orrery master"),
            (&["/usr/sbin/mesos-master", "--port=1"], Program::Master, "mesos-master"),
            (&["mesos-slave", "--port=1"], Program::Agent, "mesos-slave"),
            (&["mesos-agent", "--port=1"], Program::Agent, "mesos-agent"),
            (&["mesos-local", "--port=1"], Program::Local, "mesos-local"),
            (&["mesos-execute", "--port=1"], Program::Execute, "mesos-execute"),
            (&["mesos-executor", "--port=1"], Program::Executor, "mesos-executor"),
            (&["mesos-log", "--port=1"], Program::Log, "mesos-log"),
            (&["orrery-executor", "--port=1"], Program::Executor, "orrery-executor"),
        ] {
            let found = call(args).expect("known");
            assert_eq!((found.program, found.name.as_str()), (program, name));
            assert_eq!(found.args, ["--port=1"]);
        }
    }

    #[test]
    fn without_a_command_there_is_help_and_a_wrong_one_is_named() {
        assert_eq!(call(&["orrery"]).map(|found| found.program), Ok(Program::Help));
        let error = call(&["orrery", "mastre"]).expect_err("unknown");
        assert_eq!(error.to_string(), "unknown command 'mastre': see 'orrery help'");
    }
}
