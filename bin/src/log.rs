//! `orrery log`, also known as `mesos-log`: the tools for the replicated log.

mod benchmark;
mod disk_probe;
mod replica;
mod stopwatch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use orrery_flags::{FlagSpec, Flags, tables};
use orrery_log::{KnownEntry, Position, Value, inspect};
use orrery_runtime_real::runtime as real_runtime;

use crate::failure::Failure;
use crate::invocation::{Invocation, say};
use crate::{daemon, logging};

/// What `orrery log` prints without a tool's name.
const HELP: &str = "\
The tools for the replicated log.

Usage: orrery log TOOL [--flag=value]...

Tools:
  initialize  let a new replica vote
  read        show what a replica holds
  replica     run a replica outside of a master
  benchmark   measure appends

'orrery log TOOL --help' lists a tool's flags.";

/// Runs the tool that the first argument names.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let Some((tool, args)) = invocation.args.split_first() else {
        say(HELP);
        return Ok(ExitCode::FAILURE);
    };
    let invocation = Invocation {
        program: invocation.program,
        name: format!("{} {tool}", invocation.name),
        args: args.to_vec(),
        environment: invocation.environment.clone(),
    };
    let flags = |about: &str, specs: &[FlagSpec]| {
        let flags = invocation.flags(about, specs)?;
        if let Some(flags) = &flags {
            logging::start(flags)?;
        }
        Ok::<_, Failure>(flags)
    };
    let flags = match tool.as_str() {
        "initialize" => flags("Lets a new replica vote.", &tables::log_initialize())?,
        "read" => flags("Shows what a replica holds.", &tables::log_read())?,
        "replica" => flags("Runs a replica outside of a master.", &tables::log_replica())?,
        "benchmark" => flags("Measures appends.", &tables::log_benchmark())?,
        "help" | "--help" => {
            say(HELP);
            return Ok(ExitCode::SUCCESS);
        }
        _ => {
            let text =
                format!("unknown tool '{tool}': expected initialize, read, replica or benchmark");
            return Err(Failure::Other(text));
        }
    };
    let Some(flags) = flags else { return Ok(ExitCode::SUCCESS) };
    daemon::run(async {
        match tool.as_str() {
            "initialize" => limited(&flags, initialize(&flags)).await,
            "read" => limited(&flags, read(&flags)).await,
            "replica" => replica::run(&flags).await,
            _ => benchmark::run(&flags).await,
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs a tool for no longer than `--timeout` says.
async fn limited(
    flags: &Flags,
    tool: impl Future<Output = Result<(), Failure>>,
) -> Result<(), Failure> {
    let Some(limit) = flags.get::<Duration>("timeout") else { return tool.await };
    let finished = real_runtime().timeout(limit, tool).await;
    finished.unwrap_or_else(|| Err(Failure::Other("time ran out".to_owned())))
}

/// The folder of the replica.
///
/// # Errors
/// There is no current folder that a relative path could begin at.
fn folder(flags: &Flags) -> Result<PathBuf, Failure> {
    let path: String = flags.value("path");
    std::path::absolute(path).map_err(Failure::because)
}

async fn initialize(flags: &Flags) -> Result<(), Failure> {
    let accept_loss = flags.is_set("accept_loss");
    orrery_log::initialize(&real_runtime(), &folder(flags)?, accept_loss)
        .await
        .map_err(Failure::because)?;
    say("The replica votes from now on.");
    Ok(())
}

async fn read(flags: &Flags) -> Result<(), Failure> {
    let position = |name, default| Position(flags.get::<u64>(name).unwrap_or(default));
    let (from, to) = (position("from", 0), position("to", u64::MAX));
    if from > to {
        return Err(Failure::Other(format!("--from={from}: expected at most --to={to}")));
    }
    let mut replica = inspect(&real_runtime(), &folder(flags)?).await.map_err(Failure::because)?;
    let status = replica.status();
    say(&format!(
        "{}, promised {}, begins at {}, complete up to {}, {} missing",
        status.state, status.promised, status.beginning, status.ending, status.missing
    ));
    let end = replica.end();
    if flags.is_given("from") && from > end && replica.damage().is_empty() {
        let text = format!("--from={from}: the replica holds nothing after position {end}");
        return Err(Failure::Other(text));
    }
    let mut next = Some(from);
    while let Some(from) = next {
        let (entries, after) = replica.entries(from, to).await.map_err(Failure::because)?;
        entries.iter().for_each(|entry| say(&show(entry)));
        next = after;
    }
    let earlier = replica.earlier_damage().iter();
    earlier.for_each(|damage| say(&format!("was damaged, and is not healed yet: {damage}")));
    if replica.damage().is_empty() {
        return Ok(());
    }
    replica.damage().iter().for_each(|damage| say(&format!("damaged: {damage}")));
    Err(Failure::Other("the replica is damaged".to_owned()))
}

fn show(entry: &KnownEntry) -> String {
    let learned = if entry.learned { "learned" } else { "accepted" };
    let value = match &entry.value {
        Value::Nop => "NOP".to_owned(),
        Value::Append(data) => format!("APPEND {} bytes {}", data.len(), excerpt(data)),
        Value::Truncate(to) => format!("TRUNCATE to {to}"),
    };
    format!("{} {learned} at {}: {value}", entry.position, entry.ballot)
}

/// The first bytes of an entry, as text.
fn excerpt(data: &[u8]) -> String {
    const SHOWN: usize = 60;
    let text = data.iter().take(SHOWN).copied().flat_map(std::ascii::escape_default);
    let text: String = text.map(char::from).collect();
    if data.len() > SHOWN { format!("\"{text}\"…") } else { format!("\"{text}\"") }
}
