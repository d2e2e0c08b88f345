//! What a point is, and the list of all that the program was linked with.

use std::fmt;

/// What a point promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A condition that holds each time.
    Always,
    /// A condition that holds at some time in some run.
    Sometimes,
    /// A path that some run takes.
    Reachable,
    /// A path that no run takes.
    Unreachable,
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Always => "always",
            Self::Sometimes => "sometimes",
            Self::Reachable => "reachable",
            Self::Unreachable => "unreachable",
        })
    }
}

/// One use of a macro.
#[derive(Debug, PartialEq, Eq)]
pub struct Point {
    /// What it promises.
    pub kind: Kind,
    /// Its sentence, which no other point has.
    pub name: &'static str,
    /// The source file, from the workspace's root.
    pub file: &'static str,
    /// The line in it.
    pub line: u32,
    /// The module's path.
    pub module: &'static str,
}

impl Point {
    /// Whether runs are expected to meet this point.
    pub fn is_to_be_met(&self) -> bool {
        self.kind != Kind::Unreachable
    }

    /// Its place in the slice.
    pub(crate) fn index(&self) -> usize {
        (std::ptr::from_ref(self).addr() - POINTS.as_ptr().addr()) / size_of::<Self>()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}! \"{}\" at {}:{}", self.kind, self.name, self.file, self.line)
    }
}

/// All points, in the order in which the linker came by them.
#[linkme::distributed_slice]
pub static POINTS: [Point];

/// All points of the program, by file and line, whether a run has met them or not.
pub fn catalogue() -> Vec<&'static Point> {
    let mut points: Vec<&Point> = POINTS.iter().collect();
    points.sort_by_key(|point| (point.file, point.line, point.name));
    points
}
