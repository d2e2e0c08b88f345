//! What runs have met, and adding runs up.

use crate::point::{POINTS, Point, catalogue};

/// What one point came to over some runs. Runs are counted from 1, in the order in which they were
/// merged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often it was met in all runs.
    pub times: u64,
    /// In how many runs it was met.
    pub runs: u64,
    /// The first run that met it; 0 when none did.
    pub first: u64,
    /// The last run that met it; 0 when none did.
    pub last: u64,
}

/// Which points some runs have met, and how often.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    runs: u64,
    /// By the place of the point in the slice; empty means that none was met.
    tallies: Vec<Tally>,
}

impl Coverage {
    /// One run, in which each point was met as often as `times` says.
    pub(crate) fn of_one_run(times: &[u64]) -> Self {
        let tally = |&times: &u64| {
            let met = u64::from(times > 0);
            Tally { times, runs: met, first: met, last: met }
        };
        Self { runs: 1, tallies: times.iter().map(tally).collect() }
    }

    /// Adds runs, which count as later ones than those that are here already.
    pub fn merge(&mut self, later: &Self) {
        if self.tallies.is_empty() {
            self.tallies.resize(POINTS.len(), Tally::default());
        }
        for (mine, theirs) in self.tallies.iter_mut().zip(&later.tallies) {
            if theirs.runs == 0 {
                continue;
            }
            mine.times += theirs.times;
            mine.runs += theirs.runs;
            mine.last = self.runs + theirs.last;
            if mine.first == 0 {
                mine.first = self.runs + theirs.first;
            }
        }
        self.runs += later.runs;
    }

    /// How many runs these are.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// What a point came to.
    pub fn tally(&self, point: &Point) -> Tally {
        self.tallies.get(point.index()).copied().unwrap_or_default()
    }

    /// What the point of this name came to; nothing if there is no such point.
    pub fn tally_of(&self, name: &str) -> Option<Tally> {
        POINTS.iter().find(|point| point.name == name).map(|point| self.tally(point))
    }

    /// The points that should be met and never were, by file and line.
    pub fn never_met(&self) -> Vec<&'static Point> {
        let mut points = catalogue();
        points.retain(|point| point.is_to_be_met() && self.tally(point).runs == 0);
        points
    }

    /// How many runs have ended since one met a point for the first time: the larger, the less
    /// another run is likely to show anything new.
    pub fn runs_since_news(&self) -> u64 {
        self.runs - self.tallies.iter().map(|tally| tally.first).max().unwrap_or(0)
    }
}
