//! The agent's edge: its HTTP endpoints, its link to the master and the processes of its executors,
//! around the state machine of `orrery-agent`.
//!
//! ```text
//!             ┌──────────── routes: executor API, operator API, older endpoints, files
//!   Feeder ◀──┼──────────── link: connection to the master
//!      │      └──────────── containers: sandboxes and processes
//!      ▼
//!   Driver(Agent) ──Output──▶ daemon::Shared::carry
//! ```
//!
//! It reaches the world through the ports alone, so a simulation runs this very code.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

use std::path::PathBuf;
use std::sync::Arc;

use core::net::SocketAddr;

use orrery_agent::{Agent, Input, Life, Recovered, latest_run};
use orrery_runtime::machine::Driver;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{OpenOptions, Runtime};
use tokio::sync::oneshot;

mod checkpoints;
mod containers;
mod daemon;
mod executor_api;
mod link;
mod monitor;
mod operator_api;
mod operator_state;
mod options;
mod planted;
mod recovery;
mod remedy;
mod routes;
mod state;
mod store;
#[cfg(test)]
mod store_test;

use checkpoints::Checkpoints;
use daemon::Shared;
use recovery::Past;

pub use options::Options;
pub use orrery_agent::Policy;
pub use planted::PlantedBug;
pub use recovery::RecoverError;

/// How many inputs may wait for the machine before whoever has more is made to wait.
const INPUT_QUEUE: usize = 4096;

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The work directory cannot be made or written.
    #[error("work_dir '{path}' cannot be written: {source}. {}", remedy::of_disk(.source))]
    WorkDirectory {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What an earlier run has left cannot be gone on with.
    #[error(transparent)]
    Recover(#[from] RecoverError),
}

/// Why a running agent ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("the agent ended: {}", .0.as_deref().unwrap_or("it was to"))]
pub struct Ended(Option<String>);

impl Ended {
    /// Whether it ended because that was all there was to do, as after cleaning up.
    pub fn is_in_order(&self) -> bool {
        self.0.is_none()
    }
}

/// A running agent. Dropping it ends it at once, without a word to its executors.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    ended: oneshot::Receiver<Option<String>>,
    _tasks: Vec<AbortOnDrop>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Running({})", self.address)
    }
}

impl Running {
    /// Stops in order, to be started again: executors of frameworks that checkpoint go on without
    /// the agent. The others are shut down, which kills their tasks, and those that do not end
    /// within their grace period are killed.
    pub async fn stop(self) {
        self.end(Input::Stop).await;
    }

    /// Stops in order, for good: all executors are shut down, and the agent takes its leave of the
    /// master. A later start begins as a new agent.
    pub async fn leave(self) {
        self.end(Input::Leave).await;
    }

    async fn end(mut self, how: Input) {
        // When the machine has ended already there is nothing left to wait for.
        if self.shared.feeder.feed(how).await.is_ok() {
            let _ = (&mut self.ended).await;
        }
    }

    /// Completes when the agent has ended by itself, with the reason.
    pub async fn ended(&mut self) -> Ended {
        tokio::select! {
            biased;
            why = &mut self.ended => Ended(why.unwrap_or_default()),
            why = self.shared.detector.refused() => {
                Ended(Some(format!("the leading master cannot be found: {why}")))
            }
        }
    }

    /// Looks at the state machine between two steps; for tests.
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Agent) -> T + Send + 'static,
    ) -> Option<T> {
        self.shared.feeder.inspect(look).await.ok()
    }
}

/// Starts an agent: prepares its work directory, listens, takes over what an earlier run has left,
/// and looks for its master.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub async fn start(runtime: Runtime, options: Options) -> Result<Running, StartError> {
    prepare_work_directory(&runtime, &options).await?;
    let address = SocketAddr::new(options.ip, options.port);
    let listener = runtime
        .network
        .listen(address)
        .await
        .map_err(|source| StartError::Listen { address, source })?;
    let address = listener.local_address();
    tracing::info!(%address, masters = %options.masters, "agent started");

    let generator = runtime.random.generator();
    let agent = Agent::new(options.machine(address), generator, runtime.now());
    let info = agent.snapshot().agent_info;
    let Past { recovered, store } = recovery::recover(&runtime, &options, &info).await?;
    let (driver, feeder) = Driver::new(agent, INPUT_QUEUE);
    let driver = driver.observed(options.observer.clone());
    let (checkpoints, woken) = Checkpoints::new();
    let shared = Shared::new(runtime.clone(), feeder, options, checkpoints);
    shared.take_over(recovered).await;
    let (end, ended) = oneshot::channel();

    let carrier = Arc::clone(&shared);
    let driving = driver.run(runtime.clone(), move |output| carrier.carry(output));
    let carrying = Arc::clone(&shared).carry_waiting(store, woken);
    let finisher = Arc::clone(&shared);
    let drive = runtime.spawn("agent", async move {
        let stepping = async {
            drop(driving.await);
            // What the machine has said last may still wait for the disk.
            std::future::pending::<()>().await;
        };
        let error = tokio::select! {
            biased;
            error = carrying => error,
            () = stepping => None,
        };
        finisher.finish();
        // Nobody listens when the agent was dropped meanwhile.
        let _ = end.send(error);
    });
    let service = Arc::new(routes::Routes::new(Arc::clone(&shared)));
    let serve = orrery_http::serve(runtime.clone(), listener, service);
    let serve = runtime.prompt().spawn("http server", serve);
    let tasks = vec![drive.abort_on_drop(), serve.abort_on_drop()];
    Ok(Running { address, shared, ended, _tasks: tasks })
}

impl Shared {
    /// Watches over the executors that an earlier run has left, and tells the machine of it all.
    async fn take_over(&self, mut recovered: Recovered) {
        let (agent_id, work_dir) = (recovered.agent_id.clone(), &self.options.work_dir);
        let living: Vec<_> = recovered
            .executors_mut()
            .filter_map(|executor| match executor.life {
                Life::Lives(process) => {
                    let directory = executor.directory(work_dir, &agent_id);
                    Some((executor.container.clone(), directory, process))
                }
                Life::Ended | Life::NeverStarted => None,
            })
            .collect();
        // The queue has room: this is the first that it takes.
        let _ = self.feeder.feed(Input::Recovered(Box::new(recovered))).await;
        for (container, directory, process) in living {
            let latest = latest_run(work_dir, &agent_id, &container);
            self.adopt(container, &directory, &latest, process);
        }
    }
}

/// Makes the folder and proves that it can be written, so that a wrong path is told at the start
/// and not by the first task.
async fn prepare_work_directory(runtime: &Runtime, options: &Options) -> Result<(), StartError> {
    let path = options.work_dir.clone();
    let probe = path.join(".probe");
    let result = async {
        runtime.disk.create_directories(&path).await?;
        runtime.disk.create_directories(&path.join("slaves")).await?;
        drop(runtime.disk.open(&probe, OpenOptions::CREATE).await?);
        runtime.disk.remove_file(&probe).await
    };
    result.await.map_err(|source| StartError::WorkDirectory { path, source })
}
