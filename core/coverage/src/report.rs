//! Coverage as a table.

use std::fmt;

use crate::coverage::{Coverage, Tally};
use crate::point::{Point, catalogue};

/// A point met in fewer than one of this many runs is shown even when it was met.
const RARE: u64 = 100;

/// `{}` names the points that were never met, then those that fewer than one run in a hundred met,
/// those first that no run has met for the longest. `{:#}` goes on with all the others; `{:.20}`
/// names twenty and counts the rest.
impl fmt::Display for Coverage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.runs();
        let mut rows: Vec<(&Point, Tally)> = catalogue()
            .into_iter()
            .filter(|point| point.is_to_be_met())
            .map(|point| (point, self.tally(point)))
            .collect();
        let met = rows.iter().filter(|(_, tally)| tally.runs > 0).count();
        write!(
            formatter,
            "coverage: {met} of {} points met in {runs} runs, the last new one {} runs ago",
            rows.len(),
            self.runs_since_news(),
        )?;
        if !formatter.alternate() {
            rows.retain(|(_, tally)| tally.runs.saturating_mul(RARE) < runs.max(1));
        }
        if rows.is_empty() {
            return Ok(());
        }
        // The sort is stable: what was never met stays in the order of files and lines.
        rows.sort_by_key(|(_, tally)| (tally.last, tally.runs));
        write!(
            formatter,
            "\n{:>9} {:>7} {:>9}  {:<10} point",
            "unmet for", "runs", "times", "kind"
        )?;
        let most = formatter.precision().unwrap_or(rows.len()).min(rows.len());
        let left = rows.split_off(most).len();
        for (point, tally) in rows {
            write!(
                formatter,
                "\n{:>9} {:>7} {:>9}  {:<10} {}  ({}:{})",
                runs - tally.last,
                tally.runs,
                tally.times,
                point.kind,
                point.name,
                point.file,
                point.line,
            )?;
        }
        match left {
            0 => Ok(()),
            _ => write!(formatter, "\n… and {left} more"),
        }
    }
}
