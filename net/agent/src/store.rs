//! What a restart needs, on the disk: which agent this is, under which boot, and its journal.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use orrery_agent::{
    RecoveryError, agent_directory, agent_meta, info_from_file, info_to_file, meta,
};
use orrery_api::v1;
use orrery_journal::{Change, DiskError, Journal, JournalError};
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

/// What an earlier run has left of itself.
pub(crate) struct Earlier {
    /// The id that a master gave; empty when nobody can tell.
    pub(crate) agent_id: String,
    /// What it was.
    pub(crate) info: Result<v1::AgentInfo, RecoveryError>,
}

impl Earlier {
    fn damaged(path: &str, problem: String) -> Self {
        let info = Err(RecoveryError { path: path.to_owned(), problem });
        Self { agent_id: String::new(), info }
    }
}

impl Store {
    pub(crate) async fn new(runtime: &Runtime, work_dir: &Path) -> Self {
        let boot_id = read_text(runtime, Path::new(BOOT_ID)).await.unwrap_or_default();
        Self { runtime: runtime.clone(), work_dir: work_dir.to_owned(), boot_id, journal: None }
    }

    /// Whether the host was booted since the earlier run of an agent, which would mean that no
    /// process of it is left. Two files say under which boot that was, so that what becomes of one
    /// of them ends no task: it takes both to say so. A file that is not there, or was left empty,
    /// says nothing.
    pub(crate) async fn is_rebooted(&self, agent_id: &str) -> Result<bool, DiskError> {
        let mut rebooted = false;
        for path in self.boot_files(agent_id) {
            match read_text(&self.runtime, &path).await {
                Ok(before) if before.is_empty() => {}
                Ok(before) if before == self.boot_id => return Ok(false),
                Ok(_) => rebooted = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(DiskError::at(&path)(error)),
            }
        }
        Ok(rebooted)
    }

    /// Where the boot is written down: where Mesos does, and once more.
    pub(crate) fn boot_files(&self, agent_id: &str) -> [PathBuf; 2] {
        let folders = [meta(&self.work_dir), agent_meta(&self.work_dir, agent_id)];
        folders.map(|folder| folder.join("boot_id"))
    }

    /// The agent that the earlier run went on as last. Its folder and its `slave.info` are written
    /// before anything names them, so where they are missing something is damaged.
    pub(crate) async fn earlier(&self) -> Result<Option<Earlier>, DiskError> {
        let disk = &*self.runtime.disk;
        let latest = agent_meta(&self.work_dir, "latest");
        let folder = match disk.canonicalize(&latest).await {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let lost = Earlier::damaged("latest", "what it names is not there".to_owned());
                return Ok(self.has_latest().await?.then_some(lost));
            }
            Err(error) => return Err(DiskError::at(&latest)(error)),
        };
        let Some(agent_id) = folder.file_name().and_then(|name| name.to_str()) else {
            let problem = format!("it names '{}': expected an agent's folder", folder.display());
            return Ok(Some(Earlier::damaged("latest", problem)));
        };
        let path = folder.join("slave.info");
        let content = match orrery_runtime::disk::read_file(disk, &path).await {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Bytes::new(),
            Err(error) => return Err(DiskError::at(&path)(error)),
        };
        let problem = |problem| RecoveryError { path: "slave.info".to_owned(), problem };
        let info = info_from_file(&content).map_err(problem);
        Ok(Some(Earlier { agent_id: agent_id.to_owned(), info }))
    }

    /// Whether there is a link that should name an agent's folder.
    async fn has_latest(&self) -> Result<bool, DiskError> {
        let folder = agent_meta(&self.work_dir, "");
        match self.runtime.disk.list(&folder).await {
            Ok(entries) => Ok(entries.iter().any(|entry| entry.name == "latest")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(DiskError::at(&folder)(error)),
        }
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
    pub(crate) async fn failed(&mut self) -> DiskError {
        match &mut self.journal {
            Some(journal) => journal.failed().await,
            None => std::future::pending().await,
        }
    }

    /// Makes changes durable.
    pub(crate) async fn commit(&mut self, changes: Vec<Change>) -> Result<(), DiskError> {
        match &mut self.journal {
            Some(journal) => journal.commit(changes).await,
            None => {
                let error = io::Error::other("the agent has no id yet");
                Err(DiskError::at(&meta(&self.work_dir))(error))
            }
        }
    }

    /// Makes the folders of an agent that has just got its id, and has a restart go on as it.
    pub(crate) async fn admitted(&mut self, info: &v1::AgentInfo) -> Result<(), JournalError> {
        let agent_id = info.id.clone().unwrap_or_default().value;
        let sandboxes = agent_directory(&self.work_dir, &agent_id);
        let made = self.runtime.disk.create_directories(&sandboxes).await;
        made.map_err(DiskError::at(&sandboxes))?;
        self.link(&sandboxes, &agent_directory(&self.work_dir, "latest")).await?;
        self.open(&agent_id, false).await?;
        self.write_identity(info).await?;
        // Only now is there all that a restart asks for.
        let latest = agent_meta(&self.work_dir, "latest");
        self.link(&agent_meta(&self.work_dir, &agent_id), &latest).await?;
        Ok(self.sync_parent(&latest).await?)
    }

    async fn link(&self, target: &Path, link: &Path) -> Result<(), DiskError> {
        let linked = self.runtime.disk.symbolic_link(target, link).await;
        linked.map_err(DiskError::at(link))
    }

    /// Notes what the agent is now, and under which boot.
    pub(crate) async fn readmitted(&mut self, info: &v1::AgentInfo) -> Result<(), DiskError> {
        if self.journal.is_none() {
            return Ok(());
        }
        self.write_identity(info).await
    }

    async fn write_identity(&self, info: &v1::AgentInfo) -> Result<(), DiskError> {
        let disk = &*self.runtime.disk;
        let agent_id = info.id.clone().unwrap_or_default().value;
        let folder = agent_meta(&self.work_dir, &agent_id);
        create_durable_directories(disk, &folder).await.map_err(DiskError::at(&folder))?;
        self.replace(&folder.join("slave.info"), info_to_file(info)).await?;
        let boot_id = Bytes::copy_from_slice(self.boot_id.as_bytes());
        for path in self.boot_files(&agent_id) {
            self.replace(&path, boot_id.clone()).await?;
        }
        Ok(())
    }

    async fn replace(&self, path: &Path, content: Bytes) -> Result<(), DiskError> {
        replace_file(&*self.runtime.disk, path, content).await.map_err(DiskError::at(path))
    }

    /// Has the next run begin as a new agent.
    pub(crate) async fn forget(&mut self) -> Result<(), DiskError> {
        let latest = agent_meta(&self.work_dir, "latest");
        match self.runtime.disk.remove_file(&latest).await {
            Ok(()) => self.sync_parent(&latest).await,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(DiskError::at(&latest)(error)),
        }
    }

    async fn sync_parent(&self, path: &Path) -> Result<(), DiskError> {
        let Some(folder) = path.parent() else { return Ok(()) };
        let synced = self.runtime.disk.sync_directory(folder).await;
        synced.map_err(DiskError::at(folder))
    }
}

/// A short text. Files of the kernel have no length, so it is not asked for.
async fn read_text(runtime: &Runtime, path: &Path) -> io::Result<String> {
    let file = runtime.disk.open(path, OpenOptions::READ).await?;
    let content = file.read_at(0, BOOT_ID_LENGTH).await?;
    Ok(String::from_utf8_lossy(&content).trim().to_owned())
}
