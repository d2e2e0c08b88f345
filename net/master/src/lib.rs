//! The master's edge: its HTTP endpoints, the links of its agents, its registry file and its page,
//! around the state machine of `orrery-master`.
//!
//! It reaches the world through the ports alone, so a simulation runs this very code.

#![forbid(unsafe_code)]

use std::sync::Arc;

use core::net::SocketAddr;

use orrery_api::v1;
use orrery_link::LinkService;
use orrery_master::{Input, Master};
use orrery_runtime::machine::Driver;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{Generator, Runtime};
use tokio::sync::{mpsc, oneshot};

mod daemon;
mod operator_api;
mod options;
mod page;
mod planted;
mod registry_file;
mod routes;
mod scheduler_api;
mod snapshot;
mod state;
mod tasks;

use daemon::{Links, Shared};
use registry_file::RegistryFile;

pub use options::Options;
pub use planted::PlantedBug;
pub use registry_file::RegistryError;

/// How many inputs may wait for the machine before whoever has more is made to wait.
const INPUT_QUEUE: usize = 4096;

/// Why a master does not start.
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
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

/// Why a running master ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("the master ended: {0}")]
pub struct Ended(String);

/// A running master. Dropping it ends it at once; agents and frameworks then wait for the next one.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
    ended: oneshot::Receiver<Ended>,
    _tasks: Vec<AbortOnDrop>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Running({})", self.address)
    }
}

impl Running {
    /// Stops: closes all connections. Tasks go on; they belong to agents.
    pub async fn stop(self) {
        drop(self);
    }

    /// Completes only when the master cannot go on, with the reason.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.ended).await {
            Ok(ended) => ended,
            Err(_) => Ended("its tasks were stopped".to_owned()),
        }
    }

    /// Looks at the state machine between two steps; for tests.
    pub async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Master) -> T + Send + 'static,
    ) -> Option<T> {
        self.shared.feeder.inspect(look).await.ok()
    }
}

/// Starts a master: opens its registry, listens, and serves.
///
/// # Errors
/// [`StartError`]; nothing is left running then.
pub async fn start(runtime: Runtime, options: Options) -> Result<Running, StartError> {
    let registry_file = RegistryFile::open(&runtime, options.work_dir.as_deref()).await?;
    let address = SocketAddr::new(options.ip, options.port);
    let listener = runtime
        .network
        .listen(address)
        .await
        .map_err(|source| StartError::Listen { address, source })?;
    let address = listener.local_address();

    let mut generator = runtime.random.generator();
    let info = master_info(&options, address, &mut generator);
    tracing::info!(master_id = %info.id, %address, "master started");
    let registry = registry_file.registry().clone();
    let master = Master::new(machine_options(&options, info), registry, generator, runtime.now());
    let (driver, feeder) = Driver::new(master, INPUT_QUEUE);
    let driver = driver.observed(options.observer.clone());
    let (changes, change_queue) = mpsc::unbounded_channel();
    let shared = Shared::new(runtime.clone(), feeder, changes);
    let (end, ended) = oneshot::channel();

    let mut tasks = Vec::new();
    let carrier = Arc::clone(&shared);
    let driving = driver.run(runtime.clone(), move |output| carrier.carry(output));
    tasks.push(runtime.spawn("master", async move { drop(driving.await) }).abort_on_drop());

    let feeder = shared.feeder.clone();
    let storing = registry_file
        .run(change_queue, async move |ticket| feeder.feed(Input::Stored { ticket }).await.is_ok());
    let store = async move {
        if let Err(error) = storing.await {
            tracing::error!(%error, "the registry cannot be stored");
            // Nobody listens when the master is being stopped.
            let _ = end.send(Ended(format!("its registry cannot be stored: {error}")));
        }
    };
    tasks.push(runtime.spawn("registry", store).abort_on_drop());

    let links = LinkService::new(runtime.clone(), Arc::new(Links(Arc::clone(&shared))));
    let service = routes::Routes::new(Arc::clone(&shared), links, options);
    let serving = orrery_http::serve(runtime.clone(), listener, Arc::new(service));
    tasks.push(runtime.spawn("http server", serving).abort_on_drop());
    Ok(Running { address, shared, ended, _tasks: tasks })
}

fn machine_options(options: &Options, info: v1::MasterInfo) -> orrery_master::Options {
    let defaults = orrery_master::Options::new(info);
    let minimum_allocatable = options.minimum_allocatable.clone();
    orrery_master::Options {
        minimum_allocatable: minimum_allocatable.unwrap_or(defaults.minimum_allocatable),
        allocation_interval: options.allocation_interval,
        offer_timeout: options.offer_timeout,
        agent_ping_timeout: options.agent_ping_timeout,
        max_agent_ping_timeouts: options.max_agent_ping_timeouts,
        agent_reregister_timeout: options.agent_reregister_timeout,
        max_completed_frameworks: options.max_completed_frameworks,
        max_completed_tasks_per_framework: options.max_completed_tasks_per_framework,
        max_unreachable_tasks_per_framework: options.max_unreachable_tasks_per_framework,
        ..defaults
    }
}

/// Who this master is. Each start makes a new id, which all ids that it gives out begin with.
fn master_info(
    options: &Options,
    address: SocketAddr,
    generator: &mut Generator,
) -> v1::MasterInfo {
    use v1::master_info::{Capability, capability::Type};
    let address = SocketAddr::new(
        options.advertise_ip.unwrap_or_else(|| address.ip()),
        options.advertise_port.unwrap_or_else(|| address.port()),
    );
    let ip = address.ip().to_string();
    let hostname = options.hostname.clone().unwrap_or_else(|| ip.clone());
    let port = address.port();
    let ip_number = match address.ip() {
        // Mesos writes the address in network order as a native number.
        core::net::IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        core::net::IpAddr::V6(_) => 0,
    };
    let capability = |kind: Type| Capability { r#type: Some(kind as i32) };
    v1::MasterInfo {
        id: generator.uuid_text(),
        ip: ip_number,
        port: u32::from(port),
        pid: Some(format!("master@{address}")),
        hostname: Some(hostname.clone()),
        version: Some(orrery_endpoints::system::MESOS_VERSION.to_owned()),
        address: Some(v1::Address {
            hostname: Some(hostname),
            ip: Some(ip),
            port: i32::from(port),
        }),
        domain: None,
        // Draining and the newer quota are not here yet, and nobody is told otherwise.
        capabilities: vec![capability(Type::AgentUpdate)],
    }
}
