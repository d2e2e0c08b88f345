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
use orrery_scenarios::shrink::shrink_failure_watched;
use orrery_scenarios::view;

use crate::failure::Failure;
use crate::invocation::{Invocation, say};
use flags::{Flags, UsageError};
use meter::{Meter, Shrinking};

const HELP: &str = "\
Usage: orrery sim run [--seeds N] [--first SEED] [--jobs N] [--for TIME] [--until-stable[=N]]
                      [--keep DIR] [--coverage]
       orrery sim run SEED
       orrery sim run --plan FILE
       orrery sim trace SEED > TRACE
       orrery sim trace --plan FILE > TRACE
       orrery sim shrink SEED > FILE
       orrery sim shrink --plan FILE > FILE
       orrery sim plan SEED > FILE
       orrery sim view TRACE > page.html

run    runs many seeds, each another cluster with other faults, or one, and tells which fail
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
  --coverage         tell of all points of the code, and not only of those rarely met
  --plan FILE        play the plan of that file
  --plant NAME       switch a planted bug on in all runs; a wrong name lists them

Every 20th run of 'run' is repeated in another process, and must be the same there.

'run' ends with 0 when nothing failed, 1 when a run failed or could not be repeated, 2 when the
flags cannot be used, and 3 when --until-stable was given and the hunt ended before that.";

/// The exit code for a command line that cannot be understood.
const USAGE: u8 = 2;
/// The exit code of a hunt that ended before it had seen enough.
const UNSTABLE: u8 = 3;

/// So many of the points that are rarely met are told of.
const RARE_POINTS: usize = 20;

/// What names one run.
const ONE: &str = "a seed or --plan FILE";

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
    if args.is_empty() || args.iter().any(|word| ["help", "--help", "-h"].contains(word)) {
        say(HELP);
        return Ok(Ok(ExitCode::SUCCESS));
    }
    Ok(match args {
        ["view", path] => show(Path::new(path)),
        ["view"] => return Err(nothing("view", "the file of a trace")),
        ["plan", rest @ ..] => {
            let seed = Flags::parse("plan", rest)?.seed;
            let seed = seed.ok_or_else(|| nothing("plan", "a seed"))?;
            write(&[runner::plan(seed).to_string()])
        }
        ["trace", rest @ ..] => {
            let flags = Flags::parse("trace", rest)?;
            trace(&flags, one(&flags)?.ok_or_else(|| nothing("trace", ONE))?, &settings(&flags)?)
        }
        ["shrink", rest @ ..] => {
            let flags = Flags::parse("shrink", rest)?;
            make_smaller(one(&flags)?.ok_or_else(|| nothing("shrink", ONE))?, &settings(&flags)?)
        }
        ["run", rest @ ..] => {
            let flags = Flags::parse("run", rest)?;
            let settings = settings(&flags)?;
            match one(&flags)? {
                Some(plan) => play(&flags, plan, &settings),
                None => hunt(batch(&flags)?, &flags, &settings),
            }
        }
        // What `run` calls in another process.
        ["repeat", rest @ ..] => {
            let settings = settings(&Flags::parse("repeat", rest)?)?;
            Ok(if repeat::answer(&settings) { ExitCode::SUCCESS } else { ExitCode::from(USAGE) })
        }
        _ => return Err(UsageError::Command(args.join(" "))),
    })
}

fn nothing(command: &'static str, expected: &'static str) -> UsageError {
    UsageError::Nothing { command, expected }
}

/// The plan of the one run that was asked for, if one was.
fn one(flags: &Flags) -> Result<Option<Plan>, UsageError> {
    match (&flags.plan, flags.seed) {
        (Some(path), _) => {
            let plan = Plan::read(path);
            plan.map(Some).map_err(|error| UsageError::Other(Failure::because(error).to_string()))
        }
        (None, seed) => Ok(seed.map(runner::plan)),
    }
}

fn settings(flags: &Flags) -> Result<Settings, UsageError> {
    let name = std::env::args().next().unwrap_or_else(|| "orrery".to_owned());
    let mut settings = Settings::default();
    let mut extra = String::new();
    if let Some(name) = &flags.plant {
        let planted = runner::plant(name, &mut settings);
        planted.map_err(|error| UsageError::Other(error.to_string()))?;
        extra = format!(" --plant {name}");
    }
    settings.again = Again::Program { name, flags: extra };
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

fn trace(flags: &Flags, plan: Plan, settings: &Settings) -> Result<ExitCode, Failure> {
    let run = runner::run_plan(plan, &Settings { trace: true, ..settings.clone() });
    write(&run.lines)?;
    tell_failure(flags, &run)
}

fn play(flags: &Flags, plan: Plan, settings: &Settings) -> Result<ExitCode, Failure> {
    let run = runner::run_plan(plan, settings);
    if let (Some(folder), Some(failed)) = (&flags.keep, runner::failure(&run)) {
        keep(folder, &failed.with_trace(settings)).map_err(Failure::because)?;
    }
    let end = tell_failure(flags, &run);
    say(&Totals::of(run).to_string());
    end
}

fn make_smaller(plan: Plan, settings: &Settings) -> Result<ExitCode, Failure> {
    let run = runner::run_plan(plan, settings);
    let Some(failed) = runner::failure(&run) else {
        return Err(Failure::Other("it does not fail: expected a run that does".to_owned()));
    };
    let mut meter = Shrinking::new(failed.plan.steps.len());
    let (smallest, runs) = shrink_failure_watched(&failed, settings, |runs, plan| {
        meter.tell(runs, plan.steps.len());
    });
    meter.end(runs, smallest.plan.steps.len());
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
    let coverage = match flags.coverage {
        true => format!("{:#}", totals.coverage),
        false => format!("{:.RARE_POINTS$}", totals.coverage),
    };
    say(&format!("{}\n{coverage}\n{totals}", goals.report(&totals.coverage)));
    batch.stable.iter().for_each(|stable| tell_stability(stable, &totals));
    kept.map_err(Failure::because)?;
    Ok(end_of(&batch, &totals))
}

/// Whether a hunt has seen enough, and what it lacks if it has not.
fn tell_stability(stable: &Stable, totals: &Totals) {
    let (news, wanted) = (totals.runs_since_news(), stable.runs);
    let unmet = stable.goals.check(&totals.coverage).map_or_else(|unmet| unmet.goals.len(), |()| 0);
    let verdict = if stable.is_reached(totals) { "stable" } else { "not stable" };
    say(&format!(
        "{verdict}: {unmet} goals that must be met were not, and the last {news} runs have shown \
         nothing new, of {wanted} wanted"
    ));
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
