//! Failures of one kind: the same rule broken in the same way.

use std::fmt;

use crate::checks::{Invariant, Violation};

/// What failures have in common that probably have one cause: the rule, and its message without
/// what differs from run to run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The rule that was broken.
    pub invariant: Invariant,
    /// The message, with `#` for each number and each id.
    pub message: String,
}

/// Messages are cut after so many characters: what follows are details.
const LENGTH: usize = 160;

impl Kind {
    /// The kind of a violation.
    pub fn of(violation: &Violation) -> Self {
        let message = normalized(&violation.message);
        Self { invariant: violation.invariant, message }
    }

    /// A name for files: the rule, the first words, and a number that tells kinds apart.
    pub fn slug(&self) -> String {
        let is_word = |letter: char| letter.is_ascii_alphanumeric();
        let words = self.message.split(|letter| !is_word(letter)).filter(|word| !word.is_empty());
        let words: Vec<String> = words.take(6).map(str::to_ascii_lowercase).collect();
        let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
        let hash = self.to_string().bytes().fold(0x811c_9dc5, step);
        let parts = [self.invariant.to_string(), words.join("-"), format!("{hash:08x}")];
        parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join("-")
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.invariant, self.message)
    }
}

/// Replaces numbers and ids. A word is an id from its first digit on: `task-0-1` becomes `task-#`,
/// and so do UUIDs, addresses, times and amounts become `#`.
fn normalized(message: &str) -> String {
    let mut kept = String::with_capacity(message.len());
    let is_part = |letter: char| letter.is_alphanumeric() || "-_.:/@".contains(letter);
    let mut rest = message.lines().next().unwrap_or_default();
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|letter| is_part(letter) != is_part(first)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        push_word(&mut kept, word);
        rest = after;
    }
    match kept.char_indices().nth(LENGTH) {
        Some((cut, _)) => kept[..cut].to_owned(),
        None => kept,
    }
}

fn push_word(kept: &mut String, word: &str) {
    let core = word.trim_end_matches(['.', ':']);
    let is_uuid = core.len() >= 32
        && core.bytes().all(|byte| byte.is_ascii_hexdigit() || b"-_S".contains(&byte));
    let Some(digit) = core.find(|letter: char| letter.is_ascii_digit()) else {
        return kept.push_str(word);
    };
    if !is_uuid {
        kept.push_str(&core[..digit]);
    }
    kept.push('#');
    kept.push_str(&word[core.len()..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_run_to_run_is_left_out() {
        for (message, expected) in [
            ("task task-0-1: TASK_FAILED after", "task task-#: TASK_FAILED after"),
            ("agent 4f6c1a08-9d5e-4a43-8c1a-1f2e3d4c5b6a-S0 has 1.5", "agent # has #"),
            ("master: panicked at core/x.rs:17:5: no", "master: panicked at core/x.rs:#: no"),
            ("cpus:3.2 of 4; mem", "cpus:# of #; mem"),
            ("first line\nsecond", "first line"),
            ("", ""),
        ] {
            assert_eq!(normalized(message), expected);
        }
        assert_eq!(normalized(&"é".repeat(500)).chars().count(), LENGTH);
    }

    #[test]
    fn kinds_have_names_of_their_own_that_any_file_system_takes() {
        let kind =
            |message: &str| Kind { invariant: Invariant::Tasks, message: message.to_owned() };
        let slug = kind("task task-#: TASK_FAILED after the /../ terminal TASK_FAILED").slug();
        assert!(slug.starts_with("tasks-task-task-task-failed-after-the-"), "{slug}");
        assert_ne!(slug, kind("task task-#: TASK_FAILED after the /../ terminal TASK_LOST").slug());
        assert!(kind("").slug().starts_with("tasks-"));
    }
}
