//! The commands that run again what failed.

/// How somebody who reads of a failure runs it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// By the tests.
    Tests {
        /// The planted bug that the run needs.
        bug: Option<String>,
    },
    /// By `orrery sim`.
    Program {
        /// How the program is called.
        name: String,
        /// Flags that this run needs, each with a space before it.
        flags: String,
    },
}

impl Default for Again {
    /// By the tests, without a bug.
    fn default() -> Self {
        Self::Tests { bug: None }
    }
}

impl Again {
    /// The command that runs what is named by `seed`, or the plan in a file.
    pub(super) fn command(&self, seed: u64, file: Option<&str>) -> String {
        match self {
            Self::Tests { bug } => test(bug.as_deref(), &what(seed, file)),
            Self::Program { name, flags } => {
                let trace = file.map_or(format!("{seed}.trace"), |file| format!("{file}.trace"));
                let (name, run, trace) = (quoted(name), run(seed, file), quoted(&trace));
                format!("{name} sim trace {run}{flags} > {trace}")
            }
        }
    }

    /// The command that makes its plan as small as it can be.
    pub(super) fn shrink_command(&self, seed: u64, file: Option<&str>) -> String {
        match self {
            Self::Tests { bug } => {
                test(bug.as_deref(), &format!("SIM_SHRINK=1 {}", what(seed, file)))
            }
            Self::Program { name, flags } => {
                let whole = file.map(|file| file.trim_end_matches(".plan").to_owned());
                let small = whole.unwrap_or_else(|| seed.to_string()) + ".small.plan";
                let (name, run, small) = (quoted(name), run(seed, file), quoted(&small));
                format!("{name} sim shrink {run}{flags} > {small}")
            }
        }
    }
}

/// The variable that names the run to the tests.
fn what(seed: u64, file: Option<&str>) -> String {
    file.map_or(format!("SIM_SEED={seed}"), |file| format!("SIM_PLAN={}", quoted(file)))
}

/// The arguments that name the run to the program.
fn run(seed: u64, file: Option<&str>) -> String {
    file.map_or(seed.to_string(), |file| format!("--plan {}", quoted(file)))
}

fn test(bug: Option<&str>, variables: &str) -> String {
    let bug = bug.map(|bug| format!("SIM_BUG={bug} ")).unwrap_or_default();
    format!(
        "{bug}{variables} cargo test -p orrery-scenarios --features sim --test simulation seeds \
         -- --nocapture"
    )
}

/// A word that a shell takes for one.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@%+,".contains(letter);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_names_as_they_are() {
        let program = Again::Program { name: "./my orrery".into(), flags: String::new() };
        assert_eq!(
            program.command(7, Some("it's here.plan")),
            "'./my orrery' sim trace --plan 'it'\\''s here.plan' > 'it'\\''s here.plan.trace'"
        );
        assert_eq!(
            program.shrink_command(7, Some("a.plan")),
            "'./my orrery' sim shrink --plan a.plan > a.small.plan"
        );
    }

    #[test]
    fn the_tests_are_told_of_a_planted_bug() {
        let tests = Again::Tests { bug: Some("KillsAreSaidOnce".into()) };
        let command = tests.command(7, None);
        assert!(
            command.starts_with("SIM_BUG=KillsAreSaidOnce SIM_SEED=7 cargo test "),
            "{command}"
        );
        let command = Again::default().shrink_command(7, Some("a b"));
        assert!(command.starts_with("SIM_SHRINK=1 SIM_PLAN='a b' cargo test "), "{command}");
    }
}
