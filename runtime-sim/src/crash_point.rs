//! Dying at a named point: just before or after a process asks something of the world.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use orrery_runtime::ExitStatus;

use crate::host::Host;
use crate::lock::Lock;

const SIGKILL: i32 = 9;

/// What a process does when its point is reached. Each text is a pattern of a whole path, in which
/// `*` stands for any characters, `/` among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opens a file.
    Open(String),
    /// Writes to a file.
    Write(String),
    /// Syncs a file or a folder.
    Sync(String),
    /// Renames a file or folder; its old or its new path counts.
    Rename(String),
    /// Removes a file, link or folder.
    Remove(String),
    /// Launches a program.
    Launch(String),
    /// Has written so many bytes to streams since the point was set: they are on their way, no
    /// other is.
    Send(u64),
}

/// On which side of the operation the point lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing of it has happened.
    Before,
    /// All of it has happened, but whoever asked for it does not learn so.
    After,
}

/// What dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// The process alone, as by SIGKILL.
    ProcessKill,
    /// The whole host loses power.
    HostCrash,
}

/// A point at which something dies, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// Pattern of the first word of the command line of the processes that count; `*` is all.
    pub process: String,
    /// What they do.
    pub operation: Operation,
    /// Which of these operations it is, counted from 1 and from when the point is set. Of
    /// [`Operation::Send`] only the first counts.
    pub nth: u64,
    /// Before or after it. [`Operation::Send`] has no difference between them.
    pub moment: Moment,
    /// What dies.
    pub kind: CrashKind,
}

impl CrashPoint {
    /// Any process dies just before it does this for the first time.
    pub fn before(operation: Operation) -> Self {
        Self::new(operation, Moment::Before)
    }

    /// Any process dies just after it has done this for the first time.
    pub fn after(operation: Operation) -> Self {
        Self::new(operation, Moment::After)
    }

    fn new(operation: Operation, moment: Moment) -> Self {
        Self { process: "*".to_owned(), operation, nth: 1, moment, kind: CrashKind::ProcessKill }
    }

    /// The same for the n-th time, counted from 1.
    #[must_use]
    pub fn nth(self, nth: u64) -> Self {
        Self { nth, ..self }
    }

    /// The same for processes whose command line's first word matches `pattern`.
    #[must_use]
    pub fn of(self, pattern: &str) -> Self {
        Self { process: pattern.to_owned(), ..self }
    }

    /// The same, but the whole host loses power.
    #[must_use]
    pub fn of_host(self) -> Self {
        Self { kind: CrashKind::HostCrash, ..self }
    }
}

