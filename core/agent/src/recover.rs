//! Reading what an earlier run of the agent has written down: from the content of files to what it
//! had.
//!
//! A file that is missing counts as never written, and with it whatever cannot do without it. What
//! is there and is not what it should be is an error: files are as the journal has left them, and
//! that leaves none empty or half written. A tolerant reading leaves out what depends on what is
//! damaged, has it removed, and counts it. Of a task's updates it leaves out only those records
//! that are damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bytes::Bytes;
use orrery_api::protobuf::Checked;
use orrery_api::v1;
use orrery_api::v1::executor::event;
use orrery_coverage::reachable;
use orrery_journal::Change;
use orrery_runtime::ProcessId;

use crate::records::{self, Forked, QueuedLaunch, Records};
use crate::{Container, PlantedBug, checkpoint, paths};

/// Why what was written down cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("checkpoint '{path}' cannot be used: {problem}")]
pub struct RecoveryError {
    /// The file, relative to the agent's folder.
    pub path: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What an earlier run of the agent had.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The id that a master gave; empty when there was no earlier run.
    pub agent_id: String,
    /// The host was booted since: no process of that run is left.
    pub rebooted: bool,
    /// Frameworks, by id.
    pub frameworks: Vec<RecoveredFramework>,
    /// Updates of tasks that never had an executor, by framework and task.
    pub(crate) unlaunched: BTreeMap<(String, String), Records>,
    /// What takes away what was left out, so that it does no harm later.
    pub(crate) repairs: Vec<Change>,
    /// How much was left out because it could not be used.
    pub errors: usize,
}

/// A framework that checkpoints.
#[derive(Clone, Debug)]
pub struct RecoveredFramework {
    /// What the framework said of itself.
    pub info: v1::FrameworkInfo,
    /// Its executors, by id.
    pub executors: Vec<RecoveredExecutor>,
}

/// A run of an executor.
#[derive(Clone, Debug)]
pub struct RecoveredExecutor {
    /// Which run.
    pub container: Container,
    /// What describes the executor.
    pub info: v1::ExecutorInfo,
    /// The agent has made it for one command task.
    pub generated: bool,
    /// It has subscribed.
    pub subscribed: bool,
    /// The number of its process, and when that came to be.
    pub forked: Option<(ProcessId, Option<u64>)>,
    /// What is left of it; to be found out by whoever can look at processes.
    pub life: Life,
    pub(crate) tasks: Vec<RecoveredTask>,
}

/// What is left of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Its process lives, and its end will be told.
    Lives(ProcessId),
    /// It has ended, and nothing of it is left.
    Ended,
    /// It was never started.
    NeverStarted,
}

/// A task of an executor.
#[derive(Clone, Debug)]
pub(crate) struct RecoveredTask {
    pub(crate) task: v1::Task,
    pub(crate) launch: Option<QueuedLaunch>,
    pub(crate) kill: Option<event::Kill>,
    pub(crate) updates: Records,
}

impl Recovered {
    /// Nothing to go on with, and how much was left out because it could not be used.
    pub fn nothing(errors: usize) -> Self {
        Self { errors, ..Self::default() }
    }

    /// Reads the files of an agent's folder; `contents` holds them by their paths relative to it.
    ///
    /// # Errors
    /// A file is not what it should be, unless `tolerant`.
    pub fn read(
        agent_id: String,
        contents: &BTreeMap<String, Bytes>,
        tolerant: bool,
    ) -> Result<Self, RecoveryError> {
        let mut reader = Reader { contents, tolerant, errors: 0, repairs: Vec::new() };
        let frameworks = reader.frameworks()?;
        let unlaunched = reader.unlaunched()?;
        let Reader { errors, repairs, .. } = reader;
        Ok(Self { agent_id, rebooted: false, frameworks, unlaunched, repairs, errors })
    }

