//! Processes of the operating system: launching, waiting, signalling.
//!
//! A process that ended keeps its number until it is waited for, so until then a signal can hit
//! nobody else. Afterwards its number is refused, except as that of a session: the session may
//! still have processes, and those carry its number themselves. An adopted process is somebody
//! else's child, so it is known by the time of its start besides its number.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use orrery_runtime::{
    Adoption, BoxFuture, Command, ExitStatus, Marked, ProcessId, Processes, Signal, Target,
};
use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, kill_process, kill_process_group, pidfd_open, waitid,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};

use crate::sessions::{self, Leader};
use crate::{blocking, launch, spawn};

/// At this many sessions of waited leaders those without survivors are forgotten.
const FIRST_SWEEP: usize = 1024;
/// Time between two looks at an adopted process on a kernel without pidfds.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The kernel's processes. Only those launched or adopted here, and their sessions, are ever
/// signalled.
#[derive(Debug)]
pub(crate) struct SystemProcesses {
    table: Arc<Mutex<Table>>,
    /// False only in tests: learns of ended children through `SIGCHLD`, as on a kernel without
    /// pidfds.
    use_pidfd: bool,
}

/// A launched or adopted process that was not waited for.
#[derive(Debug)]
struct Launched {
    new_session: bool,
    /// Set when it was adopted: when it was started.
    adopted: Option<u64>,
    /// Somebody is waiting for it now.
    awaited: bool,
}

#[derive(Debug)]
struct Table {
    launched: BTreeMap<i32, Launched>,
    /// Sessions whose leader was waited for and that may have survivors.
    orphaned_sessions: BTreeMap<i32, Leader>,
    /// Size of `orphaned_sessions` at which it is looked through.
    next_sweep: usize,
}

impl SystemProcesses {
    pub(crate) fn new() -> Self {
        spawn::heed_children();
        let table = Table {
            launched: BTreeMap::new(),
            orphaned_sessions: BTreeMap::new(),
            next_sweep: FIRST_SWEEP,
        };
        Self { table: Arc::new(Mutex::new(table)), use_pidfd: true }
    }
}

/// Nothing is left half done where a holder could panic.
fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

fn to_pid(process: ProcessId) -> io::Result<Pid> {
    let pid = i32::try_from(process.0).ok().filter(|pid| *pid > 0).and_then(Pid::from_raw);
    pid.ok_or_else(|| not_ours(process.0))
}

fn not_ours(pid: impl std::fmt::Display) -> io::Error {
    let text = format!("process {pid} was not launched here or was already waited for");
    io::Error::new(io::ErrorKind::NotFound, text)
}

impl Processes for SystemProcesses {
    fn launch(&self, command: Command) -> BoxFuture<'static, io::Result<ProcessId>> {
        let table = Arc::clone(&self.table);
        Box::pin(async move {
            let newborn = blocking(move || {
                let new_session = command.new_session;
                let pid = launch::launch(command)?;
                let launched = Launched { new_session, adopted: None, awaited: false };
                lock(&table).launched.insert(pid.as_raw_pid(), launched);
                Ok(Newborn { pid, table: Some(table) })
            });
            Ok(newborn.await?.hand_over())
        })
    }

    fn wait(&self, process: ProcessId) -> BoxFuture<'static, io::Result<ExitStatus>> {
        let (table, use_pidfd) = (Arc::clone(&self.table), self.use_pidfd);
        Box::pin(async move {
            let claim = Claim::new(table, to_pid(process)?)?;
            if let Some(started) = claim.adopted {
                end_of_adopted(claim.pid, started, use_pidfd).await?;
                lock(&claim.table).forget(claim.pid);
                return Ok(ExitStatus::Unknown);
            }
            let mut ended = Ended::watch(claim.pid, use_pidfd)?;
            loop {
                if let Some(status) = lock(&claim.table).reap(claim.pid)? {
                    return Ok(status);
                }
                ended.hint().await?;
            }
        })
    }

    fn signal(&self, target: Target, signal: Signal) -> io::Result<()> {
        let signal = match signal {
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Kill => rustix::process::Signal::KILL,
        };
        // Under the lock nobody reaps, so no number changes its owner meanwhile.
        let table = lock(&self.table);
        match target {
            Target::Process(process) => {
                let pid = table.unwaited(to_pid(process)?)?;
                if status(pid, WaitIdOptions::NOWAIT)?.is_some() {
                    return Err(io::ErrorKind::NotFound.into());
                }
                Ok(kill_process(pid, signal)?)
            }
            Target::Group(process) => {
                Ok(kill_process_group(table.unwaited(to_pid(process)?)?, signal)?)
            }
            Target::Session(process) => {
                let pid = to_pid(process)?;
                let kind = table.session(pid)?;
                sessions::signal_session(pid, kind, signal)
            }
        }
    }

    fn started(&self, process: ProcessId) -> io::Result<u64> {
        let found = sessions::read(to_pid(process)?.as_raw_pid());
        let living = found.filter(|found| !found.ended());
        living.map(|found| found.started).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn adopt(
        &self,
        leader: ProcessId,
        started: Option<u64>,
    ) -> BoxFuture<'static, io::Result<Adoption>> {
        let table = Arc::clone(&self.table);
        Box::pin(blocking(move || lock(&table).adopt(to_pid(leader)?.as_raw_pid(), started)))
    }

    fn marked(&self, variable: &str) -> BoxFuture<'static, io::Result<Vec<Marked>>> {
        let variable = variable.to_owned();
        Box::pin(blocking(move || {
            let marked = sessions::marked(&variable)?.into_iter().map(|(process, value)| Marked {
                process: ProcessId(process.number()),
                session: ProcessId(process.session.unsigned_abs()),
                value,
            });
            Ok(marked.collect())
        }))
    }
}

