//! The registry of a single master: one file, replaced as a whole and durably.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use orrery_api::registry as message;
use orrery_master::{Registry, RegistryOperation, Ticket};
use orrery_runtime::{Runtime, disk};
use tokio::sync::mpsc;

use crate::planted::PlantedBug;

/// The file's name in the work directory.
const FILE_NAME: &str = "registry.pb";

/// How many changes are stored together at most.
const BATCH: usize = 1024;

/// Why the registry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The file or its folder cannot be read or written.
    #[error("registry {path}: {source}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "registry {path} is damaged: {text}; restore it from a copy or remove it to start anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        text: String,
    },
}

/// Where the registry is kept.
pub(crate) struct RegistryFile {
    runtime: Runtime,
    /// `None` keeps it in memory only.
    path: Option<PathBuf>,
    registry: Registry,
}

impl RegistryFile {
    /// Reads the registry, or starts an empty one where there is none yet.
    pub(crate) async fn open(
        runtime: &Runtime,
        work_dir: Option<&Path>,
    ) -> Result<Self, RegistryError> {
        let Some(folder) = work_dir else {
            let registry = Registry::default();
            return Ok(Self { runtime: runtime.clone(), path: None, registry });
        };
        let path = folder.join(FILE_NAME);
        let disk_error = |source| RegistryError::Disk { path: path.clone(), source };
        disk::create_durable_directories(&*runtime.disk, folder).await.map_err(disk_error)?;
        let registry = match disk::read_file(&*runtime.disk, &path).await {
            Ok(content) => decode(&path, &content)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Registry::default(),
            Err(error) => return Err(disk_error(error)),
        };
        let file = Self { runtime: runtime.clone(), path: Some(path.clone()), registry };
        // Written back at once, so that a folder that cannot be written is found out now.
        file.save().await.map_err(disk_error)?;
        Ok(file)
    }

    /// The content.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    async fn save(&self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let content = orrery_api::protobuf::encode(&self.registry.to_message());
        disk::replace_file(&*self.runtime.disk, path, Bytes::from(content)).await
    }

    /// Stores changes as they come, all that wait together, and reports each by its ticket once it
    /// is durable. Ends with the first change that cannot be stored.
    pub(crate) async fn run(
        mut self,
        mut changes: mpsc::UnboundedReceiver<(Ticket, RegistryOperation)>,
        stored: impl AsyncFn(Ticket) -> bool,
    ) -> io::Result<()> {
        let mut batch = Vec::new();
        while changes.recv_many(&mut batch, BATCH).await > 0 {
            let one = PlantedBug::StoresOneChangeOfABatch.is_planted();
            for (_, operation) in batch.iter().take(if one { 1 } else { BATCH }) {
                self.registry.apply(operation);
            }
            let early = PlantedBug::ReportsBeforeStored.is_planted();
            if !early {
                self.save().await?;
            }
            for (ticket, _) in batch.drain(..) {
                if !stored(ticket).await {
                    return Ok(());
                }
            }
            if early {
                self.save().await?;
            }
        }
        Ok(())
    }
}

fn decode(path: &Path, content: &[u8]) -> Result<Registry, RegistryError> {
    orrery_api::protobuf::decode::<message::Registry>(content)
        .map(Registry::from_message)
        .map_err(|error| RegistryError::Damaged { path: path.to_owned(), text: error.to_string() })
}
