//! A run that went wrong, told so that one can begin to look for the cause.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use orrery_runtime_sim::line::Line;

use crate::checks::Violation;
use crate::plan::Plan;

use super::again::Again;
use super::gist::short;
use super::kind::Kind;
use super::{Settings, run_plan};

/// So many lines of a plan are shown; a plan that was written to a file is there as a whole.
const PLAN_LINES: usize = 60;

/// So many of the last events that concern what is wrong are shown, and of all events.
const RELATED_LINES: usize = 30;
const LAST_LINES: usize = 30;

/// So many lines that say the same kind of thing are among them.
const LIKE: usize = 4;

/// So long is what is shown of a line at most.
const LINE_LENGTH: usize = 240;

/// What stands in the file of a plan before the number of events of its run.
pub(super) const EVENTS: &str = "# events ";

/// Kinds of events that say little about anybody: what travels, and what is written.
const NOISE: [&str; 8] = ["connect", "accept", "data", "end", "close", "listen", "write", "sync"];

/// What the names of tasks begin with.
const TASK: &str = "task-";

/// A run that went wrong.
#[derive(Clone, Debug)]
pub struct Failed {
    /// Its seed.
    pub seed: u64,
    /// What was played.
    pub plan: Plan,
    /// Whether the plan is the one that is drawn from the seed.
    pub is_drawn: bool,
    /// The file that the plan came from or was written to.
    pub file: Option<PathBuf>,
    /// Which rule was broken, and how.
    pub violation: Violation,
    /// How many events the run had: what one would have to read.
    pub events: u64,
    /// Virtual time of the run.
    pub elapsed: Duration,
    /// Lines of the run's trace; empty when none was kept.
    pub lines: Vec<String>,
    /// How to run it again.
    pub again: Again,
}

impl Failed {
    /// The kind of failure that it is.
    pub fn kind(&self) -> Kind {
        Kind::of(&self.violation)
    }

    /// Runs it once more to know which lines of its trace concern what is wrong.
    #[must_use]
    pub fn with_trace(mut self, settings: &Settings) -> Self {
        let settings = Settings { trace: true, ..settings.clone() };
        let run = run_plan(self.plan.clone(), &settings);
        let about = related(&run.lines, &subjects(&self.violation.message));
        self.lines = about.into_iter().map(str::to_owned).collect();
        self
    }

    /// The command that runs it again.
    pub fn command(&self) -> String {
        self.again.command(self.seed, self.plan_to_name().as_deref())
    }

    /// The command that makes its plan smaller.
    pub fn shrink_command(&self) -> String {
        self.again.shrink_command(self.seed, self.plan_to_name().as_deref())
    }

    /// The file that a command has to name; `None` when the seed says all.
    fn plan_to_name(&self) -> Option<String> {
        let file = self.file.as_ref().map(|file| file.display().to_string());
        let drawn = self.is_drawn && self.file.is_none();
        (!drawn).then(|| file.unwrap_or_else(|| "FILE-WITH-THE-PLAN-ABOVE".to_owned()))
    }
}

impl Failed {
    /// The plan as a file, with what it shows ahead of it as a comment.
    pub fn plan_file(&self) -> String {
        let Violation { invariant, at, message, .. } = &self.violation;
        let found = format!("{invariant} at {:.3}s: {message}", at.as_secs_f64());
        let comment: String = found.lines().map(|line| format!("# {line}\n")).collect();
        format!("{comment}{EVENTS}{}\n{}", self.events, self.plan)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, violation, .. } = self;
        writeln!(formatter, "seed {seed} failed. Its plan:")?;
        let plan = self.plan.to_string();
        let mut lines = plan.lines();
        for line in lines.by_ref().take(PLAN_LINES) {
            writeln!(formatter, "{line}")?;
        }
        match lines.count() {
            0 => {}
            more => writeln!(formatter, "… and {more} more lines")?,
        }
        let subjects = subjects(&violation.message);
        let events = if self.lines.is_empty() { &violation.before } else { &self.lines };
        let related = related(events, &subjects);
        if !related.is_empty() {
            writeln!(formatter, "What concerned {}:", subjects.join(", "))?;
            write_lines(formatter, &related)?;
        }
        writeln!(formatter, "What happened last:")?;
        write_lines(formatter, &last_of(&violation.before, LAST_LINES, |_| true))?;
        let at = violation.at.as_secs_f64();
        writeln!(formatter, "{} at {at:.3}s: {}", violation.invariant, violation.message)?;
        writeln!(formatter, "With the smallest plan: {}", self.shrink_command())?;
        write!(formatter, "Again, with its trace: {}", self.command())
    }
}

fn write_lines(formatter: &mut fmt::Formatter<'_>, lines: &[&str]) -> fmt::Result {
    for line in lines {
        let line = short(line);
        match line.char_indices().nth(LINE_LENGTH) {
            Some((cut, _)) => writeln!(formatter, "  {}…", &line[..cut])?,
            None => writeln!(formatter, "  {line}")?,
        }
    }
    Ok(())
}

/// What a message is about: the words in it that have a number behind a hyphen, such as `agent-1`
/// and `task-0-3`, and ids. When tasks are among them, they are what it is about.
fn subjects(message: &str) -> Vec<String> {
    let is_part = |letter: char| letter.is_alphanumeric() || "-_".contains(letter);
    let mut found: Vec<String> = Vec::new();
    for word in message.split(|letter| !is_part(letter)) {
        let is_named = word.contains('-')
            && word.starts_with(|letter: char| letter.is_alphanumeric())
            && word.contains(|letter: char| letter.is_ascii_digit());
        if is_named && !found.iter().any(|other| other == word) {
            found.push(word.to_owned());
        }
    }
    if found.iter().any(|subject| subject.starts_with(TASK)) {
        found.retain(|subject| subject.starts_with(TASK));
    }
    found
}

