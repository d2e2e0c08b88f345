//! Plans as text, and as files.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use orrery_runtime_sim::text::{ParseFaultError, Text, Words, join};

use super::check::{check_shape, check_step};
use super::{Action, Fault, Operation, Plan, Step};

const SEED: &str = "seed";
const AT: &str = "at";
const FOR: &str = "for";
const FRAMEWORK: &str = "framework";

/// A line that does not belong into a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {source}")]
pub struct ParsePlanError {
    /// Counted from 1.
    pub line: usize,
    /// Which field is wrong, its value, and what was expected.
    pub source: ParseFaultError,
}

/// Why a file is no plan.
#[derive(Debug, thiserror::Error)]
pub enum ReadPlanError {
    /// It cannot be read.
    #[error("cannot read the plan {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{path}: {source}")]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        source: ParsePlanError,
    },
}

impl fmt::Display for Plan {
    /// The whole file: the settings that differ from their defaults, then the steps.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{SEED} {}", self.seed)?;
        for words in self.shape.lines() {
            writeln!(formatter, "{}", join(&words))?;
        }
        self.steps.iter().try_for_each(|step| writeln!(formatter, "{step}"))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{AT} {} {}", Time(self.at), self.action)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operate(framework, operation) => {
                write!(formatter, "{FRAMEWORK} {framework} {operation}")
            }
            Self::Fail(fault, Duration::ZERO) => fault.fmt(formatter),
            Self::Fail(fault, lasting) => write!(formatter, "{fault} {FOR} {}", Time(*lasting)),
        }
    }
}

struct Time(Duration);

impl fmt::Display for Time {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Vec::new();
        self.0.write(&mut words);
        formatter.write_str(&join(&words))
    }
}

impl FromStr for Plan {
    type Err = ParsePlanError;

    /// Reads a whole file. Lines may stand in any order.
    fn from_str(text: &str) -> Result<Self, ParsePlanError> {
        let mut plan = Self::default();
        // Where each step stands.
        let mut lines = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let wrong = |source| ParsePlanError { line: index + 1, source };
            let read = plan.read_line(without_comment(line).trim());
            read.and_then(|()| check_shape(&plan.shape)).map_err(wrong)?;
            lines.resize(plan.steps.len(), index + 1);
        }
        for (step, line) in plan.steps.iter().zip(lines) {
            let checked = check_step(step, &plan.shape);
            checked.map_err(|source| ParsePlanError { line, source })?;
        }
        plan.steps.sort_by_key(|step| step.at);
        Ok(plan)
    }
}

impl Plan {
    fn read_line(&mut self, line: &str) -> Result<(), ParseFaultError> {
        let mut words = Words::split(line)?;
        let Some(keyword) = words.take() else { return Ok(()) };
        match keyword.as_str() {
            AT => {
                self.steps.push(line.parse()?);
                return Ok(());
            }
            SEED => self.seed = Text::read(SEED, &mut words)?,
            _ => self.shape.read_line(&keyword, &mut words)?,
        }
        words.end()
    }

    /// Reads the plan that a file holds.
    ///
    /// # Errors
    /// The file cannot be read or holds something else.
    #[allow(clippy::disallowed_methods, reason = "plans are files outside of any simulation")]
    pub fn read(path: &Path) -> Result<Self, ReadPlanError> {
        let unreadable = |source| ReadPlanError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        text.parse().map_err(|source| ReadPlanError::Wrong { path: path.to_owned(), source })
    }
}

impl FromStr for Step {
    type Err = ParseFaultError;

    fn from_str(line: &str) -> Result<Self, ParseFaultError> {
        let (keyword, rest) = first_word(line);
        if keyword != AT {
            return Err(ParseFaultError::new("step", keyword, AT));
        }
        let (time, rest) = first_word(rest);
        let at = time_of("time", time)?;
        Ok(Self { at, action: rest.parse()? })
    }
}

impl FromStr for Action {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, ParseFaultError> {
        if first_word(text).0 == FRAMEWORK {
            let mut words = Words::split(first_word(text).1)?;
            let framework = Text::read(FRAMEWORK, &mut words)?;
            let operation = Operation::read("operation", &mut words)?;
            words.end()?;
            return Ok(Self::Operate(framework, operation));
        }
        let last = text.rsplit_once(char::is_whitespace);
        let before = last.and_then(|(rest, _)| rest.trim_end().strip_suffix(FOR));
        match (before, last) {
            (Some(fault), Some((_, time))) if fault.ends_with(char::is_whitespace) => {
                Ok(Self::Fail(fault.parse::<Fault>()?, time_of("duration", time)?))
            }
            _ => Ok(Self::Fail(text.parse()?, Duration::ZERO)),
        }
    }
}

fn time_of(field: &'static str, word: &str) -> Result<Duration, ParseFaultError> {
    Text::read(field, &mut Words::split(word)?)
}

/// The first word, and what comes after it.
fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