    /// All executors.
    pub fn executors_mut(&mut self) -> impl Iterator<Item = &mut RecoveredExecutor> {
        self.frameworks.iter_mut().flat_map(|framework| &mut framework.executors)
    }
}

impl RecoveredExecutor {
    /// Its sandbox, which Mesos' layout names after it.
    pub fn directory(&self, work_dir: &std::path::Path, agent_id: &str) -> PathBuf {
        paths::sandbox(work_dir, agent_id, &self.container)
    }
}

struct Reader<'a> {
    contents: &'a BTreeMap<String, Bytes>,
    tolerant: bool,
    errors: usize,
    repairs: Vec<Change>,
}

/// `None` stands for what is left out.
type Found<T> = Result<Option<T>, RecoveryError>;

impl Reader<'_> {
    /// The names in a folder.
    fn names(&self, folder: &str) -> BTreeSet<String> {
        let start = format!("{folder}/");
        let paths = self.contents.range(start.clone()..).map(|(path, _)| path);
        let inside = paths.map_while(|path| path.strip_prefix(&start));
        inside.filter_map(|rest| rest.split('/').next()).map(str::to_owned).collect()
    }

    fn has(&self, folder: &str, name: &str) -> bool {
        self.contents.contains_key(&format!("{folder}/{name}"))
    }

    /// What `read` makes of a file. If it is damaged, `repair` takes it away.
    fn read<T>(
        &mut self,
        path: String,
        repair: Change,
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Found<T> {
        match self.contents.get(&path).map(|content| read(content)) {
            None => Ok(None),
            Some(Ok(value)) => Ok(Some(value)),
            Some(Err(problem)) => {
                self.wrong(path, problem)?;
                self.repairs.push(repair);
                Ok(None)
            }
        }
    }

    /// What `read` makes of a file that its folder can do without.
    fn file<T>(
        &mut self,
        folder: &str,
        name: &str,
        read: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Found<T> {
        let path = format!("{folder}/{name}");
        self.read(path.clone(), Change::RemoveFile { path }, read)
    }

    /// The message without which nothing in its folder is of use.
    fn info<M: Checked>(&mut self, folder: &str, name: &str) -> Found<M> {
        let repair = Change::RemoveFolder { path: folder.to_owned() };
        self.read(format!("{folder}/{name}"), repair, records::only_message)
    }

    /// What is whole of a file of updates.
    fn updates(&mut self, folder: &str) -> Found<Records> {
        let path = format!("{folder}/{}", paths::TASK_UPDATES);
        let Some(records) = self.contents.get(&path).map(|content| records::read(content)) else {
            return Ok(None);
        };
        for problem in &records.damages {
            self.wrong(path.clone(), problem.clone())?;
        }
        if !records.damages.is_empty() {
            reachable!("some updates of a task are damaged");
            self.repairs.push(match records.content.clone() {
                content if content.is_empty() => Change::RemoveFile { path },
                content => Change::Write { path, content },
            });
        }
        Ok(Some(records))
    }

    fn wrong(&mut self, path: String, problem: String) -> Result<(), RecoveryError> {
        let error = RecoveryError { path, problem };
        if !self.tolerant {
            return Err(error);
        }
        tracing::error!(%error, "left out of the recovery");
        self.errors += 1;
        Ok(())
    }

    fn frameworks(&mut self) -> Result<Vec<RecoveredFramework>, RecoveryError> {
        let mut frameworks = Vec::new();
        for framework_id in self.names("frameworks") {
            let folder = paths::framework_meta(&framework_id);
            let info: Option<v1::FrameworkInfo> = self.info(&folder, paths::FRAMEWORK_INFO)?;
            let Some(mut info) = info else { continue };
            info.id.get_or_insert(v1::FrameworkId { value: framework_id.clone() });
            let mut executors = Vec::new();
            for executor_id in self.names(&format!("{folder}/executors")) {
                executors.extend(self.executor(&framework_id, &executor_id)?);
            }
            if !executors.is_empty() {
                frameworks.push(RecoveredFramework { info, executors });
            }
        }
        Ok(frameworks)
    }

    fn executor(&mut self, framework_id: &str, executor_id: &str) -> Found<RecoveredExecutor> {
        let folder = paths::executor_meta(framework_id, executor_id);
        let info = self.info(&folder, paths::EXECUTOR_INFO)?;
        let Some(info) = info else { return Ok(None) };
        let container = |container_id: String| Container {
            framework_id: framework_id.to_owned(),
            executor_id: executor_id.to_owned(),
            container_id,
        };
        let mut runs: Vec<Container> =
            self.names(&format!("{folder}/runs")).into_iter().map(container).collect();
        // Mesos keeps those that are over, and marks them.
        runs.retain(|run| !self.has(&paths::run_meta(run), "executor.sentinel"));
        if runs.len() > 1 {
            let problem = format!("it has {} runs: expected one that is not over", runs.len());
            self.wrong(format!("{folder}/runs"), problem)?;
        }
        let Some(container) = runs.pop() else { return Ok(None) };
        let run = paths::run_meta(&container);
        let mut tasks = Vec::new();
        for task_id in self.names(&format!("{run}/tasks")) {
            tasks.extend(self.task(&paths::task_meta(&container, &task_id))?);
        }
        Ok(Some(RecoveredExecutor {
            generated: self.has(&folder, paths::GENERATED),
            subscribed: self.has(&run, paths::HTTP_MARKER),
            forked: self.forked(&format!("{run}/pids"))?,
            life: Life::Ended,
            container,
            info,
            tasks,
        }))
    }

    fn forked(&mut self, folder: &str) -> Found<(ProcessId, Option<u64>)> {
        let pid: Option<u32> = self.file(folder, paths::FORKED_PID, records::number)?;
        let forked = self.file(folder, paths::FORKED_STARTED, records::forked)?;
        let Forked { process, started } = forked.unwrap_or_default();
        if let (Some(pid), Some(process)) = (pid, process)
            && pid != process
        {
            let path = format!("{folder}/{}", paths::FORKED_PID);
            let name = paths::FORKED_STARTED;
            self.wrong(path, format!("it holds {pid}: expected {process}, as {name} says"))?;
            self.repairs.push(checkpoint::write(folder, paths::FORKED_PID, process.to_string()));
        }
        let process = process.or(pid);
        if process.is_none() && PlantedBug::UnstartedExecutorIsDamage.is_planted() {
            self.wrong(folder.to_owned(), "there is no process".to_owned())?;
        }
        Ok(process.map(|process| (ProcessId(process), started)))
    }

    fn task(&mut self, folder: &str) -> Found<RecoveredTask> {
        let task = self.info(folder, paths::TASK_INFO)?;
        let Some(task) = task else { return Ok(None) };
        let launch = self.file(folder, paths::LAUNCH_INFO, records::queued_launch)?;
        if launch.is_none() && self.has(folder, paths::LAUNCH_INFO) {
            // Nobody would ever deliver it.
            self.repairs.push(Change::RemoveFolder { path: folder.to_owned() });
            return Ok(None);
        }
        Ok(Some(RecoveredTask {
            task,
            launch,
            kill: self.file(folder, paths::KILL_INFO, records::only_message)?,
            updates: self.updates(folder)?.unwrap_or_default(),
        }))
    }

    fn unlaunched(&mut self) -> Result<BTreeMap<(String, String), Records>, RecoveryError> {
        let mut unlaunched = BTreeMap::new();
        for framework_id in self.names(paths::UNLAUNCHED) {
            for task_id in self.names(&format!("{}/{framework_id}", paths::UNLAUNCHED)) {
                let folder = paths::unlaunched_meta(&framework_id, &task_id);
                if let Some(updates) = self.updates(&folder)? {
                    unlaunched.insert((framework_id.clone(), task_id), updates);
                }
            }
        }
        Ok(unlaunched)
    }
}
