//! Repeating runs in another process, to prove that a run follows from its seed.
//!
//! The other process is the same program once more, told by [`VARIABLE`] what to run. It answers
//! with one line, which holds the chain of hashes over all events. When that differs, both run the
//! seed again and keep their traces, and the first line that differs is what there is to look at.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::trace_file;

use super::{Run, Settings, run_seed, usage};

/// The environment variable that tells a process which seed to run for another one.
pub const VARIABLE: &str = "SIM_REPEAT";

/// What an answer starts with.
const ANSWER: &str = "repeated:";

/// So many lines before the first difference are shown.
const CONTEXT: usize = 12;

/// How to call this program once more so that it comes to [`answer`].
#[derive(Clone, Debug)]
pub struct OtherProcess {
    program: PathBuf,
    arguments: Vec<String>,
}

/// What tells whether two runs were the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// The chain of hashes over all events.
    pub hash: u64,
    /// How many events there were.
    pub events: u64,
    /// Virtual time at the end.
    pub elapsed: Duration,
}

/// A run that was the same in another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// The most memory that the other process had, in bytes.
    pub peak_memory: Option<u64>,
}

/// A run that was not the same in another process, or that could not be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The seed.
    pub seed: u64,
    /// What is known.
    pub found: Found,
}

/// How a repetition went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The other process did not answer; the text says why.
    NoAnswer(String),
    /// The runs differ, and so do their traces.
    Line {
        /// The number of the first line that differs, counted from 1.
        number: usize,
        /// Lines before it, which are the same.
        before: Vec<String>,
        /// This process's line; `None` when its trace is over.
        here: Option<String>,
        /// The other's.
        there: Option<String>,
    },
    /// The runs differ, but when they were traced they did not.
    Nothing {
        /// What came of it here.
        here: Fingerprint,
        /// And there.
        there: Fingerprint,
    },
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanoseconds = self.elapsed.as_nanos();
        write!(formatter, "{:016x} {} {nanoseconds}", self.hash, self.events)
    }
}

impl Fingerprint {
    /// That of a run.
    pub fn of(run: &Run) -> Self {
        Self { hash: run.hash, events: run.events, elapsed: run.elapsed }
    }

    fn parse(text: &str) -> Option<(Self, Option<u64>)> {
        let mut words = text.split_whitespace();
        let hash = u64::from_str_radix(words.next()?, 16).ok()?;
        let events = words.next()?.parse().ok()?;
        let elapsed = Duration::from_nanos(words.next()?.parse().ok()?);
        let memory = words.next()?.parse().ok().filter(|bytes| *bytes > 0);
        Some((Self { hash, events, elapsed }, memory))
    }
}

impl OtherProcess {
    /// This program with other arguments.
    ///
    /// # Errors
    /// The system does not tell where this program is.
    pub fn new(arguments: &[&str]) -> io::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self { program, arguments: arguments.iter().map(|&text| text.to_owned()).collect() })
    }

    /// This program of tests, with nothing but the test of this name, which calls [`answer`].
    ///
    /// # Errors
    /// The system does not tell where this program is.
    pub fn test(name: &str) -> io::Result<Self> {
        Self::new(&["--exact", name, "--nocapture"])
    }

    /// Repeats a run.
    ///
    /// # Errors
    /// What was found instead of the same run.
    pub fn repeat(&self, run: &Run, settings: &Settings) -> Result<Repeated, Box<Difference>> {
        let seed = run.seed.0;
        let (here, answer) = (Fingerprint::of(run), self.run(seed, None));
        let found = match answer {
            Ok((there, peak_memory)) if there == here => return Ok(Repeated { peak_memory }),
            Ok((there, _)) => self.compare(seed, settings, here, there),
            Err(reason) => Found::NoAnswer(reason),
        };
        Err(Box::new(Difference { seed, found }))
    }

    #[allow(clippy::disallowed_methods, reason = "another process of the real system is the point")]
    fn run(&self, seed: u64, trace: Option<&Path>) -> Result<(Fingerprint, Option<u64>), String> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env(VARIABLE, seed.to_string());
        command.env(trace_file::VARIABLE, trace.unwrap_or(Path::new("")));
        let output = command.output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&output.stdout);
        // The harness of tests may have begun the line.
        let answer = text.lines().find_map(|line| Some(line.split_once(ANSWER)?.1));
        answer.and_then(Fingerprint::parse).ok_or_else(|| {
            let complaint = String::from_utf8_lossy(&output.stderr);
            let complaint: String = complaint.chars().take(2_000).collect();
            format!("it ended with {} and said: {}", output.status, complaint.trim())
        })
    }

    /// Runs the seed here and there with traces, and compares those.
    #[allow(clippy::disallowed_methods, reason = "the other process's trace comes in a file")]
    fn compare(
        &self,
        seed: u64,
        settings: &Settings,
        here: Fingerprint,
        there: Fingerprint,
    ) -> Found {
        let name = format!("orrery-repeat-{}-{seed}.trace", std::process::id());
        let path = std::env::temp_dir().join(name);
        let answer = self.run(seed, Some(&path));
        let text = std::fs::read_to_string(&path);
        // What cannot be removed stays where such files belong.
        let _ = std::fs::remove_file(&path);
        let text = match (answer, text) {
            (Ok(_), Ok(text)) => text,
            (Err(reason), _) => return Found::NoAnswer(reason),
            (_, Err(error)) => return Found::NoAnswer(format!("its trace: {error}")),
        };
        let run = run_seed(seed, &Settings { trace: true, ..settings.clone() });
        let other: Vec<&str> = text.lines().collect();
        first_difference(&run.lines, &other).unwrap_or(Found::Nothing { here, there })
    }
}