/// A line without the comment that it may end with: from a word that begins with `#` on.
fn without_comment(line: &str) -> &str {
    let (mut quoted, mut escaped, mut between) = (false, false, true);
    for (index, character) in line.char_indices() {
        match character {
            '#' if between => return &line[..index],
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = quoted && character == '\\' && !escaped;
        between = character.is_whitespace() && !quoted;
    }
    line
}

#[cfg(test)]
mod tests {
    use orrery_runtime::Generator;

    use super::*;
    use crate::plan::Profile;

    const EXAMPLE: &str = "\
# A launch is lost.
seed 17   # any other does as well

agents 1
offer-timeout 2500ms
ping-timeout 1s
agent-resources cpus:1;mem:64
framework hoarder
framework careful failover-timeout 30s partition-aware off
at 3s framework 0 launch 3 short 100ms 1
at 2999ms cut master-0 agent-0 one-way for 9s
at 4s crash-at agent-0 mesos-agent rename */meta/* 3 before host for 1m
at 5s kill-executor agent-0
at 6s change agent-0 attributes \"rack:b # no comment\" for 2s
";

    #[test]
    fn a_file_is_read() {
        let plan: Plan = EXAMPLE.parse().expect("a plan");
        assert_eq!((plan.seed, plan.shape.agents, plan.steps.len()), (17, 1, 5));
        assert_eq!(plan.shape.offer_timeout, Some(Duration::from_millis(2_500)));
        assert_eq!(plan.shape.agent_resources, "cpus:1;mem:64");
        let careful = Profile {
            failover_timeout: Duration::from_secs(30),
            partition_aware: false,
            ..Profile::from(crate::plan::Temper::Careful)
        };
        assert_eq!(plan.shape.frameworks.get(1), Some(&careful));
        let first = plan.steps.first().expect("steps");
        assert_eq!(first.to_string(), "at 2999ms cut master-0 agent-0 one-way for 9s");
        let last = plan.steps.last().expect("steps").to_string();
        assert_eq!(last, "at 6s change agent-0 attributes \"rack:b # no comment\" for 2s");
        assert_eq!(plan.to_string().parse(), Ok(plan));
    }

    #[test]
    fn what_is_as_usual_is_left_out() {
        assert_eq!(Plan::default().to_string(), "seed 0\n");
        assert_eq!("".parse(), Ok(Plan::default()));
    }

    #[test]
    fn errors_name_line_field_value_and_what_was_expected() {
        for (text, expected) in [
            ("agents two", "line 1: agents 'two': expected a whole number"),
            ("\nagents", "line 2: agents is missing: expected a whole number"),
            ("agents 1 2", "line 1: rest '2': expected the end of the line"),
            (
                "ping-timeout 5",
                "line 1: ping-timeout '5': expected a number with ns, us, ms, s, m or h",
            ),
            (
                "framework angry",
                "line 1: temper 'angry': expected one of launcher hoarder killer careful decliner",
            ),
            (
                "at 1s framework 0 sing",
                "line 1: operation 'sing': expected one of launch kill abuse blunder \
                 suppress revive reconcile fail-over",
            ),
            ("at soon mend", "line 1: time 'soon': expected a number with ns, us, ms, s, m or h"),
            (
                "at 1s crash agent-0 for ever",
                "line 1: duration 'ever': expected a number with ns, us, ms, s, m or h",
            ),
            (
                "at 1s kill-executor worker-1",
                "line 1: agent 'worker-1': expected master-N, agent-N, scheduler-N or \
                 zookeeper-N",
            ),
            ("seed \"1", "line 1: line 'seed \"1': expected a closing quote"),
        ] {
            let error = text.parse::<Plan>().expect_err(text).to_string();
            assert_eq!(error, expected);
        }
        let error = "at".parse::<Plan>().expect_err("no time").to_string();
        let expected = "line 1: time is missing: expected a number with ns, us, ms, s, m or h";
        assert_eq!(error, expected);
        for text in ["at 1s", "at 1s hit agent-0"] {
            let error = text.parse::<Plan>().expect_err("no fault").to_string();
            assert!(error.contains(": expected framework N or one of kill-executor "), "{error}");
            assert!(error.ends_with(" mend"), "{error}");
        }
        let error = "nodes 1".parse::<Plan>().expect_err("no setting").to_string();
        assert!(error.starts_with("line 1: setting 'nodes': expected one of masters"), "{error}");
    }

    /// Text that is nearly a plan: parts of lines left out, doubled, and swapped for others.
    #[test]
    fn no_text_breaks_the_parser() {
        const PIECES: [&str; 12] = [
            "\"",
            "\\",
            "#",
            " for ",
            "for",
            "at ",
            "-1",
            "\u{0}",
            "é",
            "99999999999999999999h",
            ",",
            "\n",
        ];
        for seed in 0..3_000 {
            let mut random = Generator::from_number(seed);
            let plan =
                if seed % 3 == 0 { EXAMPLE.to_owned() } else { Plan::draw(seed).to_string() };
            let mut characters: Vec<char> = plan.chars().collect();
            for _ in 0..=random.below(6) {
                let start = random.below(characters.len() as u64 + 1) as usize;
                let end = (start + random.below(8) as usize).min(characters.len());
                let piece = PIECES[random.below(PIECES.len() as u64) as usize];
                characters.splice(start..end, piece.chars());
            }
            let text: String = characters.into_iter().collect();
            if let Ok(plan) = text.parse::<Plan>() {
                assert_eq!(plan.to_string().parse(), Ok(plan), "{text}");
            }
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Plan::read(Path::new("/nowhere/x.plan")).expect_err("no file").to_string();
        assert!(error.starts_with("cannot read the plan /nowhere/x.plan: "), "{error}");
    }
}
