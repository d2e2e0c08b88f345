//! The daemons of one measurement, and its end.

use std::path::Path;
use std::time::Duration;

use orrery_model::duration;
use orrery_runtime::Address;
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Common;
use crate::daemon::Daemon;
use crate::failure::Failure;
use crate::progress::Progress;

/// Up to one master and one agent in a temporary folder.
pub struct Cluster {
    folder: TempDir,
    master: Option<Daemon>,
    /// The port that the master had; another master takes it again.
    master_port: u16,
    agent: Option<Daemon>,
}

impl Cluster {
    /// Runs `measure` with a cluster that it may start daemons in, and stops and removes everything
    /// when it has ended, failed, or taken too long, or when a signal came.
    ///
    /// # Errors
    /// The measurement's own; [`Failure::Limit`]; [`Failure::Stopped`].
    pub async fn with<T>(
        common: &Common,
        progress: &Progress,
        measure: impl AsyncFnOnce(&mut Self) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let folder = tempfile::Builder::new().prefix("orrery-load-").tempdir()?;
        let mut cluster = Self { folder, master: None, master_port: 0, agent: None };
        let result = tokio::select! {
            biased;
            _ = interrupt.recv() => Err(Failure::Stopped("SIGINT")),
            _ = terminate.recv() => Err(Failure::Stopped("SIGTERM")),
            reason = progress.failed() => Err(Failure::Cluster(reason)),
            result = measure(&mut cluster) => result,
            () = tokio::time::sleep(common.limit) => Err(Failure::Limit {
                limit: common.limit,
                missing: progress.missing(),
            }),
        };
        cluster
            .stop(result, &mut async || {
                tokio::select! {
                    biased;
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            })
            .await
    }

    /// Starts the master.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_master(
        &mut self,
        common: &Common,
        allocation_interval: Duration,
    ) -> Result<Address, Failure> {
        let flags = [
            "--ip=127.0.0.1".to_owned(),
            format!("--port={}", self.master_port),
            self.work_dir("master"),
            format!("--allocation_interval={}", duration::format(allocation_interval)),
        ];
        let (daemon, address) =
            Daemon::start(&common.orrery, "master", &flags, self.folder.path()).await?;
        self.master = Some(daemon);
        self.master_port = address.port;
        Ok(address)
    }

    /// Kills the master with SIGKILL.
    pub async fn kill_master(&mut self) {
        if let Some(daemon) = self.master.take() {
            daemon.kill().await;
        }
    }

    /// Starts the agent.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start_agent(
        &mut self,
        common: &Common,
        master: &Address,
        resources: &str,
    ) -> Result<(), Failure> {
        let flags = [
            format!("--master={master}"),
            "--ip=127.0.0.1".to_owned(),
            "--port=0".to_owned(),
            self.work_dir("agent"),
            format!("--resources={resources}"),
            "--no-switch_user".to_owned(),
            "--registration_backoff_factor=10ms".to_owned(),
        ];
        let (daemon, _) =
            Daemon::start(&common.orrery, "agent", &flags, self.folder.path()).await?;
        self.agent = Some(daemon);
        Ok(())
    }

    fn work_dir(&self, name: &str) -> String {
        format!("--work_dir={}", Path::join(self.folder.path(), name).display())
    }

    /// The master, once it was started.
    pub fn master(&self) -> Option<&Daemon> {
        self.master.as_ref()
    }

    /// The agent, once it was started.
    pub fn agent(&self) -> Option<&Daemon> {
        self.agent.as_ref()
    }

    /// Ends the cluster, at once when `impatient` completes.
    async fn stop<T>(
        mut self,
        result: Result<T, Failure>,
        impatient: &mut impl AsyncFnMut(),
    ) -> Result<T, Failure> {
        // A daemon that died explains the failure better than what followed from it.
        let dead = [&mut self.master, &mut self.agent]
            .into_iter()
            .flatten()
            .find_map(|daemon| daemon.dead());
        let stopping = async {
            // The agent first, as long as there is a master to tell how its tasks end.
            for daemon in [self.agent.take(), self.master.take()].into_iter().flatten() {
                daemon.stop().await;
            }
        };
        tokio::select! {
            biased;
            () = stopping => {}
            () = impatient() => {}
        }
        match (result, dead) {
            (Err(Failure::Cluster(_) | Failure::Limit { .. }), Some(dead)) => Err(dead),
            (result, _) => result,
        }
    }
}
