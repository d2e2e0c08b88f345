//! `orrery sim`: looks at traces of simulated runs, and runs many.

use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use orrery_scenarios::hunt::{self, Hunt, Progress};
use orrery_scenarios::runner::{self, Settings};
use orrery_scenarios::view;

use crate::failure::Failure;
use crate::invocation::{Invocation, say};

const HELP: &str = "\
Usage: orrery sim trace SEED > TRACE
       orrery sim view TRACE > page.html
       orrery sim run [--seeds N] [--first N] [--jobs N] [--for TIME]

trace  runs one seed and writes a line for each event
view   makes one HTML page of a trace, be it from here or from SIM_TRACE=FILE of a test run
run    runs seeds, each another cluster with other faults, and tells which fail

  --seeds N    how many seeds to run at most (default: as many as there is time for)
  --first N    the first seed (default: 0)
  --jobs N     how many to run at once (default: one for each processor)
  --for TIME   when to stop, such as 30s, 10m or 2h (default: when all seeds were run)";

/// How often progress is told where it cannot be written over, as in a log.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// How often it is told on a terminal.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);

/// Runs the command that the arguments name.
pub fn run(invocation: &Invocation) -> Result<ExitCode, Failure> {
    let args: Vec<&str> = invocation.args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["trace", seed] => trace(seed),
        ["view", path] => show(Path::new(path)),
        ["run", flags @ ..] => run_seeds(&hunt_of(flags)?),
        [] | ["help" | "--help" | "-h"] => {
            say(HELP);
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(Failure::Other(format!("cannot understand '{}'\n{HELP}", args.join(" ")))),
    }
}

fn trace(seed: &str) -> Result<ExitCode, Failure> {
    let number = seed
        .parse()
        .map_err(|_| Failure::Other(format!("the seed is '{seed}': expected a number")))?;
    let run = runner::run_seed(number, &Settings { trace: true, ..Settings::default() });
    let mut output = BufWriter::new(std::io::stdout().lock());
    let written = run.lines.iter().try_for_each(|line| writeln!(output, "{line}"));
    written.and_then(|()| output.flush()).map_err(Failure::because)?;
    match runner::failure(&run) {
        Some(failed) => Err(Failure::Other(failed.to_string())),
        None => Ok(ExitCode::SUCCESS),
    }
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

fn run_seeds(hunt: &Hunt) -> Result<ExitCode, Failure> {
    let mut meter = Meter::new();
    let progress = hunt::run(hunt, &Settings::default(), |progress| meter.tell(progress));
    meter.clear();
    say(&progress.to_string());
    Ok(if progress.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The progress line. Failures are printed once, when they come.
struct Meter {
    is_terminal: bool,
    told: Option<Instant>,
    failures: usize,
}

impl Meter {
    fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), told: None, failures: 0 }
    }

    fn tell(&mut self, progress: &Progress) {
        for failed in progress.failures.iter().skip(self.failures) {
            self.clear();
            say(&format!("{failed}\n"));
        }
        self.failures = progress.failures.len();
        let interval = if self.is_terminal { TERMINAL_INTERVAL } else { LOG_INTERVAL };
        if self.told.is_some_and(|told| told.elapsed() < interval) {
            return;
        }
        self.told = Some(Instant::now());
        if self.is_terminal {
            eprint!("\r\x1b[K{progress}");
        } else {
            eprintln!("{progress}");
        }
    }

    /// Takes the line away from a terminal.
    fn clear(&self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }
}

fn hunt_of(args: &[&str]) -> Result<Hunt, Failure> {
    let (mut seeds, mut first, mut time) = (None, 0_u64, None);
    let mut jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let mut args = args.iter().copied();
    while let Some(argument) = args.next() {
        let (name, value) = match argument.split_once('=') {
            Some((name, value)) => (name, value),
            None => (argument, args.next().unwrap_or_default()),
        };
        let expected = |what: &str| {
            Failure::Other(format!("flag '{name}' has the value '{value}': expected {what}"))
        };
        match name {
            "--seeds" => seeds = Some(value.parse::<u64>().map_err(|_| expected("a number"))?),
            "--first" => first = value.parse().map_err(|_| expected("a number"))?,
            "--jobs" => {
                let number = value.parse().ok().filter(|number| (1..=1024).contains(number));
                jobs = number.ok_or_else(|| expected("a number from 1 to 1024"))?;
            }
            "--for" => time = Some(duration(value).ok_or_else(|| expected("30s, 10m or 2h"))?),
            _ => return Err(Failure::Other(format!("unknown flag '{name}'\n{HELP}"))),
        }
    }
    if seeds.is_none() && time.is_none() {
        return Err(Failure::Other("say when to stop: --seeds or --for".to_owned()));
    }
    let end = seeds.map_or(u64::MAX, |seeds| first.saturating_add(seeds));
    Ok(Hunt { seeds: first..end, jobs, time })
}

/// Reads `30s`, `10m`, `2h`.
fn duration(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        _ => return None,
    };
    Some(Duration::from_secs(number.checked_mul(seconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_say_what_to_run() {
        let hunt = hunt_of(&["--seeds", "7", "--first=3", "--jobs", "2", "--for=10m"]);
        let hunt = hunt.expect("understood");
        assert_eq!((hunt.seeds, hunt.jobs), (3..10, 2));
        assert_eq!(hunt.time, Some(Duration::from_secs(600)));
    }

    #[test]
    fn what_is_wrong_with_a_flag_is_said() {
        for (args, expected) in [
            (&["--jobs", "0"][..], "flag '--jobs' has the value '0': expected a number from"),
            (&["--for=1d"], "flag '--for' has the value '1d': expected 30s"),
            (&["--seeds"], "flag '--seeds' has the value '': expected a number"),
            (&["--sedes=1"], "unknown flag '--sedes'"),
            (&[], "say when to stop"),
        ] {
            let error = hunt_of(args).expect_err("refused").to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
