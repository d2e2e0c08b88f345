//! The time for which a master leads: its state machine and everything around it. Ends by being
//! dropped, which closes the links of all agents and the streams of all schedulers.

use std::sync::Arc;

use orrery_api::v1;
use orrery_http::{Request, Response, Service};
use orrery_link::LinkService;
use orrery_master::{Input, Master, RegistryOperation, Ticket};
use orrery_runtime::machine::Driver;
use orrery_runtime::tasks::AbortOnDrop;
use orrery_runtime::{BoxFuture, Runtime};
use tokio::sync::{mpsc, oneshot};

use crate::Options;
use crate::daemon::{Links, Shared};
use crate::measures::Measures;
use crate::registrar::{Fate, Registrar, RegistryError};
use crate::routes::Routes;

/// How many inputs may wait for the machine before whoever has more is made to wait.
const INPUT_QUEUE: usize = 4096;

/// Changes of the registry that are to be stored.
pub(crate) type Changes = mpsc::UnboundedReceiver<(Ticket, RegistryOperation)>;

/// A term under way.
pub(crate) struct Term {
    shared: Arc<Shared>,
    routes: Routes,
    _driver: AbortOnDrop,
}

impl Term {
    /// Begins to lead with what `registrar` has read. The changes that the machine wants stored
    /// come out of the second part, for [`Term::keep`]; the third says why the machine wants to
    /// end, should it ever.
    pub(crate) fn begin(
        runtime: &Runtime,
        options: &Arc<Options>,
        info: v1::MasterInfo,
        registrar: &Registrar,
        measures: Measures,
    ) -> (Self, Changes, oneshot::Receiver<String>) {
        let generator = runtime.random.generator();
        let registry = registrar.registry().clone();
        let machine_options = machine_options(options, info);
        let master = Master::new(machine_options, registry, generator, runtime.now());
        let (driver, feeder) = Driver::new(master, INPUT_QUEUE);
        let driver = driver.observed(options.observer.clone());
        let (changes, queue) = mpsc::unbounded_channel();
        let (failed, failure) = oneshot::channel();
        let statistics = registrar.statistics();
        let shared = Shared::new(runtime.clone(), feeder, changes, failed, statistics, measures);
        let carrier = Arc::clone(&shared);
        let driving = driver.run(runtime.clone(), move |output| carrier.carry(output));
        let driver = runtime.spawn("master", async move { drop(driving.await) }).abort_on_drop();
        let links = LinkService::new(runtime.clone(), Arc::new(Links(Arc::clone(&shared))));
        let routes = Routes::new(Arc::clone(&shared), links, Arc::clone(options));
        (Self { shared, routes, _driver: driver }, queue, failure)
    }

    /// Looks at the state machine between two steps.
    pub(crate) async fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Master) -> T + Send + 'static,
    ) -> Option<T> {
        self.shared.feeder.inspect(look).await.ok()
    }

    /// Stores the changes of a term until it cannot go on.
    pub(crate) fn keep(
        &self,
        registrar: Registrar,
        changes: Changes,
    ) -> impl Future<Output = Result<(), RegistryError>> + Send + use<> {
        let feeder = self.shared.feeder.clone();
        registrar.run(changes, async move |fate| {
            let input = match fate {
                Fate::Stored(ticket) => Input::Stored { ticket },
                Fate::Refused(ticket, reason) => Input::NotStored { ticket, reason },
            };
            feeder.feed(input).await.is_ok()
        })
    }

    pub(crate) fn call(&self, request: Request) -> BoxFuture<'static, Response> {
        self.routes.call(request)
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        self.shared.end();
    }
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
        agent_removal_interval: options.agent_removal_interval,
        recovery_agent_removal_limit: options.recovery_agent_removal_limit,
        registry_gc_interval: options.registry_gc_interval,
        registry_max_agent_age: options.registry_max_agent_age,
        registry_max_agent_count: options.registry_max_agent_count,
        max_completed_frameworks: options.max_completed_frameworks,
        max_completed_tasks_per_framework: options.max_completed_tasks_per_framework,
        max_unreachable_tasks_per_framework: options.max_unreachable_tasks_per_framework,
        ..defaults
    }
}
