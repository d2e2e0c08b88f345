//! What many runs together must have come by.
//!
//! A goal is a coverage point (see [`orrery_coverage`]) that matters so much that the standard run
//! fails when no seed meets it: then either the simulator no longer goes there, or the product can
//! no longer get there. The list stands in `goals.txt` beside this file, one goal a line, as
//! `G7 must an update is sent again …`: the number in the design's catalogue or `-`, whether the
//! standard run `must` meet it or merely `may`, and the name of the point.

use orrery_coverage::{Coverage, Tally};

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goal {
    /// Its number in the design's catalogue, such as `G7`, or `-`.
    pub number: String,
    /// Whether a standard run without it fails.
    pub must: bool,
    /// The name of the point.
    pub name: String,
}

/// A list of goals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Goals(Vec<Goal>);

/// A line of a list that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the goals is '{text}': expected a number or '-', 'must' or 'may', a name")]
pub struct ParseGoalsError {
    /// The line's number, from 1.
    pub line: usize,
    /// What stands there.
    pub text: String,
}

/// Goals that had to be met and were not, or that no point in the code has the name of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} goals not met in {runs} runs:\n{}", .goals.len(), .goals.join("\n"))]
pub struct UnmetGoals {
    /// How many runs there were.
    pub runs: u64,
    /// A line for each goal.
    pub goals: Vec<String>,
}

impl Goals {
    /// The list in `goals.txt`.
    ///
    /// # Errors
    /// The first line that is no goal.
    pub fn standard() -> Result<Self, ParseGoalsError> {
        Self::parse(include_str!("goals.txt"))
    }

    /// Reads a list. Empty lines and lines that begin with `#` say nothing.
    ///
    /// # Errors
    /// The first line that is no goal.
    pub fn parse(text: &str) -> Result<Self, ParseGoalsError> {
        let mut goals = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let goal = parse_line(line)
                .ok_or_else(|| ParseGoalsError { line: index + 1, text: line.to_owned() })?;
            goals.push(goal);
        }
        Ok(Self(goals))
    }

    /// The goals in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = &Goal> {
        self.0.iter()
    }

    /// Whether `coverage` has all goals that must be met, and the code knows the others too.
    ///
    /// # Errors
    /// All goals for which that is not so.
    pub fn check(&self, coverage: &Coverage) -> Result<(), UnmetGoals> {
        let unmet = |goal: &&Goal| match coverage.tally_of(&goal.name) {
            Some(tally) => goal.must && tally.runs == 0,
            None => true,
        };
        let goals: Vec<String> =
            self.iter().filter(unmet).map(|goal| row(goal, coverage)).collect();
        if goals.is_empty() { Ok(()) } else { Err(UnmetGoals { runs: coverage.runs(), goals }) }
    }

    /// A table of all goals, those first that no run has met for the longest.
    pub fn report(&self, coverage: &Coverage) -> String {
        let tally = |goal: &Goal| coverage.tally_of(&goal.name).unwrap_or_default();
        let mut goals: Vec<&Goal> = self.iter().collect();
        goals.sort_by_key(|goal| (tally(goal).last, tally(goal).runs));
        let met = goals.iter().filter(|goal| tally(goal).runs > 0).count();
        let mut text = format!("goals: {met} of {} met in {} runs", goals.len(), coverage.runs());
        for goal in goals {
            text.push('\n');
            text.push_str(&row(goal, coverage));
        }
        text
    }
}

fn parse_line(line: &str) -> Option<Goal> {
    let (number, rest) = line.split_once(char::is_whitespace)?;
    let (must, name) = rest.trim_start().split_once(char::is_whitespace)?;
    let must = match must {
        "must" => true,
        "may" => false,
        _ => return None,
    };
    Some(Goal { number: number.to_owned(), must, name: name.trim_start().to_owned() })
}

/// One goal and what it came to.
fn row(goal: &Goal, coverage: &Coverage) -> String {
    let came_to = match coverage.tally_of(&goal.name) {
        Some(Tally { runs: 0, .. }) => "not met".to_owned(),
        Some(tally) => format!("met by {} runs", tally.runs),
        None => "no point has this name".to_owned(),
    };
    let Goal { number, name, .. } = goal;
    format!("{number:>4} {:<4} {came_to:<22} {name}", if goal.must { "must" } else { "may" })
}
