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

use orrery_agent::{Agent, Input};
use orrery_runtime::machine::Driver;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{OpenOptions, Runtime};
use tokio::sync::oneshot;

mod containers;
mod daemon;
mod executor_api;
mod link;
mod monitor;
mod operator_api;
mod operator_state;
mod options;
mod planted;
mod routes;
mod state;

use daemon::Shared;

pub use options::Options;
pub use planted::PlantedBug;

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
    #[error("work_dir '{path}' cannot be written: {source}")]
    WorkDirectory {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Why a running agent ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("the agent ended: {0}")]
pub struct Ended(String);

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
    /// Stops in order: executors are shut down, which kills their tasks, and those that do not end
    /// within their grace period are killed; then the agent takes its leave of the master.
    pub async fn stop(mut self) {
        // When the machine has ended already there is nothing left to wait for.
        if self.shared.feeder.feed(Input::Stop).await.is_ok() {
            let _ = (&mut self.ended).await;
        }
    }

    /// Completes when the agent has ended by itself, with the reason.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.ended).await {
            Ok(Some(reason)) => Ended(reason),
            Ok(None) | Err(_) => Ended("it was stopped".to_owned()),
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

/// Starts an agent: prepares its work directory, listens, and looks for its master.
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
    let (driver, feeder) = Driver::new(agent, INPUT_QUEUE);
    let driver = driver.observed(options.observer.clone());
    let shared = Shared::new(runtime.clone(), feeder, options);
    let (end, ended) = oneshot::channel();

    let carrier = Arc::clone(&shared);
    let driving = driver.run(runtime.clone(), move |output| carrier.carry(output));
    let finisher = Arc::clone(&shared);
    let drive = runtime.spawn("agent", async move {
        drop(driving.await);
        // Nobody listens when the agent was dropped meanwhile.
        let _ = end.send(finisher.finish());
    });
    let service = Arc::new(routes::Routes::new(Arc::clone(&shared)));
    let serve = orrery_http::serve(runtime.clone(), listener, service);
    let serve = runtime.spawn("http server", serve);
    let tasks = vec![drive.abort_on_drop(), serve.abort_on_drop()];
    Ok(Running { address, shared, ended, _tasks: tasks })
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
