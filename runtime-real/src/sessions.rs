//! Signalling a whole session, found in `/proc`.
//!
//! A session is what a process cannot leave by making a process group; its descendants are included
//! even where they made a session of their own, as long as the chain of parents reaches them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};

/// Who makes processes faster than this many looks can see them is not caught up with.
const MOST_LOOKS: usize = 64;

/// One line of the process table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pid: i32,
    parent: i32,
    pub(crate) session: i32,
    state: u8,
    /// When it was started, in the kernel's ticks: with the pid it is the process's identity.
    pub(crate) started: u64,
}

impl Process {
    pub(crate) fn number(&self) -> u32 {
        self.pid.unsigned_abs()
    }

    pub(crate) fn ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }
}

/// Whose the number of a session's leader can be by now. While the session has processes the kernel
/// gives it to nobody else, so a stranger shows that none of them is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leader {
    /// A child of ours that was not waited for: it keeps its number.
    Ours,
    /// It is gone: whoever has its number is a stranger.
    Gone,
    /// Somebody else's child, started at this time: it keeps its number until its parent has waited
    /// for it.
    Adopted(u64),
}

impl Leader {
    fn is_stranger(self, process: &Process) -> bool {
        match self {
            Self::Ours => false,
            Self::Gone => true,
            Self::Adopted(started) => process.started != started,
        }
    }
}

/// Sends `signal` to every process of the session that process `pid` leads or led and to all
/// their descendants.
///
/// Looks again after each round until it finds nobody new, so a process that is made meanwhile is
/// not missed. A stopped process is continued after `SIGTERM`, or it could not follow it.
///
/// # Errors
/// `NotFound` when the session has no living process; `PermissionDenied` when one may not be
/// signalled (all others were); otherwise what reading `/proc` gives.
pub(crate) fn signal_session(pid: Pid, kind: Leader, signal: Signal) -> io::Result<()> {
    if !has_members(pid)? {
        return Err(io::ErrorKind::NotFound.into());
    }
    let leader = pid.as_raw_pid();
    let mut signalled = BTreeSet::new();
    let mut failure = None;
    for _ in 0..MOST_LOOKS {
        let processes = all()?;
        if processes.get(&leader).is_some_and(|process| kind.is_stranger(process)) {
            break;
        }
        let members = members(&processes, leader, &signalled);
        let fresh: Vec<_> = members
            .into_iter()
            .filter(|member| !member.ended())
            .filter(|member| !signalled.contains(&(member.pid, member.started)))
            .collect();
        if fresh.is_empty() {
            break;
        }
        for process in fresh {
            match deliver(process, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
            signalled.insert((process.pid, process.started));
        }
    }
    match failure {
        Some(error) => Err(error.into()),
        None if signalled.is_empty() => Err(io::ErrorKind::NotFound.into()),
        None => Ok(()),
    }
}

/// Which of these sessions may still have processes, by the numbers of their leaders. In the others
/// [`signal_session`] will find nobody any more.
pub(crate) fn surviving_sessions(
    leaders: &BTreeMap<i32, Leader>,
) -> io::Result<BTreeMap<i32, Leader>> {
    let processes = all()?;
    let sessions: BTreeSet<_> = processes.values().map(|process| process.session).collect();
    let survives = |(leader, kind): &(&i32, &Leader)| {
        let stranger = processes.get(leader).is_some_and(|process| kind.is_stranger(process));
        sessions.contains(leader) && !stranger
    };
    Ok(leaders.iter().filter(survives).map(|(leader, kind)| (*leader, *kind)).collect())
}

/// The living processes whose first environment holds `variable`, with its value.
pub(crate) fn marked(variable: &str) -> io::Result<Vec<(Process, String)>> {
    let mut found = Vec::new();
    let start = format!("{variable}=");
    for pid in numbers()? {
        let pid = pid?;
        // Whoever ended since, or may not be looked at, is left out.
        let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        let mut variables = environment.split(|byte| *byte == 0);
        let value = variables.find_map(|one| one.strip_prefix(start.as_bytes()));
        let process = value.and_then(|_| read(pid)).filter(|process| !process.ended());
        if let Some((process, value)) = process.zip(value) {
            found.push((process, String::from_utf8_lossy(value).into_owned()));
        }
    }
    found.sort_by_key(|(process, _)| process.pid);
    Ok(found)
}

/// The processes of a session, those that were signalled before, and the descendants of all these.
fn members<'a>(
    processes: &'a BTreeMap<i32, Process>,
    leader: i32,
    signalled: &BTreeSet<(i32, u64)>,
) -> Vec<&'a Process> {
    let mut children: BTreeMap<i32, Vec<&Process>> = BTreeMap::new();
    for process in processes.values() {
        children.entry(process.parent).or_default().push(process);
    }
    let is_root = |process: &&Process| {
        process.session == leader || signalled.contains(&(process.pid, process.started))
    };
    let mut members: Vec<_> = processes.values().filter(is_root).collect();
    let mut seen: BTreeSet<_> = members.iter().map(|member| member.pid).collect();
    let mut next = 0;
    while let Some(member) = members.get(next) {
        next += 1;
        let fresh = children.remove(&member.pid).unwrap_or_default();
        members.extend(fresh.into_iter().filter(|child| seen.insert(child.pid)));
    }
    members
}