impl Table {
    /// The process, if it is one that was launched and not yet waited for.
    fn unwaited(&self, pid: Pid) -> io::Result<Pid> {
        match self.launched.get(&pid.as_raw_pid()) {
            Some(launched) if launched.adopted.is_none() => Ok(pid),
            _ => Err(not_ours(pid)),
        }
    }

    /// Whose the leader's number can be of a session that we made or adopted.
    fn session(&self, leader: Pid) -> io::Result<Leader> {
        let leader = leader.as_raw_pid();
        match self.launched.get(&leader) {
            Some(Launched { adopted: Some(started), .. }) => Ok(Leader::Adopted(*started)),
            Some(launched) if launched.new_session => Ok(Leader::Ours),
            None => self.orphaned_sessions.get(&leader).copied().ok_or_else(|| not_ours(leader)),
            Some(_) => Err(not_ours(leader)),
        }
    }

    fn adopt(&mut self, leader: i32, started: Option<u64>) -> io::Result<Adoption> {
        if self.launched.contains_key(&leader) {
            let text = format!("process {leader} is ours already");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        let Some(found) = sessions::read(leader) else {
            self.orphaned_sessions.insert(leader, Leader::Gone);
            return Ok(Adoption::Ended);
        };
        if found.session != leader || started.is_some_and(|started| started != found.started) {
            let text = format!("process {leader} is another one than the leader of that session");
            return Err(io::Error::new(io::ErrorKind::NotFound, text));
        }
        let adopted = Some(found.started);
        self.launched.insert(leader, Launched { new_session: true, adopted, awaited: false });
        if found.ended() {
            self.forget(Pid::from_raw(leader).ok_or_else(|| not_ours(leader))?);
            return Ok(Adoption::Ended);
        }
        Ok(Adoption::Lives)
    }

    /// Of a process that has ended only its session is remembered.
    fn forget(&mut self, pid: Pid) {
        let pid = pid.as_raw_pid();
        if let Some(launched) = self.launched.remove(&pid)
            && launched.new_session
        {
            let leader = launched.adopted.map_or(Leader::Gone, Leader::Adopted);
            self.orphaned_sessions.insert(pid, leader);
            self.sweep();
        }
    }

    /// Takes the status of a process if it has ended.
    fn reap(&mut self, pid: Pid) -> io::Result<Option<ExitStatus>> {
        let Some(status) = status(pid, WaitIdOptions::empty())? else {
            return Ok(None);
        };
        self.forget(pid);
        Ok(Some(status))
    }

    /// Forgets sessions without survivors once there are many, so that looking through the process
    /// table costs little for each.
    fn sweep(&mut self) {
        if self.orphaned_sessions.len() < self.next_sweep {
            return;
        }
        // What cannot be looked through now is kept for the next time.
        if let Ok(survivors) = sessions::surviving_sessions(&self.orphaned_sessions) {
            self.orphaned_sessions = survivors;
        }
        self.next_sweep = FIRST_SWEEP.max(self.orphaned_sessions.len() * 2);
    }
}

/// How a child of ours ended, if it has.
fn status(pid: Pid, options: WaitIdOptions) -> io::Result<Option<ExitStatus>> {
    let options = options | WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let Some(status) = waitid(WaitId::Pid(pid), options)? else {
        return Ok(None);
    };
    let exited = status.exit_status().map(ExitStatus::Exited);
    let ended = exited.or_else(|| status.terminating_signal().map(ExitStatus::Signaled));
    Ok(ended)
}

/// Tells when a process may have ended.
enum Ended {
    /// The descriptor becomes readable when the process ends.
    Descriptor(AsyncFd<OwnedFd>),
    /// Some child or other has ended.
    Signals(SignalStream),
}

impl Ended {
    fn watch(pid: Pid, use_pidfd: bool) -> io::Result<Self> {
        // Without a pidfd (Linux before 5.3, or no descriptor to spare) the signal must do.
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) if use_pidfd => Ok(Self::Descriptor(register(descriptor)?)),
            _ => Ok(Self::Signals(signal(SignalKind::child())?)),
        }
    }

    /// Waits until it is worth looking again.
    async fn hint(&mut self) -> io::Result<()> {
        match self {
            Self::Descriptor(descriptor) => descriptor.readable().await?.clear_ready(),
            Self::Signals(signals) => {
                signals.recv().await;
            }
        }
        Ok(())
    }
}

