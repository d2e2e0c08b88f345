//! `orrery sim`: runs simulated clusters, one with its trace or many, and shows traces.

mod flags;
mod meter;

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use orrery_scenarios::goals::Goals;
use orrery_scenarios::plan::Plan;
use orrery_scenarios::runner::batch::{self, Stable};
use orrery_scenarios::runner::keep::keep;
use orrery_scenarios::runner::repeat::{self, OtherProcess};
use orrery_scenarios::runner::{self, Again, Batch, Run, Settings, Totals};
use orrery_scenarios::shrink::shrink_failure;
use orrery_scenarios::view;

use crate::failure::Failure;
use crate::invocation::{Invocation, say};
use flags::{Flags, UsageError};
use meter::Meter;

const HELP: &str = "\
Usage: orrery sim run [--seeds N] [--first SEED] [--jobs N] [--for TIME] [--until-stable[=N]]
                      [--keep DIR]
       orrery sim run --plan FILE
       orrery sim trace SEED > TRACE
       orrery sim trace --plan FILE > TRACE
       orrery sim shrink SEED > FILE
       orrery sim shrink --plan FILE > FILE
       orrery sim plan SEED > FILE
       orrery sim view TRACE > page.html

run    runs seeds, each another cluster with other faults, and tells which fail
trace  runs one seed or plan and writes a line for each event
shrink runs a seed or plan that fails, and writes the smallest plan that fails in the same way
plan   writes what a seed does, as a file that can be changed and run
view   makes one HTML page of a trace, be it from here or from SIM_TRACE=FILE of a test run

A seed is a number, or the hash of a commit, which stands for a number.

  --seeds N          how many seeds to run at most (default: as many as there is time for)
  --first SEED       the first seed (default: 0)
  --jobs N           how many to run at once (default: one for each processor)
  --for TIME         when to stop, such as 30s, 10m or 2h (default: when all seeds were run)
  --until-stable[=N] stop when all goals were met and N runs in a row have shown nothing new:
                     no other kind of failure, no other part of the code (default: 1000)
  --keep DIR         keep the fastest failing run of each kind there: its plan and what went wrong
  --plan FILE        play the plan of that file

Every 20th run of 'run' is repeated in another process, and must be the same there.

'run' ends with 0 when nothing failed, 1 when a run failed or could not be repeated, 2 when the
flags cannot be used, and 3 when --until-stable was given and the hunt ended before that.";

/// The exit code for a command line that cannot be understood.
const USAGE: u8 = 2;
/// The exit code of a hunt that ended before it had seen enough.
const UNSTABLE: u8 = 3;

/// Runs the command that the arguments name.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let args: Vec<&str> = invocation.args.iter().map(String::as_str).collect();
    match command(&args) {
        Ok(end) => end,
        Err(error) => {
            eprintln!("{}: {error}", invocation.name);
            Ok(ExitCode::from(USAGE))
        }
    }
}

fn command(args: &[&str]) -> Result<Result<ExitCode, Failure>, UsageError> {
    let asked = |flags: &[&str]| {
        let flags = Flags::parse(flags)?;
        settings(&flags).map(|settings| (flags, settings))
    };
    Ok(match args {
        ["view", path] => show(Path::new(path)),
        ["plan", seed] => {
            let flags = Flags::parse(&[seed])?;
            write(&[runner::plan(flags.first.unwrap_or_default()).to_string()])
        }
        ["trace", rest @ ..] if !rest.is_empty() => {
            let (flags, settings) = asked(rest)?;
            trace(&flags, &settings)
        }
        ["shrink", rest @ ..] if !rest.is_empty() => {
            let (flags, settings) = asked(rest)?;
            make_smaller(&flags, &settings)
        }
        ["run", rest @ ..] => {
            let (flags, settings) = asked(rest)?;
            match flags.plan {
                Some(_) => play(&flags, &settings),
                None => hunt(batch(&flags)?, &flags, &settings),
            }
        }
        // What `run` calls in another process.
        ["repeat", rest @ ..] => {
            let (_, settings) = asked(rest)?;
            Ok(if repeat::answer(&settings) { ExitCode::SUCCESS } else { ExitCode::from(USAGE) })
        }
        [] | ["help" | "--help" | "-h"] => {
            say(HELP);
            Ok(ExitCode::SUCCESS)
        }
        _ => return Err(UsageError::Command(args.join(" "))),
    })
}

fn settings(flags: &Flags) -> Result<Settings, UsageError> {
    let program = std::env::args().next().unwrap_or_else(|| "orrery".to_owned());
    let mut settings = Settings::default();
    let mut extra = String::new();
    if let Some(name) = &flags.plant {
        let planted = runner::plant(name, &mut settings);
        planted.map_err(|error| UsageError::Other(error.to_string()))?;
        extra = format!(" --plant {name}");
    }
    settings.again = Again::Program { name: format!("{program} sim"), flags: extra };
    Ok(settings)
}

