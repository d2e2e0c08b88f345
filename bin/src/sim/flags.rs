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
    /// There is such a flag, but the command makes nothing of it.
    #[error("'{command}' has no flag '{flag}': see 'orrery sim help'")]
    Foreign {
        /// The command.
        command: &'static str,
        /// The flag.
        flag: String,
    },
    /// There are more words than a command has use for.
    #[error("'{0}' is one word too many: expected flags")]
    Rest(String),
    /// Nothing says what to run.
    #[error("'{command}' needs to know what to run: expected {expected}")]
    Nothing {
        /// The command.
        command: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
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
    /// A seed that is none, a bug that does not exist, a plan that cannot be read.
    #[error("{0}")]
    Other(String),
    /// Nothing says when a hunt ends.
    #[error("say when to stop: --seeds, --for or --until-stable; or what to run: SEED or --plan")]
    Endless,
    /// A seed and a plan, of which only one can be run.
    #[error("a seed was given and a plan: expected one of them")]
    SeedAndPlan,
    /// One run, and a flag of a hunt.
    #[error("{run} is one run, and '{flag}' is for many: expected one or the other")]
    OneAndMany {
        /// What was given for it.
        run: &'static str,
        /// The flag.
        flag: &'static str,
    },
}

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// The one seed to run.
    pub seed: Option<u64>,
    /// How many seeds to run.
    pub seeds: Option<u64>,
    /// The first of many seeds.
    pub first: Option<u64>,
    /// How many runs at once.
    pub jobs: Option<usize>,
    /// When to stop.
    pub time: Option<Duration>,
    /// After how many runs without anything new to stop.
    pub stable: Option<u64>,
    /// Where to keep failures.
    pub keep: Option<PathBuf>,
    /// Whether to tell of all points of the code.
    pub coverage: bool,
    /// The plan to play.
    pub plan: Option<PathBuf>,
    /// The bug to plant.
    pub plant: Option<String>,
}

impl Flags {
    /// Reads the flags of a command in both forms, `--name value` and `--name=value`; what is no
    /// flag is the seed.
    pub fn parse(command: &'static str, args: &[&str]) -> Result<Self, UsageError> {
        let mut flags = Self::default();
        let mut args = args.iter().copied();
        while let Some(argument) = args.next() {
            if !argument.starts_with('-') {
                if flags.seed.is_some() {
                    return Err(UsageError::Rest(argument.to_owned()));
                }
                flags.seed = Some(seed_of(argument)?);
                continue;
            }
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (argument, None),
            };
            let known = FLAGS.iter().find(|(flag, _)| *flag == name);
            let Some((_, commands)) = known else {
                return Err(UsageError::Unknown(name.to_owned()));
            };
            if !commands.contains(&command) {
                return Err(UsageError::Foreign { command, flag: name.to_owned() });
            }
            match name {
                "--until-stable" => {
                    let count = value.map_or(Ok(STABLE_RUNS), |value| number(name, value))?;
                    flags.stable = Some(count);
                }
                "--coverage" => flags.coverage = true,
                _ => flags.set(name, value.or_else(|| args.next()).unwrap_or_default())?,
            }
        }
        flags.check()?;
        Ok(flags)
    }

    /// Refuses what contradicts itself.
    fn check(&self) -> Result<(), UsageError> {
        let run = match (&self.plan, self.seed) {
            (Some(_), Some(_)) => return Err(UsageError::SeedAndPlan),
            (Some(_), None) => "a plan",
            (None, Some(_)) => "a seed by itself",
            (None, None) => return Ok(()),
        };
        let of_hunts = [
            (self.first.is_some(), "--first"),
            (self.seeds.is_some(), "--seeds"),
            (self.jobs.is_some(), "--jobs"),
            (self.time.is_some(), "--for"),
            (self.stable.is_some(), "--until-stable"),
        ];
        match of_hunts.into_iter().find(|(is_given, _)| *is_given) {
            Some((_, flag)) => Err(UsageError::OneAndMany { run, flag }),
            None => Ok(()),
        }
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

/// All flags, and which commands have them.
const FLAGS: [(&str, &[&str]); 9] = [
    ("--seeds", &["run"]),
    ("--first", &["run"]),
    ("--jobs", &["run"]),
    ("--for", &["run"]),
    ("--until-stable", &["run"]),
    ("--keep", &["run"]),
    ("--coverage", &["run"]),
    ("--plan", &["run", "trace", "shrink"]),
    ("--plant", &["run", "trace", "shrink", "repeat"]),
];

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
        let flags = Flags::parse("run", &args).expect("understood");
        assert_eq!((flags.seeds, flags.first, flags.jobs), (Some(7), Some(3), Some(2)));
        assert_eq!(flags.time, Some(Duration::from_secs(600)));
        assert_eq!((flags.stable, flags.plant.as_deref()), (Some(STABLE_RUNS), Some("X")));
        assert_eq!(flags.keep, Some("a/b".into()));
        let flags = Flags::parse("run", &["--until-stable=9", "--coverage"]).expect("understood");
        assert_eq!((flags.seed, flags.stable, flags.coverage), (None, Some(9), true));
        let flags = Flags::parse("trace", &["42", "--plant=X"]).expect("understood");
        assert_eq!((flags.seed, flags.first), (Some(42), None));
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
            (&["1", "2"], "'2' is one word too many"),
            (&["1", "--seeds", "2"], "a seed by itself is one run, and '--seeds' is for many"),
            (&["--plan=a", "--for", "2m"], "a plan is one run, and '--for' is for many"),
            (&["1", "--plan", "a"], "a seed was given and a plan"),
        ] {
            let error = Flags::parse("run", args).expect_err("refused").to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        let error = Flags::parse("trace", &["1", "--jobs=2"]).expect_err("refused").to_string();
        assert_eq!(error, "'trace' has no flag '--jobs': see 'orrery sim help'");
    }
}