fn first_difference(here: &[String], there: &[&str]) -> Option<Found> {
    let line = |index| (here.get(index).map(String::as_str), there.get(index).copied());
    let longest = here.len().max(there.len());
    let index = (0..longest).find(|index| {
        let (here, there) = line(*index);
        here != there
    })?;
    let (own, other) = line(index);
    Some(Found::Line {
        number: index + 1,
        before: here[index.saturating_sub(CONTEXT)..index].to_vec(),
        here: own.map(str::to_owned),
        there: other.map(str::to_owned),
    })
}

/// Does what another process asked this one for, if one did: runs the seed, writes the trace where
/// it is wanted, and prints the answer. False when nobody asked.
///
/// # Panics
/// When the request is none, or the trace cannot be written: the other process then shows why.
#[allow(clippy::disallowed_methods, reason = "how a process is told what to repeat")]
pub fn answer(settings: &Settings) -> bool {
    let Ok(request) = std::env::var(VARIABLE) else { return false };
    let seed = request.parse().unwrap_or_else(|_| panic!("{VARIABLE} is '{request}'"));
    let file = trace_file::wanted();
    let run = run_seed(seed, &Settings { trace: file.is_some(), ..settings.clone() });
    if let Some(file) = file {
        trace_file::write(&run.lines, &file).unwrap_or_else(|error| panic!("{error}"));
    }
    let memory = usage::peak_memory().unwrap_or_default();
    println!("{ANSWER} {} {memory}", Fingerprint::of(&run));
    true
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seed = self.seed;
        match &self.found {
            Found::NoAnswer(reason) => {
                write!(formatter, "seed {seed} could not be repeated in another process: {reason}")
            }
            Found::Nothing { here, there } => write!(
                formatter,
                "seed {seed} was another run in another process, but not when both were traced: \
                 hash, events and nanoseconds were {here} here and {there} there"
            ),
            Found::Line { number, before, here, there } => {
                writeln!(
                    formatter,
                    "seed {seed} was another run in another process. Line {number} of the trace is \
                     the first that differs; before it:"
                )?;
                for line in before {
                    writeln!(formatter, "  {line}")?;
                }
                let end = "(the trace is over)";
                writeln!(formatter, "  here  {}", here.as_deref().unwrap_or(end))?;
                write!(formatter, "  there {}", there.as_deref().unwrap_or(end))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_found_with_what_came_before() {
        let lines: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let same: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(first_difference(&lines, &same), None);
        let mut other = same.clone();
        other[15] = "x";
        let found = first_difference(&lines, &other).expect("a difference");
        let Found::Line { number, before, here, there } = &found else { panic!("{found:?}") };
        assert_eq!((*number, before.len(), before[0].as_str()), (16, CONTEXT, "3"));
        assert_eq!((here.as_deref(), there.as_deref()), (Some("15"), Some("x")));
        let shorter = first_difference(&lines, &same[..3]).expect("a difference");
        let text = Difference { seed: 7, found: shorter }.to_string();
        assert!(text.ends_with("  here  3\n  there (the trace is over)"), "{text}");
    }

    #[test]
    fn answers_are_read_back() {
        let elapsed = Duration::from_nanos(12);
        let fingerprint = Fingerprint { hash: 0xab, events: 3, elapsed };
        let text = format!("{fingerprint} 4096");
        assert_eq!(Fingerprint::parse(&text), Some((fingerprint, Some(4096))));
        assert_eq!(Fingerprint::parse("00ab 3"), None);
    }
}
