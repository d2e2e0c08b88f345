//! What a restart needs, on the disk: which agent this is, under which boot, and its journal.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use orrery_agent::{agent_directory, agent_meta, info_to_file, meta};
use orrery_api::v1;
use orrery_journal::{Change, Journal, JournalError};
use orrery_runtime::disk::{create_durable_directories, replace_file};
use orrery_runtime::{OpenOptions, Runtime};

/// Where Linux tells one boot from another.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// More than it ever is.
const BOOT_ID_LENGTH: usize = 128;

/// The agent's own files.
pub(crate) struct Store {
    runtime: Runtime,
    work_dir: PathBuf,
    /// Of the present boot; empty when the system does not tell.
    boot_id: String,
    /// There is one as soon as the agent has an id.
    journal: Option<Journal>,
}

impl Store {
    pub(crate) async fn new(runtime: &Runtime, work_dir: &Path) -> Self {
        let boot_id = read_text(runtime, Path::new(BOOT_ID)).await.unwrap_or_default();
        Self { runtime: runtime.clone(), work_dir: work_dir.to_owned(), boot_id, journal: None }
    }

    /// Whether the host was booted since the earlier run. What that run did not leave behind, or
    /// left empty, says nothing.
    pub(crate) async fn is_rebooted(&self) -> io::Result<bool> {
        let before = read_text(&self.runtime, &meta(&self.work_dir).join("boot_id")).await;
        match before {
            Ok(before) => Ok(!before.is_empty() && before != self.boot_id),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The id under which the earlier run went on last, and its `slave.info`. That is written
    /// before anything names its folder, so one that is missing is damaged: it counts as empty.
    pub(crate) async fn earlier(&self) -> io::Result<Option<(String, Bytes)>> {
        let disk = &*self.runtime.disk;
        let latest = agent_meta(&self.work_dir, "latest");
        let folder = match disk.canonicalize(&latest).await {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(agent_id) = folder.file_name().and_then(|name| name.to_str()) else {
            return Ok(None);
        };
        let info = match orrery_runtime::disk::read_file(disk, &folder.join("slave.info")).await {
            Ok(info) => info,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Bytes::new(),
            Err(error) => return Err(error),
        };
        Ok(Some((agent_id.to_owned(), info)))
    }

    /// Opens the journal of an agent.
    pub(crate) async fn open(
        &mut self,
        agent_id: &str,
        tolerant: bool,
    ) -> Result<&mut Journal, JournalError> {
        let folder = agent_meta(&self.work_dir, agent_id);
        let journal = Journal::open(&self.runtime, &folder, tolerant).await?;
        Ok(self.journal.insert(journal))
    }

    /// Completes once the journal cannot go on, with the reason.
    pub(crate) async fn failed(&mut self) -> io::Error {
        match &mut self.journal {
            Some(journal) => journal.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Makes changes durable.
    pub(crate) async fn commit(&mut self, changes: Vec<Change>) -> io::Result<()> {
        match &mut self.journal {
            Some(journal) => journal.commit(changes).await,
            None => Err(io::Error::other("the agent has no id yet")),
        }
    }

    /// Makes the folders of an agent that has just got its id, and has a restart go on as it.
    pub(crate) async fn admitted(&mut self, info: &v1::AgentInfo) -> io::Result<()> {
        let agent_id = info.id.clone().unwrap_or_default().value;
        let disk = std::sync::Arc::clone(&self.runtime.disk);
        let sandboxes = agent_directory(&self.work_dir, &agent_id);
        disk.create_directories(&sandboxes).await?;
        disk.symbolic_link(&sandboxes, &agent_directory(&self.work_dir, "latest")).await?;
        self.open(&agent_id, false).await.map_err(io::Error::other)?;
        self.write_identity(info).await?;
        // Only now is there all that a restart asks for.
        let latest = agent_meta(&self.work_dir, "latest");
        disk.symbolic_link(&agent_meta(&self.work_dir, &agent_id), &latest).await?;
        self.sync_parent(&latest).await
    }

    /// Notes what the agent is now, and under which boot.
    pub(crate) async fn readmitted(&mut self, info: &v1::AgentInfo) -> io::Result<()> {
        if self.journal.is_none() {
            return Ok(());
        }
        self.write_identity(info).await
    }

    async fn write_identity(&self, info: &v1::AgentInfo) -> io::Result<()> {
        let disk = &*self.runtime.disk;
        let agent_id = info.id.clone().unwrap_or_default().value;
        let folder = agent_meta(&self.work_dir, &agent_id);
        create_durable_directories(disk, &folder).await?;
        replace_file(disk, &folder.join("slave.info"), info_to_file(info)).await?;
        let boot_id = Bytes::copy_from_slice(self.boot_id.as_bytes());
        replace_file(disk, &meta(&self.work_dir).join("boot_id"), boot_id).await
    }

    /// Has the next run begin as a new agent.
    pub(crate) async fn forget(&mut self) -> io::Result<()> {
        let latest = agent_meta(&self.work_dir, "latest");
        match self.runtime.disk.remove_file(&latest).await {
            Ok(()) => self.sync_parent(&latest).await,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn sync_parent(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(folder) => self.runtime.disk.sync_directory(folder).await,
            None => Ok(()),
        }
    }
}

/// A short text. Files of the kernel have no length, so it is not asked for.
async fn read_text(runtime: &Runtime, path: &Path) -> io::Result<String> {
    let file = runtime.disk.open(path, OpenOptions::READ).await?;
    let content = file.read_at(0, BOOT_ID_LENGTH).await?;
    Ok(String::from_utf8_lossy(&content).trim().to_owned())
}
