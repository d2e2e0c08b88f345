//! What a process holds: all six ports, bound to it and its host.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use madsim::runtime::NodeHandle;
use orrery_runtime::{BoxFuture, Generator, Random, Runtime, TaskHandle, Tasks};

use crate::host::Host;
use crate::lock::Lock;
use crate::world::Inner;

/// One process's way into the world. Implements every port.
pub(crate) struct Ports {
    host: Host,
    process: u32,
    node: NodeHandle,
    alive: Arc<AtomicBool>,
    random: Lock<Generator>,
}

impl Ports {
    /// The runtime of process `process` on `host`; `alive` turns false when it ends.
    pub(crate) fn runtime(
        host: &Host,
        process: u32,
        node: NodeHandle,
        alive: Arc<AtomicBool>,
        random: Generator,
    ) -> Runtime {
        let host = host.clone();
        let ports = Arc::new(Self { host, process, node, alive, random: Lock::new(random) });
        Runtime {
            clock: ports.clone(),
            tasks: ports.clone(),
            random: ports.clone(),
            network: ports.clone(),
            disk: ports.clone(),
            processes: ports,
        }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    pub(crate) fn world(&self) -> &Arc<Inner> {
        self.host.world()
    }

    pub(crate) fn process(&self) -> u32 {
        self.process
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Relaxed)
    }
}

impl Tasks for Ports {
    fn spawn(&self, _name: &'static str, future: BoxFuture<'static, ()>) -> TaskHandle {
        if !self.is_alive() {
            // A destructor of a killed task may still ask; nothing can run any more.
            drop(future);
            return TaskHandle::new(|| ());
        }
        self.world().count_spawn();
        let abort = self.node.spawn(self.world().counted(future)).abort_handle();
        TaskHandle::new(move || abort.abort())
    }
}

impl Random for Ports {
    fn fill(&self, bytes: &mut [u8]) {
        let mut random = self.random.lock();
        for part in bytes.chunks_mut(8) {
            let word = random.next_u64().to_le_bytes();
            part.copy_from_slice(&word[..part.len()]);
        }
    }
}