fn batch(flags: &Flags) -> Result<Batch, UsageError> {
    if flags.seeds.is_none() && flags.time.is_none() && flags.stable.is_none() {
        return Err(UsageError::Endless);
    }
    let first = flags.first.unwrap_or_default();
    let end = flags.seeds.map_or(u64::MAX, |seeds| first.saturating_add(seeds));
    let goals = || Goals::standard().map_err(|error| UsageError::Other(error.to_string()));
    let stable = match flags.stable {
        Some(runs) => Some(Stable { runs, goals: goals()? }),
        None => None,
    };
    let batch = Batch::of(first..end);
    let jobs = flags.jobs.unwrap_or(batch.jobs);
    Ok(Batch { jobs, time: flags.time, stable, ..batch })
}

/// The run that was asked for, with its trace if `trace` says so.
fn run_one(flags: &Flags, settings: &Settings, trace: bool) -> Result<Run, Failure> {
    let settings = Settings { trace, ..settings.clone() };
    Ok(match &flags.plan {
        Some(path) => runner::run_plan(Plan::read(path).map_err(Failure::because)?, &settings),
        None => runner::run_seed(flags.first.unwrap_or_default(), &settings),
    })
}

fn trace(flags: &Flags, settings: &Settings) -> Result<ExitCode, Failure> {
    let run = run_one(flags, settings, true)?;
    write(&run.lines)?;
    tell_failure(flags, &run)
}

fn play(flags: &Flags, settings: &Settings) -> Result<ExitCode, Failure> {
    let run = run_one(flags, settings, false)?;
    let end = tell_failure(flags, &run);
    let mut totals = Totals::default();
    totals.add(run);
    say(&totals.to_string());
    end
}

fn make_smaller(flags: &Flags, settings: &Settings) -> Result<ExitCode, Failure> {
    let run = run_one(flags, settings, false)?;
    let Some(failed) = runner::failure(&run) else {
        return Err(Failure::Other("it does not fail: expected a run that does".to_owned()));
    };
    let (smallest, runs) = shrink_failure(&failed, settings);
    let steps = (failed.plan.steps.len(), smallest.plan.steps.len());
    eprintln!("{} of {} steps are left after {runs} runs", steps.1, steps.0);
    write(&[smallest.plan_file()])
}

/// What a run that was asked for by its name ends with.
fn tell_failure(flags: &Flags, run: &Run) -> Result<ExitCode, Failure> {
    match runner::failure(run) {
        Some(mut failed) => {
            failed.file.clone_from(&flags.plan);
            Err(Failure::Other(failed.to_string()))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

fn write(lines: &[String]) -> Result<ExitCode, Failure> {
    let mut output = BufWriter::new(std::io::stdout().lock());
    let written = lines.iter().try_for_each(|line| writeln!(output, "{}", line.trim_end()));
    written.and_then(|()| output.flush()).map_err(Failure::because)?;
    Ok(ExitCode::SUCCESS)
}

fn show(path: &Path) -> Result<ExitCode, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::Other(format!("cannot show the trace {}: {error}", path.display()))
    };
    let lines = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    let title = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let page = view::page(&title, &lines).map_err(|error| failed(&error))?;
    std::io::stdout().write_all(page.as_bytes()).map_err(|error| failed(&error))?;
    Ok(ExitCode::SUCCESS)
}

fn hunt(mut batch: Batch, flags: &Flags, settings: &Settings) -> Result<ExitCode, Failure> {
    let mut arguments = vec!["sim", "repeat"];
    arguments.extend(flags.plant.iter().flat_map(|name| ["--plant", name.as_str()]));
    batch.other_process = Some(OtherProcess::new(&arguments).map_err(Failure::because)?);
    let goals = Goals::standard().map_err(Failure::because)?;
    let mut meter = Meter::new(&batch, &goals);
    let mut kept = Ok(());
    let totals = batch::run(&batch, settings, |totals, failed| {
        if let Some(failed) = failed {
            meter.fail(totals, failed);
            if let (Some(folder), Ok(())) = (&flags.keep, &kept) {
                kept = keep(folder, failed).map(|_| ());
            }
        }
        meter.tell(totals);
    });
    meter.clear();
    totals.differences.iter().for_each(|difference| say(&format!("{difference}\n")));
    say(&format!("{}\n{}\n{totals}", goals.report(&totals.coverage), totals.coverage));
    kept.map_err(Failure::because)?;
    Ok(end_of(&batch, &totals))
}

fn end_of(batch: &Batch, totals: &Totals) -> ExitCode {
    let is_stable = batch.stable.as_ref().is_none_or(|stable| stable.is_reached(totals));
    if !totals.is_good() {
        ExitCode::FAILURE
    } else if !is_stable {
        ExitCode::from(UNSTABLE)
    } else {
        ExitCode::SUCCESS
    }
}
