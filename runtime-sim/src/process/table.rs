//! The table of one host's processes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use madsim::task::NodeId;
use orrery_runtime::{ExitStatus, Marked, ProcessId, Target};

use super::ProcessInfo;

const FIRST: u32 = 1_000;

/// How a process comes to be.
pub(crate) struct Start {
    /// Its command line.
    pub(crate) command: Vec<String>,
    /// Who launches it; `None` is the scenario.
    pub(crate) parent: Option<u32>,
    /// Whether it leads a session of its own.
    pub(crate) new_session: bool,
    /// The group that it joins instead of leading one.
    pub(crate) join: Option<u32>,
    /// What it is started with.
    pub(crate) environment: Vec<(String, String)>,
    /// When, in nanoseconds since the start of the run.
    pub(crate) at: u64,
}

/// One process, living or not yet waited for.
pub(crate) struct Process {
    pub(crate) command: Vec<String>,
    parent: Option<u32>,
    /// Who has taken it over and not waited for it yet.
    adopter: Option<u32>,
    environment: Vec<(String, String)>,
    started: u64,
    /// The scenario started it: what is known of its end is kept.
    kept: bool,
    pub(crate) group: u32,
    session: u32,
    node: NodeId,
    alive: Arc<AtomicBool>,
    status: Option<ExitStatus>,
    waiters: Vec<Waker>,
    pub(crate) stopped: bool,
    pub(crate) ignores_terminate: bool,
    pub(crate) terminate_pending: bool,
}

/// All of a host's processes.
pub(crate) struct ProcessTable {
    up: bool,
    next: u32,
    processes: BTreeMap<u32, Process>,
}

impl ProcessTable {
    /// The table of a host without power.
    pub(crate) fn new() -> Self {
        Self { up: false, next: FIRST, processes: BTreeMap::new() }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.up
    }

    /// An empty table: numbers start anew, as after a boot.
    pub(crate) fn power_on(&mut self) {
        self.up = true;
        self.next = FIRST;
        self.processes.clear();
    }

    /// Forgets all processes and returns the nodes to kill; `None` when there was no power.
    pub(crate) fn power_off(&mut self) -> Option<Vec<NodeId>> {
        if !self.up {
            return None;
        }
        self.up = false;
        let processes = std::mem::take(&mut self.processes);
        let mut nodes = Vec::new();
        for process in processes.into_values() {
            process.waiters.into_iter().for_each(Waker::wake);
            if process.alive.swap(false, Ordering::Relaxed) {
                nodes.push(process.node);
            }
        }
        Some(nodes)
    }

    /// The number that the next process gets.
    pub(crate) fn reserve(&mut self) -> u32 {
        let id = self.next;
        self.next += 1;
        id
    }

    /// Enters a process under a reserved number.
    pub(crate) fn insert(&mut self, id: u32, start: Start, node: NodeId, alive: Arc<AtomicBool>) {
        let inherited = start.parent.and_then(|parent| self.processes.get(&parent));
        let session = match inherited {
            Some(parent) if !start.new_session => parent.session,
            _ => id,
        };
        let process = Process {
            command: start.command,
            parent: start.parent,
            adopter: None,
            environment: start.environment,
            started: start.at,
            kept: start.parent.is_none(),
            group: start.join.unwrap_or(id),
            session,
            node,
            alive,
            status: None,
            waiters: Vec::new(),
            stopped: false,
            ignores_terminate: false,
            terminate_pending: false,
        };
        self.processes.insert(id, process);
    }

    fn living(&self) -> impl Iterator<Item = (u32, &Process)> {
        self.processes
            .iter()
            .filter(|(_, process)| process.status.is_none())
            .map(|(id, process)| (*id, process))
    }

    pub(crate) fn is_alive(&self, id: u32) -> bool {
        self.processes.get(&id).is_some_and(|process| process.status.is_none())
    }

    /// A living process.
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Process> {
        self.processes.get_mut(&id).filter(|process| process.status.is_none())
    }

    /// The madsim node of a living process.
    pub(crate) fn node(&self, id: u32) -> Option<NodeId> {
        let process = self.processes.get(&id)?;
        process.status.is_none().then_some(process.node)
    }

    pub(crate) fn list(&self) -> Vec<ProcessInfo> {
        self.living()
            .map(|(id, process)| ProcessInfo {
                id: ProcessId(id),
                parent: process.parent.map(ProcessId),
                group: ProcessId(process.group),
                session: ProcessId(process.session),
                command: process.command.clone(),
                stopped: process.stopped,
            })
            .collect()
    }