/// What a process is about to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deed<'a> {
    Open(&'a Path),
    Write(&'a Path),
    Sync(&'a Path),
    Rename(&'a Path, &'a Path),
    Remove(&'a Path),
    Launch(&'a Path),
}

impl Operation {
    fn is(&self, deed: &Deed<'_>) -> bool {
        let fits = |pattern: &str, path: &Path| matches(pattern, &path.to_string_lossy());
        match (self, deed) {
            (Self::Open(pattern), Deed::Open(path))
            | (Self::Write(pattern), Deed::Write(path))
            | (Self::Sync(pattern), Deed::Sync(path))
            | (Self::Remove(pattern), Deed::Remove(path))
            | (Self::Launch(pattern), Deed::Launch(path)) => fits(pattern, path),
            (Self::Rename(pattern), Deed::Rename(from, to)) => {
                fits(pattern, from) || fits(pattern, to)
            }
            _ => false,
        }
    }
}

/// Whether `text` as a whole has the form of `pattern`, in which `*` stands for anything.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(start) else { return false };
    let ends = text.char_indices().map(|(index, _)| index).chain([text.len()]);
    ends.into_iter().any(|index| matches(rest, &text[index..]))
}

/// The points that are set on one host.
#[derive(Debug, Default)]
pub(crate) struct CrashPoints {
    /// Whether there is any: all operations ask, and most worlds have none.
    any: AtomicBool,
    /// How often all points were taken away.
    cleared: AtomicU64,
    points: Lock<Vec<CrashPoint>>,
}

impl CrashPoints {
    fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<CrashPoint>) -> T) -> T {
        let mut points = self.points.lock();
        let value = change(&mut points);
        self.any.store(!points.is_empty(), Ordering::Relaxed);
        value
    }

    /// Counts a deed of a process and returns the point that it reaches.
    fn strike(&self, process: &str, deed: &Deed<'_>) -> Option<CrashPoint> {
        self.change(|points| {
            for point in points.iter_mut() {
                if matches(&point.process, process) && point.operation.is(deed) {
                    point.nth = point.nth.saturating_sub(1);
                }
            }
            let struck = points.iter().position(|point| {
                point.nth == 0 && matches(&point.process, process) && point.operation.is(deed)
            });
            struck.map(|index| points.remove(index))
        })
    }

    /// How many bytes a process may still write before a point is reached.
    fn allowance(&self, process: &str) -> Option<u64> {
        let points = self.points.lock();
        let left = points.iter().filter_map(|point| match point.operation {
            Operation::Send(bytes) if matches(&point.process, process) => Some(bytes),
            _ => None,
        });
        left.min()
    }

    /// Counts what a process has written and returns the point that it reaches.
    fn spend(&self, process: &str, bytes: u64) -> Option<CrashPoint> {
        self.change(|points| {
            let mut struck = None;
            for (index, point) in points.iter_mut().enumerate() {
                let Operation::Send(left) = &mut point.operation else { continue };
                if matches(&point.process, process) {
                    *left = left.saturating_sub(bytes);
                    if *left == 0 {
                        struck = struck.or(Some(index));
                    }
                }
            }
            struck.map(|index| points.remove(index))
        })
    }
}

impl Host {
    /// Sets a point at which a process, or all of the host, dies once. Points outlive the processes
    /// and a loss of power.
    pub fn crash_at(&self, point: CrashPoint) {
        self.record(0, "trap", &[point.nth], || format!("{point:?}"));
        self.crash_points().change(|points| points.push(point));
    }

    /// Takes all points away that were not reached; returns how many there were. What a process
    /// has begun that it was to die after it carries out.
    pub fn clear_crash_points(&self) -> usize {
        self.crash_points().cleared.fetch_add(1, Ordering::Relaxed);
        let left = self.crash_points().change(std::mem::take);
        left.len()
    }

    /// Lets a process carry something out, and die of it where a point is set.
    pub(crate) async fn undertake<T>(
        &self,
        process: u32,
        deed: Deed<'_>,
        action: impl Future<Output = T>,
    ) -> T {
        if self.crash_points().is_empty() {
            return action.await;
        }
        let struck = self.crash_points().strike(&self.program_of(process), &deed);
        let Some(point) = struck else { return action.await };
        if point.moment == Moment::Before {
            self.die(process, &point);
            std::future::pending::<()>().await;
        }
        let cleared = || self.crash_points().cleared.load(Ordering::Relaxed);
        let before = cleared();
        let value = action.await;
        if cleared() == before {
            self.die(process, &point);
            std::future::pending::<()>().await;
        }
        value
    }

    /// How many of `most` bytes a process writes before it dies; `None` when nothing is set.
    pub(crate) fn may_send(&self, process: u32, most: usize) -> Option<usize> {
        if self.crash_points().is_empty() {
            return None;
        }
        let left = self.crash_points().allowance(&self.program_of(process))?;
        Some(most.min(usize::try_from(left).unwrap_or(usize::MAX)))
    }

    /// Counts what was written; true when the process is dead now.
    pub(crate) fn has_sent(&self, process: u32, bytes: usize) -> bool {
        let program = self.program_of(process);
        let struck = self.crash_points().spend(&program, bytes as u64);
        if let Some(point) = &struck {
            self.die(process, point);
        }
        struck.is_some()
    }

    fn program_of(&self, process: u32) -> String {
        let mut table = self.table().lock();
        let words = table.get_mut(process).map(|process| process.command.first().cloned());
        words.flatten().unwrap_or_default()
    }

    fn die(&self, process: u32, point: &CrashPoint) {
        self.record(process, "crash-at", &[point.kind as u64, point.moment as u64], || {
            format!("{:?} {:?}", point.moment, point.operation)
        });
        match point.kind {
            CrashKind::ProcessKill => self.end_process(process, ExitStatus::Signaled(SIGKILL)),
            CrashKind::HostCrash => self.crash(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "/any/thing"),
            ("/a/b", "/a/b"),
            ("/var/*/info", "/var/lib/x/info"),
            ("*.new", "/meta/a.new"),
            ("*a*a*", "banana"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("/a", "/a/b"), ("*.new", "/a.new.old"), ("a*a", "a")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn only_the_nth_of_its_kind_reaches_a_point() {
        let points = CrashPoints::default();
        assert!(points.is_empty());
        let point = CrashPoint::before(Operation::Sync("/a/*".to_owned())).nth(2).of("agent");
        points.change(|points| points.push(point.clone()));
        let struck = |process, path| points.strike(process, &Deed::Sync(Path::new(path)));
        assert_eq!(struck("agent", "/a/1"), None);
        assert_eq!(struck("master", "/a/1"), None);
        assert_eq!(struck("agent", "/b/1"), None);
        assert_eq!(struck("agent", "/a/2"), Some(CrashPoint { nth: 0, ..point }));
        assert_eq!(struck("agent", "/a/3"), None);
        assert!(points.is_empty());
    }
}