/// Signals exactly the process that was seen, not one that got its number since.
fn deliver(process: &Process, signal: Signal) -> rustix::io::Result<()> {
    let pid = Pid::from_raw(process.pid).ok_or(rustix::io::Errno::SRCH)?;
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) => Some(descriptor),
        Err(rustix::io::Errno::SRCH) => return Err(rustix::io::Errno::SRCH),
        // An older kernel, or no descriptor to spare: the number must do.
        Err(_) => None,
    };
    if read(process.pid).is_none_or(|now| now.started != process.started) {
        return Err(rustix::io::Errno::SRCH);
    }
    let send = |signal| match &descriptor {
        Some(descriptor) => pidfd_send_signal(descriptor, signal),
        None => kill_process(pid, signal),
    };
    send(signal)?;
    if process.state == b'T' && signal != Signal::KILL {
        send(Signal::CONT)?;
    }
    Ok(())
}

/// Whether any process, living or not, is in the session that `leader` leads or led. Mostly there
/// is none left, and this is found out at a small part of the cost of reading every process's line.
fn has_members(leader: Pid) -> io::Result<bool> {
    for pid in numbers()? {
        match session_of(pid?) {
            Ok(session) if session != leader.as_raw_pid() => {}
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            // Whoever may not be asked is looked at with all others.
            Ok(_) | Err(_) => return Ok(true),
        }
    }
    Ok(false)
}

/// The session of a process; 0 when it is one of a world outside our container.
#[allow(unsafe_code)]
fn session_of(pid: i32) -> io::Result<i32> {
    // SAFETY: the call takes a number and returns one.
    match unsafe { libc::getsid(pid) } {
        -1 => Err(io::Error::last_os_error()),
        session => Ok(session),
    }
}

/// Every process there is.
fn all() -> io::Result<BTreeMap<i32, Process>> {
    let mut processes = BTreeMap::new();
    for pid in numbers()? {
        // One that ended since the folder was read is none any more.
        if let Some(process) = read(pid?) {
            processes.insert(process.pid, process);
        }
    }
    Ok(processes)
}

/// The numbers of all processes.
fn numbers() -> io::Result<impl Iterator<Item = io::Result<i32>>> {
    let number = |entry: io::Result<fs::DirEntry>| match entry {
        Ok(entry) => entry.file_name().to_str().and_then(|name| name.parse().ok()).map(Ok),
        Err(error) => Some(Err(error)),
    };
    Ok(fs::read_dir("/proc")?.filter_map(number))
}

/// The line of one process; `None` when there is none of that number.
pub(crate) fn read(pid: i32) -> Option<Process> {
    // A program may give itself a name that is no text.
    parse(&String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/stat")).ok()?))
}

/// Reads a line of proc(5)'s `stat`. The name in parentheses may hold anything, so the fields are
/// counted from its last parenthesis on.
fn parse(line: &str) -> Option<Process> {
    let (pid, rest) = line.split_once(' ')?;
    let (_, fields) = rest.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?.bytes().next()?;
    let parent = fields.next()?.parse().ok()?;
    let _group = fields.next()?;
    let session = fields.next()?.parse().ok()?;
    // From tty_nr to itrealvalue: 15 fields of no interest.
    let started = fields.nth(15)?.parse().ok()?;
    Some(Process { pid: pid.parse().ok()?, parent, session, state, started })
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn process(pid: i32, parent: i32, session: i32) -> Process {
        Process { pid, parent, session, state: b'S', started: 1 }
    }

    fn found(processes: &[Process], leader: i32, signalled: &[(i32, u64)]) -> BTreeSet<i32> {
        let processes = processes.iter().map(|process| (process.pid, process.clone())).collect();
        let signalled = signalled.iter().copied().collect();
        members(&processes, leader, &signalled).iter().map(|member| member.pid).collect()
    }

    #[test]
    fn a_stat_line_is_read_whatever_the_name() {
        let line = "42 (a) b (c) S 7 42 41 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 123 45";
        let expected = Process { pid: 42, parent: 7, session: 41, state: b'S', started: 98765 };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("42 (a) S 7"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn our_own_line_agrees_with_the_kernel() {
        let own = i32::try_from(std::process::id()).unwrap();
        let process = read(own).unwrap();
        let parent = rustix::process::getppid().map_or(0, Pid::as_raw_pid);
        assert_eq!(process.parent, parent);
        assert_eq!(process.session, session_of(own).unwrap());
        assert!(process.started > 0);
    }

    #[test]
    fn a_session_without_processes_is_found_to_have_none() {
        // Our own session may be one of a world outside our container, so this one is made here.
        let mut leader = Command::new("setsid").args(["sleep", "60"]).spawn().unwrap();
        let pid = Pid::from_raw(i32::try_from(leader.id()).unwrap()).unwrap();
        // It leads its session only once `setsid` ran.
        let found = (0..1_000).any(|_| {
            thread::sleep(Duration::from_millis(5));
            has_members(pid).unwrap()
        });
        leader.kill().unwrap();
        leader.wait().unwrap();
        assert!(found);
        // No process has a number above the kernel's own limit.
        assert!(!has_members(Pid::from_raw(i32::MAX).unwrap()).unwrap());
    }

    #[test]
    fn a_session_includes_descendants_that_left_it() {
        let processes = [
            process(10, 1, 10),
            process(11, 10, 10),
            process(12, 11, 12),
            process(13, 12, 13),
            process(14, 1, 10),
            process(20, 1, 20),
            process(21, 20, 20),
        ];
        assert_eq!(found(&processes, 10, &[]), BTreeSet::from([10, 11, 12, 13, 14]));
        assert_eq!(found(&processes, 99, &[]), BTreeSet::new());
        assert_eq!(found(&processes, 99, &[(12, 1)]), BTreeSet::from([12, 13]));
        assert_eq!(found(&processes, 99, &[(12, 2)]), BTreeSet::new());
    }
}