    pub(crate) fn status(&self, id: u32) -> Option<ExitStatus> {
        self.processes.get(&id)?.status
    }

    /// Whether anything is known of a process, living or dead.
    pub(crate) fn is_known(&self, id: u32) -> bool {
        self.processes.contains_key(&id)
    }

    /// The living processes that a signal reaches, by number.
    pub(crate) fn select(&self, target: Target) -> Vec<u32> {
        match target {
            Target::Process(ProcessId(id)) => self.is_alive(id).then_some(id).into_iter().collect(),
            Target::Group(ProcessId(leader)) => self
                .living()
                .filter(|(_, process)| process.group == leader)
                .map(|(id, _)| id)
                .collect(),
            Target::Session(ProcessId(leader)) => self.session(leader).into_iter().collect(),
        }
    }

    /// The members of a session and all their descendants. Children have higher numbers than their
    /// parents, so one pass in order finds every descendant.
    fn session(&self, leader: u32) -> BTreeSet<u32> {
        let mut found = BTreeSet::new();
        for (id, process) in self.living() {
            let inherits = process.parent.is_some_and(|parent| found.contains(&parent));
            if process.session == leader || inherits {
                found.insert(id);
            }
        }
        found
    }

    /// Notes that a living process has ended and returns its node. Its children have no parent any
    /// more; those that had ended are forgotten with it.
    pub(crate) fn end(&mut self, id: u32, status: ExitStatus) -> Option<NodeId> {
        let process = self.get_mut(id)?;
        process.status = Some(status);
        process.alive.store(false, Ordering::Relaxed);
        let node = process.node;
        let orphaned = process.parent.is_none() && !process.kept;
        std::mem::take(&mut process.waiters).into_iter().for_each(Waker::wake);
        if orphaned {
            self.processes.remove(&id);
        }
        self.processes.retain(|_, child| {
            let ours = child.parent == Some(id);
            if ours {
                child.parent = None;
            }
            !(ours && child.status.is_some())
        });
        Some(node)
    }

    /// When a living process was started.
    pub(crate) fn started(&self, id: u32) -> Option<u64> {
        self.processes.get(&id).filter(|process| process.status.is_none()).map(|it| it.started)
    }

    /// Has `adopter` take over the session of `leader`: whether the leader lives; `None` when the
    /// number is not that of a session or was started at another time.
    pub(crate) fn adopt(
        &mut self,
        adopter: u32,
        leader: u32,
        started: Option<u64>,
    ) -> Option<bool> {
        let Some(process) = self.get_mut(leader) else { return Some(false) };
        let same = started.is_none_or(|started| started == process.started);
        if process.session != leader || !same {
            return None;
        }
        process.adopter = Some(adopter);
        Some(true)
    }

    /// Whether `adopter` has taken a process over and not waited for it yet.
    pub(crate) fn is_adopted(&self, adopter: u32, id: u32) -> bool {
        self.processes.get(&id).is_some_and(|process| process.adopter == Some(adopter))
    }

    /// The adopter of a process has waited for it.
    pub(crate) fn release(&mut self, id: u32) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.adopter = None;
        }
    }

    /// The living processes that were started with a variable, and its value.
    pub(crate) fn marked(&self, variable: &str) -> Vec<Marked> {
        let value = |process: &Process| {
            let found = process.environment.iter().find(|(name, _)| name == variable);
            found.map(|(_, value)| value.clone())
        };
        let marked = self.living().filter_map(|(id, process)| {
            let session = ProcessId(process.session);
            Some(Marked { process: ProcessId(id), session, value: value(process)? })
        });
        marked.collect()
    }

    /// Whether `parent` launched a process and has not waited for it yet.
    pub(crate) fn is_child(&self, parent: u32, id: u32) -> bool {
        self.processes.get(&id).is_some_and(|child| child.parent == Some(parent))
    }

    /// The numbers of the children of `parent`, living or not yet waited for.
    pub(crate) fn children(&self, parent: u32) -> Vec<u32> {
        let children = self.processes.iter().filter(|(_, child)| child.parent == Some(parent));
        children.map(|(id, _)| *id).collect()
    }

    /// Forgets a child that was waited for.
    pub(crate) fn reap(&mut self, id: u32) {
        self.processes.remove(&id);
    }

    /// Has `waker` woken when the process ends.
    pub(crate) fn watch(&mut self, id: u32, waker: &Waker) {
        if let Some(process) = self.processes.get_mut(&id) {
            process.waiters.retain(|waiter| !waiter.will_wake(waker));
            process.waiters.push(waker.clone());
        }
    }
}
