//! The flags of the commands that run something.

use std::path::PathBuf;
use std::time::Duration;

use orrery_scenarios::runner::parse_seed;

/// So many runs without anything new are enough unless the flag says how many.
const STABLE_RUNS: u64 = 1_000;

/// A command line that cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// No command has this form.
    #[error("cannot understand '{0}': see 'orrery sim help'")]
    Command(String),
    /// There is no such flag.
    #[error("unknown flag '{0}': see 'orrery sim help'")]
    Unknown(String),
    /// A flag's value is wrong.
    #[error("flag '{flag}' has the value '{value}': expected {expected}")]
    Value {
        /// The flag.
        flag: String,
        /// Its value.
        value: String,
        /// What would have been right.
        expected: String,
    },
    /// A seed that is none, a bug that does not exist.
    #[error("{0}")]
    Other(String),
    /// Nothing says what to run.
    #[error("say when to stop: --seeds, --for or --until-stable; or what to run: --plan")]
    Endless,
    /// Two flags, of which only one can be followed.
    #[error("a seed was given and a plan: expected one of them")]
    SeedAndPlan,
}

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// How many seeds to run.
    pub seeds: Option<u64>,
    /// The first seed, or the one.
    pub first: Option<u64>,
    /// How many runs at once.
    pub jobs: Option<usize>,
    /// When to stop.
    pub time: Option<Duration>,
    /// After how many runs without anything new to stop.
    pub stable: Option<u64>,
    /// Where to keep failures.
    pub keep: Option<PathBuf>,
    /// The plan to play.
    pub plan: Option<PathBuf>,
    /// The bug to plant.
    pub plant: Option<String>,
}

impl Flags {
    /// Reads flags in both forms, `--name value` and `--name=value`; what is no flag is the seed.
    pub fn parse(args: &[&str]) -> Result<Self, UsageError> {
        let mut flags = Self::default();
        let mut args = args.iter().copied().peekable();
        while let Some(argument) = args.next() {
            if !argument.starts_with('-') && flags.first.is_none() {
                flags.first = Some(seed_of(argument)?);
                continue;
            }
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (argument, None),
            };
            if name == "--until-stable" {
                let count = value.map_or(Ok(STABLE_RUNS), |value| number(name, value))?;
                flags.stable = Some(count);
            } else if FLAGS.contains(&name) {
                let value = value.or_else(|| args.next()).unwrap_or_default();
                flags.set(name, value)?;
            } else {
                return Err(UsageError::Unknown(name.to_owned()));
            }
        }
        if flags.plan.is_some() && (flags.first.is_some() || flags.seeds.is_some()) {
            return Err(UsageError::SeedAndPlan);
        }
        Ok(flags)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), UsageError> {
        let wrong = |expected: &str| UsageError::Value {
            flag: name.to_owned(),
            value: value.to_owned(),
            expected: expected.to_owned(),
        };
        let path = || (!value.is_empty()).then(|| PathBuf::from(value));
        match name {
            "--seeds" => self.seeds = Some(number(name, value)?),
            "--first" => self.first = Some(seed_of(value)?),
            "--jobs" => {
                let jobs = value.parse().ok().filter(|jobs| (1..=1024).contains(jobs));
                self.jobs = Some(jobs.ok_or_else(|| wrong("a number from 1 to 1024"))?);
            }
            "--for" => {
                self.time = Some(duration(value).ok_or_else(|| wrong("30s, 10m or 2h"))?);
            }
            "--keep" => self.keep = Some(path().ok_or_else(|| wrong("a folder"))?),
            "--plan" => self.plan = Some(path().ok_or_else(|| wrong("a file"))?),
            _ => self.plant = Some(value.to_owned()),
        }
        Ok(())
    }
}

/// Flags that have a value.
const FLAGS: [&str; 7] = ["--seeds", "--first", "--jobs", "--for", "--keep", "--plan", "--plant"];

fn number(flag: &str, value: &str) -> Result<u64, UsageError> {
    value.parse().map_err(|_| UsageError::Value {
        flag: flag.to_owned(),
        value: value.to_owned(),
        expected: "a number".to_owned(),
    })
}

fn seed_of(text: &str) -> Result<u64, UsageError> {
    parse_seed(text).map_err(|error| UsageError::Other(error.to_string()))
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
        let line = "--seeds 7 --first=3 --jobs 2 --for=10m --until-stable --keep a/b --plant X";
        let args: Vec<&str> = line.split(' ').collect();
        let flags = Flags::parse(&args).expect("understood");
        assert_eq!((flags.seeds, flags.first, flags.jobs), (Some(7), Some(3), Some(2)));
        assert_eq!(flags.time, Some(Duration::from_secs(600)));
        assert_eq!((flags.stable, flags.plant.as_deref()), (Some(STABLE_RUNS), Some("X")));
        assert_eq!(flags.keep, Some("a/b".into()));
        let flags = Flags::parse(&["42", "--until-stable=9"]).expect("understood");
        assert_eq!((flags.first, flags.stable), (Some(42), Some(9)));
    }

    #[test]
    fn what_is_wrong_with_a_flag_is_said() {
        for (args, expected) in [
            (&["--jobs", "0"][..], "flag '--jobs' has the value '0': expected a number from"),
            (&["--for=1d"], "flag '--for' has the value '1d': expected 30s"),
            (&["--seeds"], "flag '--seeds' has the value '': expected a number"),
            (&["--until-stable=x"], "flag '--until-stable' has the value 'x': expected a number"),
            (&["--keep="], "flag '--keep' has the value '': expected a folder"),
            (&["--sedes=1"], "unknown flag '--sedes'"),
            (&["main"], "the seed is 'main': expected a number from 0 to"),
            (&["1", "2"], "unknown flag '2'"),
            (&["1", "--plan", "a"], "a seed was given and a plan"),
        ] {
            let error = Flags::parse(args).expect_err("refused").to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