/// Completes when an adopted process has ended. Its number may be another's by then.
async fn end_of_adopted(pid: Pid, started: u64, use_pidfd: bool) -> io::Result<()> {
    let lives = || {
        let found = sessions::read(pid.as_raw_pid());
        found.is_some_and(|found| found.started == started && !found.ended())
    };
    let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(descriptor) if use_pidfd => Some(register(descriptor)?),
        // It has ended, or the kernel gives no descriptor; a look tells.
        _ => None,
    };
    // Looked at only now, so that the descriptor, too, is that very process's.
    while lives() {
        match &descriptor {
            Some(descriptor) => descriptor.readable().await?.clear_ready(),
            None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    }
    Ok(())
}

#[allow(unsafe_code)]
fn register(pidfd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` stays open and the same for as long as it is owned, and `AsyncFd` owns
    // it until it has taken its registration back.
    let registered = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    registered.map_err(io::Error::from)
}

/// One who waits; gives its place up when it is dropped before the process has ended.
struct Claim {
    table: Arc<Mutex<Table>>,
    pid: Pid,
    /// When the process was started, if it is an adopted one.
    adopted: Option<u64>,
}

impl Claim {
    fn new(table: Arc<Mutex<Table>>, pid: Pid) -> io::Result<Self> {
        let adopted = match lock(&table).launched.get_mut(&pid.as_raw_pid()) {
            None => return Err(not_ours(pid)),
            Some(launched) if launched.awaited => {
                let text = format!("process {pid} is already being waited for");
                return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
            }
            Some(launched) => {
                launched.awaited = true;
                launched.adopted
            }
        };
        Ok(Self { table, pid, adopted })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(launched) = lock(&self.table).launched.get_mut(&self.pid.as_raw_pid()) {
            launched.awaited = false;
        }
    }
}

/// A process whose launcher has not taken it over yet. Should the launcher be gone by then, nobody
/// would ever wait for it, so it is killed.
struct Newborn {
    pid: Pid,
    /// Taken away once the process has been handed over.
    table: Option<Arc<Mutex<Table>>>,
}

impl Newborn {
    fn hand_over(mut self) -> ProcessId {
        self.table = None;
        ProcessId(self.pid.as_raw_pid().unsigned_abs())
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        let Some(table) = self.table.take() else {
            return;
        };
        let pid = self.pid;
        tracing::warn!(process = %pid, "killing a process that nobody waits for");
        lock(&table).launched.remove(&pid.as_raw_pid());
        // It may have ended by itself; in either case it leads a group and must be reaped, which
        // may take a moment that the dropping thread should not spend.
        let _ = kill_process_group(pid, rustix::process::Signal::KILL);
        std::thread::spawn(move || waitid(WaitId::Pid(pid), WaitIdOptions::EXITED));
    }
}

#[cfg(test)]
#[path = "processes_test.rs"]
mod tests;
