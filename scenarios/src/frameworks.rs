//! The frameworks of a run as processes on their hosts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use orrery_api::v1;
use orrery_net_scheduler::{Encoding, Handle, Options, Scheduler};
use orrery_runtime::ProcessId;
use orrery_runtime_sim::Host;
use orrery_scheduler::Context;
use v1::framework_info::{Capability, capability::Type};

use crate::cluster::Cluster;
use crate::invariants::Session;
use crate::plan::Profile;
use crate::workload::{StoreHandle, Workload};

/// One framework, through all of its processes. Cheap to clone.
#[derive(Clone)]
pub struct Seat {
    inner: Arc<Inner>,
}

struct Inner {
    cluster: Cluster,
    number: usize,
    profile: Profile,
    host: Host,
    store: StoreHandle,
    current: Mutex<Option<Current>>,
}

struct Current {
    process: ProcessId,
    handle: Handle<Workload>,
}

impl std::fmt::Debug for Seat {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Seat({})", self.inner.number)
    }
}

impl Seat {
    /// A framework without a process.
    pub fn new(cluster: &Cluster, number: usize, profile: Profile, host: Host) -> Self {
        let store = StoreHandle::default();
        store.lock().padding = profile.padding;
        let inner = Inner {
            cluster: cluster.clone(),
            number,
            profile,
            host,
            store,
            current: Mutex::new(None),
        };
        Self { inner: Arc::new(inner) }
    }

    fn current(&self) -> MutexGuard<'_, Option<Current>> {
        self.inner.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its number in the plan.
    pub fn number(&self) -> usize {
        self.inner.number
    }

    /// What it remembers.
    pub fn store(&self) -> &StoreHandle {
        &self.inner.store
    }

    /// Where it runs.
    pub fn host(&self) -> &Host {
        &self.inner.host
    }

    /// The newest process, while it lives.
    pub fn process(&self) -> Option<ProcessId> {
        let process = self.current().as_ref()?.process;
        self.inner.host.is_alive(process).then_some(process)
    }

    /// Forgets the process: its host has lost power, and numbers start anew when it boots.
    pub fn host_crashed(&self) {
        *self.current() = None;
    }

    /// Starts a process if none lives and there is power.
    pub fn start_missing(&self) {
        if self.inner.host.is_up() && self.process().is_none() {
            self.start_process();
        }
    }

    /// Ends processes that a newer one has replaced.
    pub fn end_replaced(&self) {
        let newest = self.process();
        for process in self.inner.host.processes() {
            if Some(process.id) != newest {
                self.inner.host.kill(process.id);
            }
        }
    }

    /// Starts another process, whether or not one lives. Without effect on a host without power.
    pub fn start_process(&self) {
        if !self.inner.host.is_up() {
            return;
        }
        let inner = &self.inner;
        let session = {
            let mut store = inner.store.lock();
            let session = Session { framework: inner.number, number: store.sessions };
            store.sessions += 1;
            session
        };
        let info = self.framework_info();
        inner.cluster.oracle().framework_started(session, &info);
        let mut options = Options::new(inner.cluster.masters(), info);
        options.encoding = if inner.profile.json { Encoding::Json } else { Encoding::Protobuf };
        let mut handle = None;
        let process = inner.host.start("framework", |runtime| {
            let oracle = inner.cluster.oracle().clone();
            let random = runtime.random.generator();
            let workload =
                Workload::new(session, inner.profile.clone(), oracle, inner.store.clone(), random);
            let (scheduler, reached) = Scheduler::new(runtime, options, workload);
            handle = Some(reached);
            async move {
                drop(scheduler.run().await);
                0
            }
        });
        if let Some(handle) = handle {
            *self.current() = Some(Current { process, handle });
        }
    }

    fn framework_info(&self) -> v1::FrameworkInfo {
        let Inner { number, profile, .. } = &*self.inner;
        let capability = |kind: Type| Capability { r#type: Some(kind as i32) };
        // Half of all frameworks know what it means that a task is being killed.
        let kinds = [
            (Type::MultiRole, true),
            (Type::PartitionAware, profile.partition_aware),
            (Type::TaskKillingState, number.is_multiple_of(2)),
        ];
        let wanted = kinds.into_iter().filter(|(_, wanted)| *wanted);
        v1::FrameworkInfo {
            user: "root".to_owned(),
            name: format!("framework-{number}"),
            id: self.inner.store.lock().framework_id.clone(),
            failover_timeout: Some(profile.failover_timeout.as_secs_f64()),
            checkpoint: Some(profile.checkpoint),
            // Neighbours share some of their roles.
            roles: (0..profile.roles.max(1))
                .map(|role| format!("role-{}", number % 2 + role))
                .collect(),
            capabilities: wanted.map(|(kind, _)| capability(kind)).collect(),
            ..Default::default()
        }
    }

    /// Has the newest process do something, without waiting for it.
    pub fn act(&self, action: impl FnOnce(&mut Workload, &mut Context<'_>) + Send + 'static) {
        let handle = self.current().as_ref().map(|current| current.handle.clone());
        if let Some(handle) = handle {
            self.inner.cluster.world().spawn(async move {
                // A process that has ended does nothing more.
                let _ = handle.act(action).await;
            });
        }
    }
}