/// The last of `lines` that name one of `subjects`, oldest first.
fn related<'a>(lines: &'a [String], subjects: &[String]) -> Vec<&'a str> {
    let is_noise = |line: &str| Line::parse(line).is_some_and(|line| NOISE.contains(&line.kind));
    let concerns = |line: &str| subjects.iter().any(|subject| names(line, subject));
    last_of(lines, RELATED_LINES, |line| concerns(line) && !is_noise(line))
}

/// The last `count` of `lines` that `is_meant`, oldest first. Of what repeats itself, such as the
/// offers of an agent, only the last few are taken.
fn last_of(lines: &[String], count: usize, is_meant: impl Fn(&str) -> bool) -> Vec<&str> {
    let mut like = BTreeMap::new();
    let mut found = Vec::new();
    for line in lines.iter().rev().filter(|line| is_meant(line)) {
        let others = like.entry(form(line)).or_insert(0);
        *others += 1;
        if *others <= LIKE && found.len() < count {
            found.push(line.as_str());
        }
    }
    found.reverse();
    found
}

/// What lines of one kind have in common: the place and the kind of a trace's line with the first
/// word of its text without numbers, the place and the first word of a note.
fn form(line: &str) -> String {
    if let Some(line) = Line::parse(line) {
        let word = line.text.split(' ').next().unwrap_or_default();
        let word = word.trim_matches(|letter: char| letter == '#' || letter.is_ascii_digit());
        return format!("{} {} {word}", line.host, line.kind);
    }
    line.split_whitespace().skip(1).take(2).collect::<Vec<_>>().join(" ")
}

/// Whether `subject` stands in `line` as a word of its own: `task-1` does not in `task-10`.
fn names(line: &str, subject: &str) -> bool {
    let is_part = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(subject).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + subject.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// A failure for tests.
#[cfg(test)]
pub(super) fn sample() -> Failed {
    let before = ["1 agent-1 starts", "2 x task-0-1 runs", "3 x task-0-10 runs", "4 end"];
    let message = "task task-0-1: TASK_FAILED after the terminal TASK_FAILED".to_owned();
    let at = Duration::from_millis(13_336);
    let before = before.map(str::to_owned).into();
    let invariant = crate::checks::Invariant::Tasks;
    Failed {
        seed: 274,
        plan: Plan { seed: 274, ..Plan::default() },
        is_drawn: true,
        file: None,
        violation: Violation { invariant, at, message, before },
        events: 5,
        elapsed: at,
        lines: Vec::new(),
        again: Again::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_rule_time_events_and_one_command() {
        let text = sample().to_string();
        let about = text.find("What concerned task-0-1:\n  2 x task-0-1 runs\nWhat").expect("it");
        let last = text.find("  3 x task-0-10 runs\n  4 end\ntasks at 13.336s: task task-0-1");
        assert!(about < last.expect("all events"), "{text}");
        let command = text.lines().last().expect("a line");
        assert!(command.starts_with("Again, with its trace: SIM_SEED=274 cargo test "), "{text}");
    }

    #[test]
    fn the_command_runs_what_was_run() {
        let plan = Failed { is_drawn: false, ..sample() };
        assert!(plan.command().starts_with("SIM_PLAN=FILE-WITH-THE-PLAN-ABOVE cargo"), "{plan}");
        let file = Failed { file: Some("a/b.plan".into()), ..plan };
        assert!(file.command().starts_with("SIM_PLAN=a/b.plan cargo test"), "{file}");
        let again = Again::Program { name: "orrery".into(), flags: " --plant X".into() };
        let file = Failed { again: again.clone(), ..file };
        assert_eq!(file.command(), "orrery sim trace --plan a/b.plan --plant X > a/b.plan.trace");
        let seed = Failed { again, ..sample() };
        assert_eq!(seed.command(), "orrery sim trace 274 --plant X > 274.trace");
        assert_eq!(seed.shrink_command(), "orrery sim shrink 274 --plant X > 274.small.plan");
    }

    #[test]
    fn what_repeats_itself_does_not_hide_the_rest() {
        let line = |time: usize, text: &str| format!("{time:>6}.000000 master-0 1000 {text}");
        let mut lines =
            vec![line(1, "log INFO agent-1 registered"), line(1, "send RunTask agent-2")];
        lines.extend((2..100).map(|time| line(time, "send OFFERS c {\"agent-1\"}")));
        lines.insert(50, line(50, "write agent-1/journal 0"));
        let found = related(&lines, &["agent-1".to_owned()]);
        assert_eq!((found.len(), found[0]), (1 + LIKE, lines[0].as_str()));
        assert_eq!(found.last().copied(), lines.last().map(String::as_str));
        let notes: Vec<String> =
            (0..9).map(|time| format!("{time}.1 f-0/0  loses O{time}")).collect();
        assert_eq!(last_of(&notes, 7, |_| true), notes[9 - LIKE..]);
    }

    #[test]
    fn subjects_are_names_and_ids() {
        let message = "agent 4f6c1a08-9d5e-S0 (agent-1): 3 -1 re-used by agent-1";
        assert_eq!(subjects(message), ["4f6c1a08-9d5e-S0", "agent-1"]);
        assert_eq!(subjects("task-0-1 on agent-1, task-0-1"), ["task-0-1"]);
        assert!(names("a task-0-1: b", "task-0-1") && !names("task-0-10", "task-0-1"));
    }
}
